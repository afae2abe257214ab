"""Shapley values of the game of flow: against their definition, and whether error bars hold."""

import itertools

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from tests.flow.families import FAMILIES
from tests.flow.oracles import OrTools


def graph_of(name, seed, layers=4, tokens=5, mask=None):
    rng = np.random.default_rng(seed)
    made = FAMILIES[name](rng, layers, tokens) * rng.uniform(0.2, 3, (layers, tokens, 1))
    return jf.capacity_graph(np.float32(made), np.zeros((layers, tokens), np.float32), mask)


def by_definition(capacity, query):
    """What each token adds on average over all orders, with OR-Tools' flows into sets."""
    layers, tokens, _ = capacity.shape
    worth = {}
    for size in range(tokens + 1):
        for members in itertools.combinations(range(tokens), size):
            below = np.zeros((1, tokens, tokens))
            below[0, list(members), 0] = capacity.sum()
            worth[frozenset(members)] = OrTools(np.concatenate([below, capacity]), layers + 1)(query, 0)
    share = np.zeros(tokens)
    orders = list(itertools.permutations(range(tokens)))
    for order in orders:
        for place, token in enumerate(order):
            share[token] += worth[frozenset(order[: place + 1])] - worth[frozenset(order[:place])]
    return share / len(orders)


@pytest.mark.parametrize("name", FAMILIES)
def test_exact_values_are_those_of_the_definition(name):
    mask = np.array([1, 1, 1, 0, 1], bool)
    graph = graph_of(name, len(name), mask=mask)
    found = jf.flow_shapley(graph, [2, 3], [4, 2])
    joint = jf.joint_flow(graph, [2, 3], [4, 2])
    np.testing.assert_allclose(found.value, joint.value, rtol=1e-12)
    np.testing.assert_allclose(found.share.sum(-1), joint.value, rtol=1e-9, atol=1e-300)
    assert not found.error.any()
    assert not found.share[:, 1].any()
    for place, layer in enumerate((4, 2)):
        expected = by_definition(np.float64(graph.capacity)[:layer], 2)
        np.testing.assert_allclose(found.share[place, 0], expected, rtol=1e-9, atol=1e-11 * found.value[place, 0])
    # What a token adds is never more than it carries alone, and never less than the others leave it.
    assert (found.share <= joint.high * (1 + 1e-9)).all()
    assert (found.share >= joint.low * (1 - 1e-9) - 1e-15).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["peaked", "sparse", "bottleneck"])
def test_error_bars_hold_in_95_of_100_runs(name):
    graph = graph_of(name, 7, 5, 12)
    exactly = jf.flow_shapley(graph, 3, 5)
    held = 0
    for seed in range(100):
        found = jf.flow_shapley(graph, 3, 5, exact=4, samples=64, seed=seed)
        assert found.share.sum() == pytest.approx(exactly.value[0, 0], rel=1e-9)
        held += (np.abs(found.share - exactly.share) <= found.error + 1e-12).all()
    assert held >= 95


def test_error_bars_hold_and_shrink():
    graph = graph_of("peaked", 7, 5, 9)
    exactly = jf.flow_shapley(graph, 3, 5)
    widths = []
    for samples in (32, 128, 512):
        found = jf.flow_shapley(graph, 3, 5, exact=4, samples=samples, seed=samples)
        assert (np.abs(found.share - exactly.share) <= found.error + 1e-12).all()
        assert found.share.sum() == pytest.approx(exactly.value[0, 0], rel=1e-9)
        widths.append(found.error.max())
    assert widths[0] > widths[1] > widths[2] > 0
    again = jf.flow_shapley(graph, 3, 5, exact=4, samples=512, seed=512)
    np.testing.assert_array_equal(again.share, found.share)


def test_bad_requests_are_named():
    graph = graph_of("diffuse", 1)
    with pytest.raises(InputError, match="`samples` must be an integer, 1 or more"):
        _ = jf.flow_shapley(graph, 1, samples=0)
    # All sets of 40 tokens are more than any machine holds.
    with pytest.raises(InputError, match=r"`exact` must be at most 20, .*, got 40; let orders be sampled"):
        _ = jf.flow_shapley(graph, 1, exact=40)
