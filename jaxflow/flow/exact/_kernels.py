"""The compiled part of the exact solver: Dinic's algorithm on the layer graph, pair by pair.

An arc that a push fills is set to its capacity exactly and leaves its set; an arc whose flow is taken back entirely is
set to 0 exactly. The sets are therefore exact, the search of the last phase is a proof in itself, and every phase is
longer than the one before. Nothing here allocates in proportion to the number of pairs, and nothing holds the GIL.
"""

from typing import no_type_check

import numpy as np

from jaxflow.flow.exact._bits import CAPACITY, FLOW, bit, kernel, up_to, workspace
from jaxflow.flow.exact._fill import NO_WAY, WAYS, fill_pairs, ways_of
from jaxflow.flow.exact._phases import first_flow, next_flow
from jaxflow.flow.exact._search import cut_capacity, find_reach, find_reach_of_column, search, write_cut

__all__ = [
    "CLOSED_FORM",
    "FLOW",
    "LAYER_BELOW",
    "NO_WAY",
    "WAYS",
    "closed_form",
    "count_touched",
    "find_reach",
    "find_reach_of_column",
    "reset",
    "solve_columns",
    "solve_pair",
    "solve_pairs",
    "up_to",
    "ways_of",
    "workspace",
]

# What settles a pair, as `solver.STAGES` names it; 0 is a pair that was not solved.
CLOSED_FORM, ONE_PASS, CUT, LAYER_BELOW = range(1, 5)
# A flow this near a cut, relatively, is equal to it: both are sums of up to some thousand doubles.
ROUNDING = 1e-13


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
    """Whether every arc out of the source is full, or every arc into the sink; then `work.seen` is that cut.

    Arcs to nodes that do not reach the sink, as those before it in a decoder, don't count.
    """
    reach, room, seen = work.reach, work.room, work.seen
    top = reach.shape[0] - 1
    open_arcs = False
    for word in range(reach.shape[1]):
        open_arcs |= room[top, source, word] & reach[top, word] != 0
    # The source alone is a cut, and full: all nodes that reach the sink are on its side.
    if not open_arcs:
        seen[:] = reach
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
def solve_pair(work, source, sink, bound):
    """Maximum flow from (above, source) to (0, sink), after `find_reach` for the sink; above is at least 3.

    `bound` is the capacity of any cut, or infinite: a flow that reaches it is not searched for more, and `work.seen`
    is no cut then.

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
    while value < bound * (1 - ROUNDING):
        distance = search(work, source)
        if distance == 0:
            return value, cut_capacity(work, source), CUT, count
        more, count = next_flow(work, source, sink, distance, count)
        value += more
    return value, bound, ONE_PASS, count


@kernel
@no_type_check
def bound_by_column(work, source, bounds):
    """Cuts around the source's own column of nodes: what leaves it above layer 2, and what of layer 2 can go on.

    `bounds[m]` is that of a source at layer m, from 3 up. Where a position mostly attends to itself it is the minimum
    cut of most sinks, at all layers but the last.
    """
    arc, column = work.arc, work.column
    total = 0.0
    for j in range(work.sink.shape[0]):
        total += min(arc[1, source, j, CAPACITY], column[j])
    for m in range(3, work.reach.shape[0] + 1):
        total += work.leaves[m - 1, source]
        bounds[m] = total


@kernel
@no_type_check
def note_column(work, source, column, passed, bounds):
    """The flow through each node (m, source) below the source, which is one from there, into `passed[m]`.

    One that fills the cut of the whole column, `column[m]`, fills those of its lower parts. What is known is kept.
    """
    arc = work.arc
    for m in range(3, work.reach.shape[0]):
        if passed[m] < bounds[m]:
            total = 0.0
            for j in range(work.sink.shape[0]):
                total += arc[m - 1, source, j, FLOW]
            passed[m], bounds[m] = total, column[m]


@kernel
@no_type_check
def count_touched(work, source, sink):
    """How many arcs a pair's flow touches."""
    find_reach(work, sink)
    _, _, _, count = solve_pair(work, source, sink, np.inf)
    reset(work, count)
    return count


@kernel
@no_type_check
def solve_pairs(work, chains, levels, ways, sources, sinks, lower, upper, settled, cuts, passed, bounds):
    """Solve a run of pairs, sorted by sink. `cuts` is empty or has a row (above + 1, token) a pair.

    `passed` and `bounds` are empty, or have a row (above + 1,) a pair for what is known of it at the layers below: a
    flow, and a cut. Flows along `chains` are tried first, at each of `levels`, of the sources that have `ways` there
    (level, token, way); levels below `above` need the rows of `passed`.
    """
    above = work.reach.shape[0]
    for k in range(sources.shape[0]):
        lower[k], upper[k] = 0.0, np.inf
        for m in range(above if passed.shape[0] else 0):
            passed[k, m], bounds[k, m] = 0.0, np.inf
    if levels.shape[0]:
        flow, bound = np.empty(lower.shape[0]), np.empty(lower.shape[0])
        for at in range(levels.shape[0]):
            m = levels[at]
            fill_pairs(work.arc, work.touched, chains, m, ways[at], sources, sinks, flow, bound)
            for k in range(sources.shape[0]):
                if m < above:
                    passed[k, m], bounds[k, m] = flow[k], bound[k]
                else:
                    lower[k], upper[k] = flow[k], bound[k]
    last, column = -1, np.empty(above + 1)
    for k in range(sources.shape[0]):
        source, sink = sources[k], sinks[k]
        if lower[k] >= upper[k]:
            settled[k] = ONE_PASS
            continue
        # Which nodes reach a sink at all is found once for all its sources.
        if sink != last:
            find_reach(work, sink)
            last = sink
        bound_by_column(work, source, column)
        # A cut that is to be returned comes from a search.
        least = column[above]
        bound = np.inf if cuts.shape[0] else least
        lower[k], upper[k], settled[k], count = solve_pair(work, source, sink, bound)
        # One number and stage whatever proved it: sums of the same arcs differ in their last digits.
        if upper[k] >= least * (1 - ROUNDING):
            upper[k], settled[k] = least, ONE_PASS
        if cuts.shape[0]:
            write_cut(work, source, sink, cuts[k])
        if passed.shape[0]:
            note_column(work, source, column, passed[k], bounds[k])
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
        lower[k], upper[k], _, count = solve_pair(work, source, source, np.inf)
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
    nodes, last = capacity.shape[1], -1
    row = np.empty(nodes if above == 2 else 0)
    for k in range(sources.shape[0]):
        source, sink = sources[k], sinks[k]
        if above == 1:
            value[k] = capacity[0, source, sink]
        else:
            # All sinks of a source at once, along the rows of the matrix; one by one where each pair has its own.
            if source != last:
                row[:] = 0.0
                last = source
                following = k + 1 < sources.shape[0] and sources[k + 1] == source
                if following:
                    for i in range(nodes):
                        for j in range(nodes):
                            row[j] += min(capacity[1, source, i], capacity[0, i, j])
                else:
                    for i in range(nodes):
                        row[sink] += min(capacity[1, source, i], capacity[0, i, sink])
                    last = -1
            value[k] = row[sink]
        if cuts.shape[0]:
            # By the closed forms: node i between goes to the side whose arc is the smaller one, which is cut.
            cuts[k] = False
            cuts[k, above, source] = True
            for i in range(nodes):
                cuts[k, 0, i] = i != sink
                if above == 2:
                    cuts[k, 1, i] = capacity[1, source, i] > capacity[0, i, sink]
