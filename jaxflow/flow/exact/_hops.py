"""Hops from chain to chain: what a flow along chains could not send straight goes through one position more.

A chain that has some left offers it to all others, from the first that still wants any on, and takes what its arc and
their want allow, a block of positions at a time. All arcs that it passed over so count as used.
"""

from typing import no_type_check

import numpy as np

from jaxflow.flow.exact._bits import CAPACITY, FLOW, ONE, inlined, kernel, wide
from jaxflow.flow.exact._chains import BLOCK, HUBS, TOUCHED

# Detours that are looked at before a pair is given up, a position.
_LOOKS = 8


@kernel
@no_type_check
def stack(pool):
    """Make `pool[b]` what may hop from a node of layer b + 1: of what is left at the bottom, all that came so far.

    What was used on the way down is counted as what was sent last, so that as much as can be is left from further up.
    """
    for b in range(2, pool.shape[0] - 1):
        _lower(pool[b], pool[b - 1])


@wide
@no_type_check
def _lower(numbers, limits):
    for k in range(numbers.shape[0]):
        numbers[k] = numbers[k] if numbers[k] < limits[k] else limits[k]


@kernel
@no_type_check
def enter(chains, memory, source, sink, open_sink, amount):
    """Hop to chains whose arcs into the sink's chain have room, the highest first; how much got there."""
    left, passes = memory.left, memory.passes
    above, total = passes.shape[0], 0.0
    for c in range(above - 3, 0, -1):
        room = amount - total
        for m in range(c):
            room = min(room, (chains.own[m, sink] if m else open_sink) - passes[m])
        if room <= 0:
            continue
        _subtract(chains.columns[c, sink], memory.collected[c], left)
        left[source] = left[sink] = 0.0
        for h in range(memory.state[HUBS]):
            left[memory.hubs[h]] = 0.0
        sent = 0.0
        for b in range(above - 2, c, -1):
            if sent < room:
                spare = memory.spare if b > c + 1 else memory.free
                sent += _ship(chains.rows, memory.pool, b, left, spare, memory.used, memory.block, room - sent)
        total += sent
        for m in range(c):
            passes[m] += sent
    return total


@wide
@no_type_check
def _subtract(one, other, out):
    for k in range(out.shape[0]):
        out[k] = one[k] - other[k]


@kernel
@no_type_check
def hop_down(chains, memory, need, nothing):
    """Hop to chains whose arcs into the sink have room; how much got there."""
    sent = 0.0
    for b in range(1, memory.pool.shape[0] - 1):
        if sent < need - nothing:
            spare = memory.spare if b > 1 else memory.free
            sent += _ship(chains.rows, memory.pool, b, memory.want, spare, memory.used, memory.block, need - sent)
    return sent


@wide
@no_type_check
def _ship(rows, pool, b, wanted, spare, used, block, limit):
    """Hops at arcs b of what is left in chains to those that want it, `limit` at most; how much.

    Chains have spare room for what they carry further down. Of chain j's arcs those in `used[b, j]`, from one position
    to another, are taken.
    """
    # Numbers without a sign: with one, every index might count from the end, and no loop would take several at once.
    size, front, sent = np.uint64(wanted.shape[0]), np.uint64(0), 0.0
    for j in range(wanted.shape[0]):
        offered = min(pool[b, j], limit - sent)
        if offered <= 0:
            continue
        while front < size and wanted[front] <= 0:
            front += ONE
        at, rest = max(front, np.uint64(used[b, j, 1])), offered
        used[b, j, 0] = min(used[b, j, 0], np.int64(at))
        while at < size and rest > 0:
            stop, total = min(at + BLOCK, size), 0.0
            for i in range(at, stop):
                most = rows[b, j, i] if rows[b, j, i] < wanted[i] else wanted[i]
                block[i - at] = most if most < spare[i] else spare[i]
                total += block[i - at]
            if total > rest:
                total = _first(block, stop - at, rest)
            for i in range(at, stop):
                wanted[i] -= block[i - at]
                spare[i] -= block[i - at]
            rest -= total
            at = stop
        used[b, j, 1] = max(used[b, j, 1], np.int64(at))
        _use(pool, b, j, offered - rest)
        sent += offered - rest
    return sent


@kernel
@no_type_check
def _first(amounts, count, limit):
    """Keep amounts up to a sum, and nothing after it; the sum."""
    rest = limit
    for k in range(count):
        amounts[k] = min(amounts[k], rest)
        rest -= amounts[k]
    return limit


@inlined
@no_type_check
def _use(pool, b, j, amount):
    """Take what hopped at arcs b from chain j."""
    rest = pool[b, j] - amount
    # It is missing at all layers below, and what is left here limits what is left of it above.
    for k in range(1, b):
        pool[k, j] -= amount
    for k in range(b, pool.shape[0] - 1):
        pool[k, j] = min(pool[k, j], rest)


@kernel
@no_type_check
def make_room(arc, touched, memory, source, sink, need, nothing):
    """Hop at arcs 1 to a chain that is full, and let as much of what went down it hop on; how much got there."""
    pool, want, stays, state, used = memory.pool, memory.want, memory.stays, memory.state, memory.used
    tokens, sent, looks = want.shape[0], 0.0, _LOOKS * want.shape[0]
    for j in range(tokens):
        if pool[1, j] <= 0:
            continue
        for i in range(tokens):
            if want[i] <= 0 or pool[1, j] <= 0:
                continue
            for k in range(tokens):
                if pool[1, j] <= 0 or want[i] <= 0 or sent >= need - nothing or looks <= 0:
                    break
                if stays[k] <= 0 or k in (j, i, source, sink) or memory.is_hub[k]:
                    continue
                looks -= 1
                if used[1, j, 0] <= k < used[1, j, 1] or used[1, k, 0] <= i < used[1, k, 1]:
                    continue
                amount = min(want[i], stays[k], pool[1, j])
                amount = min(amount, arc[1, j, k, CAPACITY] - arc[1, j, k, FLOW])
                amount = min(amount, arc[1, k, i, CAPACITY] - arc[1, k, i, FLOW])
                if amount > 0:
                    _note(arc, touched, state, j, k, amount)
                    _note(arc, touched, state, k, i, amount)
                    _use(pool, 1, j, amount)
                    stays[k] -= amount
                    want[i] -= amount
                    sent += amount
    return sent


@inlined
@no_type_check
def _note(arc, touched, state, i, j, amount):
    """Note a flow from (2, i) to (1, j), to be forgotten after the pair."""
    if arc[1, i, j, FLOW] == 0:
        touched[state[TOUCHED]] = (arc.shape[1] + i) * arc.shape[1] + j
        state[TOUCHED] += 1
    arc[1, i, j, FLOW] += amount
