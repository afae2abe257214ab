"""A flow along chains that fills a plain cut, which proves both: most of the rows of diffuse attention are settled so.

What the source's chain sends goes down the chains of other positions. From there it enters the sink's chain or the sink
itself; where that way is full it hops to another chain first, once. Loops over all positions of a layer do the work.
Nothing is searched: where too little gets through, the pair is another solver's.

A deep source that attends to few positions sends too little by its own chain alone. Its flow is spread over the nodes
of a layer some layers below instead, once for all sinks (`spread`), and each sink collects from there, in the same way.

Why no arc carries more than it can: the source's own arcs carry what `_send` allows them, and the sink's what `passes`
counts. Another chain's own arcs carry no more than was sent to it and its spare room together. An arc between chains
is used once, into the sink's chain (`collected`), into a hub's, or by a hop (`used`).
"""

from typing import no_type_check

import numpy as np

from jaxflow.flow.exact._bits import inlined, kernel, wide
from jaxflow.flow.exact._chains import (
    HUBS,
    MOST_HUBS,
    TOUCHED,
    bound_by_chains,
    memory_of,
    plan,
    split_column,
    spread,
    total_of,
)
from jaxflow.flow.exact._hops import enter, hop_down, make_room, stack

# A flow this near a cut, relatively, is equal to it: both are sums of up to some thousand doubles.
_ROUNDING = 1e-13
# Arcs into the sink that are so many times the mean are large.
_HUB = 8.0
# One sink in 16 of a source is tried, so many at most. The source is left if less than this part of them is settled, or
# none of the first few: a search takes up to ten times as long as such a flow, and no longer where few arcs are large.
_TRIED, _PART, _LEAST, _FAILED = 12, 16, 0.3, 4
# A source's way: none; its own chain; or the number, 2 or more, of the layer that its flow is spread over.
NO_WAY, OWN_CHAIN = -1, 0
# How far below the source that layer is.
_BELOW = (3, 4)
# The most ways of a source; they are tried one after the other.
WAYS = len(_BELOW) + 1


@kernel
@no_type_check
def ways_of(arc, touched, chains, above, source, sinks, ways):
    """Write the ways that settle enough of a source's sinks, by some of them from all over: the best first."""
    shares, count = np.zeros(WAYS), 0
    for at in range(WAYS):
        base = OWN_CHAIN if at == 0 else above - _BELOW[at - 1]
        if at and base < 2:
            break
        share = _settled(arc, touched, chains, above, base, source, sinks)
        if share >= _LEAST:
            # In front of those that settle less.
            place = count
            while place and shares[place - 1] < share:
                shares[place], ways[place] = shares[place - 1], ways[place - 1]
                place -= 1
            shares[place], ways[place] = share, base
            count += 1
        # Nothing is left for others.
        if share == 1:
            break


@kernel
@no_type_check
def _settled(arc, touched, chains, above, base, source, sinks):
    """The part of the sinks that were tried which a way settles."""
    memory, step, k = _memory(chains, above, base, source), _stride(sinks.shape[0]), 0
    tried, settled, most = 0, 0, max(2, min(_TRIED, sinks.shape[0] // _PART))
    for _ in range(sinks.shape[0]):
        # Sinks stand in the order of what enters them: the first few are like no others.
        k = (k + step) % sinks.shape[0]
        flow, bound = _fill(arc, touched, chains, memory, source, sinks[k], above, base)
        _forget(arc, touched, memory)
        # What cannot be reached says nothing of the others.
        tried += source != sinks[k] and bound > 0
        settled += flow >= bound > 0
        if tried == most or (tried == _FAILED and settled == 0):
            break
    return settled / max(tried, 1)


@kernel
@no_type_check
def fill_pairs(arc, touched, chains, above, ways, sources, sinks, lower, upper):
    """Flows along chains and plain cuts of some pairs; those that meet are both proven. Sources are at layer 3 or up.

    A source without ways (int64, token way) is left: flow 0 and a bound that is infinite. `arc` and `touched` are a
    workspace's, clean before and after.
    """
    lower[:], upper[:] = 0.0, np.inf
    # A source's pairs one after the other, whatever order they come in.
    order, memory = np.argsort(sources, kind="mergesort"), memory_of(above, 0)
    for at in range(WAYS):
        last = -1
        for k in order:
            source = sources[k]
            way = ways[source, at]
            if way == NO_WAY or lower[k] >= upper[k]:
                continue
            if source != last:
                memory = _memory(chains, above, way, source)
                last = source
            flow, upper[k] = _fill(arc, touched, chains, memory, source, sinks[k], above, way)
            lower[k] = max(lower[k], flow)
            _forget(arc, touched, memory)


@kernel
@no_type_check
def _memory(chains, above, base, source):
    """Memory for a source's sinks, with what they share."""
    if base == OWN_CHAIN:
        memory = memory_of(above, chains.own.shape[1])
        plan(chains, memory, source, above)
    else:
        memory = memory_of(base + 1, chains.own.shape[1])
        spread(chains, memory, source, above, base)
    return memory


@kernel
@no_type_check
def _forget(arc, touched, memory):
    """Take the hops and hubs of a pair back."""
    flows = arc.ravel()
    for t in range(memory.state[TOUCHED]):
        flows[2 * touched[t] + 1] = 0.0
    memory.state[TOUCHED] = 0
    for h in range(memory.state[HUBS]):
        memory.is_hub[memory.hubs[h]] = False


@kernel
@no_type_check
def _stride(count):
    """A step that leads round to each of so many places, far from the one before."""
    step = max(1, int(0.618 * count))
    while step > 1:
        one, other = step, count
        while other:
            one, other = other, one % other
        if one == 1:
            break
        step -= 1
    return step


@kernel
@no_type_check
def _fill(arc, touched, chains, memory, source, sink, above, base):
    """A pair's flow, by one of the ways of its source, and the least plain cut."""
    want = memory.want
    direct = split_column(chains.columns[0, sink], chains.rows[1, source], want)
    bound = bound_by_chains(chains, source, sink, above, direct)
    if bound == 0 or source == sink:
        return 0.0, bound
    if base != OWN_CHAIN:
        # The source's own way down is part of what it has spread.
        want[:] = chains.columns[0, sink]
        memory.sent[:] = 0.0
        memory.sent[base] = memory.supply
        # No chain but the sink's is left out.
        return bound - _collect(arc, touched, chains, memory, sink, sink, base + 1, bound, bound), bound
    # The source's chain is not used further down.
    want[source] = 0.0
    if not _send(chains, memory, source, sink, above, direct):
        return 0.0, bound
    return bound - _collect(arc, touched, chains, memory, source, sink, above, bound - direct, bound), bound


@kernel
@no_type_check
def _collect(arc, touched, chains, memory, source, sink, above, need, bound):
    """Let what was sent from layer `above` get to the sink; how much of `need` did not, 0 where that is rounding."""
    want, pool, state = memory.want, memory.pool, memory.state
    state[HUBS] = 0
    _nothing_used(memory.used)
    # The sink's own chain comes first.
    open_sink, want[sink] = want[sink], 0.0
    nothing = _ROUNDING * bound
    _scale(memory.room, 1.0, memory.spare)
    _find_hubs(memory)
    need -= _descend(chains, memory, sink, above, open_sink)
    for h in range(state[HUBS]):
        want[memory.hubs[h]] = 0.0
    # What nodes of layer 1 cannot take has to enter the sink's chain higher up.
    short = need - total_of(want)
    if short > nothing:
        stack(pool)
        need -= enter(chains, memory, source, sink, open_sink, short)
    need -= _stay(pool[1], want, memory.stays)
    if need > nothing:
        stack(pool)
        need -= hop_down(chains, memory, need, nothing)
        if need > nothing:
            need -= make_room(arc, touched, memory, source, sink, need, nothing)
        if need > nothing and short <= nothing:
            need -= enter(chains, memory, source, sink, open_sink, need)
    return need if need > nothing else 0.0


@kernel
@no_type_check
def _send(chains, memory, source, sink, above, direct):
    """Give each chain what the source's can send it; false where its own arcs do not even carry `direct`."""
    own, emitted, sent = chains.own, memory.emitted, memory.sent
    for m in range(2, above):
        if direct > own[m, source]:
            return False
    total = direct
    for a in range(2, above):
        # All that leaves the chain at arcs a or below passes its arcs above.
        room = np.inf
        for m in range(a + 1, above):
            room = min(room, own[m, source])
        room = max(room - total, 0.0)
        to_sink = min(emitted[a, sink], room)
        others = memory.leaves[a] - emitted[a, sink]
        part = 1.0 if others <= room - to_sink else (room - to_sink) / others
        _scale(emitted[a], part, sent[a])
        sent[a, sink] = to_sink
        total += to_sink + part * others
    return True


@wide
@no_type_check
def _scale(numbers, part, out):
    for k in range(out.shape[0]):
        out[k] = part * numbers[k]


@kernel
@no_type_check
def _nothing_used(used):
    for b in range(used.shape[0]):
        for j in range(used.shape[1]):
            used[b, j, 0], used[b, j, 1] = used.shape[1], 0


@kernel
@no_type_check
def _find_hubs(memory):
    """The positions with the largest arcs into the sink, as far as they are far above the mean."""
    want, hubs, state = memory.want, memory.hubs, memory.state
    large, count = _HUB * total_of(want) / want.shape[0], 0
    for i in range(want.shape[0]):
        if want[i] > large:
            place = count
            if count < MOST_HUBS:
                count += 1
            else:
                # In the place of the least of them.
                place = 0
                for h in range(1, count):
                    place = h if want[hubs[h]] < want[hubs[place]] else place
                if want[i] <= want[hubs[place]]:
                    continue
            hubs[place] = i
    for h in range(count):
        memory.is_hub[hubs[h]] = True
    state[HUBS] = count


@kernel
@no_type_check
def _descend(chains, memory, sink, above, open_sink):
    """Let all that was sent go down, and into the chains of hubs and sink where an arc leads there; what got there."""
    want, pool, sent, passes, spare = memory.want, memory.pool, memory.sent, memory.passes, memory.spare
    into, to_hubs = 0.0, 0.0
    _scale(pool[above - 1], 0.0, pool[above - 1])
    for b in range(above - 2, 0, -1):
        # The source's own arc into the sink's chain.
        into = min(into + sent[b + 1, sink], _room_below(chains, sink, b + 1, open_sink))
        sent[b + 1, sink] = 0.0
        passes[b] = into
        _add(pool[b + 1], sent[b + 1], pool[b])
        for h in range(memory.state[HUBS]):
            i = memory.hubs[h]
            room = want[i] if b == 1 else min(want[i], spare[i])
            kept, pool[b, i] = pool[b, i], 0.0
            amount = _take(pool[b], chains.columns[b, i], room, memory.left)
            pool[b, i] = kept
            want[i] = max(want[i] - amount, 0.0)
            # It goes down from node (b, i).
            spare[i] -= amount if b > 1 else 0.0
            to_hubs += amount
        # The source's arcs further down need their room.
        below = 0.0
        for a in range(2, b + 1):
            below += sent[a, sink]
        room = _room_below(chains, sink, b, open_sink) - into - below
        into += _take(pool[b], chains.columns[b, sink], room, memory.collected[b])
    passes[0] = into
    return into + to_hubs


@inlined
@no_type_check
def _room_below(chains, sink, layer, open_sink):
    """What can go down the sink's chain from a layer."""
    room = open_sink
    for m in range(1, layer):
        room = min(room, chains.own[m, sink])
    return room


@wide
@no_type_check
def _add(one, other, out):
    for k in range(out.shape[0]):
        out[k] = one[k] + other[k]


@wide
@no_type_check
def _take(pool, column, room, taken):
    """Take what arcs can carry, or the same part of each where that is more than `room`; how much."""
    total = 0.0
    for j in range(pool.shape[0]):
        total += pool[j] if pool[j] < column[j] else column[j]
    room = max(room, 0.0)
    part = 1.0 if total <= room else room / total
    for j in range(pool.shape[0]):
        amount = part * (pool[j] if pool[j] < column[j] else column[j])
        taken[j] = amount
        pool[j] -= amount
    return min(total, room)


@wide
@no_type_check
def _stay(pool, want, stays):
    """Let what came down to layer 1 go on into the sink; how much."""
    total = 0.0
    for j in range(pool.shape[0]):
        amount = pool[j] if pool[j] < want[j] else want[j]
        stays[j] = amount
        pool[j] -= amount
        want[j] -= amount
        total += amount
    return total
