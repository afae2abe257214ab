"""Searches from the sink: which nodes can reach it, how far they are, and the cut where the source cannot."""

from typing import no_type_check

import numpy as np

from jaxflow.flow.exact._bits import CAPACITY, ONE, bit, kernel, lowest_bit


@kernel
@no_type_check
def find_reach(work, sink):
    """Fill `work.column` and `work.reach`, which all sources of a sink share. Cost: layer * token * word."""
    for i in range(work.sink.shape[0]):
        work.column[i] = work.arc[0, i, sink, CAPACITY]
    find_reach_of_column(work)


@kernel
@no_type_check
def find_reach_of_column(work):
    """Fill `work.reach` for the arcs into the sink that `work.column` holds."""
    reach, into, column, arcs = work.reach, work.sink, work.column, work.arcs
    # Nodes without a path to the sink never enter a level, so no phase ever looks at them.
    reach[:] = 0
    for i in range(into.shape[0]):
        if column[i] > 0:
            reach[1, i >> 6] |= bit(i)
    for layer in range(2, reach.shape[0]):
        for i in range(into.shape[0]):
            for word in range(reach.shape[1]):
                if arcs[layer - 1, i, word] & reach[layer - 1, word]:
                    reach[layer, i >> 6] |= bit(i)
                    break


@kernel
@no_type_check
def search(work, source):
    """Find the distance of every node from the sink in the residual graph, backwards from the sink.

    Returns:
        The source's distance, with `work.level` filled up to it; 0 where the source cannot reach the sink, and then
        `work.seen` is the sink's side of a minimum cut. Cost: token * word a layer, rarely more than once a distance.
    """
    above, words = work.reach.shape
    nodes, into = work.sink.shape[0], work.sink
    seen, level, room, sends = work.seen.ravel(), work.level.ravel(), work.room.ravel(), work.sends.ravel()
    size = above * words
    for word in range(size):
        seen[word] = 0
        level[size + word] = 0
    # Distance 1: nodes of layer 1 with room on their arc into the sink.
    for i in range(nodes):
        here = words + (i >> 6)
        seen[here] |= np.uint64(into[i] > 0) << np.uint64(i & 63)
    for word in range(words, 2 * words):
        level[size + word] = seen[word]
    distance = 1
    # One step further: from the nodes at `distance`, in each layer, to unseen nodes of the layers above and below.
    while True:
        found = False
        front, further = distance * size, (distance + 1) * size
        for word in range(size):
            level[further + word] = 0
        for layer in range(1, above):
            place = front + layer * words
            # A level is empty in most layers; then there is nothing to spread from.
            occupied = ONE & ~ONE
            for word in range(words):
                occupied |= level[place + word]
            if not occupied:
                continue
            # Up against an arc with room: that node could send down here. Above the last layer stands the source alone.
            if layer + 1 < above:
                beside = (layer + 1) * words
                found |= spread(room, layer * nodes * words, seen, beside, level, place, further + beside, nodes, words)
            else:
                row = (layer * nodes + source) * words
                for word in range(words):
                    if room[row + word] & level[place + word]:
                        return distance + 1
            # Down against an arc with flow: that node gets flow from here, and could have it taken back.
            if layer > 1:
                beside = (layer - 1) * words
                found |= spread(sends, beside * nodes, seen, beside, level, place, further + beside, nodes, words)
        if not found:
            return 0
        distance += 1


@kernel
@no_type_check
def spread(rows, row, seen, beside, level, place, further, nodes, words):
    """Put the unseen nodes of a layer that have an arc into the set at `level[place:]` into the one at `further`.

    The layer's sets of arcs begin at `rows[row:]`, what was seen of it at `seen[beside:]`. Whether there were any.
    """
    reached = ONE & ~ONE
    for word in range(words):
        # The word's last bits are no nodes where the nodes end.
        size = min(64, nodes - (word << 6))
        unseen = ~seen[beside + word]
        if size < 64:
            unseen &= (ONE << np.uint64(size)) - ONE
        fresh = ONE & ~ONE
        while unseen:
            low = lowest_bit(unseen)
            unseen &= unseen - ONE
            start = row + ((word << 6) + np.int64(low)) * words
            # Whether the node has an arc into the level: one intersection for each 64 nodes, without a branch.
            hit = ONE & ~ONE
            for other in range(words):
                hit |= rows[start + other] & level[place + other]
            fresh |= np.uint64(hit != 0) << low
        seen[beside + word] |= fresh
        level[further + word] = level[further + word] | fresh
        reached |= fresh
    return reached != 0


@kernel
@no_type_check
def cut_capacity(work, source):
    """What all arcs into `work.seen`, the sink's side, can carry, summed afresh."""
    seen, into, arcs, arc, column = work.seen, work.sink, work.arcs, work.arc, work.column
    above, words = seen.shape
    total = 0.0
    # Arcs from the source's side above to the sink's side below, layer by layer; then the arcs into the sink.
    for layer in range(above - 1, 0, -1):
        for i in range(into.shape[0]):
            if layer + 1 < above:
                if seen[layer + 1, i >> 6] & bit(i):
                    continue
            elif i != source:
                continue
            for word in range(words):
                left = seen[layer, word] & arcs[layer, i, word]
                while left:
                    total += arc[layer, i, (word << 6) + np.int64(lowest_bit(left)), CAPACITY]
                    left &= left - ONE
    for i in range(into.shape[0]):
        if not seen[1, i >> 6] & bit(i):
            total += column[i]
    return total


@kernel
@no_type_check
def write_cut(work, source, sink, cut):
    """The source's side as truth values (above + 1, token): the source alone above, every token but the sink below."""
    seen = work.seen
    above = seen.shape[0]
    cut[:] = False
    cut[above, source] = True
    for i in range(cut.shape[1]):
        cut[0, i] = i != sink
        for layer in range(1, above):
            cut[layer, i] = seen[layer, i >> 6] & bit(i) == 0
