"""On a processor layers stand apart: same numbers, no copies, and no stale weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers
from flax import nnx

from jaxflow.models.create import new_encoder
from jaxflow.models.encoder import on_cpu

SIZES = {
    "vocab_size": 27,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 16,
    "initializer_range": 0.4,
}
KINDS = {
    "bert": {},
    "roberta-prelayernorm": {},
    "albert": {"embedding_size": 8, "num_hidden_groups": 2, "num_hidden_layers": 4},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "conv_kernel_size": 3},
}


def make(kind):
    return new_encoder(transformers.AutoConfig.for_model(kind, **{**SIZES, **KINDS[kind]}))


@jax.jit
def stacked(module, batch, key):
    return module(batch, key=key, return_values=True)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_apart_give_what_stacked_ones_give(kind, batch):
    encoder = make(kind)
    assert on_cpu.runs_here(encoder.module, batch)
    full = jax.tree.map(lambda x: x[:1, :7], batch)
    for key in (None, jax.random.key(3)):
        ours, scanned = encoder(full, key=key, return_values=True), stacked(encoder.module, full, key)
        for field in ("attention", "hidden_states", "values"):
            np.testing.assert_allclose(getattr(ours, field), getattr(scanned, field), atol=2e-5, rtol=1e-5)


def test_layers_apart_are_views():
    module = make("bert").module
    apart = on_cpu.apart(module)
    whole = module.layers.up.kernel[...]
    for row, layer in enumerate(apart.layers):
        np.testing.assert_array_equal(layer.up.kernel[...], whole[row])
        offset = layer.up.kernel[...].unsafe_buffer_pointer() - whole.unsafe_buffer_pointer()
        assert offset == row * layer.up.kernel[...].nbytes
    assert not isinstance(module.layers, nnx.List)


def test_new_weights_are_seen(batch):
    encoder = make("bert")
    before = encoder(batch).hidden_states
    kernel = encoder.module.layers.up.kernel
    kernel[...] = kernel[...] * 2
    after = encoder(batch).hidden_states
    assert float(abs(after - before).max()) > 1e-3
    np.testing.assert_allclose(
        after[0, :, :7], stacked(encoder.module, batch, None).hidden_states[0, :, :7], atol=2e-5, rtol=1e-5
    )


def test_inside_a_transformation_the_stacked_layers_run(batch):
    encoder = make("bert")
    words = encoder.module.embed(batch.input_ids)
    traced = []

    @jax.jit
    def score(words):
        traced.append(on_cpu.runs_here(encoder.module, batch, words))
        return encoder(batch, embeddings=words).hidden_states[0, -1, 0].sum()

    np.testing.assert_allclose(score(words), encoder(batch).hidden_states[0, -1, 0].sum(), atol=2e-5)
    slope = jax.grad(lambda words: encoder(batch, embeddings=words).hidden_states[0, -1, 0].sum())(words)
    assert traced == [False]
    assert float(jnp.abs(slope).max()) > 0


def test_unknown_options_are_left_out(monkeypatch):
    monkeypatch.setattr(on_cpu, "OPTIONS", {"xla_cpu_no_such_option": "1"})
    assert on_cpu.compiler_options.__wrapped__() == {}
    monkeypatch.undo()
    assert on_cpu.compiler_options() in ({}, on_cpu.OPTIONS)
