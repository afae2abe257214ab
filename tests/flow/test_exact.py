"""The exact solver against other solvers, and against its own proofs."""

import importlib
import signal
import subprocess
import sys
import time
from itertools import product

import numpy as np
import pytest

from jaxflow._checks import InputError
from jaxflow.flow import exact
from tests.flow import families, oracles

ALL = families.FAMILIES | families.LONG | families.EXTREME


def solve(mixing, **options):
    """All pairs of all layers of one example."""
    layers, tokens = mixing.shape[:2]
    return exact.max_flow(mixing[None], np.arange(tokens)[None], tuple(range(1, layers + 1)), **options)


@pytest.mark.parametrize("family", families.FAMILIES | families.LONG)
@pytest.mark.parametrize(("layers", "tokens"), [(3, 5), (4, 9), (6, 12), (5, 1), (3, 70)])
def test_equals_ortools(family, layers, tokens):
    mixing = ALL[family](np.random.default_rng(layers * tokens), layers, tokens)
    found = solve(mixing).value[0]
    step = 1 if tokens < 64 else 9
    for layer in range(1, layers + 1):
        oracle = oracles.OrTools(mixing, layer)
        for u in range(0, tokens, step):
            for v in range(0, tokens, step):
                np.testing.assert_allclose(found[layer - 1, u, v], oracle(u, v), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_equals_networkx(family):
    mixing = families.FAMILIES[family](np.random.default_rng(3), 4, 5)
    found = solve(mixing).value[0]
    for layer in range(1, 5):
        for u in range(5):
            for v in range(0, 5, 2):
                expected = oracles.networkx_flow(mixing, layer, u, v)
                np.testing.assert_allclose(found[layer - 1, u, v], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", ALL)
def test_flow_and_cut_prove_each_other(family):
    layers, tokens = 5, 8
    mixing = ALL[family](np.random.default_rng(11), layers, tokens)
    found = solve(mixing, cuts=True)
    assert found.cut is not None
    for layer in range(1, layers + 1):
        for u in range(tokens):
            for v in range(tokens):
                value = found.value[0, layer - 1, u, v]
                cut = found.cut[0, layer - 1, u, v]
                assert cut[layer, u]
                assert not cut[0, v]
                assert not cut[layer + 1 :].any()
                assert exact.cut_capacity(mixing, cut) == pytest.approx(value, rel=1e-12, abs=0)
                flow = exact.arc_flow(mixing, layer, u, v)
                check = exact.check_flow(mixing, flow, u, v)
                assert check.value == pytest.approx(value, rel=1e-12, abs=0)
                assert check.conservation <= 1e-13 * value
                assert check.capacity <= 1e-13 * value
                assert check.negative == 0


def test_first_two_layers_are_closed_forms():
    mixing = families.diffuse(np.random.default_rng(0), 2, 7)
    found = solve(mixing)
    np.testing.assert_array_equal(found.value[0, 0], mixing[0])
    expected = np.minimum(mixing[1][:, :, None], mixing[0][None]).sum(1)
    np.testing.assert_allclose(found.value[0, 1], expected, rtol=1e-15)
    assert found.stages["closed_form"] == 2 * 49


def test_batch_of_different_graphs_equals_single_graphs():
    rng = np.random.default_rng(5)
    batch = np.stack([families.FAMILIES[name](rng, 4, 9) for name in ("causal", "padded", "tied", "peaked")])
    queries = rng.integers(0, 9, (4, 3))
    together = exact.max_flow(batch, queries, (4, 2, 3))
    for k, mixing in enumerate(batch):
        alone = solve(mixing).value[0]
        # Where all positions are asked about, the layer below settles some: other sums of the same value.
        np.testing.assert_allclose(together.value[k], alone[[3, 1, 2]][:, queries[k]], rtol=1e-13)


def hub(rng, layers, tokens):
    """Attention in which one position sees little but itself, as [CLS] does; the others see it and one another."""
    mixing = families.diffuse(rng, layers, tokens)
    mixing[1:, 2] *= 0.3 * rng.random((layers - 1, 1))
    mixing[1:, 2, 2] += 1 - mixing[1:, 2].sum(-1)
    return mixing


@pytest.mark.parametrize("family", [hub, families.peaked, families.local])
def test_a_flow_from_above_settles_the_layers_that_it_passes(family):
    layers, tokens = 6, 20
    mixing = family(np.random.default_rng(4), layers, tokens)
    deep = (6, 5, 4, 3)
    together = exact.max_flow(mixing[None], np.array([[2]]), deep)
    for place, layer in enumerate(deep):
        # One layer alone has no flow from above.
        wanted = np.zeros(together.value.shape, bool)
        wanted[0, place] = True
        alone = exact.max_flow(mixing[None], np.array([[2]]), deep, wanted=wanted)
        np.testing.assert_array_equal(together.value[0, place], alone.value[0, place])
        np.testing.assert_array_equal(together.settled[0, place], alone.settled[0, place])
        oracle = oracles.OrTools(mixing, layer)
        expected = [oracle(2, sink) for sink in range(tokens)]
        np.testing.assert_allclose(together.value[0, place, 0], expected, rtol=1e-8)
    if family is hub:
        # What leaves the position's nodes is the cut of all but a few pairs, which no search has to find.
        assert (together.settled[0, 1:] == 1 + exact.STAGES.index("one_pass")).mean() > 0.9
        leaves = np.arange(tokens) != 2
        cut = np.minimum(mixing[1, 2][:, None], mixing[0]).sum(0) + mixing[2, 2, leaves].sum()
        np.testing.assert_allclose(together.value[0, 3, 0], cut, rtol=1e-12)


def test_arcs_that_lead_nowhere_leave_no_cut_to_be_searched_for():
    # In a decoder positions before a token do not lead to it: what the source sends all others is the cut of most.
    mixing = families.causal_sink(np.random.default_rng(3), 10, 16)
    found, filled = solve(mixing, cuts=True), 0
    assert found.cut is not None
    for layer, source, sink in ((m, i, j) for m in range(3, 11) for i in range(16) for j in range(i + 1)):
        at = (0, layer - 1, source, sink)
        if np.isclose(found.value[at], mixing[layer - 1, source, sink:].sum(), rtol=1e-12):
            filled += 1
            assert exact.STAGES[found.settled[at] - 1] == "one_pass"
            assert exact.cut_capacity(mixing, found.cut[at]) == pytest.approx(found.value[at], rel=1e-12)
    assert filled > 100


def test_only_wanted_pairs_are_solved():
    mixing = families.diffuse(np.random.default_rng(1), 4, 10)
    every = solve(mixing, cuts=True)
    wanted = np.random.default_rng(2).random(every.value.shape) < 0.3
    some = solve(mixing, wanted=wanted, cuts=True)
    assert np.isnan(some.value[~wanted]).all()
    assert some.cut is not None
    assert not some.cut[~wanted].any()
    np.testing.assert_array_equal(some.value[wanted], every.value[wanted])
    assert sum(some.stages.values()) == wanted.sum()
    np.testing.assert_array_equal(some.settled, np.where(wanted, every.settled, 0))
    none = solve(mixing, wanted=np.zeros_like(wanted))
    assert np.isnan(none.value).all()


@pytest.mark.parametrize(("family", "tokens"), [*product(ALL, (3, 12)), *product(families.FAMILIES, (58, 66))])
def test_padding_changes_nothing(family, tokens):
    rng = np.random.default_rng(tokens)
    # So many that a thread takes whole examples; of the last nothing is wanted.
    mixings = [ALL[family](rng, 4, tokens) for _ in range(10)]
    padded, own = np.zeros((10, 4, tokens + 9, tokens + 9)), []
    asked, wanted = np.zeros((10, 2), int), np.zeros((10, 4, 2, tokens + 9), bool)
    for example, mixing in enumerate(mixings[:-1]):
        real = np.sort(rng.permutation(tokens + 9)[:tokens])
        padded[example][:, real[:, None], real] = mixing
        wanted[example][..., real] = True
        asked[example] = real[[0, -1]]
        own.append(exact.max_flow(mixing[None], np.array([[0, tokens - 1]]), (1, 2, 3, 4)).value[0])
    padded[-1] = padded[0]
    for threads in (1, 2):
        found = exact.max_flow(padded, asked, (1, 2, 3, 4), wanted=wanted, threads=threads)
        np.testing.assert_allclose(found.value[wanted].reshape(9, 4, 2, tokens), own, rtol=1e-12)
        assert np.isnan(found.value[~wanted]).all()
    # A position without any arc may be asked about, too: nothing flows from it or to it.
    alone = ~padded.any((1, 2))
    sources = np.argsort(~alone, axis=1, kind="stable")[:, :1]
    every = np.ones((10, 2, 1, tokens + 9), bool)
    assert (exact.max_flow(padded, sources, (2, 3), wanted=every).value == 0).all()
    sinks = np.broadcast_to(alone[:, None, None], (10, 1, 2, tokens + 9))
    assert (exact.max_flow(padded, asked, (3,), wanted=sinks).value[sinks] == 0).all()


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_do_not_change_the_result(threads):
    rng = np.random.default_rng(7)
    batch = np.stack([families.peaked(rng, 5, 40), families.local(rng, 5, 40)])
    queries = np.tile(np.arange(40), (2, 1))
    one = exact.max_flow(batch, queries, (2, 4, 5), threads=1, cuts=True)
    many = exact.max_flow(batch, queries, (2, 4, 5), threads=threads, cuts=True)
    np.testing.assert_array_equal(one.value, many.value)
    np.testing.assert_array_equal(one.lower, many.lower)
    np.testing.assert_array_equal(one.cut, many.cut)
    np.testing.assert_array_equal(one.settled, many.settled)


def test_progress_counts_every_pair():
    seen = []
    mixing = families.diffuse(np.random.default_rng(1), 4, 10)
    _ = solve(mixing, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (400, 400)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_stops_all_threads(threads):
    mixing = families.peaked(np.random.default_rng(1), 8, 60)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _ = solve(mixing, progress=interrupt, threads=threads)


def test_a_signal_ends_a_long_solve_at_once():
    # A shell's background jobs ignore interrupts, and so would what they start.
    code = """
import signal
import numpy as np
from jaxflow.flow import exact
_ = signal.signal(signal.SIGINT, signal.default_int_handler)
mixing = np.random.default_rng(0).random((1, 10, 300, 300)) ** 8
queries = np.arange(300)[None]
exact.max_flow(mixing[..., :4, :4], queries[:, :4], (1, 3))
for threads in (1, 2):
    try:
        print("solving", flush=True)
        exact.max_flow(mixing, queries, (10,), threads=threads)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(2):
            assert process.stdout.readline() == "solving\n"
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            begin = time.monotonic()
            assert process.stdout.readline() == "stopped\n"
            assert time.monotonic() - begin < 3
    assert process.returncode == 0


def test_pairs_leave_a_clean_workspace():
    rng = np.random.default_rng(0)
    kernels = importlib.import_module("jaxflow.flow.exact._kernels")
    mixing = families.peaked(rng, 5, 70)
    work = kernels.workspace(mixing, 5)
    sources, sinks = rng.integers(0, 70, 40), np.sort(rng.integers(0, 70, 40))
    results = [np.empty(40), np.empty(40), np.zeros(40, np.uint8), np.empty((0, 6, 70), bool), *np.empty((2, 0, 6))]
    chains = importlib.import_module("jaxflow.flow.exact._chains")
    levels, ways = np.array([5]), np.full((1, 70, kernels.WAYS), kernels.NO_WAY)
    ways[..., :2] = 0, 2
    for tried in (0, 1):
        levels_tried = levels[:tried], ways[:tried]
        kernels.solve_pairs(work, chains.chains_of(mixing), *levels_tried, sources, sinks, *results)
        assert (work.arc[..., 1] == 0).all()
        np.testing.assert_array_equal(work.arc[..., 0], mixing)
        np.testing.assert_array_equal(work.room, work.arcs)
        assert not work.sends.any()
    # A pair that touches more arcs than can be noted is forgotten as well.
    few = work._replace(touched=work.touched[:3])
    kernels.solve_pairs(few, chains.no_chains(), levels[:0], ways[:0], sources, sinks, *results)
    assert (work.arc[..., 1] == 0).all()
    np.testing.assert_array_equal(work.room, work.arcs)
    assert not work.sends.any()


def test_capacities_that_are_none_are_refused():
    mixing = families.diffuse(np.random.default_rng(1), 3, 4)
    for wrong in (np.nan, np.inf, -0.1):
        broken = mixing.copy()
        broken[2, 1, 3] = wrong
        with pytest.raises(InputError, match=r"\(0, 2, 1, 3\)"):
            _ = solve(broken)
    with pytest.raises(InputError, match="1 to 3"):
        _ = exact.max_flow(mixing[None], np.array([[0]]), (4,))
    with pytest.raises(InputError, match="0 to 3"):
        _ = exact.max_flow(mixing[None], np.array([[4]]), (3,))
    with pytest.raises(InputError, match=r"\(1, 3, 4, 4\)"):
        _ = solve(mixing, wanted=np.ones((1, 2, 4, 4), bool))


def test_numba_is_imported_by_the_first_solve_only():
    code = "import sys; from jaxflow.flow import exact; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
