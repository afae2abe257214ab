"""What every maximum flow obeys, on thousands of generated graphs of every family.

Each test draws graphs, not numbers one by one, and looks at several pairs of each.
"""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxflow.flow import exact
from tests.flow import families, oracles

ALL = families.FAMILIES | families.EXTREME
often = hypothesis.settings(
    max_examples=500, deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)


@st.composite
def graphs(draw, names=tuple(ALL)):
    """A mixing (layer, token, token) of 1 to 6 layers and 1 to 10 tokens, with a generator for more."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    make = ALL[draw(st.sampled_from(names))]
    return make(rng, draw(st.integers(1, 6)), draw(st.integers(1, 10))), rng


def some_pairs(rng, mixing, count):
    layers, tokens = mixing.shape[:2]
    return [(int(rng.integers(1, layers + 1)), *map(int, rng.integers(0, tokens, 2))) for _ in range(count)]


def solve(mixing, **options):
    """All pairs of all layers, `layer query token`."""
    layers, tokens = mixing.shape[:2]
    return exact.max_flow(mixing[None], np.arange(tokens)[None], tuple(range(1, layers + 1)), threads=1, **options)


@often
@hypothesis.given(graphs())
def test_flow_is_conserved_and_within_capacity(drawn):
    mixing, rng = drawn
    for layer, query, token in some_pairs(rng, mixing, 4):
        flow = exact.arc_flow(mixing, layer, query, token)
        check = exact.check_flow(mixing, flow, query, token)
        assert check.negative == 0
        assert check.capacity <= 1e-13 * check.value
        assert check.conservation <= 1e-13 * check.value


@often
@hypothesis.given(graphs())
def test_value_is_that_of_the_cut_and_of_the_flow(drawn):
    mixing, rng = drawn
    found = solve(mixing, cuts=True)
    assert found.cut is not None
    assert (found.lower <= found.upper).all()
    assert (found.upper - found.lower <= 1e-12 * found.upper).all()
    for layer, query, token in some_pairs(rng, mixing, 4):
        at = (0, layer - 1, query, token)
        assert exact.cut_capacity(mixing, found.cut[at]) == pytest.approx(found.value[at], rel=1e-12, abs=0)
        flow = exact.arc_flow(mixing, layer, query, token)
        assert flow[-1, query].sum() == pytest.approx(found.value[at], rel=1e-12, abs=0)


@often
@hypothesis.given(graphs(tuple(families.FAMILIES)))
def test_agrees_with_ortools(drawn):
    mixing, rng = drawn
    found = solve(mixing).value[0]
    for layer, query, token in some_pairs(rng, mixing, 4):
        expected = oracles.OrTools(mixing, layer)(query, token)
        assert found[layer - 1, query, token] == pytest.approx(expected, rel=1e-9, abs=1e-14)


@often
@hypothesis.given(graphs())
def test_more_capacity_is_never_less_flow(drawn):
    mixing, rng = drawn
    wider = mixing * (1 + rng.random(mixing.shape) * (rng.random(mixing.shape) < 0.3))
    before, after = solve(mixing).value, solve(wider).value
    assert (after >= before * (1 - 1e-12)).all()


@often
@hypothesis.given(graphs())
def test_permuting_tokens_permutes_flows(drawn):
    mixing, rng = drawn
    order = rng.permutation(mixing.shape[-1])
    permuted = solve(mixing[:, order][:, :, order]).value[0]
    expected = solve(mixing).value[0][:, order][:, :, order]
    np.testing.assert_allclose(permuted, expected, rtol=1e-12, atol=0)


@often
@hypothesis.given(graphs(tuple(families.FAMILIES)), st.floats(-30, 30))
def test_scaling_capacities_scales_flows(drawn, exponent):
    mixing, _ = drawn
    factor = 10.0**exponent
    np.testing.assert_allclose(solve(mixing * factor).value, solve(mixing).value * factor, rtol=1e-12, atol=0)


@often
@hypothesis.given(graphs())
def test_reversing_the_graph_keeps_flows(drawn):
    # Turned upside down, the source of a flow over all layers becomes its sink: nothing in the solver is symmetric.
    mixing, _ = drawn
    turned = np.ascontiguousarray(mixing[::-1].transpose(0, 2, 1))
    np.testing.assert_allclose(solve(turned).value[0, -1].T, solve(mixing).value[0, -1], rtol=1e-12, atol=0)


@hypothesis.settings(often, max_examples=60)
@hypothesis.given(
    st.sampled_from(list(families.FAMILIES)), st.integers(3, 5), st.integers(60, 140), st.integers(0, 2**32 - 1)
)
def test_sets_of_more_than_one_word(family, layers, tokens, seed):
    rng = np.random.default_rng(seed)
    mixing = families.FAMILIES[family](rng, layers, tokens)
    wanted = rng.random((1, layers, tokens, tokens)) < 30 / (layers * tokens * tokens)
    found = solve(mixing, wanted=wanted, cuts=True)
    assert found.cut is not None
    for _, below, query, token in np.argwhere(wanted).tolist():
        at = (0, below, query, token)
        assert exact.cut_capacity(mixing, found.cut[at]) == pytest.approx(found.value[at], rel=1e-12, abs=0)
        expected = oracles.OrTools(mixing, below + 1)(query, token)
        assert found.value[at] == pytest.approx(expected, rel=1e-9, abs=1e-14)
