"""Which sources are solved on lists of arcs, and their sinks chunk by chunk."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxflow.flow.exact._schedule import LONGEST_DENSE, Task, chunk

# Shorter texts fit into a word or two of bits, and trying both ways costs a fifth there.
_SHORTEST = 96
# Sinks that are tried both ways, as parts of all that can be reached, in the order of their bounds.
_TRIED = (0.2, 0.5, 0.8)
# Nanoseconds, measured: for each arc of a core, on lists; by sets of bits, for each arc that a flow touches, and for
# each word that is looked at to find what reaches a sink.
_ARC_COST, TOUCH_COST, _REACH_COST = 60.0, 40.0, 4.0

_Solved = tuple[np.ndarray, np.ndarray, np.ndarray]
# Nanoseconds that a pair (example, layer, source, sink) takes by sets of bits, what reaches the sink not counted.
DenseCost = Callable[[int, int, int, int], float]


class RowSolver:
    """All sinks of one source together, for graphs in which few arcs are large. For several threads at once."""

    def __init__(self, capacities: np.ndarray, tol: float, dense_cost: DenseCost):
        self._capacities, self._tol, self._dense_cost = capacities, tol, dense_cost
        self._lock, self._local = threading.Lock(), threading.local()
        # Lists of the example that was last asked about, and of those before that threads may still be at.
        self._lists: dict[int, Any] = {}

    def serves(self, example: int, layer: int) -> bool:
        """Whether an example's sources at a layer may be solved here."""
        if layer < 3 or self._capacities.shape[-1] < _SHORTEST:
            return False
        return self._arcs(example) is not None

    def solve(self, task: Task, source: int) -> Iterator[_Solved] | None:
        """Sinks, lower and upper bounds, chunk by chunk; None where sets of bits are quicker."""
        from jaxflow.flow.exact import _core, _source, _zones

        arcs, tokens = self._arcs(task.example), self._capacities.shape[-1]
        if getattr(self._local, "example", None) != task.example:
            self._local.core, self._local.example = _zones.core_of(arcs), task.example
        row, core = _source.row_of(arcs, task.layer, source), self._local.core
        sinks = task.sinks[np.argsort(-row.bound[task.sinks], kind="stable")]
        if tokens <= LONGEST_DENSE and not self._pays(task, source, sinks, row):
            return None

        def chunks() -> Iterator[_Solved]:
            size = chunk(task.layer, tokens)
            for begin in range(0, len(sinks), size):
                some = sinks[begin : begin + size]
                lower, upper = np.zeros(len(some)), np.zeros(len(some))
                _core.solve_sinks(arcs, row, core, some, self._tol, lower, upper)
                yield some, lower, upper

        return chunks()

    def _pays(self, task: Task, source: int, sinks: np.ndarray, row: Any) -> bool:
        """Whether lists are quicker, by counting what some sinks take; clocks would not give the same every time."""
        from jaxflow.flow.exact import _zones

        arcs, core, tokens = self._arcs(task.example), self._local.core, self._capacities.shape[-1]
        reached = sinks[row.width[sinks] > 0]
        if not len(reached):
            return True
        some = [int(reached[int(part * len(reached))]) for part in _TRIED]
        # The zone grows with what is tried: on a copy.
        row = row._replace(supply=row.supply.copy(), zone=row.zone.copy())
        lists = [_ARC_COST * _zones.count_core(arcs, row, core, sink) for sink in some]
        # By sets of bits, what reaches a sink is looked for at every sink, also where that is nothing. Where lists take
        # less than this alone, no example is set up to count the rest.
        search = _REACH_COST * task.layer * -(-tokens // 64) * tokens * len(sinks)
        if np.mean(lists) * len(reached) <= search:
            return True
        dense = [self._dense_cost(task.example, task.layer, source, sink) for sink in some]
        return bool(np.mean(lists) * len(reached) < np.mean(dense) * len(reached) + search)

    def _arcs(self, example: int) -> Any:
        from jaxflow.flow.exact import _arcs

        with self._lock:
            if example not in self._lists:
                if len(self._lists) > 8:
                    del self._lists[next(iter(self._lists))]
                self._lists[example] = _arcs.list_arcs(self._capacities[example])
            return self._lists[example]
