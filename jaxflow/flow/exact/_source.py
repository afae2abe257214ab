"""One source on lists of arcs: what all of its sinks share, its zone and bounds above all.

Let U be an upper bound of a flow. Where arcs from the source's side of every minimum cut into a node can carry U or
more together, the node is on that side as well: else the cut would be U or more. These nodes are the source's zone; it
grows as bounds fall, so sinks come in the order of their bounds. The cuts of the last sinks bound the next one, as only
the arcs into the sink differ.
"""

from typing import NamedTuple, no_type_check

import numpy as np

from jaxflow.flow.exact._arcs import Arcs
from jaxflow.flow.exact._bits import kernel

# Cuts of earlier sinks that are kept as bounds.
KEPT = 4
# Bounds and what is left of them are sums of up to some ten thousand numbers.
ROUNDING = 1e-13


class Row(NamedTuple):
    """What all sinks of one source share. Nodes are numbered as in `Arcs`; those of the source's layer are left out."""

    above: int  # the source's layer
    source: int
    width: np.ndarray  # float64 (above * token,): the most that one path from the source to a node can carry
    inflow: np.ndarray  # float64 (above * token,): bound of what can come to a node from the source
    bound: np.ndarray  # float64 (token,): bound of each sink's flow, by the source's side alone
    supply: np.ndarray  # float64 (above * token,): what the source's zone can send each node
    zone: np.ndarray  # bool (above * token,): the source's zone
    side: np.ndarray  # bool (kept, token): nodes of layer 1 on the source's side of each cut that is kept
    upper: np.ndarray  # float64 (kept + 1,): capacity of those cuts above layer 1, and how many there were
    inexact: np.ndarray  # float64 (1,): arcs below this part of a bound are left out


def row_of(arcs: Arcs, above: int, source: int) -> Row:
    """What is known of a source's flows before any sink is looked at. Cost: the number of arcs below it."""
    tokens, nodes = arcs.tokens, above * arcs.tokens
    row = Row(
        above=above,
        source=source,
        width=np.zeros(nodes),
        inflow=arcs.left_out[:nodes].copy(),
        bound=np.zeros(tokens),
        supply=np.zeros(nodes),
        zone=np.zeros(nodes, np.bool_),
        side=np.zeros((KEPT, tokens), np.bool_),
        upper=np.append(np.full(KEPT, np.inf), 0.0),
        inexact=np.full(1, 1e-12),
    )
    _reach(arcs, row)
    # By falling width: a threshold of the width is a beginning of this order.
    order = np.argsort(-row.width[tokens:], kind="stable") + tokens
    _bound_by_zones(arcs, row, order[row.width[order] > 0])
    return row


@kernel
@no_type_check
def _reach(arcs, row):
    """The widest path to each node, and what can come to it at most: layer by layer, both in one sweep."""
    tokens, above, width, inflow = arcs.tokens, row.above, row.width, row.inflow
    base, total = (above - 1) * tokens, 0.0
    for at in range(arcs.row[base + row.source], arcs.row[base + row.source + 1]):
        width[base + arcs.head[at]] = arcs.out[at]
        inflow[base + arcs.head[at]] += arcs.out[at]
        row.supply[base + arcs.head[at]] = arcs.out[at]
        total += arcs.out[at]
    # What is left out may leave the source as well, or come from nowhere.
    for node in range(above * tokens):
        total += arcs.left_out[node]
    for m in range(above - 2, -1, -1):
        for i in range(tokens):
            node = (m + 1) * tokens + i
            inflow[node] = min(inflow[node], total)
            if inflow[node] > 0:
                for at in range(arcs.row[m * tokens + i], arcs.row[m * tokens + i + 1]):
                    below = m * tokens + arcs.head[at]
                    inflow[below] += min(inflow[node], arcs.out[at])
                    width[below] = max(width[below], min(width[node], arcs.out[at]))
    for v in range(tokens):
        inflow[v] = min(inflow[v], total)


@kernel
@no_type_check
def _join_zone(arcs, node, zone, supply):
    """Take a node into the source's zone: its arcs supply the layer below."""
    line = node - arcs.tokens
    base = line - line % arcs.tokens
    for at in range(arcs.row[line], arcs.row[line + 1]):
        supply[base + arcs.head[at]] += arcs.out[at]
    zone[node] = True


@kernel
@no_type_check
def _bound_by_zones(arcs, row, order):
    """Bound each sink's flow by cuts around the nodes of at least some width, for some forty widths."""
    tokens, above, bound = arcs.tokens, row.above, row.bound
    supply, zone = row.supply.copy(), row.zone.copy()
    lost = 0.0
    for node in range(above * tokens):
        lost += arcs.left_out[node]
    for v in range(tokens):
        bound[v] = row.inflow[v]
    next_width = np.inf
    for k in range(len(order) + 1):
        width = row.width[order[k]] if k < len(order) else 0.0
        if width < next_width or k == len(order):
            # All arcs of these nodes that lead out of the set, but those to other sinks.
            total = lost
            for node in range(tokens, above * tokens):
                total += 0.0 if zone[node] else supply[node]
            for v in range(tokens):
                bound[v] = min(bound[v], (total + supply[v]) * (1 + ROUNDING))
            next_width = 0.7 * width
        if k < len(order):
            _join_zone(arcs, order[k], zone, supply)


@kernel
@no_type_check
def grow_zone(arcs, row, bound):
    """Take all nodes into the source's zone that it can send `bound` or more; top down, as arcs lead down."""
    for node in range(row.above * arcs.tokens - 1, arcs.tokens - 1, -1):
        if row.supply[node] >= bound and not row.zone[node]:
            _join_zone(arcs, node, row.zone, row.supply)


@kernel
@no_type_check
def bound_by_cuts(arcs, row, sink, bound):
    """The least of `bound` and what the cuts of earlier sinks are for this one: they differ in the last arcs alone."""
    for k in range(min(KEPT, int(row.upper[KEPT]))):
        total = row.upper[k] + arcs.left_out[sink]
        for at in range(arcs.column[sink], arcs.column[sink + 1]):
            i = arcs.tail[at]
            if row.side[k, i]:
                total += min(arcs.into[at], row.inflow[arcs.tokens + i])
        bound = min(bound, total * (1 + ROUNDING))
    return bound
