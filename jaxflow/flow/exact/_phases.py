"""Blocking flows: the first, over a layer graph without flow, and the later ones, over the residual graph.

Both are depth-first. A node of the path is offered what its arc and its parent have, and hands out what it was offered
until nothing is left of it or no way out is; each arc is written once a visit, not once a path.
"""

from typing import no_type_check

import numpy as np

from jaxflow.flow.exact._bits import ONE, bit, inlined, kernel, lowest_bit


@kernel
@no_type_check
def push(arc, room, sends, touched, count, at, row, column, i, j, amount, space):
    """Send `amount` along the arc numbered `at`, from i to j, which has `space`; how many arcs were touched by now."""
    capacity, before = arc[2 * at], arc[2 * at + 1]
    after = before + amount
    # By rounding an arc may be full although less than its space was sent. Selections here, not branches: which arc
    # fills is beyond any branch prediction.
    full = (amount == space) | (after >= capacity)
    arc[2 * at + 1] = capacity if full else after
    room[row + (j >> 6)] &= ~(np.uint64(full) << np.uint64(j & 63))
    sends[column + (i >> 6)] |= bit(i)
    touched[min(count, touched.shape[0] - 1)] = at
    return count + (before == 0)


@kernel
@no_type_check
def take_back(arc, room, sends, at, row, column, i, j, amount):
    """Take `amount` of the flow on the arc numbered `at`, from i to j, back."""
    after = 0.0 if amount == arc[2 * at + 1] else arc[2 * at + 1] - amount
    arc[2 * at + 1] = after
    if after == 0:
        sends[column + (i >> 6)] &= ~bit(i)
    # By rounding a full arc may still be full.
    if after < arc[2 * at]:
        room[row + (j >> 6)] |= bit(j)


@kernel
@no_type_check
def pick(members, own, preferred):
    """What of a set is in `own`, else in `preferred`, else all of it; by selections, which no predictor can miss."""
    second = members & preferred
    rest = second if second else members
    first = members & own
    return first if first else rest


@kernel
@no_type_check
def choose(rows, row, level, place, words, own, preferred):
    """A member of the sets at `rows[row:]` and `level[place:]`: `own` first, then `preferred`, else the lowest.

    -1 where there is none. The solver numbers positions by falling column sums, so that low bits have large arcs.
    """
    if words == 1:
        members = pick(rows[row] & level[place], bit(own), bit(preferred))
        return np.int64(lowest_bit(members)) if members else np.int64(-1)
    first = rows[row + (own >> 6)] & level[place + (own >> 6)] & bit(own)
    second = rows[row + (preferred >> 6)] & level[place + (preferred >> 6)] & bit(preferred)
    if first | second:
        return own if first else preferred
    for word in range(words):
        members = rows[row + word] & level[place + word]
        if members:
            return (word << 6) + np.int64(lowest_bit(members))
    return np.int64(-1)


@inlined
@no_type_check
def hand_out(arc, room, sends, level, touched, into, left, sent_of, above, words, i, sink, count, takers):
    """Send what node i of layer 2 has left over all its hops, in the order of `choose`; the new counts.

    Layer 1 hangs on the sink by one arc a node, so that a hop there is known at once: what fits through both arcs.
    """
    nodes = into.shape[0]
    line, bottom = nodes + i, (above + 1) * words  # where the set of layer 1 at distance 1 stands
    row = line * words
    rest, sent = left[2], 0.0
    # With one word, `pick` puts the hops in order. With more, `word` counts rounds: -2 is i itself, -1 the sink's
    # position, then come the words of the set from the first on.
    word, shift = -2, i >> 6
    hops = room[row + shift] & level[bottom + shift]
    if words > 1:
        hops &= bit(i)
    while True:
        while hops:
            low = lowest_bit(pick(hops, bit(i), bit(sink)) if words == 1 else hops)
            j = (shift << 6) + np.int64(low)
            hops &= ~(ONE << low)
            at = line * nodes + j
            space = arc[2 * at] - arc[2 * at + 1]
            taken = into[j]
            amount = min(rest, space, taken)
            into[j] = taken - amount
            # A node whose arc into the sink is full takes no more: it leaves the set.
            level[bottom + shift] &= ~(np.uint64(amount == taken) << low)
            takers -= amount == taken
            count = push(arc, room, sends, touched, count, at, row, (nodes + j) * words, i, j, amount, space)
            sent += amount
            rest -= amount
            if rest == 0:
                break
        word += 1
        if rest == 0 or word == words or words == 1:
            break
        shift = sink >> 6 if word < 0 else word
        hops = room[row + shift] & level[bottom + shift]
        if word < 0:
            hops &= bit(sink)
    left[2], sent_of[2] = rest, sent
    return count, takers


@kernel
@no_type_check
def first_flow(work, source, sink):
    """The blocking flow of a layer graph without flow, where the distance from the sink is the layer; layer above 2.

    The path under way is held by layer: its nodes, what each was offered, what of that is left, and what it sent.

    Returns:
        The amount that reached the sink, the count of touched arcs, and how many arcs into the sink have room left.
    """
    above, words = work.reach.shape
    nodes = work.sink.shape[0]
    arc, room, sends, level = work.arc.ravel(), work.room.ravel(), work.sends.ravel(), work.level.ravel()
    into, touched = work.sink, work.touched
    node_of, offered, left, sent_of = work.node_of, work.offered, work.left, work.sent
    count, takers = np.int64(0), 0
    for i in range(nodes):
        takers += into[i] > 0
    layer = above
    node_of[layer] = source
    # The source may send whatever its arcs hold.
    offered[layer] = left[layer] = np.inf
    sent_of[layer] = 0.0
    # Over as soon as all arcs into the sink are full: they are a cut then, and no search is needed.
    while takers:
        i = np.int64(node_of[layer])
        line = (layer - 1) * nodes + i
        if layer > 2:
            # Down one arc, to a node that has not been given up (it is in the set of its layer and distance).
            j = choose(room, line * words, level, (layer - 1) * (above + 1) * words, words, i, sink)
            if j >= 0:
                layer -= 1
                at = 2 * (line * nodes + j)
                node_of[layer] = j
                offered[layer] = left[layer] = min(left[layer + 1], arc[at] - arc[at + 1])
                sent_of[layer] = 0.0
                continue
            if layer == above:
                break
        else:
            count, takers = hand_out(
                arc, room, sends, level, touched, into, left, sent_of, above, words, i, sink, count, takers
            )
        # Back up the path to the nearest node with something left to send. The arc into each node that is left is
        # written here, once for all that it sent on. In place: as functions this loop and that of `next_flow` cost a
        # fifth of the solver's time.
        while True:
            done = left[layer] == 0
            # What was offered and used up was sent to the last bit: then the arc is full or the parent is done.
            sent = offered[layer] if done else sent_of[layer]
            j = np.int64(node_of[layer])
            # A node that could not send all it was offered has no way on: no other path need try it.
            if not done:
                level[layer * (above + 1) * words + (j >> 6)] &= ~bit(j)
            if sent > 0:
                i = np.int64(node_of[layer + 1])
                line = layer * nodes + i
                at = line * nodes + j
                space = arc[2 * at] - arc[2 * at + 1]
                column = (layer * nodes + j) * words
                count = push(arc, room, sends, touched, count, at, line * words, column, i, j, sent, space)
                left[layer + 1] -= sent
                sent_of[layer + 1] += sent
            layer += 1
            if layer == above or (left[layer] > 0 and takers):
                break
    return sent_of[above], count, takers


@kernel
@no_type_check
def next_flow(work, source, sink, distance, count):
    """A blocking flow of the residual graph, over the levels that `search` left.

    Returns:
        The amount that reached the sink and the new count of touched arcs.
    """
    above, words = work.reach.shape
    nodes = work.sink.shape[0]
    arc, room, sends, level = work.arc.ravel(), work.room.ravel(), work.sends.ravel(), work.level.ravel()
    into, touched = work.sink, work.touched
    layer_of, node_of, offered, left, sent_of = work.layer_of, work.node_of, work.offered, work.left, work.sent
    # The path may turn, so it is held by its length, not by layer. `ahead` is the distance from the next node to the
    # sink; only arcs to nodes at just that distance are followed.
    depth = 0
    layer_of[0], node_of[0] = above, source
    offered[0] = left[0] = np.inf
    sent_of[0] = 0.0
    while True:
        layer, i, ahead = np.int64(layer_of[depth]), np.int64(node_of[depth]), distance - depth - 1
        j, below, space = np.int64(-1), layer - 1, 0.0
        # Down an arc with room, or up an arc that brings flow here, which is taken back. In place: as a function this
        # choice made the solver take 1.3 times as long, although the compiler was told to put it here.
        if layer > 1:
            line = below * nodes + i
            j = choose(room, line * words, level, (ahead * above + below) * words, words, i, sink)
        if j >= 0:
            at = 2 * (line * nodes + j)
            space = arc[at] - arc[at + 1]
        elif layer + 1 < above:
            below = layer + 1
            row = (layer * nodes + i) * words
            j = choose(sends, row, level, (ahead * above + below) * words, words, i, source)
            if j >= 0:
                space = arc[2 * ((layer * nodes + j) * nodes + i) + 1]
        if j < 0:
            if depth == 0:
                return sent_of[0], count
            # No way on: the node leaves its level, and the loop below goes back.
            level[((ahead + 1) * above + layer) * words + (i >> 6)] &= ~bit(i)
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
                level[(above + 1) * words + (j >> 6)] &= ~bit(j)
            else:
                into[j] -= amount
            left[depth] -= amount
            sent_of[depth] = amount
        # Back as in `first_flow`, along a path that may turn.
        while True:
            sent = sent_of[depth] if left[depth] > 0 else offered[depth]
            layer, i = np.int64(layer_of[depth]), np.int64(node_of[depth])
            depth -= 1
            if sent > 0:
                parent = np.int64(node_of[depth])
                if layer_of[depth] > layer:
                    line = layer * nodes + parent
                    at = line * nodes + i
                    space = arc[2 * at] - arc[2 * at + 1]
                    column = (layer * nodes + i) * words
                    count = push(arc, room, sends, touched, count, at, line * words, column, parent, i, sent, space)
                else:
                    # The path went up here: the arc from this node down to its parent carries that much less.
                    line = (layer - 1) * nodes + i
                    column = ((layer - 1) * nodes + parent) * words
                    take_back(arc, room, sends, line * nodes + parent, line * words, column, i, parent, sent)
                left[depth] -= sent
                sent_of[depth] += sent
            if depth == 0 or left[depth] > 0:
                break
