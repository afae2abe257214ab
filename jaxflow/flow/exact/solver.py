"""The entry to the exact solver: checks, results, and what a thread keeps of the example it is at."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Integer, UInt8

from jaxflow._checks import InputError, first_index
from jaxflow.flow.exact._below import Climb
from jaxflow.flow.exact._layout import Layout, Shared, layout_of, order_of, scaled
from jaxflow.flow.exact._rows import TOUCH_COST, RowSolver
from jaxflow.flow.exact._schedule import Runner, Task, chunk, cores, examples_of, rounds, shares, useful_threads

# What settles a pair: a closed form at layers 1 and 2; a flow that fills all arcs out of the source (of those that lead
# to the sink) or the nodes of its position, or into the sink or the nodes of its position; a search of the residual
# graph; the flows of the layer below.
STAGES = ("closed_form", "one_pass", "cut", "layer_below")
# Sums of as many doubles as a cut has arcs are right to this, relatively.
ROUNDING = 1e-11
# Of this many positions one, at most, is a source where flows along chains are tried.
_FEW_ROWS = 4
# Flows below this part of the largest capacity need not be known to so many digits.
NOTHING = 1e-18


@dataclass(frozen=True)
class ExactFlow:
    """Maximum flows, each between a flow that was built and a cut that bounds it.

    Attributes:
        value: the maximum flow, `example layer query token`. NaN where it was not wanted.
        lower: value of a flow that was built, or that the flows of the layer below prove to exist; rounding of its sum
            is below 1e-12 of it.
        upper: capacity of a cut, with what arcs that were left out could carry.
        settled: what settled each pair, as a number that counts `STAGES` from 1; 0 where it was not wanted.
        cut: true on the source's side of a minimum cut, `example layer query token node_layer token`, where asked for.
    """

    value: Float64[np.ndarray, "example layer query token"]
    lower: Float64[np.ndarray, "example layer query token"]
    upper: Float64[np.ndarray, "example layer query token"]
    settled: UInt8[np.ndarray, "example layer query token"]
    cut: Bool[np.ndarray, "example layer query token node_layer token"] | None = None

    @property
    def stages(self) -> dict[str, int]:
        """How many pairs each of `STAGES` settled."""
        return {stage: int((self.settled == number).sum()) for number, stage in enumerate(STAGES, 1)}


def max_flow(
    capacities: Float[np.ndarray, "example layer token token"],
    queries: Integer[np.ndarray, "example query"],
    layers: tuple[int, ...],
    *,
    wanted: Bool[np.ndarray, "example source_layer query token"] | None = None,
    cuts: bool = False,
    tol: float = 1e-9,
    threads: int | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> ExactFlow:
    """Exact maximum flow from positions after each of `layers` down to every token of the input.

    Dinic's algorithm on the layer graph (Dinic 1970), started top down along the residual connections, with sets of
    nodes held as bits; layers 1 and 2 have closed forms. A pair of MiniLM's attention takes one to two
    microseconds a token at layer 6 on one core, in proportion to the arcs that carry its flow. Where few arcs are
    large the sinks of a source are solved together on lists of arcs, and a pair's time does not grow with the text.
    Where few sources are asked for, a flow along the residual connections is tried first: it settles most sinks of a
    position that mostly keeps itself, such as [CLS], five to ten times as fast, and most sinks of a deep source, whose
    flow is spread over a layer once for all of them. Where all sources are asked for, layer
    by layer, the flows of one layer prove most of the next where it is deep, at some nanoseconds a token
    (`jaxflow/flow/exact/_below.py` has the proof).

    Args:
        capacities: capacities of the arcs (layer + 1, i) -> (layer, j), any non-negative finite numbers.
        queries: positions of the sources.
        layers: layers of the sources, counted from 1.
        wanted: the pairs to solve, `example layer query token`; None for all. Others come back as NaN.
        cuts: return the cuts as well: (layer of the graph + 1) * token bytes a pair.
        tol: largest gap between flow and bound, relative to the bound. Pairs that are solved on lists of arcs (few
            large ones among many, as in local attention) leave arcs out that could carry no more than this.
        threads: number of threads; None for the cores this process may use.
        progress: called on the calling thread with the number of pairs done and the number of all pairs.

    Returns:
        Values, proofs and counts. Results do not depend on `threads`.

    Raises:
        InputError: for capacities that are negative or not finite, or a layer or position that is not there.

    Memory beyond the result, a thread: about 45 bytes an arc of one example up to the highest source. An interrupt is
    seen between chunks of about 20 ms.
    """
    check_problem(capacities, queries, layers)
    shape = (capacities.shape[0], len(layers), queries.shape[1], capacities.shape[-1])
    if wanted is not None and wanted.shape != shape:
        raise InputError("wanted", f"have shape {shape}", str(wanted.shape))
    lower, upper = np.full(shape, np.nan), np.full(shape, np.nan)
    cut = np.zeros((*shape, capacities.shape[1] + 1, capacities.shape[-1]), bool) if cuts else None
    total = int(np.prod(shape)) if wanted is None else int(wanted.sum())
    settled = np.zeros(shape, np.uint8)
    solver = _Solver(capacities, queries, layers, wanted, (lower, upper, settled), cut, tol)
    threads = min(threads or cores(), useful_threads(total, solver.highest, shape[-1]))
    done = 0
    for tasks in solver.rounds(shape, layers, threads):
        for count in Runner(solver)(tasks, threads):
            done += count
            if progress is not None:
                progress(done, total)
    # A flow and a cut of equal value prove each other; if they are apart, the solver is wrong, not the user.
    apart = upper - lower > max(tol, ROUNDING) * upper
    if apart.any():
        # But for arcs that no list has room for, which are nothing beside the largest.
        apart &= upper - lower > NOTHING * capacities.max()
    if apart.any():
        where = first_index(apart)
        raise AssertionError(f"flow {lower[where]} and cut {upper[where]} of pair {where} do not meet")
    # Where some arcs were left out, the flow is nearer to the truth than the bound.
    value = np.where(upper - lower > ROUNDING * upper, lower, upper)
    return ExactFlow(value=value, lower=lower, upper=upper, settled=settled, cut=cut)


def arc_flow(
    capacities: Float64[np.ndarray, "layer token token"], layer: int, query: int, token: int
) -> Float64[np.ndarray, "source_layer token token"]:
    """The flow on every arc of a maximum flow from (`layer`, `query`) to (0, `token`).

    Entry [l, i, j] is what passes (l + 1, i) -> (l, j), for the layers up to the source's. `check_flow` checks it.
    """
    check_problem(capacities[None], np.array([[query], [token]]), (layer,))
    nodes = capacities.shape[-1]
    flow = np.zeros((layer, nodes, nodes))
    if layer == 1:
        flow[0, query, token] = capacities[0, query, token]
        return flow
    if layer == 2:
        flow[1, query] = flow[0, :, token] = np.minimum(capacities[1, query], capacities[0, :, token])
        return flow
    from jaxflow.flow.exact import _bits, _kernels

    order = order_of(capacities[:layer])
    capacity, scale = scaled(_bits.renumbered(capacities[:layer], order))
    work = _kernels.workspace(capacity, layer)
    place = np.argsort(order)
    source, sink = int(place[query]), int(place[token])
    _kernels.find_reach(work, sink)
    _ = _kernels.solve_pair(work, source, sink, np.inf)
    flow[1:] = work.arc[1:, place][:, :, place, _kernels.FLOW]
    flow[0, :, token] = flow[1].sum(0)
    return flow * scale


class _Solver:
    """Solves tasks and writes their results in place; each thread keeps the workspace of the example it is at."""

    def __init__(
        self,
        capacities: np.ndarray,
        queries: np.ndarray,
        layers: tuple[int, ...],
        wanted: np.ndarray | None,
        results: tuple[np.ndarray, np.ndarray, np.ndarray],
        cut: np.ndarray | None,
        tol: float,
    ) -> None:
        from jaxflow.flow.exact import _kernels

        self.kernels, self.rows = _kernels, RowSolver(capacities, tol, self._cost)
        self.climb = Climb(capacities, queries, layers, wanted, results, _kernels.LAYER_BELOW)
        self.capacities, self.queries, self.wanted, self.cut = capacities, queries, wanted, cut
        self.layers, self.highest = layers, max(layers, default=1)
        self.lower, self.upper, self.settled = results
        self.local, self.layouts = threading.local(), Shared(self._layout)

    def __call__(self, task: Task) -> Iterator[int]:
        """Solve a task; the number of pairs of each part as it is done."""
        if task.proof:
            yield self.climb.prove(task)
            return
        if task.row:
            # One source, all of its sinks.
            query = int(task.queries[0])
            parts = self.rows.solve(task, int(self.queries[task.example, query]))
            if parts is not None:
                for sinks, lower, upper in parts:
                    at = (task.example, task.place, query, sinks)
                    self.lower[at], self.upper[at], self.settled[at] = lower, upper, self.kernels.CUT
                    yield len(sinks)
                return
        size = chunk(task.layer, self.capacities.shape[-1])
        for begin in range(0, len(task.sinks), size):
            run = slice(begin, begin + size)
            yield self._solve(task._replace(queries=task.queries[run], sinks=task.sinks[run]))

    def rounds(self, shape: tuple[int, ...], layers: tuple[int, ...], threads: int) -> Iterator[Iterator[Any]]:
        """All tasks: shares of a round may be done at once, a round after the one before."""
        # Cuts come from a search of each pair's own.
        if self.cut is not None or not self.climb.serves:
            yield shares(shape, layers, self.wanted, threads, self.by_rows, along=self.cut is None)
            return
        examples = examples_of(shape, self.wanted)
        yield from rounds(examples, layers, threads, self.by_rows, self.climb.proofs, self.climb.left)

    def by_rows(self, example: int, layer: int) -> bool:
        """Whether all sinks of a source are one task, as lists of arcs may serve. Those give no cuts."""
        return self.cut is None and self.rows.serves(example, layer)

    def _cost(self, example: int, layer: int, source: int, sink: int) -> float:
        """About how many nanoseconds a pair takes by sets of bits once its sink's reach is known, counted in arcs."""
        one = np.zeros(1, np.int64)
        here = self._prepare(Task(example, 0, layer, one, one))
        return TOUCH_COST * self.kernels.count_touched(here.work, here.place[source], here.place[sink])

    def _solve(self, task: Task) -> int:
        """Solve pairs at a task's layer and those below, deepest first; how many."""
        count, lower = len(task.sinks), task.lower
        # Flows along chains are tried here for all these layers, once.
        levels = np.array([task.layer, *(layer for _, layer in lower)])
        passed, bounds = self._solve_layer(task, levels)
        for at, (place, layer) in enumerate(lower):
            # What a deeper flow is a proof of: it passes the source's column, whose cut it fills.
            met = passed[:, layer] >= bounds[:, layer] * (1 - self.kernels.ROUNDING)
            here = (task.example, place, task.queries[met], task.sinks[met])
            self.upper[here] = bounds[met, layer]
            self.lower[here] = np.minimum(passed, bounds)[met, layer]
            self.settled[here] = self.kernels.ONE_PASS
            count += len(met)
            left = ~met
            if not left.any():
                continue
            rest = Task(task.example, place, layer, task.queries[left], task.sinks[left], lower=lower[at + 1 :])
            passed_below, _ = self._solve_layer(rest, levels[:0])
            # Every pair keeps the best of its flows from above.
            for below in rest.lower:
                passed[left, below[1]] = np.maximum(passed[left, below[1]], passed_below[:, below[1]])
        return count

    def _solve_layer(self, task: Task, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solve pairs at one layer; for layers below, flows that pass the source's column, and its cut.

        Both `pair layer`, in the user's scale, and of no meaning where the task names no layers below. Flows along
        chains are tried from sources at `levels`, where the example is laid out for them.
        """
        size, above = len(task.sinks), task.layer
        sources, sinks = self.queries[task.example, task.queries], task.sinks
        lower, upper = np.empty(size), np.empty(size)
        cuts = np.empty((size if self.cut is not None else 0, above + 1, self.capacities.shape[-1]), np.bool_)
        settled = np.full(size, self.kernels.CLOSED_FORM, np.uint8)
        passed, bounds = np.zeros((2, size if task.lower else 0, above + 1))
        place, scale = None, 1.0
        # Layers 1 and 2 need no solver.
        if above < 3:
            self.kernels.closed_form(self.capacities[task.example], above, sources, sinks, upper, cuts)
            lower[:] = upper
        else:
            here = self._prepare(task)
            # Positions are renumbered: `place` leads from the user's numbers to the solver's.
            place, scale = here.place, here.scale
            pairs = place[sources], place[sinks]
            results = lower, upper, settled, cuts, passed, bounds
            self.kernels.solve_pairs(here.work, here.chains, *self._ways(here, levels), *pairs, *results)
        at = (task.example, task.place, task.queries, task.sinks)
        # Each task writes its own pairs, so threads need no lock. A flow above its cut is so by rounding alone.
        self.lower[at] = np.minimum(lower, upper) * scale
        self.upper[at] = upper * scale
        self.settled[at] = settled
        if self.cut is not None:
            self.cut[(*at, slice(0, above + 1))] = cuts if place is None else cuts[..., place]
        return passed * scale, bounds * scale

    def _prepare(self, task: Task) -> Any:
        """This thread's view of the task's example, kept for the tasks that follow."""
        here = self.local
        if getattr(here, "example", None) != task.example:
            layout = self.layouts(task.example)
            here.place, here.scale, here.chains = layout.place, layout.scale, layout.chains
            here.whole = self.kernels.workspace(layout.capacity, max(self.highest, 1))
            here.example, here.layer, here.ways = task.example, None, {}
        if here.layer != task.layer:
            here.work, here.layer = self.kernels.up_to(here.whole, task.layer), task.layer
        return here

    def _ways(self, here: Any, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those of some levels where flows along chains settle enough, and sources' ways there, `level token way`."""
        if not len(here.chains.rows):
            levels = levels[:0]
        for level in levels.tolist():
            if level not in here.ways:
                here.ways[level] = self._ways_at(here, level)
        some = [level for level in levels.tolist() if (here.ways[level] != self.kernels.NO_WAY).any()]
        ways = [here.ways[level] for level in some] or np.zeros((0, len(here.place), self.kernels.WAYS), np.int64)
        return np.array(some, np.int64), np.array(ways)

    def _ways_at(self, here: Any, level: int) -> np.ndarray:
        """By position: the ways by which flows along chains settle enough of the wanted sinks, `token way`."""
        ways = np.full((here.chains.rows.shape[-1], self.kernels.WAYS), self.kernels.NO_WAY, np.int64)
        for query, source in enumerate(here.place[self.queries[here.example]].tolist()):
            sinks = np.arange(len(ways))
            if self.wanted is not None:
                places = [place for place, layer in enumerate(self.layers) if layer == level]
                sinks = np.sort(here.place[self.wanted[here.example, places, query].any(0)])
            if len(sinks):
                ends = here.whole.arc, here.whole.touched, here.chains
                self.kernels.ways_of(*ends, level, source, sinks, ways[source])
        return ways

    def _layout(self, example: int) -> Layout:
        # No flow along chains says which of several minimum cuts is meant. Trying costs, and of many sources few are
        # served.
        few = self.queries.shape[1] * _FEW_ROWS <= self.capacities.shape[-1]
        capacities = self.capacities[example, : self.highest]
        return layout_of(capacities, self._matters(example), chains=few and self.cut is None)

    def _matters(self, example: int) -> np.ndarray:
        """Which positions of an example have an arc or are asked about; all of them where cuts are to be returned."""
        capacities, wanted = self.capacities[example, : self.highest], self.wanted
        if wanted is None or self.cut is not None:
            return np.ones(capacities.shape[-1], bool)
        matters = capacities.any((0, 1)) | capacities.any((0, 2)) | wanted[example].any((0, 1))
        matters[self.queries[example]] = True
        return matters


def check_problem(capacities: np.ndarray, queries: np.ndarray, layers: tuple[int, ...]) -> None:
    """Refuse capacities that are no capacities, sums that overflow, and layers or positions that are not there."""
    with np.errstate(over="ignore", invalid="ignore"):
        sums = capacities.sum((-1, -2), dtype=np.float64)
    # A sum is finite only where all its numbers are.
    if not (np.isfinite(sums).all() and capacities.min(initial=0) >= 0):
        usable = np.isfinite(capacities) & (capacities >= 0)
        if not usable.all():
            where = first_index(~usable)
            raise InputError("capacity", "be finite and not negative", f"{capacities[where]} at {where}")
        raise InputError("capacity", "have a finite sum in each layer", "an overflow", "scale it down")
    if not all(1 <= layer <= capacities.shape[1] for layer in layers):
        raise InputError("layers", f"lie in 1 to {capacities.shape[1]}", str(layers))
    if queries.size and not (queries.min() >= 0 and queries.max() < capacities.shape[-1]):
        got = f"{queries.min()} to {queries.max()}"
        raise InputError("queries", f"lie in 0 to {capacities.shape[-1] - 1}", got)
