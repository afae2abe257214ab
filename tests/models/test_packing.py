"""Packed batches: the same numbers on real tokens, from less arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.models.packing import Packing, pack, packing_of

KIND = "BertForSequenceClassification"


def test_rows_go_there_and_back():
    mask = np.array([[True, True, False], [True, False, False]])
    packing = pack(mask, 4)
    x = jnp.arange(1, 13.0).reshape(2, 3, 2)
    rows = packing.pack(x, 1)
    np.testing.assert_array_equal(rows[:3], np.asarray(x)[mask])
    np.testing.assert_array_equal(packing.spread(rows), np.where(mask[..., None], x, 0))


def test_packed_equals_padded_on_real_tokens(tiny, batch):
    module = tiny.bert(KIND).ours.module
    mask = np.asarray(batch.mask)
    run = jax.jit(lambda module, packing: module(batch, packing=packing, return_values=True))
    packed, padded = run(module, pack(mask, 16)), run(module, None)
    rows = mask[:, None, None, :, None]
    np.testing.assert_allclose(np.where(rows, packed.attention, 0), np.where(rows, padded.attention, 0), atol=1e-5)
    np.testing.assert_allclose(np.where(rows, packed.values, 0), np.where(rows, padded.values, 0), atol=1e-5)
    states = mask[:, None, :, None]
    np.testing.assert_allclose(packed.hidden_states[:, 1:], np.where(states, padded.hidden_states, 0)[:, 1:], atol=1e-5)
    np.testing.assert_allclose(packed.logits, padded.logits, atol=1e-5)
    assert not np.asarray(packed.attention)[
        np.broadcast_to(~mask[:, None, None, None, :], packed.attention.shape)
    ].any()


def test_gradients_go_through(tiny, batch):
    module = tiny.bert(KIND).ours.module

    def score(embeddings, packing):
        return module(batch, embeddings=embeddings, packing=packing).logits[:, 1].sum()

    embeddings = module.embed(batch.input_ids)
    gradient = jax.jit(jax.grad(score))
    packed, padded = (gradient(embeddings, packing) for packing in (pack(batch.mask, 12), None))
    np.testing.assert_allclose(packed, padded, atol=1e-5)
    assert float(jnp.abs(padded).max()) > 0.1


def test_less_arithmetic_is_compiled(tiny, batch):
    module = tiny.bert(KIND).ours.module

    def operations(packing):
        compiled = jax.jit(lambda module, batch: module(batch, packing=packing)).lower(module, batch).compile()
        return compiled.cost_analysis()["flops"]

    assert operations(pack(batch.mask, 12)) < 0.75 * operations(None)


@pytest.mark.parametrize(
    ("mask", "size"),
    [
        ([[1, 1, 1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]], 6),
        ([[1, 1, 1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0, 0, 0]], 10),
        ([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0, 0]], None),
        ([[0, 0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0, 0]], None),
        ([[0, 0], [0, 0]], None),
    ],
)
def test_packed_where_it_pays_and_the_first_token_is_real(mask, size):
    from jaxflow.models import TokenBatch

    mask = jnp.asarray(mask, bool)
    ids = jnp.zeros(mask.shape, jnp.int32)
    packing = packing_of(TokenBatch(ids, mask, ids))
    assert (packing.place.shape == (size,)) if size else packing is None


def test_not_packed_inside_a_transformation_or_over_devices(batch):
    seen = []
    jax.jit(lambda batch: seen.append(packing_of(batch)) or 0)(batch)
    mesh = jax.make_mesh((2,), ("example",), axis_types=(jax.sharding.AxisType.Auto,))
    whole = jax.sharding.NamedSharding(mesh, jax.P())
    seen.append(packing_of(jax.device_put(batch, whole)))
    assert seen == [None, None]
    assert isinstance(packing_of(batch), Packing)
