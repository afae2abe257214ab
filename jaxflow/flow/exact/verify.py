"""Independent checks of a flow and of a cut, in plain NumPy: what the solver claims, counted again."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64


@dataclass(frozen=True)
class FlowCheck:
    """How far a flow is from being one; all three are 0 but for rounding.

    Attributes:
        value: what leaves the source.
        conservation: largest difference between what enters and what leaves a node between source and sink, and
            between what leaves the source and what enters the sink.
        capacity: largest excess of an arc's flow over its capacity.
        negative: largest amount by which a flow is below 0.
    """

    value: float
    conservation: float
    capacity: float
    negative: float


def check_flow(
    capacities: Float64[np.ndarray, "layer token token"],
    flow: Float64[np.ndarray, "source_layer token token"],
    query: int,
    token: int,
) -> FlowCheck:
    """Check a flow from (source_layer, `query`) to (0, `token`) arc by arc and node by node."""
    # Axes: [l, i, j] is on the arc from (l + 1, i) to (l, j); `out` and `into` are by the arcs' upper and lower ends.
    out, into = flow.sum(2), flow.sum(1)
    value = float(out[-1, query])
    # Only the source may send from the top, and only the sink may take at the bottom.
    strays = [np.delete(out[-1], query), np.delete(into[0], token), into[1:].ravel() - out[:-1].ravel()]
    loss = max((float(np.abs(part).max(initial=0)) for part in strays), default=0.0)
    return FlowCheck(
        value=value,
        conservation=max(loss, abs(value - float(into[0, token]))),
        capacity=float((flow - capacities[: len(flow)]).max(initial=0)),
        negative=float((-flow).max(initial=0)),
    )


def cut_capacity(
    capacities: Float64[np.ndarray, "layer token token"], cut: Bool[np.ndarray, "node_layer token"]
) -> float:
    """Total capacity of the arcs from the source's side to the other side: an upper bound on any flow across."""
    leaves = cut[1:, :, None] & ~cut[:-1, None, :]
    return float(np.where(leaves, capacities, 0.0).sum())
