"""The compiled part of the exact solver: Dinic's algorithm on the layer graph, with sets of nodes as bits.

Nodes of layer `m` are written `(m, i)`; arc `(m, i) -> (m - 1, j)` has capacity `capacity[m - 1, i, j]`. Which arcs
out of a node still have room, which nodes send flow into a node, and which nodes lie at each distance from the sink
are all sets of up to `token` members, held as 64-bit words. The next arc to follow is then one intersection and one
count of trailing zeros, whatever the number of exhausted arcs, and a search of the whole residual graph costs
`layer * token * token / 64` word operations.

Flow is stored, not residual capacity: in an acyclic graph no arc carries more than the value, so rounding stays
relative to the value however large the capacities are. An arc that a push fills is set to its capacity exactly and
leaves its set; an arc whose flow is taken back entirely is set to 0 exactly. The sets are therefore exact, the search
of the last phase is a proof in itself, and every phase is strictly longer than the one before.

Signatures carry no annotations and are exempt from run-time checks: Numba would have to compile the checks too.
Nothing here allocates in proportion to the number of pairs, and nothing holds the GIL.
"""

from typing import Any, NamedTuple, no_type_check

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

kernel: Any = numba.njit(nogil=True, cache=True)

ONE = np.uint64(1)
CLOSED_FORM, SATURATED, PROVEN_BY_CUT = 0, 1, 2


class Workspace(NamedTuple):
    """What one thread keeps for one example: clean between pairs, only touched entries are ever reset.

    `above` is the source's layer; layers run from 1 to `above - 1` between source and sink.
    """

    flow: np.ndarray  # float64 (above, token, token): flow on the arc below each layer, indexed as `capacity`
    room: np.ndarray  # uint64 (above, token, word): arcs that can take more, a row's heads
    sends: np.ndarray  # uint64 (above, token, word): the nodes of the layer above that send flow into a node
    level: np.ndarray  # uint64 (distance, above, word): nodes at each distance from the sink that are not exhausted
    reach: np.ndarray  # uint64 (above, word): nodes that can reach the sink at all
    seen: np.ndarray  # uint64 (above, word): nodes found by a search from the sink
    sink: np.ndarray  # float64 (token,): room left on the arcs into the sink
    layer_of: np.ndarray  # int64 (distance,): the current path, source first
    node_of: np.ndarray  # int64 (distance,)
    offered: np.ndarray  # float64 (distance,): what a node of the path was offered
    left: np.ndarray  # float64 (distance,): what of it is still to be sent on
    sent: np.ndarray  # float64 (distance,): what it sent; summed, as the difference of large offers would lose it
    touched: np.ndarray  # int64 (arcs,): arcs whose flow was made positive, as flat indices


@intrinsic
def lowest_bit(typingctx, word):
    """Position of the lowest set bit of a word that is not 0."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@kernel
@no_type_check
def bit(node):
    """The word that holds only this node's bit."""
    return ONE << np.uint64(node & 63)


@kernel
@no_type_check
def pack(capacity):
    """Which arcs exist, as bits: uint64 (layer, token, word). Cost: layer * token^2."""
    layers, nodes, _ = capacity.shape
    arcs = np.zeros((layers, nodes, (nodes + 63) // 64), np.uint64)
    for layer in range(layers):
        for i in range(nodes):
            for j in range(nodes):
                if capacity[layer, i, j] > 0:
                    arcs[layer, i, j >> 6] |= bit(j)
    return arcs


@kernel
@no_type_check
def find_reach(capacity, arcs, work, sink):
    """Fill `work.reach`: the nodes of each layer that can reach the sink. Cost: layer * token * word, once a sink."""
    layers, words = work.reach.shape
    nodes = capacity.shape[1]
    work.reach[:] = 0
    for i in range(nodes):
        if capacity[0, i, sink] > 0:
            work.reach[1, i >> 6] |= bit(i)
    for layer in range(2, layers):
        for i in range(nodes):
            for word in range(words):
                if arcs[layer - 1, i, word] & work.reach[layer - 1, word]:
                    work.reach[layer, i >> 6] |= bit(i)
                    break


@kernel
@no_type_check
def start(capacity, work, sink):
    """Levels of the first phase: in a layer graph without flow, a node's distance from the sink is its layer."""
    for i in range(capacity.shape[1]):
        work.sink[i] = capacity[0, i, sink]
    for layer in range(1, work.reach.shape[0]):
        work.level[layer, :, :] = 0
        work.level[layer, layer, :] = work.reach[layer]


@kernel
@no_type_check
def search(work, source):
    """Find the distance of every node from the sink in the residual graph, backwards from the sink.

    Returns:
        The source's distance, with `work.level` filled up to it; 0 where the source cannot reach the sink, and then
        `work.seen` is the sink's side of a minimum cut. Cost: token * word a layer, rarely more than once a distance.
    """
    above, words = work.seen.shape
    nodes = work.sink.shape[0]
    work.seen[:] = 0
    work.level[1, :, :] = 0
    for i in range(nodes):
        if work.sink[i] > 0:
            work.level[1, 1, i >> 6] |= bit(i)
            work.seen[1, i >> 6] |= bit(i)
    distance = 1
    while True:
        found = False
        work.level[distance + 1, :, :] = 0
        for layer in range(1, above):
            front = work.level[distance, layer]
            occupied = False
            for word in range(words):
                occupied |= front[word] != 0
            if not occupied:
                continue
            if layer + 1 == above:
                for word in range(words):
                    if work.room[layer, source, word] & front[word]:
                        return distance + 1
            else:
                found |= spread(work.room[layer], front, work.seen[layer + 1], work.level[distance + 1, layer + 1])
            if layer > 1:
                found |= spread(work.sends[layer - 1], front, work.seen[layer - 1], work.level[distance + 1, layer - 1])
        if not found:
            return 0
        distance += 1


@kernel
@no_type_check
def spread(rows, front, seen, level):
    """Add the unseen nodes that have an arc into the front to `seen` and to `level`; whether there were any."""
    nodes, words = rows.shape
    found = False
    for i in range(nodes):
        if seen[i >> 6] & bit(i):
            continue
        for word in range(words):
            if rows[i, word] & front[word]:
                seen[i >> 6] |= bit(i)
                level[i >> 6] |= bit(i)
                found = True
                break
    return found


@kernel
@no_type_check
def first(row, level, own, preferred):
    """A node in both sets, the position's own below it first, then the preferred one; -1 where there is none."""
    if row[own >> 6] & level[own >> 6] & bit(own):
        return own
    if row[preferred >> 6] & level[preferred >> 6] & bit(preferred):
        return preferred
    for word in range(row.shape[0]):
        both = row[word] & level[word]
        if both:
            return (word << 6) + np.int64(lowest_bit(both))
    return -1


@kernel
@no_type_check
def push_down(capacity, work, count, layer, i, j, amount, space):
    """Send `amount` along (layer, i) -> (layer - 1, j), which has `space`; how many arcs were touched by now."""
    flow = work.flow[layer - 1]
    if flow[i, j] == 0:
        if count < work.touched.shape[0]:
            work.touched[count] = ((layer - 1) * flow.shape[0] + i) * flow.shape[0] + j
        count += 1
        work.sends[layer - 1, j, i >> 6] |= bit(i)
    flow[i, j] += amount
    # By rounding an arc may be full although less than its space was sent.
    if amount == space or flow[i, j] >= capacity[layer - 1, i, j]:
        flow[i, j] = capacity[layer - 1, i, j]
        work.room[layer - 1, i, j >> 6] &= ~bit(j)
    return count


@kernel
@no_type_check
def block(capacity, work, source, sink, distance, count):
    """A blocking flow over the levels: each arc of a node is left for good once it is full or leads nowhere.

    A node of the path is offered what its arc and its parent have, and hands out what it was offered until nothing is
    left of it or no way out is; each arc is written once a visit, not once a path.

    Returns:
        The amount that reached the sink, and the new count of touched arcs.
    """
    depth = 0
    work.layer_of[0], work.node_of[0] = work.reach.shape[0], source
    work.offered[0] = work.left[0] = np.inf
    work.sent[0] = 0.0
    while True:
        layer, i, ahead = work.layer_of[depth], work.node_of[depth], distance - depth - 1
        j, below, space = -1, layer - 1, 0.0
        if layer > 1:
            j = first(work.room[layer - 1, i], work.level[ahead, layer - 1], i, sink)
        if j >= 0:
            space = capacity[layer - 1, i, j] - work.flow[layer - 1, i, j]
        elif layer + 1 < work.reach.shape[0]:
            below = layer + 1
            j = first(work.sends[layer, i], work.level[ahead, below], i, source)
            if j >= 0:
                space = work.flow[layer, j, i]
        if j < 0:
            if depth == 0:
                return work.sent[0], count
            work.level[ahead + 1, layer, i >> 6] &= ~bit(i)
        else:
            amount = min(work.left[depth], space)
            depth += 1
            work.layer_of[depth], work.node_of[depth] = below, j
            work.offered[depth] = work.left[depth] = amount
            work.sent[depth] = 0.0
            if ahead > 1:
                continue
            # One arc from the sink: there is nothing to choose, the node takes what its arc into the sink has.
            if work.sink[j] <= amount:
                amount = work.sink[j]
                work.sink[j] = 0.0
                work.level[1, 1, j >> 6] &= ~bit(j)
            else:
                work.sink[j] -= amount
            work.left[depth] -= amount
            work.sent[depth] = amount
        # Back to the nearest node of the path that has something left to send.
        while True:
            # What was offered and used up was sent to the last bit: then either the arc is full or the parent is done.
            sent = work.sent[depth] if work.left[depth] > 0 else work.offered[depth]
            layer, i = work.layer_of[depth], work.node_of[depth]
            depth -= 1
            if sent > 0:
                parent = work.node_of[depth]
                if work.layer_of[depth] > layer:
                    space = capacity[layer, parent, i] - work.flow[layer, parent, i]
                    count = push_down(capacity, work, count, layer + 1, parent, i, sent, space)
                else:
                    take_back(capacity, work, layer, i, parent, sent)
                work.left[depth] -= sent
                work.sent[depth] += sent
            if depth == 0 or work.left[depth] > 0:
                break


@kernel
@no_type_check
def take_back(capacity, work, layer, i, j, amount):
    """Take `amount` of the flow on (layer, i) -> (layer - 1, j) back."""
    flow = work.flow[layer - 1]
    if amount == flow[i, j]:
        flow[i, j] = 0.0
        work.sends[layer - 1, j, i >> 6] &= ~bit(i)
    else:
        flow[i, j] -= amount
    # By rounding a full arc may still be full.
    if flow[i, j] < capacity[layer - 1, i, j]:
        work.room[layer - 1, i, j >> 6] |= bit(j)


@kernel
@no_type_check
def reset(arcs, work, count):
    """Forget a pair: only arcs that were touched, all of them where there were too many to note."""
    if count > work.touched.shape[0]:
        work.flow[:] = 0.0
        work.sends[:] = 0
        work.room[:] = arcs[: work.room.shape[0]]
        return
    nodes = work.sink.shape[0]
    for k in range(count):
        arc = work.touched[k]
        layer, i, j = arc // (nodes * nodes), arc // nodes % nodes, arc % nodes
        work.flow[layer, i, j] = 0.0
        work.sends[layer, j, i >> 6] &= ~bit(i)
        work.room[layer, i, j >> 6] |= bit(j)


@kernel
@no_type_check
def saturated(work, source):
    """1 where every arc out of the source is full, 2 where every arc into the sink is, else 0."""
    full = True
    for word in range(work.reach.shape[1]):
        full &= work.room[work.reach.shape[0] - 1, source, word] == 0
    if full:
        return 1
    for i in range(work.sink.shape[0]):
        if work.sink[i] > 0:
            return 0
    return 2


@kernel
@no_type_check
def cut_capacity(capacity, seen, source, sink):
    """What all arcs from the source's side to the sink's side can carry; `seen` holds the sink's side."""
    above, words = seen.shape
    nodes = capacity.shape[1]
    total = 0.0
    for j in range(nodes):
        if seen[above - 1, j >> 6] & bit(j):
            total += capacity[above - 1, source, j]
    for layer in range(above - 1, 0, -1):
        for i in range(nodes):
            if seen[layer, i >> 6] & bit(i):
                continue
            if layer == 1:
                total += capacity[0, i, sink]
                continue
            for word in range(words):
                left = seen[layer - 1, word]
                while left:
                    total += capacity[layer - 1, i, (word << 6) + np.int64(lowest_bit(left))]
                    left &= left - ONE
    return total


@kernel
@no_type_check
def write_cut(seen, source, sink, cut):
    """The source's side as truth values (above + 1, token): the source alone above, every token but the sink below."""
    above = seen.shape[0]
    cut[:] = False
    cut[above, source] = True
    for i in range(cut.shape[1]):
        cut[0, i] = i != sink
        for layer in range(1, above):
            cut[layer, i] = seen[layer, i >> 6] & bit(i) == 0


@kernel
@no_type_check
def solve_pair(capacity, arcs, work, source, sink):
    """Maximum flow from (above, source) to (0, sink), with `work.reach` that of the sink; above is at least 3.

    Returns:
        The flow's value, the capacity of a cut that proves it, the stage that settled it, and the number of touched
        arcs; `work.flow` holds the flow and `work.seen` the sink's side of the cut. `reset` comes next.
    """
    above = work.reach.shape[0]
    start(capacity, work, sink)
    value, count = block(capacity, work, source, sink, above, 0)
    full = saturated(work, source)
    if full:
        # A cut next to the source has every node on the sink's side, one next to the sink has none.
        work.seen[:] = ~np.uint64(0) if full == 1 else np.uint64(0)
        return value, cut_capacity(capacity, work.seen, source, sink), SATURATED, count
    while True:
        distance = search(work, source)
        if distance == 0:
            return value, cut_capacity(capacity, work.seen, source, sink), PROVEN_BY_CUT, count
        more, count = block(capacity, work, source, sink, distance, count)
        value += more


@kernel
@no_type_check
def solve_pairs(capacity, arcs, work, sources, sinks, lower, upper, stages, cuts):
    """Solve a run of pairs, sorted by sink. `cuts` is empty or has a row (above + 1, token) a pair."""
    last = -1
    for k in range(sources.shape[0]):
        source, sink = sources[k], sinks[k]
        if sink != last:
            find_reach(capacity, arcs, work, sink)
            last = sink
        lower[k], upper[k], stage, count = solve_pair(capacity, arcs, work, source, sink)
        stages[stage] += 1
        if cuts.shape[0]:
            write_cut(work.seen, source, sink, cuts[k])
        reset(arcs, work, count)


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
            cuts[k] = False
            cuts[k, above, source] = True
            for i in range(nodes):
                cuts[k, 0, i] = i != sink
                if above == 2:
                    cuts[k, 1, i] = capacity[1, source, i] > capacity[0, i, sink]
