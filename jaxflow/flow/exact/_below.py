"""What the flows of one layer prove of the next, where no search is needed.

Let f_k be the flow from (m, k) to the sink, and w_k the arc from the source (m + 1, i) to (m, k). A minimum cut has
some of the nodes (m, k) on the source's side. It cuts the arcs to all others, and it parts each of its own from the
sink, which takes no less than the largest of their f_k. The others are then best those with the largest f_k, so

    flow >= the least of  t + (sum of the w_k with f_k > t)  over  t = 0 and t = each f_k that has a w_k,
    flow <= sum of min(w_k, f_k),  and no more than any cut around the sink's chain.

Deep flow degenerates to cuts near the sink, the same for all sources: there all f_k are equal, and both meet. It takes
one pass over the f_k in falling order a pair, whatever the depth; all sources of the layer below have to be known.
"""

from collections.abc import Iterator

import numpy as np

from jaxflow.flow.exact._layout import Shared
from jaxflow.flow.exact._schedule import CHUNK_WORK, Task

# Numbers that a kernel looks at in the time that a solver takes for one of `CHUNK_WORK`.
_QUICK = 64
# Sinks of a task at least: it copies the arcs of its layer.
_FEWEST = 16


class Climb:
    """Proofs for a problem's pairs, layer by layer from below; for several threads at once.

    Args:
        capacities: `example layer token token`.
        queries: `example query`.
        layers: the layer of each place.
        wanted: `example place query token`; None for all.
        results: lower bounds, upper bounds and stages, `example place query token`, written in place.
        stage: the number of the stage that settles what is proven here.
    """

    def __init__(
        self,
        capacities: np.ndarray,
        queries: np.ndarray,
        layers: tuple[int, ...],
        wanted: np.ndarray | None,
        results: tuple[np.ndarray, np.ndarray, np.ndarray],
        stage: int,
    ):
        self._capacities, self._queries, self._layers, self._wanted = capacities, queries, layers, wanted
        (self._lower, self._upper, self._settled), self._stage = results, stage
        self._place_of = {layer: place for place, layer in enumerate(layers)}
        self._ends = Shared(lambda example: cuts_around_sinks(capacities[example]))
        climbs = any(layer > 2 and layer - 1 in self._place_of for layer in layers)
        self._sources = [
            queries_by_position(capacities[example, : max(layers)], queries[example]) if climbs else None
            for example in range(len(capacities))
        ]

    @property
    def serves(self) -> bool:
        """Whether an example is asked about from all positions, at a layer from 3 up and at the one below."""
        return any(sources is not None for sources in self._sources)

    def left(self, example: int, place: int) -> np.ndarray:
        """Which wanted pairs have no bounds so far, `query token`."""
        return self._asked(example, place) & (self._settled[example, place] == 0)

    def proofs(self, example: int, place: int) -> Iterator[Task]:
        """Tasks for `prove`, of the sinks that all sources of the layer below are known of."""
        sources, below = self._sources[example], self._place_of.get(self._layers[place] - 1)
        if sources is None or below is None or self._layers[place] < 3:
            return
        known = self._asked(example, below)[sources[sources >= 0]].all(0)
        sinks = np.flatnonzero(self._asked(example, place).any(0) & known)
        size = max(_FEWEST, _QUICK * CHUNK_WORK // self._capacities.shape[-1] ** 2)
        for begin in range(0, len(sinks), size):
            some = sinks[begin : begin + size]
            yield Task(example, place, self._layers[place], np.empty(0, np.int64), some, proof=True)

    def prove(self, task: Task) -> int:
        """Settle what the layer below proves of a task's sinks; how many pairs."""
        from jaxflow.flow.exact import _proof

        example, place, layer, sinks = task.example, task.place, task.layer, task.sinks
        sources, below = self._sources[example], self._place_of[layer - 1]
        assert sources is not None
        rows = self._capacities[example, layer - 1, self._queries[example]].astype(np.float64)
        # Of positions without arcs nothing flows.
        some = np.ix_(sources, sinks)
        known = [
            np.ascontiguousarray(np.where(sources[:, None] >= 0, flows[example, below][some], 0.0).T)
            for flows in (self._lower, self._upper)
        ]
        lower, upper = np.empty((2, len(sinks), len(rows)))
        _proof.prove(rows, *known, self._ends(example)[layer - 2, sinks], lower, upper)
        met = np.nonzero(~np.isnan(lower.T) & self._asked(example, place)[:, sinks])
        at = (example, place, met[0], sinks[met[1]])
        self._lower[at], self._upper[at], self._settled[at] = lower.T[met], upper.T[met], self._stage
        return len(met[0])

    def _asked(self, example: int, place: int) -> np.ndarray:
        if self._wanted is None:
            return np.ones(self._lower.shape[2:], bool)
        return self._wanted[example, place]


def queries_by_position(capacities: np.ndarray, queries: np.ndarray) -> np.ndarray | None:
    """The query of each position that sends anything on, -1 of others; None where one of the former is no query."""
    sends = capacities[0].any(1)
    # The first layer alone tells it of most.
    if len(queries) < np.count_nonzero(sends):
        return None
    sends |= capacities.any((0, 2))
    place = np.full(capacities.shape[-1], -1)
    place[queries] = np.arange(len(queries))
    # Padding may be a query, too, of which nothing is wanted.
    place[~sends] = -1
    return place if (place[sends] >= 0).all() else None


def cuts_around_sinks(capacities: np.ndarray) -> np.ndarray:
    """The least of the cuts around each sink's chain, for sources of each layer: `layer token`.

    Row m is for sources at layer m + 2. Such a cut has the sink's nodes of the input up to some layer c <= m on its
    side: what other positions send these, and the arc into (c, sink) from its own position above. Capacities are
    `layer token token`.
    """
    own = np.einsum("lii->li", capacities).astype(np.float64)
    others = np.where(np.eye(capacities.shape[-1], dtype=bool), 0.0, capacities).sum(1, dtype=np.float64)
    return np.minimum.accumulate(np.cumsum(others, 0) + own, 0)
