"""Searches from the sink: which nodes can reach it, how far they are, and the cut where the source cannot."""

from typing import no_type_check

import numpy as np

from jaxflow.flow.exact._bits import CAPACITY, ONE, bit, kernel, lowest_bit


@kernel
@no_type_check
def find_reach(work, sink):
    """Fill `work.column` and `work.reach`, which all sources of a sink share. Cost: layer * token * word."""
    reach, into, column, arc, arcs = work.reach, work.sink, work.column, work.arc, work.arcs
    reach[:] = 0
    for i in range(into.shape[0]):
        column[i] = arc[0, i, sink, CAPACITY]
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
    seen, level, into, room, sends = work.seen, work.level, work.sink, work.room, work.sends
    above, words = seen.shape
    seen[:] = 0
    level[1] = 0
    for i in range(into.shape[0]):
        if into[i] > 0:
            level[1, 1, i >> 6] |= bit(i)
            seen[1, i >> 6] |= bit(i)
    distance = 1
    while True:
        found = False
        level[distance + 1] = 0
        for layer in range(1, above):
            occupied = ONE & ~ONE
            for word in range(words):
                occupied |= level[distance, layer, word]
            if not occupied:
                continue
            if layer + 1 < above:
                found |= spread(room, layer, seen, level, distance, layer, layer + 1)
            else:
                for word in range(words):
                    if room[layer, source, word] & level[distance, layer, word]:
                        return distance + 1
            if layer > 1:
                found |= spread(sends, layer - 1, seen, level, distance, layer, layer - 1)
        if not found:
            return 0
        distance += 1


@kernel
@no_type_check
def spread(rows, row, seen, level, distance, layer, beside):
    """Put the unseen nodes of the layer `beside` that have an arc into the front at the next distance."""
    found = False
    words = rows.shape[2]
    for i in range(rows.shape[1]):
        if seen[beside, i >> 6] & bit(i):
            continue
        for word in range(words):
            if rows[row, i, word] & level[distance, layer, word]:
                seen[beside, i >> 6] |= bit(i)
                level[distance + 1, beside, i >> 6] |= bit(i)
                found = True
                break
    return found


@kernel
@no_type_check
def cut_capacity(work, source):
    """What all arcs into `work.seen`, the sink's side, can carry, summed afresh."""
    seen, into, arcs, arc, column = work.seen, work.sink, work.arcs, work.arc, work.column
    above, words = seen.shape
    total = 0.0
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
