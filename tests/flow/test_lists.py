"""The exact solver on lists of arcs: the same flows as by sets of bits and by other people's code, on every family."""

import numpy as np
import pytest

from jaxflow.flow import exact
from jaxflow.flow.exact import _arcs, _rows, _schedule, solver
from tests.flow import families, oracles

ALL = families.FAMILIES | families.LONG | families.UNNORMALISED


@pytest.fixture
def on_lists(monkeypatch):
    """Have every source's sinks solved on lists, whatever their graph and whatever pays."""
    monkeypatch.setattr(_arcs, "_FEW", 1.0)
    monkeypatch.setattr(_rows, "_SHORTEST", 1)
    monkeypatch.setattr(_schedule, "FEW_SINKS", 1)
    monkeypatch.setattr(_rows.RowSolver, "_pays", lambda *_: True)


def assert_holds(found, value, tol, scale):
    """Bounds hold and meet; rounding of the sums on either side is relative to the value."""
    slack = 1e-12 * value + 1e-14 * scale
    assert (found.lower <= value + slack).all()
    assert (found.upper >= value - slack).all()
    assert (found.lower <= found.value).all()
    assert (found.value <= found.upper).all()
    assert (found.upper - found.lower <= tol * found.upper + 1e-18 * scale).all()


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize(("layers", "tokens"), [(3, 9), (6, 30), (4, 1)])
def test_equals_ortools_from_every_source(family, layers, tokens, on_lists):
    mixing = ALL[family](np.random.default_rng(layers * tokens), layers, tokens)
    queries = np.array([[0, tokens // 2, tokens - 1]])
    found = exact.max_flow(mixing[None], queries, tuple(range(3, layers + 1)), threads=1)
    for place, layer in enumerate(range(3, layers + 1)):
        oracle = oracles.OrTools(mixing, layer)
        value = np.array([[oracle(u, v) for v in range(tokens)] for u in queries[0]])
        # Integers that leave room for sums have some twelve digits of the largest capacity.
        np.testing.assert_allclose(found.value[0, place], value, rtol=1e-8, atol=1e-12 * mixing.max())


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("tol", [0.0, 1e-9, 1e-4])
def test_bounds_hold_at_every_tolerance(family, tol, on_lists, monkeypatch):
    mixing = ALL[family](np.random.default_rng(8), 5, 24)
    queries = np.array([[0, 11, 23]])
    found = exact.max_flow(mixing[None], queries, (3, 5), tol=tol)
    monkeypatch.setattr(_rows, "_SHORTEST", 99)
    value = exact.max_flow(mixing[None], queries, (3, 5)).value
    assert_holds(found, value, max(tol, 1e-11), mixing.max())


@pytest.mark.parametrize("family", ["local", "local_sink", "causal_sink", "sliding_window", "long_gaps", "class_graph"])
def test_long_graphs_agree_with_sets_of_bits(family, monkeypatch):
    rng = np.random.default_rng(1)
    mixing = ALL[family](rng, 5, 150)
    queries = np.array([[0, 149, 60]])
    found = exact.max_flow(mixing[None], queries, (3, 5))
    again = exact.max_flow(mixing.astype(np.float32)[None], queries, (3, 5), threads=1)
    monkeypatch.setattr(_rows, "_SHORTEST", 999)
    by_bits = exact.max_flow(mixing[None], queries, (3, 5))
    assert_holds(found, by_bits.value, 1e-9, mixing.max())
    np.testing.assert_allclose(found.value, by_bits.value, rtol=1e-9)
    # Single precision is taken as it is; its capacities differ by rounding, and the smallest of them vanish.
    np.testing.assert_allclose(again.value, by_bits.value, rtol=1e-6, atol=1e-30)


def test_arcs_that_find_no_room_are_in_the_bounds(on_lists, monkeypatch):
    rng = np.random.default_rng(4)
    mixing = families.local_sink(rng, 5, 40)
    queries = np.array([[0, 20]])
    value = exact.max_flow(mixing[None], queries, (5,), tol=0.0).value
    monkeypatch.setattr(_arcs, "_MANY_ARCS", 10)
    monkeypatch.setattr(_arcs, "_SMALLEST", 1e-6)
    monkeypatch.setattr("jaxflow.flow.exact.solver.NOTHING", 1.0)
    found = exact.max_flow(mixing[None], queries, (5,), tol=1e-9)
    assert (found.lower <= value * (1 + 1e-12)).all()
    assert (found.upper >= value * (1 - 1e-12)).all()
    assert (found.upper - found.lower <= 1e-6 * 40 * 40 * 5).all()
    assert (found.lower < value * (1 - 1e-6)).any()


def test_threads_and_wanted_pairs_do_not_change_rows():
    rng = np.random.default_rng(3)
    mixing = np.stack([families.local_sink(rng, 4, 100), families.sliding_window(rng, 4, 100)])
    queries = rng.integers(0, 100, (2, 3))
    one = exact.max_flow(mixing, queries, (2, 3, 4), threads=1)
    two = exact.max_flow(mixing, queries, (2, 3, 4), threads=2)
    np.testing.assert_array_equal(one.value, two.value)
    np.testing.assert_array_equal(one.upper, two.upper)
    wanted = rng.random(one.value.shape) < 0.3
    some = exact.max_flow(mixing, queries, (2, 3, 4), wanted=wanted)
    np.testing.assert_array_equal(np.isnan(some.value), ~wanted)
    np.testing.assert_allclose(some.value[wanted], one.value[wanted], rtol=2e-9)
    np.testing.assert_array_equal(some.settled > 0, wanted)


def test_a_window_of_a_long_text_is_solved_without_its_sets_of_bits(monkeypatch):
    # Setting sets of bits up takes longer than all flows of a source whose sinks are few.
    def prepare(*_):
        raise AssertionError("sets of bits were made")

    apart = np.abs(np.arange(900)[:, None] - np.arange(900))
    mixing = np.random.default_rng(0).random((4, 900, 900)) * (apart <= 8)
    mixing /= mixing.sum(-1, keepdims=True)
    expected = exact.max_flow(mixing[None], np.array([[450]]), (4,), cuts=True).value
    monkeypatch.setattr(solver._Solver, "_prepare", prepare)
    found = exact.max_flow(mixing[None], np.array([[450]]), (4,))
    assert (found.value > 0).sum() == 65
    np.testing.assert_allclose(found.value, expected, rtol=1e-9)


def test_dense_graphs_are_not_listed_and_sparse_ones_are():
    rng = np.random.default_rng(5)
    assert _arcs.list_arcs(families.diffuse(rng, 3, 80)) is None
    mixing = families.sliding_window(rng, 3, 80)
    arcs = _arcs.list_arcs(mixing)
    assert arcs is not None
    assert len(arcs.out) == len(arcs.into) == np.count_nonzero(mixing)
    for line in range(3 * 80):
        row = arcs.out[arcs.row[line] : arcs.row[line + 1]]
        column = arcs.into[arcs.column[line] : arcs.column[line + 1]]
        assert (np.diff(row) <= 0).all()
        assert (np.diff(column) <= 0).all()
        np.testing.assert_allclose(row.sum(), mixing[line // 80, line % 80].sum())
        np.testing.assert_allclose(column.sum(), mixing[line // 80, :, line % 80].sum())
