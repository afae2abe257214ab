"""The analytic centre of all maximum flows from one position to all input tokens: one flow of many, and unique.

Of the flows `f` of the largest value it is the one with the largest `sum over arcs of log f + log(capacity - f)`, over
the arcs whose flow is not the same in all of them: where a log-barrier method ends as its barrier goes to 0.

The problem's dual is solved: with a height a node, the best flow on an arc has a closed form in the difference of its
ends' heights, and the heights are right where flow is conserved. It has no constraints, and its Newton step is a
Laplacian system whose blocks are layers: `layer * token^3`, ten to sixty steps.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

# Arcs that can move by less than this part of the flow's value stand still.
STILL = 1e-12

Arcs = Float64[np.ndarray, "layer token token"]


class Centre(NamedTuple):
    """A flow and the duality gap that it is certified by: at most so much below the largest sum of logarithms."""

    flow: Arcs
    gap: float


def analytic_centre(capacity: Arcs, flow: Arcs, query: int, tol: float) -> Centre:
    """The analytic centre of the maximum flows from (top layer, `query`) to all tokens of the input.

    Args:
        capacity: of the arcs, lowest layer first.
        flow: any maximum flow.
        query: position of the source.
        tol: duality gap to go on to.

    The sum of logarithms is self-concordant, so a gap of g <= 1/100 says that no arc's flow is further than
    `1.6 sqrt(g)` times its distance to the nearer of its bounds, 0 or the capacity, from the exact centre's.
    """
    from jaxflow.flow.exact._climb import climb

    value = flow[-1, query].sum()
    if value == 0:
        return Centre(np.zeros_like(flow), 0.0)
    # Everything in parts of the value: no sum of squares then overflows or vanishes.
    capacity, flow = capacity / value, flow / value
    free, ground = _moving_arcs(capacity, flow, query)
    if not free.any():
        return Centre(flow * value, 0.0)
    moved = np.where(free, flow, 0.0)
    try:
        gap = climb(capacity, free, ground, query, moved, tol)
    except np.linalg.LinAlgError:
        gap = np.inf
    # Rounding got the better of it: the flow is a maximum one, and certified to be nothing else.
    if not gap < np.inf:
        return Centre(flow * value, np.inf)
    return Centre(np.where(free, moved, flow) * value, float(gap))


def _moving_arcs(
    capacity: Arcs, flow: Arcs, query: int
) -> tuple[Bool[np.ndarray, "layer token token"], Bool[np.ndarray, "node_layer token"]]:
    """Arcs whose flow differs between maximum flows, and a node of each group of nodes that they connect.

    Two maximum flows differ by a circulation in the residual graph; so an arc moves if and only if its ends lie in one
    strongly connected component of it. All tokens of the input are one node there, the sink.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    layers, tokens, _ = capacity.shape
    # Nodes: layer * token + position, those of layer 0 all numbered 0.
    number = np.arange((layers + 1) * tokens).reshape(layers + 1, tokens)
    number[0] = 0
    below, i, j = np.nonzero(capacity > STILL)
    real = (below < layers - 1) | (i == query)
    below, i, j = below[real], i[real], j[real]
    tail, head = number[below + 1, i], number[below, j]
    sent = flow[below, i, j]
    forth, back = capacity[below, i, j] - sent > STILL, sent > STILL
    ends = np.concatenate([tail[forth], head[back]]), np.concatenate([head[forth], tail[back]])
    graph = csr_array((np.ones(len(ends[0]), np.int8), ends), shape=(number.size, number.size))
    _, group = connected_components(graph, connection="strong")
    free = np.zeros(capacity.shape, bool)
    free[below, i, j] = group[tail] == group[head]
    # The first node of each group; single ones too, which does no harm.
    ground = np.zeros(number.size, bool)
    ground[np.unique(group, return_index=True)[1]] = True
    return free, ground.reshape(number.shape)
