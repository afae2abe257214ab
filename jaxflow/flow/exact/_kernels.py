"""The compiled part of the exact solver: Dinic's algorithm on the layer graph, pair by pair.

An arc that a push fills is set to its capacity exactly and leaves its set; an arc whose flow is taken back entirely is
set to 0 exactly. The sets are therefore exact, the search of the last phase is a proof in itself, and every phase is
longer than the one before. Nothing here allocates in proportion to the number of pairs, and nothing holds the GIL.
"""

from typing import no_type_check

import numpy as np

from jaxflow.flow.exact._bits import FLOW, bit, kernel, up_to, workspace
from jaxflow.flow.exact._phases import first_flow, next_flow
from jaxflow.flow.exact._search import cut_capacity, find_reach, find_reach_of_column, search, write_cut

__all__ = [
    "CLOSED_FORM",
    "FLOW",
    "closed_form",
    "count_touched",
    "find_reach",
    "find_reach_of_column",
    "reset",
    "solve_columns",
    "solve_pair",
    "solve_pairs",
    "up_to",
    "workspace",
]

# What settles a pair, as `solver.STAGES` names it; 0 is a pair that was not solved.
CLOSED_FORM, ONE_PASS, CUT = range(1, 4)


@kernel
@no_type_check
def start(work):
    """An empty flow, and the levels of the first phase: a node's distance from the sink is its layer."""
    into, column, reach, level = work.sink, work.column, work.reach, work.level
    for i in range(into.shape[0]):
        into[i] = column[i]
    for layer in range(1, reach.shape[0]):
        for word in range(reach.shape[1]):
            level[layer, layer, word] = reach[layer, word]


@kernel
@no_type_check
def is_settled(work, source, takers):
    """Whether every arc out of the source is full, or every arc into the sink; then `work.seen` is that cut."""
    reach, room, seen = work.reach, work.room, work.seen
    open_arcs = False
    for word in range(reach.shape[1]):
        open_arcs |= room[reach.shape[0] - 1, source, word] != 0
    # The source alone is a cut, and full: all other nodes are on the sink's side.
    if not open_arcs:
        seen[:] = ~np.uint64(0)
        return True
    # Some arc into the sink has room, and some arc out of the source: a search has to tell.
    if takers:
        return False
    seen[:] = 0
    return True


@kernel
@no_type_check
def reset(work, count):
    """Forget a pair: only arcs that were touched, all of them where there were too many to note.

    Sets are restored whole where that is less than restoring them bit by bit, which costs about as much as eight words.
    """
    into, touched, arc, sends, room, arcs = work.sink, work.touched, work.arc, work.sends, work.room, work.arcs
    nodes = into.shape[0]
    # Too many to note: all are reset.
    if count >= touched.shape[0]:
        arc[:, :, :, FLOW] = 0.0
        sends[:] = 0
        room[:] = arcs
        return
    # Many: flows are reset one by one, sets as wholes.
    if room.size < 8 * count:
        flows, wide, full, senders = arc.ravel(), room.ravel(), arcs.ravel(), sends.ravel()
        for k in range(count):
            flows[2 * touched[k] + 1] = 0.0
        for k in range(wide.shape[0]):
            wide[k] = full[k]
            senders[k] = 0
        return
    for k in range(count):
        flat = np.uint64(touched[k])
        row = flat // np.uint64(nodes)
        j = np.int64(flat - row * np.uint64(nodes))
        layer = np.int64(row // np.uint64(nodes))
        i = np.int64(row) - layer * nodes
        arc[layer, i, j, FLOW] = 0.0
        sends[layer, j, i >> 6] = 0
        room[layer, i, j >> 6] |= bit(j)


@kernel
@no_type_check
def solve_pair(work, source, sink):
    """Maximum flow from (above, source) to (0, sink), after `find_reach` for the sink; above is at least 3.

    Returns:
        The flow's value, the capacity of a cut that proves it, the stage that settled it, and the number of touched
        arcs; `work.arc` holds the flow and `work.seen` the sink's side of the cut. `reset` comes next.
    """
    # Phase 1. By far most of the flow, and for most pairs all of it; if one end's arcs are full, they are the proof.
    start(work)
    value, count, takers = first_flow(work, source, sink)
    if is_settled(work, source, takers):
        return value, cut_capacity(work, source), ONE_PASS, count
    # Phase 2, as often as needed: search the residual graph from the sink; if the source is not found, what was found
    # is the sink's side of a minimum cut; else fill all shortest paths, so that the next distance is longer (Dinic
    # 1970).
    while True:
        distance = search(work, source)
        if distance == 0:
            return value, cut_capacity(work, source), CUT, count
        more, count = next_flow(work, source, sink, distance, count)
        value += more


@kernel
@no_type_check
def count_touched(work, source, sink):
    """How many arcs a pair's flow touches."""
    find_reach(work, sink)
    _, _, _, count = solve_pair(work, source, sink)
    reset(work, count)
    return count


@kernel
@no_type_check
def solve_pairs(work, sources, sinks, lower, upper, settled, cuts):
    """Solve a run of pairs, sorted by sink. `cuts` is empty or has a row (above + 1, token) a pair."""
    last = -1
    for k in range(sources.shape[0]):
        source, sink = sources[k], sinks[k]
        # Which nodes reach a sink at all is found once for all its sources.
        if sink != last:
            find_reach(work, sink)
            last = sink
        lower[k], upper[k], settled[k], count = solve_pair(work, source, sink)
        if cuts.shape[0]:
            write_cut(work, source, sink, cuts[k])
        reset(work, count)


@kernel
@no_type_check
def solve_columns(work, source, columns, most, lower, upper, cuts):
    """Flows from one source into sinks of any kind, each given by what every node of layer 1 can send it.

    `columns` has a row (token,) a flow. A row from which on the flow is `most`, which none exceeds, ends the run, and
    the others are `most` as well: rows that grow need not be solved any further. `cuts` is as in `solve_pairs`.
    """
    for k in range(columns.shape[0]):
        work.column[:] = columns[k]
        find_reach_of_column(work)
        # No position is the sink's own: the source's is tried first in its stead.
        lower[k], upper[k], _, count = solve_pair(work, source, source)
        if cuts.shape[0]:
            write_cut(work, source, source, cuts[k])
            cuts[k, 0] = False
        reset(work, count)
        if upper[k] >= most:
            lower[k + 1 :] = lower[k]
            upper[k + 1 :] = upper[k]
            return


@kernel
@no_type_check
def closed_form(capacity, above, sources, sinks, value, cuts):
    """Layers 1 and 2: the arc itself, and what each node between source and sink can pass on."""
    nodes = capacity.shape[1]
    for k in range(sources.shape[0]):
        source, sink = sources[k], sinks[k]
        if above == 1:
            value[k] = capacity[0, source, sink]
        else:
            total = 0.0
            for i in range(nodes):
                total += min(capacity[1, source, i], capacity[0, i, sink])
            value[k] = total
        if cuts.shape[0]:
            # By the closed forms: node i between goes to the side whose arc is the smaller one, which is cut.
            cuts[k] = False
            cuts[k, above, source] = True
            for i in range(nodes):
                cuts[k, 0, i] = i != sink
                if above == 2:
                    cuts[k, 1, i] = capacity[1, source, i] > capacity[0, i, sink]
