"""Blocking flows: the first, over a layer graph without flow, and the later ones, over the residual graph.

Both are depth-first. A node of the path is offered what its arc and its parent have, and hands out what it was offered
until nothing is left of it or no way out is; each arc is written once a visit, not once a path.
"""

from typing import no_type_check

import numpy as np

from jaxflow.flow.exact._bits import CAPACITY, FLOW, ONE, bit, choose, kernel, lowest_bit


@kernel
@no_type_check
def push(arc, room, sends, touched, count, layer, i, j, amount, space):
    """Send `amount` along (layer + 1, i) -> (layer, j), which has `space`; how many arcs were touched by now."""
    before = arc[layer, i, j, FLOW]
    capacity = arc[layer, i, j, CAPACITY]
    after = before + amount
    # By rounding an arc may be full although less than its space was sent. Selections here, not branches: which arc
    # fills is beyond any branch prediction.
    full = (amount == space) | (after >= capacity)
    arc[layer, i, j, FLOW] = capacity if full else after
    room[layer, i, j >> 6] &= ~(np.uint64(full) << np.uint64(j & 63))
    sends[layer, j, i >> 6] |= bit(i)
    touched[min(count, touched.shape[0] - 1)] = (layer * arc.shape[1] + i) * arc.shape[1] + j
    return count + (before == 0)


@kernel
@no_type_check
def take_back(arc, room, sends, layer, i, j, amount):
    """Take `amount` of the flow on (layer + 1, i) -> (layer, j) back."""
    if amount == arc[layer, i, j, FLOW]:
        arc[layer, i, j, FLOW] = 0.0
        sends[layer, j, i >> 6] &= ~bit(i)
    else:
        arc[layer, i, j, FLOW] -= amount
    # By rounding a full arc may still be full.
    if arc[layer, i, j, FLOW] < arc[layer, i, j, CAPACITY]:
        room[layer, i, j >> 6] |= bit(j)


@kernel
@no_type_check
def last_hop(arc, room, sends, touched, into, level, count, i, j, left):
    """Send what is possible of `left` along (2, i) -> (1, j) -> sink; the amount and the new count."""
    space = arc[1, i, j, CAPACITY] - arc[1, i, j, FLOW]
    rest = into[j]
    amount = min(left, space, rest)
    into[j] = rest - amount
    level[1, 1, j >> 6] &= ~(np.uint64(amount == rest) << np.uint64(j & 63))
    return amount, push(arc, room, sends, touched, count, 1, i, j, amount, space)


@kernel
@no_type_check
def last_hops(arc, room, sends, touched, into, level, count, i, sink, left):
    """Send what is possible of `left` from (2, i) to the sink, in the order of `choose`.

    Returns:
        What was sent, what is left, and the new count of touched arcs.
    """
    sent = 0.0
    for first in range(2):
        j = i if first == 0 else sink
        if room[1, i, j >> 6] & level[1, 1, j >> 6] & bit(j):
            amount, count = last_hop(arc, room, sends, touched, into, level, count, i, j, left)
            sent += amount
            left -= amount
            if left == 0:
                return sent, left, count
    for word in range(room.shape[2]):
        both = room[1, i, word] & level[1, 1, word]
        while both:
            j = (word << 6) + np.int64(lowest_bit(both))
            both &= both - ONE
            amount, count = last_hop(arc, room, sends, touched, into, level, count, i, j, left)
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
    arc, room, sends, level, into, touched = work.arc, work.room, work.sends, work.level, work.sink, work.touched
    node_of, offered, left, sent_of = work.node_of, work.offered, work.left, work.sent
    count = np.int64(0)
    above = level.shape[1]
    layer = above
    node_of[layer] = source
    offered[layer] = left[layer] = np.inf
    sent_of[layer] = 0.0
    while True:
        i = node_of[layer]
        if layer > 2:
            j = choose(room, layer - 1, i, level, layer - 1, layer - 1, i, sink)
            if j >= 0:
                layer -= 1
                space = arc[layer, i, j, CAPACITY] - arc[layer, i, j, FLOW]
                node_of[layer] = j
                offered[layer] = left[layer] = min(left[layer + 1], space)
                sent_of[layer] = 0.0
                continue
            if layer == above:
                return sent_of[above], count
        else:
            sent_of[2], left[2], count = last_hops(arc, room, sends, touched, into, level, count, i, sink, left[2])
        # Back to the nearest node of the path that has something left to send.
        while True:
            done = left[layer] == 0
            # What was offered and used up was sent to the last bit: then the arc is full or the parent is done.
            sent = offered[layer] if done else sent_of[layer]
            j = node_of[layer]
            if not done:
                level[layer, layer, j >> 6] &= ~bit(j)
            if sent > 0:
                i = node_of[layer + 1]
                space = arc[layer, i, j, CAPACITY] - arc[layer, i, j, FLOW]
                count = push(arc, room, sends, touched, count, layer, i, j, sent, space)
                left[layer + 1] -= sent
                sent_of[layer + 1] += sent
            layer += 1
            if layer == above or left[layer] > 0:
                break


@kernel
@no_type_check
def next_flow(work, source, sink, distance, count):
    """A blocking flow of the residual graph, over the levels that `search` left.

    Returns:
        The amount that reached the sink and the new count of touched arcs.
    """
    arc, room, sends, level, into, touched = work.arc, work.room, work.sends, work.level, work.sink, work.touched
    layer_of, node_of, offered, left, sent_of = work.layer_of, work.node_of, work.offered, work.left, work.sent
    above = level.shape[1]
    depth = 0
    layer_of[0], node_of[0] = above, source
    offered[0] = left[0] = np.inf
    sent_of[0] = 0.0
    while True:
        layer, i, ahead = layer_of[depth], node_of[depth], distance - depth - 1
        j, below, space = np.int64(-1), layer - 1, 0.0
        if layer > 1:
            j = choose(room, layer - 1, i, level, ahead, below, i, sink)
        if j >= 0:
            space = arc[below, i, j, CAPACITY] - arc[below, i, j, FLOW]
        elif layer + 1 < above:
            below = layer + 1
            j = choose(sends, layer, i, level, ahead, below, i, source)
            if j >= 0:
                space = arc[layer, j, i, FLOW]
        if j < 0:
            if depth == 0:
                return sent_of[0], count
            level[ahead + 1, layer, i >> 6] &= ~bit(i)
        else:
            amount = min(left[depth], space)
            depth += 1
            layer_of[depth], node_of[depth] = below, j
            offered[depth] = left[depth] = amount
            sent_of[depth] = 0.0
            if ahead > 1:
                continue
            # One arc from the sink there is nothing to choose.
            if into[j] <= amount:
                amount = into[j]
                into[j] = 0.0
                level[1, 1, j >> 6] &= ~bit(j)
            else:
                into[j] -= amount
            left[depth] -= amount
            sent_of[depth] = amount
        while True:
            sent = sent_of[depth] if left[depth] > 0 else offered[depth]
            layer, i = layer_of[depth], node_of[depth]
            depth -= 1
            if sent > 0:
                parent = node_of[depth]
                if layer_of[depth] > layer:
                    space = arc[layer, parent, i, CAPACITY] - arc[layer, parent, i, FLOW]
                    count = push(arc, room, sends, touched, count, layer, parent, i, sent, space)
                else:
                    take_back(arc, room, sends, layer - 1, i, parent, sent)
                left[depth] -= sent
                sent_of[depth] += sent
            if depth == 0 or left[depth] > 0:
                break
