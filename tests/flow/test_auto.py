"""The stages of `auto`, as if an accelerator held the graph: each settles what the one before left, and says so."""

import pickle
import threading
import time

import jax
import numpy as np
import pytest

import jaxflow as jf
from jaxflow.flow import auto, exact, solve
from jaxflow.flow.solution import STAGES
from jaxflow.flow.worker import Worker
from tests.problems import masks, softmax_attention


@pytest.fixture(autouse=True)
def accelerator(monkeypatch):
    monkeypatch.setattr(solve, "_is_on_accelerator", lambda graph: True)


@pytest.fixture(scope="module")
def graph():
    mask = masks(1, 5, 7)
    return jf.attention_graph(softmax_attention(1, (5, 4, 2, 7, 7), sharpness=5.0, mask=mask), mask)


@pytest.fixture(scope="module")
def solved(graph):
    return jf.attention_flow(graph, method="exact")


def real(graph):
    mask = np.asarray(graph.mask)
    return np.broadcast_to((mask[:, :, None] & mask[:, None, :])[:, None], (5, 4, 7, 7))


@pytest.mark.parametrize("tol", [0.0, 1e-6, 1e-3, 0.02, 1.0])
def test_every_real_pair_is_settled_by_one_stage_and_proven(graph, solved, tol):
    found = jf.attention_flow(graph, method="auto", tol=tol)
    assert found.certified.all()
    assert np.all(found.lower <= solved.value + 1e-12)
    assert np.all(solved.value <= found.upper + 1e-12)
    np.testing.assert_allclose(found.value, solved.value, atol=tol + 1e-12)
    np.testing.assert_array_equal(found.settled > 0, real(graph))
    assert list(found.stages) == list(STAGES)
    assert sum(found.stages.values()) == real(graph).sum()
    by_device = np.isin(found.settled, (1, 2))
    np.testing.assert_array_equal(found.value[~by_device], solved.value[~by_device])
    if tol == 1e-3:
        # All three have their share here, and what a stage settled was open before.
        bounds = jf.attention_flow(graph, method="bounds", tol=tol)
        gap = np.float64(bounds.upper) - np.float64(bounds.lower)
        np.testing.assert_array_equal((found.settled == 1), (gap <= tol) & real(graph))
        assert found.stages["relaxed"] > 0
    if tol == 1.0:
        assert found.stages["bounds"] == real(graph).sum()


def test_with_a_tol_of_nothing_the_relaxation_is_not_tried(graph, monkeypatch):
    monkeypatch.setattr(auto, "_relaxed", None)
    found = jf.attention_flow(graph, method="auto", tol=0.0)
    assert found.stages["relaxed"] == 0
    assert found.stages["cut"] > 0


@pytest.mark.slow
def test_parts_of_a_batch_change_nothing(graph, monkeypatch):
    whole = jf.attention_flow(graph, tol=1e-3)
    monkeypatch.setattr(auto, "_parts", lambda *_: 3)  # of 5 examples: the last part is filled up
    monkeypatch.setattr(auto, "AHEAD", 1)
    again = jf.attention_flow(graph, tol=1e-3)
    np.testing.assert_array_equal(again.settled > 2, whole.settled > 2)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_as_many_parts_as_memory_and_work_ask_for():
    assert auto._parts(32, 6 * 64, (6 * 64) ** 2) == 4
    assert auto._parts(32, 6 * 64 * 64, (6 * 64) ** 2) == 8
    assert auto._parts(1, 6 * 64 * 64, (6 * 64) ** 2) == 1
    # An example too large for the limit still is a part.
    assert auto._parts(4, 12 * 512, (24 * 2048) ** 2) == 4


def test_any_number_of_batch_axes(graph):
    whole = jf.attention_flow(graph, tol=1e-3)
    deeper = jf.attention_flow(jax.tree.map(lambda x: x.reshape(1, 5, 1, *x.shape[1:]), graph), tol=1e-3)
    assert deeper.settled.shape == (1, 5, 1, 4, 7, 7)
    np.testing.assert_array_equal(deeper.value[0, :, 0], whole.value)


def test_lists_of_pairs_that_are_cut_and_filled_up_change_nothing(graph, monkeypatch):
    whole = jf.attention_flow(graph, tol=1e-3)
    monkeypatch.setattr(auto, "SHORTEST_LIST", 8)
    monkeypatch.setattr(auto, "LONGEST_LIST", 16)
    again = jf.attention_flow(graph, tol=1e-3)
    np.testing.assert_array_equal(again.settled, whole.settled)
    np.testing.assert_allclose(again.value, whole.value, atol=1e-6)


@pytest.mark.slow
def test_a_graph_spread_over_devices(monkeypatch):
    graph = jf.attention_graph(softmax_attention(10, (8, 3, 2, 6, 6), sharpness=5.0))
    mesh = jax.make_mesh((4,), ("example",), axis_types=(jax.sharding.AxisType.Explicit,))
    spread = jax.device_put(graph, jax.NamedSharding(mesh, jax.P("example")))
    monkeypatch.setattr(auto, "_parts", lambda *_: 2)
    found = jf.attention_flow(spread, queries=1, layers=3, tol=1e-3)
    assert sum(found.stages.values()) == 8 * 6
    np.testing.assert_allclose(found.value, jf.attention_flow(graph, 1, 3, "exact").value, atol=1e-3)


def test_the_counts_stay_with_the_pairs(graph):
    found = jf.attention_flow(graph, tol=1e-3)
    one = jax.tree.map(lambda x: x[2], found)
    assert one.value.shape == (4, 7, 7)
    assert one.stages == {name: int((found.settled[2] == i).sum()) for i, name in enumerate(STAGES, 1)}
    again = pickle.loads(pickle.dumps(found))  # noqa: S301
    assert again.stages == found.stages
    exactly = jf.attention_flow(graph, queries=0, method="exact")
    assert exactly.stages["closed_form"] == (exactly.settled[:, :2] > 0).sum()
    device = jax.jit(jax.vmap(lambda g: jf.attention_flow(g, queries=0, layers=2, method="bounds")))(graph)
    assert device.settled is None
    assert device.stages is None


def test_what_goes_wrong_while_solving_comes_through(graph, monkeypatch):
    def broken(*_, **__):
        raise ArithmeticError("as if")

    monkeypatch.setattr(exact, "max_flow", broken)
    with pytest.raises(ArithmeticError, match="as if"):
        jf.attention_flow(graph)


def test_leaving_a_worker_stops_it_at_once():
    mixing = np.random.default_rng(0).dirichlet(np.ones(200), size=(1, 6, 200))
    queries, wanted = np.arange(200)[None], np.ones((1, 1, 200, 200), bool)
    _ = exact.max_flow(mixing[..., :20, :20], queries[:, :20], (6,))  # compiled before anything is timed
    before = threading.active_count()
    with Worker() as worker:
        first, second = (worker.solve(mixing, queries, (6,), wanted=wanted, threads=1) for _ in range(2))
        while not first.running():
            time.sleep(0.001)
    assert second.cancelled()
    assert first.done()
    assert first.exception() is not None
    assert threading.active_count() == before
