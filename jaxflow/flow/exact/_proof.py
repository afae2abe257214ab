"""The compiled part of `_below`: the bounds of its formulas, and whether they meet."""

from typing import no_type_check

import numpy as np

from jaxflow.flow.exact._bits import kernel, wide
from jaxflow.flow.exact._kernels import ROUNDING


@kernel
@no_type_check
def prove(rows, below_lower, below_upper, ends, lower, upper):
    """Bounds of all sources and some sinks by those of the layer below, where they meet; NaN elsewhere.

    Args:
        rows: float64 (source, token), arcs from the sources to the layer below.
        below_lower: float64 (sink, token), a lower bound of each flow from there.
        below_upper: float64 (sink, token), an upper bound.
        ends: float64 (sink,), capacity of a cut that all of the sink's flows pass.
        lower: float64 (sink, source), written.
        upper: float64 (sink, source), written.
    """
    flows = np.empty(rows.shape[1])
    for j in range(ends.shape[0]):
        order = np.argsort(-below_lower[j])
        for k in range(flows.shape[0]):
            flows[k] = below_lower[j, order[k]]
        for i in range(rows.shape[0]):
            most = min(ends[j], lesser(rows[i], below_upper[j]))
            least = least_cut(rows[i], order, flows, most, most * (1 - ROUNDING))
            lower[j, i] = upper[j, i] = np.nan
            if least >= 0:
                lower[j, i], upper[j, i] = least, most


@kernel
@no_type_check
def least_cut(row, order, flows, most, enough):
    """The least of all t + (sum of the arcs to flows above t), or `most`; -1 once it is less than `enough`."""
    total, least = 0.0, most
    for k in range(flows.shape[0]):
        # What follows cuts all these arcs, and costs no less.
        if total >= enough:
            return min(least, total)
        arc = row[order[k]]
        if arc > 0:
            # The arcs to larger flows are cut; this and smaller flows are parted from the sink.
            if total + flows[k] < enough:
                return -1.0
            least = min(least, total + flows[k])
            total += arc
    return min(least, total) if total >= enough else -1.0


@wide
@no_type_check
def lesser(row, column):
    """The sum of the lesser of two numbers, over all positions."""
    total = 0.0
    for k in range(row.shape[0]):
        total += row[k] if row[k] < column[k] else column[k]
    return total
