"""Joint flow: values, intervals, splits and derivatives, against solvers of other people."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from tests.flow import families
from tests.flow.joint_oracles import FlowProgram, joint_value

FAMILIES = families.FAMILIES | families.UNNORMALISED
SPLITS = ("analytic", "least-squares")
# Families that an interior-point method on cones solves to 1e-6 as well.
HARD = ("strong_sink", "mixed_scales", "only_residual", "permutation", "rows_of_any_size", "dominant_arc")
EASY = [name for name in FAMILIES if name not in HARD]


def graph_of(capacity, mask=None):
    return jf.capacity_graph(np.float32(capacity), np.zeros(capacity.shape[:-1], np.float32), mask)


def problem(seed, names=tuple(FAMILIES), layers=None):
    """A small graph of some family, its capacities in float64, and a query."""
    rng = np.random.default_rng(seed)
    name = names[seed % len(names)]
    made = FAMILIES[name](rng, layers or int(rng.integers(2, 5)), int(rng.integers(3, 6)))
    # Rows of any sum.
    graph = graph_of(made * rng.uniform(0.2, 3, (*made.shape[:2], 1)))
    return graph, np.float64(graph.capacity), int(rng.integers(made.shape[1]))


@pytest.mark.parametrize("split", SPLITS)
def test_a_padded_batch_has_the_flow_of_a_super_sink(split):
    rng = np.random.default_rng(2)
    capacity = np.stack([make(rng, 4, 6) * rng.uniform(0.2, 3, (4, 6, 1)) for make in FAMILIES.values()])
    mask = rng.random((len(capacity), 6)) < 0.8
    mask[:, 2] = True
    graph = graph_of(capacity, mask)
    exactly = np.float64(graph.capacity)
    found = jf.joint_flow(graph, [2, 0], [1, 2, 4], split)
    assert found.share is not None
    assert found.value.shape == (len(FAMILIES), 3, 2)
    assert found.share.shape == found.low.shape == found.high.shape == (len(FAMILIES), 3, 2, 6)
    for example, place, number in np.ndindex(found.value.shape):
        layer, query = (1, 2, 4)[place], (2, 0)[number]
        at = (example, place, number)
        expected = joint_value(exactly[example], layer, query) if mask[example, query] else 0.0
        assert found.value[at] == pytest.approx(expected, rel=1e-11, abs=1e-14)
        assert found.share[at].sum() == pytest.approx(found.value[at], rel=1e-11)
        assert found.gap[at] <= 1e-9
        assert (found.low[at] <= found.share[at]).all()
        assert (found.share[at] <= found.high[at]).all()
        assert not found.share[at][~mask[example]].any()
    pairwise = jf.attention_flow(graph, [2, 0], [1, 2, 4], "exact")
    np.testing.assert_allclose(found.high, pairwise.value, rtol=1e-11, atol=1e-14)


def test_intervals_are_those_of_all_maximum_flows():
    checked = 0
    # Linear programs are solved to 1e-10 of the largest capacity, not of each.
    names = [name for name in FAMILIES if name not in ("mixed_scales", "rows_of_any_size", "dominant_arc")]
    for seed in range(2 * len(names)):
        graph, capacity, query = problem(seed, names)
        found = jf.joint_flow(graph, query, len(capacity))
        value = found.value[0, 0]
        if value == 0:
            continue
        program = FlowProgram(capacity, query)
        # A value that is rounded up has no flow.
        high = [program.extreme(share, value * (1 - 1e-12)) for share in program.shares]
        low = [-program.extreme(-share, value * (1 - 1e-12)) for share in program.shares]
        np.testing.assert_allclose(found.high[0, 0], high, rtol=0, atol=1e-8 * value)
        np.testing.assert_allclose(found.low[0, 0], low, rtol=0, atol=1e-8 * value)
        checked += np.ptp(found.high - found.low) > 0.01 * value
    assert checked > 10


def check_splits(seeds):
    compared = different = 0
    for seed in seeds:
        graph, capacity, query = problem(seed, EASY)
        analytic, even = (jf.joint_flow(graph, query, len(capacity), split) for split in SPLITS)
        value = analytic.value[0, 0]
        if value == 0:
            continue
        program = FlowProgram(capacity, query)
        assert analytic.gap[0, 0] <= 1e-9
        assert even.gap[0, 0] <= 1e-9
        for found, (expected, near) in (
            (analytic, program.analytic_shares(value)),
            (even, program.even_shares(value)),
        ):
            np.testing.assert_allclose(found.share[0, 0], expected, rtol=0, atol=near * value)
        different += np.abs(analytic.share - even.share).max() > 1e-2 * value
        compared += 1
    assert different
    return compared


def test_splits_are_those_of_a_convex_solver():
    assert check_splits(range(4)) > 2


@pytest.mark.slow
def test_splits_are_those_of_a_convex_solver_on_many_graphs():
    assert check_splits(range(4, 70)) >= 50


def test_a_gap_bounds_how_far_shares_are_from_the_centre():
    rng = np.random.default_rng(3)
    graph = graph_of(FAMILIES["peaked"](rng, 6, 12) * rng.uniform(0.2, 3, (6, 12, 1)))
    centre = jf.joint_flow(graph, None, 6).share
    for tol in (1e-2, 1e-4, 1e-6):
        found = jf.joint_flow(graph, None, 6, tol=tol)
        assert (found.gap <= tol).all()
        # No arc is further off than 1.6 sqrt(gap) of its flow, so no sum of arcs is.
        assert (np.abs(found.share - centre) <= 1.6 * np.sqrt(found.gap)[..., None] * centre + 1e-12).all()


def test_shares_are_those_of_relabelled_and_rescaled_graphs():
    rng = np.random.default_rng(4)
    capacity = FAMILIES["local"](rng, 5, 9) * rng.uniform(0.2, 3, (5, 9, 1))
    order = rng.permutation(9)
    for split in SPLITS:
        one = jf.joint_flow(graph_of(capacity), None, 5, split)
        other = jf.joint_flow(graph_of(2.0**-70 * capacity[:, order][:, :, order]), None, 5, split)
        expected = one.share[:, order][:, :, order]
        np.testing.assert_allclose(other.share * 2.0**70, expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose(other.low * 2.0**70, one.low[:, order][:, :, order], rtol=0, atol=1e-9)


def test_no_capacity_is_no_flow():
    for layers in (1, 2, 4):
        found = jf.joint_flow(graph_of(np.zeros((layers, 3, 3))))
        for part in (found.value, found.share, found.low, found.high, found.gap):
            assert not np.any(part)


def value_of(capacity, query):
    """Exact values by an independent path, one a graph."""
    return np.array([joint_value(np.float64(each), len(each), query) for each in capacity])


def test_values_differentiate_under_jit_and_vmap():
    rng = np.random.default_rng(5)
    names = ("diffuse", "peaked", "local", "causal", "sparse")
    made = np.stack([FAMILIES[name](rng, 4, 5) * rng.uniform(0.3, 2, (4, 5, 1)) for name in names])
    query, step = 3, 1e-6
    with jax.enable_x64(True):
        capacity = jnp.asarray(made)

        def value(capacity):
            graph = jf.capacity_graph(capacity, jnp.zeros(capacity.shape[:-1]))
            return jf.joint_flow(graph, query, 4).value[..., 0, 0]

        # One program, for it takes long to compile.
        values, gradient = jax.jit(jax.vmap(jax.value_and_grad(value)))(capacity)
        np.testing.assert_allclose(values, value_of(made, query), rtol=1e-6)
        direction = rng.normal(size=made.shape) * made
        ends = [value_of(made + side * step * direction, query) for side in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose((np.asarray(gradient) * direction).sum((1, 2, 3)), slope, rtol=1e-4, atol=1e-6)
        # The cut of a solve on the host has the same capacity and the same gradient.
        graph = jf.capacity_graph(capacity, jnp.zeros(capacity.shape[:-1]))
        cut = jnp.asarray(jf.joint_flow(graph, query, 4, cuts=True).cut)

        def of_cut(capacity):
            return jf.cut_capacity(jf.capacity_graph(capacity, jnp.zeros(capacity.shape[:-1])), cut).sum()

        cut_value, cut_gradient = jax.jit(jax.value_and_grad(of_cut))(capacity)
        np.testing.assert_allclose(cut_value, value_of(made, query).sum(), rtol=1e-9)
        np.testing.assert_allclose((cut_gradient * direction).sum((1, 2, 3)), slope, rtol=1e-4, atol=1e-6)


def test_bad_requests_are_named():
    graph = graph_of(np.ones((2, 3, 3)))
    with pytest.raises(InputError, match="`split` must be one of"):
        _ = jf.joint_flow(graph, split="even")
    with pytest.raises(InputError, match="`tol` must be a number"):
        _ = jf.joint_flow(graph, tol=-1)
    with pytest.raises(InputError, match="`queries` must be positions from 0 to 2"):
        _ = jf.joint_flow(graph, 3)
    for cuts in ("x", 1, None):
        with pytest.raises(InputError, match="`cuts` must be True or False, got"):
            _ = jf.joint_flow(graph, cuts=cuts)
    with pytest.raises(InputError, match="`cuts` must be False"):
        _ = jax.jit(lambda g: jf.joint_flow(g, cuts=True).value)(graph)
