"""Maximum flows into several input tokens at once, and into sinks that can take no more than so much each."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from jaxflow._checks import first_index
from jaxflow.flow.exact._layout import order_of, scaled
from jaxflow.flow.exact.solver import ROUNDING

Columns = Float64[np.ndarray, "flow token"]


class SinkFlow:
    """Flows from positions after one layer into sinks below the first layer's nodes, for one example.

    A sink is what each node of layer 1 can send it, a column: for a set of tokens the sum of their columns of the
    first layer's capacities. Whatever is behind these arcs takes all that they bring, so that one number a node says
    it all. Not for several threads at once.
    """

    def __init__(self, capacity: Float64[np.ndarray, "layer token token"]) -> None:
        from jaxflow.flow.exact import _kernels

        self._kernels = _kernels
        self.layers = len(capacity)
        # As in `max_flow`: large arcs first, positions without any left out.
        order = order_of(capacity)
        some = np.logical_or(capacity.any((0, 1)), capacity.any((0, 2)))
        self._order = order[some[order]]
        self._place = np.full(capacity.shape[-1], -1)
        self._place[self._order] = np.arange(len(self._order))
        self._capacity, self._scale = scaled(capacity[:, self._order][:, :, self._order])
        self._work = _kernels.workspace(self._capacity, self.layers) if self.layers > 2 else None

    def values(self, query: int, columns: Columns, most: float = np.inf) -> Float64[np.ndarray, " flow"]:
        """Flows from the query into each of the columns.

        Where columns grow from row to row, `most` is what the last of them can carry: rows after one that carries it
        are not solved.
        """
        return self._solve(query, columns, most, cuts=False)[0]

    def with_cuts(
        self, query: int, columns: Columns
    ) -> tuple[Float64[np.ndarray, " flow"], Bool[np.ndarray, "flow node_layer token"]]:
        """Flows, and the source's side of a minimum cut of each; all of node layer 0 is the sink's."""
        return self._solve(query, columns, np.inf, cuts=True)

    def arcs(
        self, query: int, column: Float64[np.ndarray, " token"]
    ) -> tuple[Float64[np.ndarray, "upper_layer token token"], Float64[np.ndarray, " token"]]:
        """The flow on the arcs of all layers but the first, lowest first, and what layer 1's nodes send the sink."""
        tokens = len(column)
        flow = np.zeros((self.layers - 1, tokens, tokens))
        if self.layers == 1:
            out = np.zeros(tokens)
            out[query] = column[query]
            return flow, out
        source, order = self._place[query], self._order
        if source < 0:
            return flow, np.zeros(tokens)
        own, work = np.ascontiguousarray(column[order]) / self._scale, self._work
        if work is None:
            sent = np.minimum(self._capacity[1, source], own)
            flow[0, query, order] = sent * self._scale
        else:
            work.column[:] = own
            self._kernels.find_reach_of_column(work)
            _, _, _, count = self._kernels.solve_pair(work, source, source, np.inf)
            inner = work.arc[1 : self.layers, :, :, self._kernels.FLOW]
            flow[:, order[:, None], order] = inner * self._scale
            self._kernels.reset(work, count)
        return flow, flow[0].sum(0)

    def _solve(self, query: int, columns: Columns, most: float, *, cuts: bool) -> tuple[Any, Any]:
        count, tokens = columns.shape
        side = np.zeros((count if cuts else 0, self.layers + 1, tokens), bool)
        side[:, self.layers, query] = True
        source = self._place[query]
        if source < 0:
            return np.zeros(count), side
        own = np.ascontiguousarray(columns[:, self._order]) / self._scale
        # Layers 1 and 2 have closed forms: the arc itself, and what each node between can pass on.
        if self.layers == 1:
            return own[:, source] * self._scale, side
        if self.layers == 2:
            if cuts:
                side[:, 1, self._order] = self._capacity[1, source] > own
            return np.minimum(self._capacity[1, source], own).sum(1) * self._scale, side
        lower, upper = np.empty(count), np.empty(count)
        inner = np.empty((count if cuts else 0, self.layers + 1, len(self._order)), np.bool_)
        self._kernels.solve_columns(self._work, source, own, most / self._scale, lower, upper, inner)
        # As in `max_flow`: a flow and a cut that do not meet are a defect of the solver.
        apart = upper - lower > ROUNDING * upper
        if apart.any():
            where = first_index(apart)
            raise AssertionError(f"flow {lower[where]} and cut {upper[where]} of sink {where} do not meet")
        side[..., self._order] = inner
        return upper * self._scale, side


def without_each(capacity: Float64[np.ndarray, "token token"]) -> Float64[np.ndarray, "token token"]:
    """Columns of all tokens but one: row v is what each node of layer 1 sends to tokens other than v."""
    # Sums from the left and from the right, as a difference of sums would lose small capacities.
    left, right = np.cumsum(capacity, 1), np.cumsum(capacity[:, ::-1], 1)[:, ::-1]
    rest = np.zeros_like(capacity)
    rest[:, 1:] += left[:, :-1]
    rest[:, :-1] += right[:, 1:]
    return np.ascontiguousarray(rest.T)


def columns_of(capacity: Float64[np.ndarray, "token member"], sets: Bool[np.ndarray, "flow member"]) -> Columns:
    """Columns of sets of tokens: what each node of layer 1 sends to the members."""
    return sets.astype(np.float64) @ capacity.T
