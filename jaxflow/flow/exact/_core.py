"""Maximum flow through a core: shortest augmenting paths, by labels that are raised one by one.

A label is a lower bound of a node's distance from the sink (Ahuja and Orlin 1991). Unlike Dinic's phases nothing is
searched anew: a node's label is raised when the search is at it and has no way on. Where no node has some label, those
above cannot reach the sink any more.
"""

from typing import no_type_check

from jaxflow.flow.exact._bits import kernel
from jaxflow.flow.exact._source import bound_by_cuts, grow_zone
from jaxflow.flow.exact._zones import (
    OPEN,
    find_core,
    forget,
    keep_cut,
    settle_core,
)


@kernel
@no_type_check
def solve_sinks(arcs, row, core, sinks, tol, lower, upper):
    """Flows from the row's source into some sinks, in the order of falling `row.bound`.

    Gaps between flow and bound are below `tol` times the flow, but for arcs that are not listed at all.
    """
    for k in range(sinks.shape[0]):
        sink = sinks[k]
        bound = bound_by_cuts(arcs, row, sink, row.bound[sink])
        # No path, or one that carries all that there can be.
        if row.width[sink] == 0 or row.width[sink] >= bound:
            lower[k], upper[k] = min(row.width[sink], bound), bound
            continue
        grow_zone(arcs, row, row.bound[sink])
        part = row.inexact[0]
        while True:
            least = part * bound
            nodes_listed, nodes, count, flow, inner, lost = find_core(arcs, row, core, sink, bound, least)
            flow = settle_core(arcs, row, core, nodes, bound, flow, least)
            _join(core, nodes, count)
            flow += _augment(core, nodes)
            if lost <= tol * flow or part == 0:
                # What is above the bound is so by rounding, or as no cut through the core is a minimum cut.
                lower[k], upper[k] = min(flow, bound), min(bound, flow + lost)
                keep_cut(arcs, row, core, nodes, inner + lost, least)
                forget(core, nodes_listed)
                row.inexact[0] = max(part, 1e-20) * (2 if lost < 0.02 * tol * flow else 1)
                break
            # Too much was left out: once more, with smaller arcs.
            forget(core, nodes_listed)
            part = 0.03 * part if part > 1e-30 else 0.0


@kernel
@no_type_check
def _join(core, nodes, count):
    """Make the residual graph of the core's open nodes: each arc beside its opposite."""
    begin, settled, next_arc = core.begin, core.settled, core.current
    for k in range(nodes + 1):
        begin[k] = 0
    open_arcs = 0
    for a in range(count):
        tail, head = core.tail[a], core.head[a]
        if settled[tail] == OPEN and settled[head] == OPEN:
            core.tail[open_arcs], core.head[open_arcs], core.capacity[open_arcs] = tail, head, core.capacity[a]
            open_arcs += 1
            begin[tail + 1] += 1
            begin[head + 1] += 1
    for k in range(nodes):
        begin[k + 1] += begin[k]
        next_arc[k] = begin[k]
        if settled[k] != OPEN:
            core.supply[k] = core.demands[k] = 0.0
    for a in range(open_arcs):
        tail, head = core.tail[a], core.head[a]
        forth, back = next_arc[tail], next_arc[head]
        next_arc[tail] = forth + 1
        next_arc[head] = back + 1
        core.to[forth], core.room[forth], core.back[forth] = head, core.capacity[a], back
        core.to[back], core.room[back], core.back[back] = tail, 0.0, forth


@kernel
@no_type_check
def _find_labels(core, nodes):
    """Each node's distance from the sink in the residual graph; -1 where there is no way."""
    label, queue, front, queued = core.label, core.queue, 0, 0
    for k in range(nodes):
        label[k] = -1
        if core.demands[k] > 0:
            label[k] = 1
            queue[queued] = k
            queued += 1
    while front < queued:
        k = queue[front]
        front += 1
        for a in range(core.begin[k], core.begin[k + 1]):
            other = core.to[a]
            if label[other] < 0 and core.room[core.back[a]] > 0:
                label[other] = label[k] + 1
                queue[queued] = other
                queued += 1


@kernel
@no_type_check
def _augment(core, nodes):
    """The maximum flow; then the nodes that can reach the sink have labels, all others -1."""
    supply, demand, label, count, waiting = core.supply, core.demands, core.label, core.labelled, core.queue
    total = 0.0
    for k in range(nodes):
        amount = min(supply[k], demand[k])
        supply[k] -= amount
        demand[k] -= amount
        total += amount
    _find_labels(core, nodes)
    # Labels of nodes without a way are `top`.
    top, number = nodes + 2, 0
    for k in range(nodes + 3):
        count[k] = 0
    for k in range(nodes):
        label[k] = label[k] if label[k] >= 0 else top
        count[label[k]] += 1
        core.current[k] = core.begin[k]
        if supply[k] > 0 and label[k] < top:
            waiting[number] = k
            number += 1
    # From the nodes with supply, those of the least label first.
    distance = 1
    while number > 0 and distance < top:
        further, k = top, 0
        while k < number:
            start = waiting[k]
            if label[start] <= distance and supply[start] > 0:
                total += _send(core, nodes, start, distance)
            if supply[start] > 0 and label[start] < top:
                further = min(further, label[start])
                k += 1
            else:
                number -= 1
                waiting[k] = waiting[number]
        distance = further
    _find_labels(core, nodes)
    return total


@kernel
@no_type_check
def _send(core, nodes, start, distance):
    """Send what one node has along paths that fall by one label an arc, until its own label is above `distance`."""
    to, room, back = core.to, core.room, core.back
    supply, demand, label, current = core.supply, core.demands, core.label, core.current
    path, path_arcs = core.path, core.path_arcs
    depth, total = 0, 0.0
    path[0] = start
    while supply[start] > 0 and label[start] <= distance:
        k = path[depth]
        if label[k] == 1 and demand[k] > 0:
            amount = min(supply[start], demand[k])
            for step in range(depth):
                amount = min(amount, room[path_arcs[step]])
            supply[start] -= amount
            demand[k] -= amount
            total += amount
            # Back to the first arc that is full.
            reached = depth
            for step in range(depth - 1, -1, -1):
                a = path_arcs[step]
                room[a] -= amount
                room[back[a]] += amount
                if room[a] <= 0:
                    reached = step
            depth = reached
            continue
        a, last, below = current[k], core.begin[k + 1], label[k] - 1
        while a < last and (label[to[a]] != below or room[a] <= 0):
            a += 1
        current[k] = a
        if a < last:
            path_arcs[depth] = a
            depth += 1
            path[depth] = to[a]
        else:
            _raise(core, nodes, k)
            depth = max(depth - 1, 0)
    return total


@kernel
@no_type_check
def _raise(core, nodes, k):
    """Raise a node's label to one more than the lowest that it has an arc to."""
    label, count, top = core.label, core.labelled, nodes + 2
    before, lowest = label[k], top
    if core.demands[k] > 0:
        lowest = 1
    else:
        for a in range(core.begin[k], core.begin[k + 1]):
            if core.room[a] > 0:
                lowest = min(lowest, label[core.to[a]] + 1)
    label[k] = lowest
    count[before] -= 1
    count[lowest] += 1
    core.current[k] = core.begin[k]
    if count[before] == 0:
        for other in range(nodes):
            if before < label[other] < top:
                count[label[other]] -= 1
                label[other] = top
                count[top] += 1
