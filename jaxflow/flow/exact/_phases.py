"""Blocking flows: the first, over a layer graph without flow, and the later ones, over the residual graph.

Both are depth-first. A node of the path is offered what its arc and its parent have, and hands out what it was offered
until nothing is left of it or no way out is; each arc is written once a visit, not once a path.
"""

from typing import no_type_check

import numpy as np

from jaxflow.flow.exact._bits import CAPACITY, FLOW, ONE, bit, choose, kernel, lowest_bit


@kernel
@no_type_check
def push(work, count, layer, i, j, amount, space):
    """Send `amount` along (layer + 1, i) -> (layer, j), which has `space`; how many arcs were touched by now."""
    before = work.arc[layer, i, j, FLOW]
    capacity = work.arc[layer, i, j, CAPACITY]
    after = before + amount
    # By rounding an arc may be full although less than its space was sent. Selections here, not branches: which arc
    # fills is beyond any branch prediction.
    full = (amount == space) | (after >= capacity)
    work.arc[layer, i, j, FLOW] = capacity if full else after
    work.room[layer, i, j >> 6] &= ~(np.uint64(full) << np.uint64(j & 63))
    work.sends[layer, j, i >> 6] |= bit(i)
    work.touched[min(count, work.touched.shape[0] - 1)] = (layer * work.sink.shape[0] + i) * work.sink.shape[0] + j
    return count + (before == 0)


@kernel
@no_type_check
def take_back(work, layer, i, j, amount):
    """Take `amount` of the flow on (layer + 1, i) -> (layer, j) back."""
    if amount == work.arc[layer, i, j, FLOW]:
        work.arc[layer, i, j, FLOW] = 0.0
        work.sends[layer, j, i >> 6] &= ~bit(i)
    else:
        work.arc[layer, i, j, FLOW] -= amount
    # By rounding a full arc may still be full.
    if work.arc[layer, i, j, FLOW] < work.arc[layer, i, j, CAPACITY]:
        work.room[layer, i, j >> 6] |= bit(j)


@kernel
@no_type_check
def last_hop(work, count, i, j, left):
    """Send what is possible of `left` along (2, i) -> (1, j) -> sink; the amount and the new count."""
    space = work.arc[1, i, j, CAPACITY] - work.arc[1, i, j, FLOW]
    rest = work.sink[j]
    amount = min(left, space, rest)
    work.sink[j] = rest - amount
    work.level[1, 1, j >> 6] &= ~(np.uint64(amount == rest) << np.uint64(j & 63))
    return amount, push(work, count, 1, i, j, amount, space)


@kernel
@no_type_check
def last_hops(work, count, i, sink, left):
    """Send what is possible of `left` from (2, i) to the sink, in the order of `choose`.

    Returns:
        What was sent, what is left, and the new count of touched arcs.
    """
    sent = 0.0
    for first in range(2):
        j = i if first == 0 else sink
        if work.room[1, i, j >> 6] & work.level[1, 1, j >> 6] & bit(j):
            amount, count = last_hop(work, count, i, j, left)
            sent += amount
            left -= amount
            if left == 0:
                return sent, left, count
    for word in range(work.room.shape[2]):
        both = work.room[1, i, word] & work.level[1, 1, word]
        while both:
            j = (word << 6) + np.int64(lowest_bit(both))
            both &= both - ONE
            amount, count = last_hop(work, count, i, j, left)
            sent += amount
            left -= amount
            if left == 0:
                return sent, left, count
    return sent, left, count


@kernel
@no_type_check
def first_flow(work, source, sink):
    """The blocking flow of a layer graph without flow, where the distance from the sink is the layer; layer above 2.

    Returns:
        The amount that reached the sink and the count of touched arcs.
    """
    count = np.int64(0)
    above = work.reach.shape[0]
    layer = above
    work.node_of[layer] = source
    work.offered[layer] = work.left[layer] = np.inf
    work.sent[layer] = 0.0
    while True:
        i = work.node_of[layer]
        if layer > 2:
            j = choose(work.room, layer - 1, i, work.level, layer - 1, layer - 1, i, sink)
            if j >= 0:
                layer -= 1
                space = work.arc[layer, i, j, CAPACITY] - work.arc[layer, i, j, FLOW]
                work.node_of[layer] = j
                work.offered[layer] = work.left[layer] = min(work.left[layer + 1], space)
                work.sent[layer] = 0.0
                continue
            if layer == above:
                return work.sent[above], count
        else:
            work.sent[2], work.left[2], count = last_hops(work, count, i, sink, work.left[2])
        # Back to the nearest node of the path that has something left to send.
        while True:
            done = work.left[layer] == 0
            # What was offered and used up was sent to the last bit: then the arc is full or the parent is done.
            sent = work.offered[layer] if done else work.sent[layer]
            j = work.node_of[layer]
            if not done:
                work.level[layer, layer, j >> 6] &= ~bit(j)
            if sent > 0:
                i = work.node_of[layer + 1]
                space = work.arc[layer, i, j, CAPACITY] - work.arc[layer, i, j, FLOW]
                count = push(work, count, layer, i, j, sent, space)
                work.left[layer + 1] -= sent
                work.sent[layer + 1] += sent
            layer += 1
            if layer == above or work.left[layer] > 0:
                break


@kernel
@no_type_check
def next_flow(work, source, sink, distance, count):
    """A blocking flow of the residual graph, over the levels that `search` left.

    Returns:
        The amount that reached the sink and the new count of touched arcs.
    """
    above = work.reach.shape[0]
    depth = 0
    work.layer_of[0], work.node_of[0] = above, source
    work.offered[0] = work.left[0] = np.inf
    work.sent[0] = 0.0
    while True:
        layer, i, ahead = work.layer_of[depth], work.node_of[depth], distance - depth - 1
        j, below, space = np.int64(-1), layer - 1, 0.0
        if layer > 1:
            j = choose(work.room, layer - 1, i, work.level, ahead, below, i, sink)
        if j >= 0:
            space = work.arc[below, i, j, CAPACITY] - work.arc[below, i, j, FLOW]
        elif layer + 1 < above:
            below = layer + 1
            j = choose(work.sends, layer, i, work.level, ahead, below, i, source)
            if j >= 0:
                space = work.arc[layer, j, i, FLOW]
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
            # One arc from the sink there is nothing to choose.
            if work.sink[j] <= amount:
                amount = work.sink[j]
                work.sink[j] = 0.0
                work.level[1, 1, j >> 6] &= ~bit(j)
            else:
                work.sink[j] -= amount
            work.left[depth] -= amount
            work.sent[depth] = amount
        while True:
            sent = work.sent[depth] if work.left[depth] > 0 else work.offered[depth]
            layer, i = work.layer_of[depth], work.node_of[depth]
            depth -= 1
            if sent > 0:
                parent = work.node_of[depth]
                if work.layer_of[depth] > layer:
                    space = work.arc[layer, parent, i, CAPACITY] - work.arc[layer, parent, i, FLOW]
                    count = push(work, count, layer, parent, i, sent, space)
                else:
                    take_back(work, layer - 1, i, parent, sent)
                work.left[depth] -= sent
                work.sent[depth] += sent
            if depth == 0 or work.left[depth] > 0:
                break
