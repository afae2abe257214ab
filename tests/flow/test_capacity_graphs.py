"""Flow, rollout and raw attention on graphs of any capacities: rows of any sum, own streams of any size."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import jaxflow as jf
from jaxflow._checks import InputError
from tests.flow.families import FAMILIES
from tests.flow.oracles import OrTools, networkx_flow

LAYERS, TOKENS, EXAMPLES = 4, 6, 8
SCALES = (1e-20, 1e-9, 1.0, 3e4, 1e20)
OWN = ("zero", "wide", "one an example", "one a position", "a few")
NAMES = [name for name in FAMILIES if name not in ("only_residual", "padded")]
# A batch of numbers has nothing to shrink.
fuzzed = settings(deadline=None, max_examples=6, phases=[Phase.generate])


def own_streams(rng, kind, weights):
    """Own streams, `layer token`, beside weights `layer token token`."""
    largest, shape = weights.max(), weights.shape[:-1]
    return {
        "zero": np.zeros(shape),
        "wide": np.full(shape, 4 * largest),
        "one an example": np.full(shape, rng.uniform() * largest),
        "one a position": rng.exponential(size=shape) * largest,
        "a few": np.where(rng.random(shape) < 0.3, rng.random(shape) * largest, 0.0),
    }[kind]


def batch_of(seed):
    """Different problems in one batch, causal and sparse ones among them: weights, own streams, mask, scales."""
    rng = np.random.default_rng(seed)
    weights, own = np.zeros((EXAMPLES, LAYERS, TOKENS, TOKENS)), np.zeros((EXAMPLES, LAYERS, TOKENS))
    scales = rng.choice(SCALES, EXAMPLES)
    for example in range(EXAMPLES):
        name = NAMES[(seed + example) % len(NAMES)]
        # Rows and layers of different sums.
        sizes = rng.uniform(0.1, 3, (LAYERS, TOKENS, 1)) * rng.uniform(0.1, 3, (LAYERS, 1, 1))
        arcs = FAMILIES[name](rng, LAYERS, TOKENS) * sizes
        weights[example] = arcs * scales[example]
        own[example] = own_streams(rng, OWN[(seed // 2 + example) % len(OWN)], arcs) * scales[example]
    mask = np.ones((EXAMPLES, TOKENS), bool)
    mask[rng.integers(EXAMPLES), rng.integers(TOKENS)] = False
    return weights.astype(np.float32), own.astype(np.float32), mask


def exact_capacity(weights, own, mask):
    """What the graph's capacities are, in double precision."""
    pairs = mask[:, None, :, None] & mask[:, None, None, :]
    diagonal = np.eye(TOKENS) * np.where(mask[:, None], own, 0)[..., None]
    # The graph's own sum on the diagonal is rounded once, and processors may take what is below 1.2e-38 for 0.
    return np.where(pairs, np.float64(weights), 0) + np.float64(diagonal)


@pytest.mark.parametrize("method", ["exact", "auto", "bounds", pytest.param("relaxed", marks=pytest.mark.slow)])
@given(st.integers(0, 2**20))
@fuzzed
def test_bounds_hold_and_certificates_are_relative_to_the_scale(method, seed):
    weights, own, mask = batch_of(seed)
    graph = jf.capacity_graph(weights, own, mask)
    capacity = np.float64(graph.capacity)
    np.testing.assert_allclose(capacity, exact_capacity(weights, own, mask), rtol=1e-7, atol=2e-38)
    tol = 1e-6
    found = jf.attention_flow(graph, layers=[2, 4], method=method, tol=tol)
    value, lower, upper = (np.float64(x) for x in (found.value, found.lower, found.upper))
    certified, saturated = np.asarray(found.certified), np.asarray(found.saturated)
    assert np.all((lower <= value) & (value <= upper))
    for example in range(EXAMPLES):
        # The largest sum of a row; the scale is the power of two next below.
        scale = 1.001 * capacity[example].sum(-1).max()
        for place, layer in enumerate((2, 4)):
            oracle = OrTools(capacity[example], layer)
            for query, token in np.ndindex(TOKENS, TOKENS):
                pair, flow = (example, place, query, token), oracle(query, token)
                slack = 1e-12 * scale
                assert lower[pair] <= flow + slack
                assert upper[pair] >= flow - slack
                if certified[pair]:
                    assert upper[pair] - lower[pair] <= tol * scale
                    assert abs(value[pair] - flow) <= tol * scale + slack
                ends = capacity[example, layer - 1, query].sum(), capacity[example, 0, :, token].sum()
                if saturated[pair]:
                    assert flow >= min(ends) - tol * scale - 1e-6 * min(ends)
                elif method == "exact":
                    assert flow < min(ends) or not (mask[example, query] and mask[example, token])
    if method in ("exact", "auto"):
        assert certified.all()


def test_values_against_networkx_at_every_size():
    rng = np.random.default_rng(5)
    for scale in SCALES:
        weights = rng.random((3, 5, 5)) ** 3 * scale * rng.uniform(0.1, 5, (3, 5, 1))
        weights = weights * np.tri(5)
        own = rng.exponential(size=(3, 5)) * scale
        graph = jf.capacity_graph(weights, own)
        capacity = np.float64(graph.capacity)
        found = jf.attention_flow(graph, layers=3, method="exact")
        assert found.certified.all()
        for query, token in np.ndindex(5, 5):
            expected = networkx_flow(capacity, 3, query, token)
            np.testing.assert_allclose(found.value[0, query, token], expected, rtol=1e-9, atol=1e-12 * scale)


@given(st.integers(0, 2**20), st.integers(-60, 60))
@fuzzed
def test_flow_scales_with_its_capacities(seed, power):
    """Twice the capacities are twice the flow and the same certificates, to the last bit, by powers of two."""
    weights, own, mask = batch_of(seed)
    ordinary = weights.max((1, 2, 3), keepdims=True)
    # None so small that a part of it is lost when all are scaled down.
    weights, own = (np.where(x < 1e-16, 0, x) for x in (weights / ordinary, own / ordinary[..., 0]))
    for method in ("exact", "bounds"):
        one, other = (
            jf.attention_flow(jf.capacity_graph(weights * size, own * size, mask), 0, method=method)
            for size in (np.float32(1), np.float32(2.0**power))
        )
        for field in ("value", "lower", "upper"):
            np.testing.assert_array_equal(np.float64(getattr(one, field)) * 2.0**power, getattr(other, field))
        np.testing.assert_array_equal(one.certified, other.certified)
        np.testing.assert_array_equal(one.saturated, other.saturated)


def test_saturated_says_where_an_end_is_the_minimum_cut():
    rng = np.random.default_rng(11)
    # Layer 2 is narrow: neither end is the bottleneck. Without it, ends are.
    wide = rng.uniform(1, 2, (3, 5, 5))
    narrow = wide * np.array([1, 1e-2, 1])[:, None, None]
    graph = jf.capacity_graph(np.stack([wide, narrow]), mask=np.array([[1, 1, 1, 1, 0]] * 2))
    for method in ("exact", "bounds"):
        found = jf.attention_flow(graph, layers=3, method=method)
        saturated, certified = np.asarray(found.saturated)[:, 0], np.asarray(found.certified)[:, 0]
        # What is not certified is not known to fill an end.
        np.testing.assert_array_equal(saturated[0, :4, :4], certified[0, :4, :4])
        assert method != "exact" or certified.all()
        assert not saturated[1].any()
        # Padding is at the end of no flow.
        assert not saturated[:, 4].any()
        assert not saturated[:, :, 4].any()
    # The paper's graph: where nothing leaves but by the own stream, flow is all that leaves.
    paper = jf.attention_graph(np.full((2, 2, 6, 6), 1 / 6))
    found = jf.attention_flow(paper, layers=2, method="exact")
    np.testing.assert_array_equal(found.saturated[0], minimum_is_an_end(np.float64(paper.capacity)))


def minimum_is_an_end(capacity):
    """Whether the flow of layer 2 is all that leaves the source or enters the sink, by networkx."""
    tokens = capacity.shape[-1]
    ends = np.minimum(capacity[1].sum(-1)[:, None], capacity[0].sum(0)[None])
    flows = [[networkx_flow(capacity, 2, query, token) for token in range(tokens)] for query in range(tokens)]
    return np.asarray(flows) >= ends - 1e-6


def test_rollout_and_raw_attention_of_any_capacities():
    weights, own, mask = batch_of(3)
    graph = jf.capacity_graph(weights, own, mask)
    clean = np.where(mask[:, None, :, None] & mask[:, None, None, :], np.float64(weights), 0)
    sums = clean.sum(-1, keepdims=True)
    raw = clean / np.where(sums > 0, sums, 1)
    np.testing.assert_allclose(jf.raw_attention(graph), raw, atol=1e-6)
    np.testing.assert_array_equal(graph.row_stochastic, np.zeros(EXAMPLES, bool))
    # Products of capacities near 1, which single precision holds.
    sizes = clean.max((1, 2, 3), keepdims=True)
    even = jf.capacity_graph(weights / sizes, own / sizes[..., 0], mask)
    product = np.eye(TOKENS)
    for layer, found in enumerate(np.moveaxis(np.asarray(jf.attention_rollout(even)), 1, 0)):
        product = np.float64(even.capacity)[:, layer] @ product
        np.testing.assert_allclose(found, product, rtol=1e-4, atol=1e-6)
    with pytest.raises(InputError, match="`graph` must have a product of capacities that float32 holds"):
        jf.attention_rollout(jf.capacity_graph(np.full((4, 3, 3), 1e20)))
    paper = jf.attention_graph(np.full((2, 3, 2, 4, 4), 0.25), residual=[0.0, 0.7])
    np.testing.assert_array_equal(paper.row_stochastic, [True, True])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"weights": np.ones((3, 4, 5))},
            r"`weights` must have shape \(\*batch, layer, token, token\), got \(3, 4, 5\)",
        ),
        ({"weights": np.ones((4, 4))}, r"`weights` must have shape"),
        ({"weights": [np.ones((4, 4)), np.ones((3, 3))]}, "of one shape a layer"),
        ({"weights": np.ones((2, 4, 4)) * 1j}, "`weights` must hold real numbers"),
        ({"weights": -np.ones((2, 4, 4))}, "`weights` must be non-negative, got -1.0 at layer 1, query 0, key 0"),
        ({"weights": np.full((2, 4, 4), 1e39)}, "`weights` must be finite, got inf at layer 1"),
        ({"own": -1}, "`own` must be non-negative, got -1.0 at layer 1, position 0"),
        ({"own": np.ones(3)}, r"`own` must have shape \(2, 4\), or broadcast to it, got \(3,\)"),
        ({"own": np.full(4, 3e38), "weights": np.full((2, 4, 4), 3e38)}, "sum with `own` is finite in float32"),
        ({"own": "wide"}, "`own` must be an array of numbers"),
        ({"mask": np.zeros(4)}, "`mask` must leave at least one real token"),
        ({"mask": np.ones(5)}, r"`mask` must have shape \(4,\), got \(5,\)"),
    ],
)
def test_what_makes_no_capacity_graph_gets_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        jf.capacity_graph(**{"weights": np.ones((2, 4, 4)), **arguments})
    assert "\n" not in str(error.value)


def test_own_streams_broadcast_and_padding_may_hold_anything():
    weights = np.random.default_rng(0).random((2, 3, 4, 4))
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    spoilt = np.where(mask[:, None, :, None] & mask[:, None, None, :], weights, np.nan)
    for own in (2.0, np.full(4, 2.0), np.full((3, 1), 2.0), np.full((2, 3, 4), 2.0)):
        graph = jf.capacity_graph(spoilt, own, mask)
        expected = np.nan_to_num(spoilt) + 2 * np.eye(4) * mask[:, None, :, None]
        np.testing.assert_allclose(graph.capacity, expected, rtol=1e-6)
    # A sequence holds one entry a layer, as with attention.
    layers = jf.capacity_graph(list(np.moveaxis(spoilt, 1, 0)), mask=mask)
    np.testing.assert_array_equal(layers.weights, jf.capacity_graph(spoilt, mask=mask).weights)
