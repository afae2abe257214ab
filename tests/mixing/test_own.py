"""Own streams as a mixing's `own` asks for them, and that wide ones bind no flow."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Flow, Raw, Rollout
from jaxflow.mixing import as_own, wide_own, with_own_stream
from jaxflow.mixing._gradients import raising
from tests.tiny_text_model import LAYERS, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TOKENS = 5


def layers_of_very_different_size(rng):
    """Weights whose layers, rows and columns differ by orders of magnitude, with zeros and a padded last token."""
    layers, tokens = 4, TOKENS
    weights = rng.exponential(size=(layers, tokens, tokens)) * (rng.random((layers, tokens, tokens)) < 0.6)
    weights *= 10.0 ** rng.integers(-3, 4, (layers, 1, 1)) * 10.0 ** rng.integers(-2, 3, (1, tokens, 1))
    weights[:, -1] = weights[:, :, -1] = 0
    return np.float32(weights)


def test_wide_own_streams_bind_no_flow():
    mask = np.arange(TOKENS) < TOKENS - 1
    rng = np.random.default_rng(0)
    weights = np.stack([layers_of_very_different_size(rng) for _ in range(40)])
    own = np.asarray(wide_own(jnp.asarray(weights), jnp.asarray(np.broadcast_to(mask, (40, TOKENS)))))
    assert not own[:, -1].any()
    # The scale grows by no more than four times the layers.
    rows = weights.sum(-1).max((-1, -2))
    assert (own[:, 0] <= 4 * 4 * rows).all()
    flows = []
    for factor in (1, 64):
        streams = np.repeat(factor * own[:, None], 4, axis=1)
        flow = jf.attention_flow(jf.capacity_graph(weights, streams, np.repeat(mask[None], 40, 0)), method="exact")
        flows.append(np.asarray(flow.value))
    between = ~np.eye(TOKENS, dtype=bool)
    scale = own[:, 0, None, None]
    # With 64 times as wide streams nothing but a position's flow to itself is another.
    np.testing.assert_array_less(np.abs(flows[1] - flows[0])[..., between] / scale, 1e-7)
    own_flows = np.stack([each[..., np.arange(TOKENS - 1), np.arange(TOKENS - 1)] for each in flows])
    assert (own_flows[1] > 32 * own_flows[0]).all()
    # Half of the smaller bound, which is what is promised, would bind some of them.
    narrow = jf.capacity_graph(weights, np.repeat(own[:, None] / 16, 4, axis=1), np.repeat(mask[None], 40, 0))
    assert (np.asarray(jf.attention_flow(narrow, method="exact").value)[..., between] < flows[0][..., between]).any()


def test_shares_and_measured_own_streams():
    mask = jnp.asarray([[True, True, True, False]])
    weights = jnp.asarray([[[2.0, 1, 1, 0], [0, 0, 0, 0], [3e-30, 0, 1e-30, 0], [0, 0, 0, 0]]])
    shares = np.array([[0.5, 0.25, 0.25, 0], [0, 1, 0, 0], [0.75, 0, 0.25, 0], [0, 0, 0, 0]])
    for own, scaled, expected, stream in (
        (0.2, True, 0.8 * shares, 0.2),
        (0.2, False, 0.8 * shares, 0.2),
        ("measured", True, shares, 0),
        ("measured", False, np.asarray(weights[0]), 0),
        ("wide", False, np.asarray(weights[0]), 0),
    ):
        arcs, streams = with_own_stream(weights, own, mask, scaled=scaled)
        np.testing.assert_allclose(arcs[0], expected, rtol=1e-6)
        np.testing.assert_allclose(streams[0], [stream, stream, stream, 0], rtol=1e-6)


@pytest.mark.parametrize("own", ["broad", 1.5, None, [0.5, 0.5], float("nan")])
def test_an_own_that_is_none_gets_one_line(own):
    with pytest.raises(InputError, match="`own` must ") as error:
        as_own(own)
    assert "\n" not in str(error.value)


@dataclasses.dataclass(frozen=True)
class WideAttention:
    """The mean of heads, or with gradients the class's weights, beside own streams that must not bind."""

    gradients: bool = False
    name: str = "wide-attention"
    wide: bool = True

    @property
    def needs(self):
        return frozenset({"attention", "gradients"} if self.gradients else {"attention"})

    def capacities(self, layer, mask):
        pairs = mask[..., :, None] & mask[..., None, :]
        weights = jnp.where(pairs, layer.attention.mean(-3), 0)
        if self.gradients:
            weights = raising(layer.attention * layer.gradient, mask)
        return weights, jnp.zeros(mask.shape)


@pytest.mark.parametrize("gradients", [False, True], ids=["attention", "gradients"])
def test_a_wide_mixing_goes_through_attribution(gradients):
    model = jf.load_model(str(model_folder()))
    texts, mixing = ["the key to the cabinets", "is", "tables on the table"], WideAttention(gradients)
    # Another mixing in the same pass, whose readers step as they always do.
    methods = (Raw(), Rollout(), Flow("exact"), Rollout(name="plain", mixing="attention"))
    result = jf.attribute(model, texts, methods=methods, mixing=mixing, queries=None)
    graph = jf.build_graph(model, texts, mixing=mixing)
    plain = jf.attribute(model, texts, methods="rollout", queries=None)
    weights, own, mask = (np.asarray(each, np.float64) for each in (graph.weights, graph.own, graph.mask))
    assert own.shape == (*mask.shape[:1], LAYERS, mask.shape[1])
    for row, example in enumerate(result):
        tokens = len(example.tokens)
        between = weights[row].sum(0) * ~np.eye(mask.shape[1], dtype=bool)
        bound = min(between.sum(0).max(), between.sum(1).max())
        streams = own[row][:, :tokens]
        assert (streams == streams[0, 0]).all()
        assert bound < streams[0, 0] <= 4 * bound or tokens == 3
        rolled = np.eye(tokens)
        for layer in range(LAYERS):
            rolled = (weights[row, layer, :tokens, :tokens] + streams[0, 0] * np.eye(tokens)) @ rolled
            np.testing.assert_allclose(example.relevance["rollout"][layer], rolled, rtol=2e-5)
        sums = weights[row, :, :tokens, :tokens].sum(-1, keepdims=True)
        shares = weights[row, :, :tokens, :tokens] / np.where(sums == 0, 1, sums)
        np.testing.assert_allclose(example.relevance["raw"], shares, atol=1e-6)
        assert example.certified.all()
        np.testing.assert_allclose(example.relevance["plain"], plain[row].relevance["rollout"], atol=1e-6)
