"""One source and one sink on lists of arcs: the sink's zone, and the core that is left between the zones.

The sink's zone is what the source's is, from the sink upward: nodes that can send it all that a bound allows. What is
left is the core, a small graph where arcs are large or small and seldom near the bound. Arcs from zone to zone are
added up, not searched: on local attention they are most of the flow to a distant token.
"""

from typing import NamedTuple, no_type_check

import numpy as np

from jaxflow.flow.exact._arcs import Arcs
from jaxflow.flow.exact._bits import inlined, kernel
from jaxflow.flow.exact._source import KEPT, ROUNDING, grow_zone

# Sides of a node, as far as they are known.
OPEN, SOURCE, SINK, CORE = 0, 1, 2, 3


class Core(NamedTuple):
    """Memory of one thread for what lies between the zones; `core` counts its nodes, `listed` all that were found."""

    side: np.ndarray  # int8 (node,): SINK or CORE where this sink's search has found the node, else OPEN
    demand: np.ndarray  # float64 (node,): what each node can send the sink's zone
    number: np.ndarray  # int32 (node,): number in the core
    listed: np.ndarray  # int32 (listed,)
    node: np.ndarray  # int32 (core,)
    settled: np.ndarray  # int8 (core,): SOURCE or SINK where later bounds have decided, else OPEN
    supply: np.ndarray  # float64 (core,): room of the arcs from the source's side
    demands: np.ndarray  # float64 (core,): and into the sink's
    tail: np.ndarray  # int32 (arc,): arcs of the core, as they are found
    head: np.ndarray  # int32 (arc,)
    capacity: np.ndarray  # float64 (arc,)
    begin: np.ndarray  # int32 (core + 1,): residual arcs of each node
    to: np.ndarray  # int32 (2 arc,)
    room: np.ndarray  # float64 (2 arc,)
    back: np.ndarray  # int32 (2 arc,): the opposite residual arc
    label: np.ndarray  # int32 (core,): distance from the sink, at least
    current: np.ndarray  # int32 (core,): residual arc to try next
    queue: np.ndarray  # int32 (core,)
    path: np.ndarray  # int32 (core + 1,): nodes
    path_arcs: np.ndarray  # int32 (core + 1,)
    labelled: np.ndarray  # int32 (core + 4,): nodes of each label


def core_of(arcs: Arcs) -> Core:
    """Memory for any source; pages that are never touched cost nothing."""
    nodes, count = len(arcs.row) + 3, len(arcs.out) + 1

    def ints(size: int) -> np.ndarray:
        return np.empty(size, np.int32)

    return Core(
        side=np.zeros(nodes, np.int8),
        demand=np.zeros(nodes),
        number=ints(nodes),
        listed=ints(nodes),
        node=ints(nodes),
        settled=np.empty(nodes, np.int8),
        supply=np.empty(nodes),
        demands=np.empty(nodes),
        tail=ints(count),
        head=ints(count),
        capacity=np.empty(count),
        begin=ints(nodes),
        to=ints(2 * count),
        room=np.empty(2 * count),
        back=ints(2 * count),
        label=ints(nodes),
        current=ints(nodes),
        queue=ints(nodes),
        path=ints(nodes),
        path_arcs=ints(nodes),
        labelled=ints(nodes + 4),
    )


@inlined
@no_type_check
def list_senders(arcs, core, begin, end, base, least, lost):
    """List the nodes of a layer that can send into the sink's zone, and what each can send, its demand.

    The nodes of the layer below stand in the list from `begin` to `end`; those of this layer are numbered from `base`.

    Returns:
        The end of the list, and `lost` with a bound of what arcs below `least` could carry.
    """
    side, demand, listed = core.side, core.demand, core.listed
    nodes_listed = end
    for k in range(begin, end):
        line = listed[k]
        if side[line] == SINK:
            at, last = arcs.column[line], arcs.column[line + 1]
            while at < last and arcs.into[at] >= least:
                node = base + arcs.tail[at]
                before = demand[node]
                if before == 0:
                    listed[nodes_listed] = node
                    nodes_listed += 1
                demand[node] = before + arcs.into[at]
                at += 1
            lost += arcs.rest[at] if at < last else arcs.left_out[line]
    return nodes_listed, lost


@kernel
@no_type_check
def find_core(arcs, row, core, sink, bound, least):
    """Search from the sink, layer by layer, along arcs of at least `least`: its zone, and the core.

    Returns:
        How many nodes were listed, nodes and arcs of the core, the flow from zone to zone, the part of it that does
        not enter the sink itself, and a bound of what left out arcs and nodes could carry.
    """
    tokens, above = arcs.tokens, row.above
    side, demand, listed, inflow, zone = core.side, core.demand, core.listed, row.inflow, row.zone
    listed[0], side[sink] = sink, SINK
    nodes_listed, begin, nodes, count = 1, 0, 0, 0
    flow, inner, lost = row.supply[sink], 0.0, 0.0
    for m in range(1, above):
        base, end = m * tokens, nodes_listed
        nodes_listed, lost = list_senders(arcs, core, begin, end, base, least, lost)
        # Of those, some are in the source's zone, some cannot get anything, and some join the sink's zone.
        taken = end
        for k in range(end, nodes_listed):
            node = listed[k]
            if zone[node]:
                demand[node] = 0.0
            elif inflow[node] < least:
                lost += min(demand[node], inflow[node])
                demand[node] = 0.0
            else:
                listed[taken] = node
                taken += 1
                if demand[node] >= bound - flow + ROUNDING * bound:
                    side[node] = SINK
                    flow += row.supply[node]
                    inner += row.supply[node]
                else:
                    side[node] = CORE
                    core.number[node] = nodes
                    core.node[nodes] = node
                    nodes += 1
        nodes_listed = taken
        # Arcs into the core's nodes of the layer below.
        for k in range(begin, end):
            line = listed[k]
            if side[line] == CORE:
                at, last, here = arcs.column[line], arcs.column[line + 1], core.number[line]
                while at < last and arcs.into[at] >= least:
                    node = base + arcs.tail[at]
                    if side[node] == OPEN and not zone[node]:
                        if inflow[node] < least:
                            lost += min(arcs.into[at], inflow[node])
                        else:
                            side[node] = CORE
                            listed[nodes_listed] = node
                            nodes_listed += 1
                            core.number[node] = nodes
                            core.node[nodes] = node
                            nodes += 1
                    if side[node] == CORE:
                        core.tail[count], core.head[count] = core.number[node], here
                        core.capacity[count] = arcs.into[at]
                        count += 1
                    at += 1
                lost += arcs.rest[at] if at < last else arcs.left_out[line]
        begin = end
    return nodes_listed, nodes, count, flow, inner, lost


@kernel
@no_type_check
def count_core(arcs, row, core, sink):
    """How many arcs the core of a sink has, by its first bound."""
    bound = row.bound[sink]
    grow_zone(arcs, row, bound)
    nodes_listed, _, count, _, _, _ = find_core(arcs, row, core, sink, bound, row.inexact[0] * bound)
    forget(core, nodes_listed)
    return count


@kernel
@no_type_check
def forget(core, nodes_listed):
    """Clear what `find_core` wrote."""
    for k in range(nodes_listed):
        core.side[core.listed[k]] = OPEN
        core.demand[core.listed[k]] = 0.0


@kernel
@no_type_check
def settle_core(arcs, row, core, nodes, bound, flow, least):
    """Put nodes of the core on a side where all that is left of the bound fits into their arcs from or to it.

    Returns:
        The flow from side to side that is certain by now. Each node that is put somewhere leaves less of the bound.
    """
    tokens, settled, supply, demand = arcs.tokens, core.settled, core.supply, core.demands
    for k in range(nodes):
        supply[k], demand[k], settled[k] = row.supply[core.node[k]], core.demand[core.node[k]], OPEN
    changed = True
    while changed:
        changed = False
        # The core is listed bottom up: down from the source's side, then up from the sink's.
        for k in range(nodes - 1, -1, -1):
            if settled[k] == OPEN and supply[k] >= bound - flow + ROUNDING * bound:
                settled[k], changed = SOURCE, True
                flow += demand[k]
                line = core.node[k] - tokens
                base = line - line % tokens
                at, last = arcs.row[line], arcs.row[line + 1]
                while at < last and arcs.out[at] >= least:
                    below = base + arcs.head[at]
                    if core.side[below] == CORE:
                        supply[core.number[below]] += arcs.out[at]
                    at += 1
        for k in range(nodes):
            if settled[k] == OPEN and demand[k] >= bound - flow + ROUNDING * bound:
                settled[k], changed = SINK, True
                flow += supply[k]
                line = core.node[k]
                base = line - line % tokens + tokens
                if base < row.above * tokens:
                    at, last = arcs.column[line], arcs.column[line + 1]
                    while at < last and arcs.into[at] >= least:
                        over = base + arcs.tail[at]
                        if core.side[over] == CORE:
                            demand[core.number[over]] += arcs.into[at]
                        at += 1
    return flow


@kernel
@no_type_check
def keep_cut(arcs, row, core, nodes, inner, least):
    """Keep the cut that was just found, as a bound for the sinks to come.

    On the sink's side are its zone and the nodes that can still send it something (they have a label); left out nodes
    are on the source's. `inner` is what can cross but for arcs into the sink, without the core: with what was lost.
    """
    tokens, total = arcs.tokens, inner
    place = int(row.upper[KEPT]) % KEPT
    for i in range(tokens):
        row.side[place, i] = core.side[tokens + i] == OPEN
    for k in range(nodes):
        node = core.node[k]
        if core.settled[k] == SINK or (core.settled[k] == OPEN and core.label[k] >= 0):
            total += row.supply[node]
        elif node < 2 * tokens:
            row.side[place, node - tokens] = True
        else:
            line = node - tokens
            base = line - line % tokens
            at, last = arcs.row[line], arcs.row[line + 1]
            while at < last and arcs.out[at] >= least:
                below = base + arcs.head[at]
                number = core.number[below]
                if core.side[below] == SINK or (
                    core.side[below] == CORE
                    and (core.settled[number] == SINK or (core.settled[number] == OPEN and core.label[number] >= 0))
                ):
                    total += arcs.out[at]
                at += 1
    row.upper[place] = total
    row.upper[KEPT] += 1
