"""What flows along chains read and work on, and the cuts that they may fill.

A position's chain is its nodes of all layers, joined by the arcs to itself. Arcs numbered `m` lead from layer m + 1 to
layer m. Plain cuts are those around the source's chain, from some layer up, and around the sink's, up to some layer.
"""

from typing import NamedTuple, no_type_check

import numpy as np

from jaxflow.flow.exact._bits import kernel, leaves_of, wide

# Entries of `Memory.state`: how many arcs have their flow noted, and how many hubs there are.
TOUCHED, HUBS = range(2)
# Positions that hops are looked at together for.
BLOCK = np.uint64(16)
# Positions whose arc into the sink is large are served first, this many at most.
MOST_HUBS = 3


class Chains(NamedTuple):
    """An example's capacities as flows along chains read them."""

    rows: np.ndarray  # float64 (layer, token, token): capacities
    columns: np.ndarray  # float64 (layer, token, token): the same, by the arc's end
    own: np.ndarray  # float64 (layer, token): capacities of the arcs from a position to itself
    leaves: np.ndarray  # float64 (layer, token): all that a node can send other positions
    enters: np.ndarray  # float64 (layer, token): all that they can send it


class Memory(NamedTuple):
    """What one call of a kernel works on, for sources up to layer `above`."""

    emitted: np.ndarray  # float64 (above, token): what the source's chain can send each other chain
    leaves: np.ndarray  # float64 (above,): sums of these
    supply: np.ndarray  # float64 (token,): what the source has spread over the nodes of a layer
    room: np.ndarray  # float64 (token,): what a chain can take besides
    sent: np.ndarray  # float64 (above, token): what the source's chain sends, for one sink
    pool: np.ndarray  # float64 (above, token): what of it passes each arc of a chain; then what of that may hop there
    collected: np.ndarray  # float64 (above, token): what each chain sends the sink's
    passes: np.ndarray  # float64 (above,): what passes the arcs of the sink's chain
    want: np.ndarray  # float64 (token,): room of the arcs into the sink
    left: np.ndarray  # float64 (token,): room of the arcs into a higher node of the sink's chain
    stays: np.ndarray  # float64 (token,): what goes down a chain and into the sink
    spare: np.ndarray  # float64 (token,): what is left of `room`
    free: np.ndarray  # float64 (token,): room without end, for what does not go down a chain
    block: np.ndarray  # float64 (BLOCK,): amounts of a few hops
    used: np.ndarray  # int64 (above, token, 2): from which position to which a chain's arcs to others are taken
    hubs: np.ndarray  # int64 (hub,)
    is_hub: np.ndarray  # bool (token,)
    state: np.ndarray  # int64 (entry,)


def chains_of(capacity: np.ndarray) -> Chains:
    """What flows along chains read of `capacity` (layer, token, token): 8 bytes an arc more."""
    columns = _turn(capacity, np.empty(capacity.shape))
    own = np.ascontiguousarray(np.einsum("lii->li", capacity))
    return Chains(capacity, columns, own, leaves_of(capacity), leaves_of(columns))


@kernel
@no_type_check
def _turn(capacity, out):
    """Each layer's matrix transposed, in blocks that stay in the caches."""
    layers, tokens, _ = capacity.shape
    for layer in range(layers):
        for i in range(0, tokens, 16):
            for j in range(0, tokens, 16):
                for k in range(i, min(i + 16, tokens)):
                    for m in range(j, min(j + 16, tokens)):
                        out[layer, m, k] = capacity[layer, k, m]
    return out


def no_chains() -> Chains:
    """For graphs and sources where flows along chains are not tried."""
    return Chains(*(np.empty((0,) * axes) for axes in (3, 3, 2, 2, 2)))


@kernel
@no_type_check
def memory_of(above, tokens):
    """Memory for one call."""
    return Memory(
        np.zeros((above, tokens)),
        np.zeros(above),
        np.zeros(tokens),
        np.zeros(tokens),
        np.zeros((above, tokens)),
        np.zeros((above, tokens)),
        np.zeros((above, tokens)),
        np.zeros(above),
        np.zeros(tokens),
        np.zeros(tokens),
        np.zeros(tokens),
        np.zeros(tokens),
        np.full(tokens, 1e300),
        np.zeros(BLOCK),
        np.zeros((above, tokens, 2), np.int64),
        np.zeros(MOST_HUBS, np.int64),
        np.zeros(tokens, np.bool_),
        np.zeros(2, np.int64),
    )


@kernel
@no_type_check
def plan(chains, memory, source, above):
    """What the source's chain can send other chains, cut down where a chain could not carry all of it."""
    rows, own, emitted, leaves, room = chains.rows, chains.own, memory.emitted, memory.leaves, memory.room
    tokens = room.shape[0]
    for j in range(tokens):
        total, least = 0.0, np.inf
        for a in range(1, above):
            emitted[a, j] = rows[a, source, j] if j != source else 0.0
            total += emitted[a, j] if a > 1 else 0.0
        for m in range(1, above - 1):
            least = min(least, own[m, j])
        if total > least:
            for a in range(2, above):
                emitted[a, j] *= least / total
        room[j] = max(least - total, 0.0)
    for a in range(1, above):
        leaves[a] = total_of(emitted[a])


@kernel
@no_type_check
def spread(chains, memory, source, above, base):
    """What the source can have at the nodes of layer `base`, in `supply`, cut down to what their chains can carry.

    All that can move to other positions moves, layer by layer: what comes out is more even than rollout, which leaves
    half of it where it is.
    """
    rows, own, leaves, supply, below = chains.rows, chains.own, chains.leaves, memory.supply, memory.left
    tokens = supply.shape[0]
    supply[:] = rows[above - 1, source]
    for m in range(above - 2, base - 1, -1):
        below[:] = 0.0
        for k in range(tokens):
            moves = min(supply[k], leaves[m, k])
            if moves > 0:
                _share_out(rows[m, k], k, moves / leaves[m, k], below)
            below[k] += min(supply[k] - moves, own[m, k])
        supply[:] = below
    for k in range(tokens):
        least = np.inf
        for m in range(1, base):
            least = min(least, own[m, k])
        supply[k] = min(supply[k], least)
        memory.room[k] = least - supply[k]


@wide
@no_type_check
def _share_out(row, k, part, below):
    """Send the same part along each arc but that to the position itself."""
    for j in range(k):
        below[j] += part * row[j]
    for j in range(k + 1, row.shape[0]):
        below[j] += part * row[j]


@wide
@no_type_check
def total_of(numbers):
    """Their sum."""
    total = 0.0
    for k in range(numbers.shape[0]):
        total += numbers[k]
    return total


@wide
@no_type_check
def split_column(column, row, want):
    """What goes straight from the source's chain through layer 1 into the sink; `want` is what else may enter it."""
    direct = 0.0
    for i in range(want.shape[0]):
        amount = row[i] if row[i] < column[i] else column[i]
        direct += amount
        want[i] = column[i] - amount
    return direct


@wide
@no_type_check
def least_of_both(column, row, skipped):
    """The sum of the lesser of two numbers, over all positions but one."""
    total = 0.0
    for i in range(row.shape[0]):
        total += row[i] if row[i] < column[i] else column[i]
    return total - min(row[skipped], column[skipped])


@kernel
@no_type_check
def bound_by_chains(chains, source, sink, above, direct):
    """The least of the plain cuts; `direct` is what `split_column` found."""
    own, enters, leaves = chains.own, chains.enters, chains.leaves
    # Around the source's chain from layer m + 1 up; then around all of it, where each node of layer 1 takes the side
    # that costs less.
    total, least = 0.0, np.inf
    for m in range(above - 1, 0, -1):
        if m == 1:
            least = min(least, total + direct)
        total += leaves[m, source]
        least = min(least, total + own[m, source])
    # Around the sink's chain up to layer c; then around all of it but its top, likewise.
    total = 0.0
    for c in range(above - 1):
        if c == above - 2:
            top = chains.rows[above - 1, source]
            least = min(least, total + top[sink] + least_of_both(chains.columns[c, sink], top, sink))
        total += enters[c, sink]
        least = min(least, total + own[c, sink])
    return least
