"""Hops from chain to chain: what a flow along chains could not send straight goes through one position more.

Hops are noted arc by arc as the flow of the workspace's arcs, as several kinds of them share an arc.
"""

from typing import no_type_check

from jaxflow.flow.exact._bits import CAPACITY, FLOW, inlined, kernel, wide
from jaxflow.flow.exact._chains import GIVERS, LOOKS, TAKERS, TOUCHED

# Amounts that are wanted are large where they are so many times the mean.
_LARGE = 10.0


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
def enter(work, chains, memory, source, sink, open_sink, amount):
    """Hop to chains whose arcs into the sink's chain have room, the highest first; how much got there."""
    left, takers, state, passes = memory.left, memory.takers, memory.state, memory.passes
    above, total = passes.shape[0], 0.0
    for c in range(above - 3, 0, -1):
        room = amount - total
        for m in range(c):
            room = min(room, (chains.own[m, sink] if m else open_sink) - passes[m])
        if room <= 0:
            continue
        count = 0
        for i in range(left.shape[0]):
            left[i] = chains.columns[c, sink, i] - memory.collected[c, i]
            if left[i] > 0 and i != source and i != sink and not memory.is_hub[i]:
                takers[count] = i
                count += 1
        state[TAKERS] = count
        sent = 0.0
        for b in range(above - 2, c, -1):
            if sent < room and state[TAKERS] > 0:
                _list_givers(memory, b)
                sent += _ship(work, chains, memory, b, c, left, room - sent)
        total += sent
        for m in range(c):
            passes[m] += sent
    return total


@kernel
@no_type_check
def hop_down(work, chains, memory, need, nothing):
    """Hop to chains whose arcs into the sink have room; how much got there."""
    want, state = memory.want, memory.state
    count, sent = 0, 0.0
    for i in range(want.shape[0]):
        if want[i] > 0 and not memory.is_hub[i]:
            memory.takers[count] = i
            count += 1
    state[TAKERS] = count
    for b in range(1, memory.pool.shape[0] - 1):
        if sent < need - nothing and state[TAKERS] > 0:
            _list_givers(memory, b)
            sent += _ship(work, chains, memory, b, 0, want, need - sent)
    return sent


@kernel
@no_type_check
def _list_givers(memory, b):
    pool, count = memory.pool, 0
    for j in range(pool.shape[1]):
        if pool[b, j] > 0:
            memory.givers[count] = j
            count += 1
    memory.state[GIVERS] = count


@kernel
@no_type_check
def _ship(work, chains, memory, b, c, wanted, limit):
    """Hops at arcs b from the givers to the takers, who send it on at arcs c; how much, `limit` at most.

    Takers that want much can have a little from each giver only, so they come first.
    """
    pool, givers, takers, state = memory.pool, memory.givers, memory.takers, memory.state
    arc, touched, spare, rows, columns = work.arc, work.touched, memory.spare, chains.rows, chains.columns
    deep, known = b > c + 1, not memory.hopped[b]
    large, sent = _large_first(wanted, takers, state[TAKERS]), 0.0
    for p in range(large):
        i, q, asked = takers[p], 0, min(wanted[takers[p]], limit - sent)
        rest = asked
        while q < state[GIVERS] and rest > 0:
            j = givers[q]
            amount = _hop(arc, spare, touched, state, deep, b, j, i, min(rest, pool[b, j]), columns[b, i, j], known)
            rest -= amount
            _use(pool, b, j, amount)
            if pool[b, j] > 0:
                q += 1
            else:
                state[GIVERS] -= 1
                givers[q] = givers[state[GIVERS]]
        wanted[i] -= asked - rest
        sent += asked - rest
    takers_end, looks = state[TAKERS], state[LOOKS]
    for k in range(state[GIVERS]):
        j, q, offered = givers[k], large, min(pool[b, givers[k]], limit - sent)
        rest = offered
        while q < takers_end and rest > 0 and looks > 0:
            i = takers[q]
            looks -= 1
            amount = _hop(arc, spare, touched, state, deep, b, j, i, min(rest, wanted[i]), rows[b, j, i], known)
            rest -= amount
            wanted[i] -= amount
            if wanted[i] > 0:
                q += 1
            else:
                takers_end -= 1
                takers[q] = takers[takers_end]
        _use(pool, b, j, offered - rest)
        sent += offered - rest
    # Large ones that have all they wanted leave the list as well.
    count = 0
    for q in range(takers_end):
        if wanted[takers[q]] > 0:
            takers[count] = takers[q]
            count += 1
    state[TAKERS], state[LOOKS] = count, looks
    memory.hopped[b] = True
    return sent


@kernel
@no_type_check
def _large_first(wanted, takers, count):
    """Put those who want far more than the mean at the front, the largest first; how many."""
    total, large = 0.0, 0
    for q in range(count):
        total += wanted[takers[q]]
    for q in range(count):
        if wanted[takers[q]] > _LARGE * total / count:
            takers[q], takers[large] = takers[large], takers[q]
            large += 1
    for p in range(large):
        most = p
        for q in range(p + 1, large):
            most = q if wanted[takers[q]] > wanted[takers[most]] else most
        takers[p], takers[most] = takers[most], takers[p]
    return large


@inlined
@no_type_check
def _hop(arc, spare, touched, state, deep, b, j, i, amount, capacity, known):
    """Move what arc b from chain j to chain i can take of an amount, and note it; how much.

    `deep`: chain i carries it further down. `known`: arcs b have no flow yet.
    """
    before = 0.0 if known else arc[b, j, i, FLOW]
    amount = min(amount, capacity - before)
    if deep:
        amount = min(amount, spare[i])
    if amount <= 0 or i == j:
        return 0.0
    if deep:
        spare[i] -= amount
    if before == 0:
        touched[state[TOUCHED]] = (b * spare.shape[0] + j) * spare.shape[0] + i
        state[TOUCHED] += 1
    arc[b, j, i, FLOW] = before + amount
    return amount


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
def make_room(work, chains, memory, source, sink, need, nothing):
    """Hop at arcs 1 to a chain that is full, and let as much of what went down it hop on; how much got there."""
    arc, pool, want, stays, state = work.arc, memory.pool, memory.want, memory.stays, memory.state
    givers, takers, rows, spare, touched = memory.givers, memory.takers, chains.rows, memory.spare, work.touched
    sent, looks = 0.0, state[LOOKS]
    _list_givers(memory, 1)
    for p in range(state[GIVERS]):
        j = givers[p]
        for q in range(state[TAKERS]):
            i = takers[q]
            for k in range(want.shape[0]):
                if pool[1, j] <= 0 or want[i] <= 0 or sent >= need - nothing or looks <= 0:
                    break
                if stays[k] <= 0 or k in (j, i, source, sink) or memory.is_hub[k]:
                    continue
                looks -= 1
                amount = min(want[i], stays[k], pool[1, j], arc[1, k, i, CAPACITY] - arc[1, k, i, FLOW])
                amount = _hop(arc, spare, touched, state, False, 1, j, k, amount, rows[1, j, k], False)
                if amount > 0:
                    amount = _hop(arc, spare, touched, state, False, 1, k, i, amount, rows[1, k, i], False)
                    _use(pool, 1, j, amount)
                    stays[k] -= amount
                    want[i] -= amount
                    sent += amount
    return sent
