"""Methods that stream give what the functions of the whole graph give, and keep no more than was asked for."""

import itertools
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers
from flax import nnx

import jaxflow as jf
from jaxflow.attribution import Raw, Rollout
from jaxflow.attribution.streams import Streams
from jaxflow.models import TokenBatch
from jaxflow.models.create import new_encoder
from jaxflow.models.encoder.module import Encoder
from jaxflow.models.encoder.on_cpu import apart
from jaxflow.models.families import ENCODERS
from jaxflow.models.load import configure
from jaxflow.models.packing import packing_of
from jaxflow.running import Forward, Inputs
from jaxflow.running.readers import Faults, KeptGraph
from tests.models.test_on_cpu import KINDS, SIZES

LENGTHS = (7, 12, 1, 4)
TOKENS, LAYERS = 12, 3
WEIGHTS = np.array([[1.0, 0.0], [0.5, 2.0], [3.0, 1.0]], np.float32)


def make_encoder(kind="bert"):
    config = transformers.AutoConfig.for_model(kind, **{**SIZES, **KINDS[kind], "num_hidden_layers": LAYERS})
    return new_encoder(config)


@pytest.fixture(scope="module")
def encoder():
    return make_encoder()


def token_batch():
    rng = np.random.default_rng(5)
    mask = np.arange(TOKENS) < np.array(LENGTHS)[:, None]
    ids = np.where(mask, rng.integers(1, 27, mask.shape), 0).astype(np.int32)
    return TokenBatch(jnp.asarray(ids), jnp.asarray(mask), jnp.zeros(mask.shape, jnp.int32))


@partial(jax.jit, static_argnames=("layers", "mixing"))
def run(module, batch, queries, packing, *, layers, mixing):
    """Every reader of attribution: what is wrong with capacities, relevance by the methods' names, the graph."""
    program = Forward((Faults(), Streams((Raw(), Rollout()), layers), KeptGraph()), mixing)
    return program(module, Inputs(batch, (None, queries, None), None, packing))


def outputs_of(module, batch, queries=None, residual=0.5, packing=None, layers=(1, 2, 3), heads="mean"):
    queries = None if queries is None else jnp.asarray(queries, jnp.int32)
    return run(module, batch, queries, packing, layers=layers, mixing=jf.mixing.Attention(heads, residual))


@jax.jit
def attention_of(module, batch):
    return module(batch).attention


def whole(encoder, batch, heads, residual):
    """The functions of the whole graph, from the stored attention of all heads."""
    # By the stacked layers like the streamed ones, so that what differs is not the encoder's own rounding.
    graph = jf.attention_graph(attention_of(encoder.module, batch), batch.mask, heads=heads, residual=residual)
    return graph, {"raw": jf.raw_attention(graph), "rollout": jf.attention_rollout(graph)}


@pytest.mark.parametrize(
    ("heads", "residual"),
    [*itertools.product(["mean", "max", "min"], [0.0, 0.3, 1.0]), (WEIGHTS, 0.5)],
    ids=str,
)
def test_streamed_is_what_the_whole_graph_gives(encoder, heads, residual):
    batch = token_batch()
    graph, expected = whole(encoder, batch, heads, residual)
    faults, relevance, kept = outputs_of(encoder.module, batch, residual=residual, heads=heads)
    assert sorted(relevance) == ["raw", "rollout"]
    for name, values in expected.items():
        np.testing.assert_allclose(relevance[name], values, atol=1e-6)
    np.testing.assert_allclose(kept.capacity, graph.capacity, atol=1e-6)
    assert not faults.any()
    padding = ~np.asarray(batch.mask)
    for values in relevance.values():
        assert not np.moveaxis(np.asarray(values), -1, 1)[padding].any()
        assert not np.moveaxis(np.asarray(values), -2, 1)[padding].any()


@pytest.mark.parametrize(
    ("layers", "everything"), [((3,), True), ((1, 3), True), ((1, 2, 3), False), ((3, 1), False), ((2, 2, 1), False)]
)
def test_rows_and_layers_are_those_that_were_asked_for(encoder, layers, everything):
    batch = token_batch()
    queries = np.array([[6, 0, 2], [11, 11, 4], [0, 0, 0], [3, 1, 2]])
    _, expected = whole(encoder, batch, "mean", 0.5)
    _, relevance, _ = outputs_of(encoder.module, batch, None if everything else queries, layers=layers)
    for name, values in expected.items():
        rows = np.asarray(values)[:, np.array(layers) - 1]
        if not everything:
            rows = np.take_along_axis(rows, queries[:, None, :, None], axis=2)
        assert relevance[name].shape == rows.shape
        np.testing.assert_allclose(relevance[name], rows, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_apart_and_packed_rows_stream_the_same(kind):
    encoder, batch = make_encoder(kind), token_batch()
    packing = packing_of(batch)
    assert packing is not None
    expected = outputs_of(encoder.module, batch)
    found = outputs_of(apart(encoder.module), batch, packing=packing)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


def test_an_example_whose_attention_is_no_number_is_told():
    encoder, batch = make_encoder(), token_batch()
    ids = np.where(np.asarray(batch.input_ids) == 26, 25, batch.input_ids)
    ids[1, 0] = 26
    words = encoder.module.embeddings.words.table
    words[...] = words[...].at[26].set(jnp.nan)
    faults, _, _ = outputs_of(encoder.module, TokenBatch(jnp.asarray(ids), batch.mask, batch.segments))
    assert faults.any(-1).tolist() == [False, True, False, False]
    assert faults[1, 0]


@dataclass(frozen=True)
class Strongest:
    """A streaming method of a user's own: the largest weight that each position gave to each token so far."""

    name: str = "strongest"

    def start(self, mask):
        return jnp.zeros((*mask.shape, mask.shape[-1]), jnp.float32)

    def step(self, carry, attention, mixing):
        carry = jnp.maximum(carry, attention)
        return carry, carry

    def __call__(self, graph, queries, layers):
        raise AssertionError("it streams")


def test_a_method_of_ones_own_can_stream():
    from tests.tiny_text_model import model_folder

    encoder = jf.load_model(str(model_folder()))
    texts = ["the key to the cabinets", "is", "the table"]
    found = jf.attribute(encoder, texts, methods=[Strongest(), "raw"], queries=None)
    for example in found:
        expected = np.maximum.accumulate(example.relevance["raw"], axis=0)
        np.testing.assert_array_equal(example.relevance["strongest"], expected)


def bytes_of(call, *arguments):
    memory = jax.jit(call).lower(*arguments).compile().memory_analysis()
    return memory.temp_size_in_bytes + memory.output_size_in_bytes


def test_memory_of_a_large_encoder_is_that_of_its_forward_pass():
    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    source = transformers.BertConfig(**sizes, max_position_embeddings=2048, vocab_size=1000)
    config = configure(source, ENCODERS["bert"], "bare", "the test")
    module = jax.eval_shape(lambda: Encoder(config, nnx.Rngs(0)))
    shape = (1, 2048)
    ids, mask = jax.ShapeDtypeStruct(shape, jnp.int32), jax.ShapeDtypeStruct(shape, bool)
    batch = jax.tree.unflatten(jax.tree.structure(token_batch()), [ids, mask, ids])
    queries = jnp.zeros((1, 1), jnp.int32)  # [CLS]
    streams = Streams((Raw(), Rollout()), tuple(range(1, 25)))

    def streamed(module, batch):
        return Forward((Faults(), streams))(module, Inputs(batch, (None, queries), None))

    def kept(module, batch):
        return Forward((Faults(), streams, KeptGraph()))(module, Inputs(batch, (None, queries, None), None))

    def forward(module, batch):
        _, last, _, _ = module.visit_layers(batch, lambda carry, layer: (carry, None), None)
        return last

    plain = bytes_of(forward, module, batch)
    assert bytes_of(streamed, module, batch) < 1.3 * plain
    stack = 24 * 2048**2 * 4
    with_graph = bytes_of(kept, module, batch)
    assert with_graph < 1.3 * plain + stack
