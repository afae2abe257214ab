"""Flows that the layer below proves: against other solvers, against each pair alone, and the bounds by themselves."""

import numpy as np
import pytest

from jaxflow.flow import exact
from jaxflow.flow.exact._below import cuts_around_sinks
from tests.flow import families, oracles

BELOW = 1 + exact.STAGES.index("layer_below")
ALL = families.FAMILIES | families.LONG | families.EXTREME


def all_layers(mixing, **options):
    """Every pair of every layer of one example."""
    layers, tokens = mixing.shape[:2]
    return exact.max_flow(mixing[None], np.arange(tokens)[None], tuple(range(1, layers + 1)), **options)


def alone(mixing, layer):
    """Every pair of one layer, with nothing known of the one below: `query token`."""
    return exact.max_flow(mixing[None], np.arange(mixing.shape[-1])[None], (layer,)).value[0, 0]


def bounds(rows, lower, upper, ends):
    """The compiled bounds, `source sink`; NaN where they do not meet."""
    from jaxflow.flow.exact import _proof

    found = np.empty((2, len(ends), len(rows)))
    _proof.prove(rows, np.ascontiguousarray(lower.T), np.ascontiguousarray(upper.T), ends, *found)
    return found.swapaxes(1, 2)


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize(("layers", "tokens"), [(3, 4), (7, 9)])
def test_what_is_proven_is_what_a_search_finds(family, layers, tokens):
    mixing = ALL[family](np.random.default_rng(layers), layers, tokens)
    found = all_layers(mixing)
    assert (found.lower <= found.upper).all()
    for layer in range(1, layers + 1):
        np.testing.assert_allclose(found.value[0, layer - 1], alone(mixing, layer), rtol=1e-11, atol=0)
    assert not (found.settled[0, :2] == BELOW).any()


@pytest.mark.parametrize("family", families.FAMILIES)
def test_equals_networkx_deep_down(family):
    mixing = families.FAMILIES[family](np.random.default_rng(8), 8, 5)
    found = all_layers(mixing)
    for layer in (4, 6, 8):
        for query in range(5):
            for token in range(5):
                expected = oracles.networkx_flow(mixing, layer, query, token)
                np.testing.assert_allclose(found.value[0, layer - 1, query, token], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("family", "share"), [("diffuse", 0.99), ("peaked", 0.6), ("causal_sink", 0.5), ("tied", 0.95)]
)
def test_deep_layers_are_proven_for_the_most_part(family, share):
    mixing = ALL[family](np.random.default_rng(1), 12, 24)
    found = all_layers(mixing)
    assert (found.settled[0, 9:] == BELOW).mean() > share
    np.testing.assert_allclose(found.value[0, 11], oracles.all_pairs(mixing, 12), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("family", ALL)
def test_bounds_of_bounds_hold(family):
    # Flows of the layer below that are known only to lie in an interval, and cuts that are too large.
    rng, layers, tokens = np.random.default_rng(6), 5, 8
    mixing = ALL[family](rng, layers, tokens)
    values = all_layers(mixing).value[0]
    ends = cuts_around_sinks(mixing)
    for layer in range(3, layers + 1):
        below, truth = values[layer - 2], values[layer - 1]
        assert (ends[layer - 2] >= truth.max(0) * (1 - 1e-12)).all()
        for slack in (0.0, 0.3):
            lower, upper = (below * (1 + slack * way * rng.random(below.shape)) for way in (-1, 1))
            least, most = bounds(mixing[layer - 1], lower, upper, ends[layer - 2])
            met = ~np.isnan(least)
            assert (met == ~np.isnan(most)).all()
            assert (least[met] <= truth[met] * (1 + 1e-12)).all()
            assert (most[met] >= truth[met] * (1 - 1e-12)).all()
            assert (most[met] - least[met] <= 1e-12 * most[met]).all()


def test_the_lower_bound_is_the_best_of_all_cuts_through_the_layer():
    # By the formula itself: all sets of nodes on the source's side, of which the lower bound is the cheapest.
    rng = np.random.default_rng(3)
    for _ in range(200):
        row, flows = rng.choice([0.0, 0.1, 0.25, 0.4], 5), rng.choice([0.0, 0.2, 0.3, 0.7], 5)
        sides = np.array(np.meshgrid(*[[False, True]] * 5)).reshape(5, -1).T
        costs = [row[~side].sum() + flows[side & (row > 0)].max(initial=0) for side in sides]
        # An upper bound that is no bound shows what the lower one is: they meet from there down.
        for end, meets in ((min(costs), True), (min(costs) + 1e-3, False)):
            least, _ = bounds(row[None], flows[:, None], np.full((5, 1), 9.0), np.array([end]))
            assert (not np.isnan(least[0, 0])) == (meets or min(costs) == row.sum())


@pytest.mark.parametrize("family", ["diffuse", "peaked", "causal", "padded", "tied"])
def test_padding_queries_in_any_order_and_some_sinks(family):
    rng, layers, tokens = np.random.default_rng(2), 6, 14
    mixing = ALL[family](rng, layers, tokens)
    real = np.sort(rng.permutation(tokens + 5)[:tokens])
    padded = np.zeros((layers, tokens + 5, tokens + 5))
    padded[:, real[:, None], real] = mixing
    expected = all_layers(mixing)
    # All positions, some twice, padding among them, and not of all sinks; layers in no order.
    queries = rng.permutation(np.concatenate([np.arange(tokens + 5), real[:3]]))
    places = (6, 3, 5, 2, 4)
    sinks = rng.random(tokens + 5) < 0.6
    wanted = np.zeros((1, len(places), len(queries), tokens + 5), bool)
    wanted[:] = np.isin(queries, real)[:, None] & np.isin(np.arange(tokens + 5), real) & sinks
    found = exact.max_flow(padded[None], queries[None], places, wanted=wanted)
    assert np.isnan(found.value[~wanted]).all()
    assert ((found.settled > 0) == wanted).all()
    position = {place: at for at, place in enumerate(real.tolist())}
    for place, layer in enumerate(places):
        for at, query in enumerate(queries.tolist()):
            for sink in np.flatnonzero(wanted[0, place, at]).tolist():
                value = expected.value[0, layer - 1, position[query], position[sink]]
                np.testing.assert_allclose(found.value[0, place, at, sink], value, rtol=1e-11)
    assert (found.settled == BELOW).any()


def test_a_source_that_is_not_asked_about_is_no_proof():
    mixing = families.diffuse(np.random.default_rng(0), 8, 10)
    every = all_layers(mixing)
    assert (every.settled == BELOW).any()
    some = exact.max_flow(mixing[None], np.arange(9)[None], tuple(range(1, 9)))
    assert not (some.settled == BELOW).any()
    # Pairs that are not wanted are not known either.
    wanted = np.ones(every.value.shape, bool)
    wanted[0, :, 4, 7] = False
    found = exact.max_flow(mixing[None], np.arange(10)[None], tuple(range(1, 9)), wanted=wanted)
    assert not (found.settled[..., 7] == BELOW).any()
    assert (found.settled[..., 6] == BELOW).any()
    np.testing.assert_allclose(found.value[wanted], every.value[wanted], rtol=1e-12)
    # Cuts come from a search.
    cuts = all_layers(mixing, cuts=True)
    assert not (cuts.settled == BELOW).any()
    np.testing.assert_allclose(cuts.value, every.value, rtol=1e-12)


@pytest.mark.parametrize("count", [2, 9])
def test_examples_and_threads_do_not_change_the_result(count):
    rng = np.random.default_rng(4)
    names = ("diffuse", "peaked", "causal", "local", "tied", "uniform", "bottleneck", "local_sink", "chain")
    batch = np.stack([ALL[name](rng, 7, 18) for name in names[:count]])
    queries, layers = np.tile(np.arange(18), (count, 1)), (7, 1, 6, 3, 2, 5, 4)
    seen = []
    one = exact.max_flow(batch, queries, layers, threads=1, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (count * 7 * 18 * 18,) * 2
    for threads in (2, 3):
        many = exact.max_flow(batch, queries, layers, threads=threads)
        for name in ("value", "lower", "upper", "settled"):
            np.testing.assert_array_equal(getattr(one, name), getattr(many, name))
    for place, mixing in enumerate(batch):
        by_itself = exact.max_flow(mixing[None], queries[:1], layers)
        np.testing.assert_array_equal(one.value[place], by_itself.value[0])
        np.testing.assert_array_equal(one.settled[place], by_itself.settled[0])


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e9, 1e290])
def test_capacities_of_any_size(scale):
    mixing = families.diffuse(np.random.default_rng(5), 6, 9)
    found, scaled = all_layers(mixing), all_layers(mixing * scale)
    np.testing.assert_allclose(scaled.value, found.value * scale, rtol=1e-12)
    assert (scaled.settled == BELOW).mean() == pytest.approx((found.settled == BELOW).mean(), abs=0.02)


def test_cuts_around_sinks_are_cuts():
    rng = np.random.default_rng(7)
    for family in ("peaked", "disconnected", "tied", "without_residual"):
        mixing = ALL[family](rng, 5, 6)
        ends = cuts_around_sinks(mixing.astype(np.float32))
        for layer in range(2, 6):
            for sink in range(6):
                each = []
                for top in range(layer - 1):
                    # The sink's side: its nodes of the input and of the layers up to `top`.
                    side = np.ones((6, 6), bool)
                    side[: top + 1, sink] = False
                    side[layer + 1 :] = False
                    kept = mixing[:layer].astype(np.float32).astype(np.float64)
                    each.append(sum((m * np.outer(side[b + 1], ~side[b])).sum() for b, m in enumerate(kept)))
                assert ends[layer - 2, sink] == pytest.approx(min(each), rel=1e-12, abs=1e-300)
