"""Flows along chains: never above the maximum, their bound never below it, and both meet where they should."""

import numpy as np
import pytest

from jaxflow.flow import exact
from jaxflow.flow.exact import _bits, _chains, _fill, _kernels
from tests.flow import families, oracles

ALL = families.FAMILIES | families.UNNORMALISED


def filled(mixing, layer, source, sinks, way=_fill.OWN_CHAIN):
    """Flow and bound of each sink, by one way of the source."""
    work = _bits.up_to(_kernels.workspace(mixing, len(mixing)), layer)
    chains = _chains.chains_of(mixing)
    lower, upper = np.empty((2, len(sinks)))
    pairs, ways = (np.full(len(sinks), source), np.array(sinks)), np.full((mixing.shape[-1], _fill.WAYS), _fill.NO_WAY)
    ways[:, 0] = way
    _fill.fill_pairs(work.arc, work.touched, chains, layer, ways, *pairs, lower, upper)
    # The workspace is the next solver's.
    assert (work.arc[..., _kernels.FLOW] == 0).all()
    return lower, upper


def first_keeps_itself(rng, layers, tokens, share=3.0):
    """Diffuse attention whose first position mostly looks at itself, as [CLS] does."""
    scores = rng.normal(size=(layers, tokens, tokens))
    scores[:, 0, 0] += np.log(tokens) + share
    return families.with_residual(families.softmax(scores), 0.5)


def first_looks_at_few(rng, layers, tokens, few=3):
    """Diffuse attention whose first position looks at itself and a few others, as [CLS] does in deep models."""
    scores = rng.normal(size=(layers, tokens, tokens))
    for layer in scores:
        layer[0, rng.choice(np.arange(1, tokens), few, replace=False)] += np.log(tokens) + 3
    return families.with_residual(families.softmax(scores), 0.5)


def crossed(rng, layers, tokens):
    """Positions that keep or draw much, different ones in each layer, with arcs of any size and some missing."""
    scores = rng.normal(size=(layers, tokens, tokens)) * rng.choice([0.3, 1, 3])
    for layer in scores:
        for at in rng.integers(0, tokens, 3):
            layer[at, at] += rng.uniform(2, 8)
            layer[:, at] += rng.uniform(0, 4)
    weights = families.softmax(scores) * rng.uniform(0, 2, size=(layers, 1, tokens))
    weights *= rng.random(scores.shape) < rng.choice([0.4, 1.0])
    return weights + rng.choice([0.0, 0.1, 0.5, 3.0]) * np.eye(tokens)


def assert_bounds(mixing, layer, source):
    tokens = mixing.shape[-1]
    found = exact.max_flow(mixing[None], np.array([[source]]), (layer,), cuts=True, threads=1)
    value, slack = found.value[0, 0, 0], 1e-11 * found.value[0, 0, 0] + 1e-15 * mixing.max()
    # By its own chain, and spread over any layer between.
    for way in (_fill.OWN_CHAIN, *range(2, layer - 1)):
        lower, upper = filled(mixing, layer, source, range(tokens), way)
        assert (lower <= value + slack).all(), way
        assert (upper >= value - slack).all(), way


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize(("layers", "tokens"), [(3, 9), (5, 24), (8, 13)])
def test_bounds_hold_on_every_family(family, layers, tokens):
    mixing = ALL[family](np.random.default_rng(layers * tokens), layers, tokens)
    for layer in range(3, layers + 1):
        for source in (0, tokens - 1):
            assert_bounds(mixing, layer, source)


@pytest.mark.parametrize("seed", range(8))
def test_bounds_hold_on_crossed_graphs(seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        tokens, layers = rng.integers(4, 32), rng.integers(3, 9)
        make = rng.choice([crossed, crossed, first_keeps_itself, first_looks_at_few])
        assert_bounds(make(rng, layers, tokens), int(rng.integers(3, layers + 1)), int(rng.integers(tokens)))


@pytest.mark.parametrize("tokens", [16, 64, 150])
def test_a_row_of_diffuse_attention_is_settled(tokens):
    mixing = first_keeps_itself(np.random.default_rng(tokens), 6, tokens)
    for layer in range(3, 7):
        lower, upper = filled(mixing, layer, 0, range(1, tokens))
        assert (lower >= upper).mean() > 0.9


@pytest.mark.parametrize("tokens", [32, 64, 150])
def test_a_deep_source_that_looks_at_few_is_spread(tokens):
    mixing = first_looks_at_few(np.random.default_rng(tokens), 9, tokens)
    own, _ = filled(mixing, 9, 0, range(1, tokens))
    for way in (5, 6):
        lower, upper = filled(mixing, 9, 0, range(1, tokens), way)
        assert (lower >= upper).mean() > 0.8
    assert (own >= upper).mean() < (lower >= upper).mean()
    # By the solver too: what it says is what it says pair by pair.
    found = exact.max_flow(mixing[None], np.array([[0]]), (9,))
    every = exact.max_flow(mixing[None], np.array([[0]]), (9,), cuts=True)
    np.testing.assert_allclose(found.value, every.value, rtol=1e-11)


@pytest.mark.parametrize("make", [first_keeps_itself, first_looks_at_few])
@pytest.mark.parametrize("tokens", [4, 17, 80])
def test_rows_equal_ortools(tokens, make):
    mixing = make(np.random.default_rng(tokens), 6, tokens)
    found = exact.max_flow(mixing[None], np.array([[0]]), tuple(range(1, 7)))
    for layer in range(3, 7):
        oracle = oracles.OrTools(mixing, layer)
        value = [oracle(0, v) for v in range(tokens)]
        np.testing.assert_allclose(found.value[0, layer - 1, 0], value, rtol=1e-8)


@pytest.mark.parametrize("family", ALL)
def test_rows_equal_those_of_all_sources(family):
    """Rows are tried along chains, all pairs are not."""
    mixing = ALL[family](np.random.default_rng(3), 6, 21)
    every = exact.max_flow(mixing[None], np.arange(21)[None], tuple(range(1, 7)))
    few = exact.max_flow(mixing[None], np.array([[0, 13, 20]]), tuple(range(1, 7)))
    np.testing.assert_allclose(few.value, every.value[:, :, [0, 13, 20]], rtol=1e-11, atol=1e-15 * mixing.max())


def test_capacities_that_a_double_hardly_holds():
    mixing = first_keeps_itself(np.random.default_rng(0), 4, 24)
    found = exact.max_flow(mixing[None], np.array([[0]]), (3, 4)).value
    for scale in (1e-300, 1e250):
        np.testing.assert_allclose(
            exact.max_flow(scale * mixing[None], np.array([[0]]), (3, 4)).value, scale * found, rtol=1e-11
        )


@pytest.mark.parametrize("family", ["causal_sink", "diffuse", "peaked"])
def test_each_flow_along_chains_is_built_once(monkeypatch, family):
    # Deep, and so many sources that a chunk of pairs has a few sinks of each.
    layers, tokens, queries = 16, 64, np.arange(3, 64, 5)[None, :16]
    mixing = (families.FAMILIES | families.LONG)[family](np.random.default_rng(1), layers, tokens)
    mixing[:, 3] *= 0.05
    mixing[:, 3, 3] += 0.9
    built, asked, solve, ways_of = [], [], _kernels.solve_pairs, _kernels.ways_of

    def note_pairs(work, chains, levels, ways, sources, sinks, *results):
        for level, some in zip(levels.tolist(), ways, strict=True):
            pairs = zip(sources.tolist(), sinks.tolist(), strict=True)
            built.extend((level, *pair) for pair in pairs if some[pair[0], 0] != _fill.NO_WAY)
        return solve(work, chains, levels, ways, sources, sinks, *results)

    def note_sources(arc, touched, chains, level, source, sinks, ways):
        asked.append((level, source, len(sinks)))
        return ways_of(arc, touched, chains, level, source, sinks, ways)

    monkeypatch.setattr(_kernels, "solve_pairs", note_pairs)
    monkeypatch.setattr(_kernels, "ways_of", note_sources)
    every = tuple(range(1, layers + 1))
    found = exact.max_flow(mixing[None], queries, every, threads=1)
    assert len(asked) == len(set(asked)) == (layers - 2) * queries.size
    assert {count for _, _, count in asked} == {tokens}
    assert len(built) == len(set(built))
    # Where all attend to the first position they settle too little to be tried on all sinks.
    assert bool(built) == (family != "causal_sink")
    monkeypatch.undo()
    # Which sources are filled depends on no chunk and no thread.
    many = exact.max_flow(mixing[None], queries, every, threads=3)
    np.testing.assert_array_equal(found.value, many.value)
    np.testing.assert_array_equal(found.settled, many.settled)
    one = exact.max_flow(mixing[None], queries[:, :1], every)
    np.testing.assert_allclose(one.value[0, :, 0], found.value[0, :, 0], rtol=1e-12)
