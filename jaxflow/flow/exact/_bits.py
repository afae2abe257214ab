"""Sets of nodes as 64-bit words, and the workspace that the compiled parts share.

Nodes of layer `m` are written `(m, i)`; the arc `(m, i) -> (m - 1, j)` has the index `[m - 1, i, j]`. Which arcs out of
a node have room, which nodes send flow into a node, and which nodes lie at each distance from the sink are sets of up
to `token` members. The next arc to follow is then one intersection and one count of trailing zeros, however many arcs
are exhausted, and a search of the whole residual graph costs `layer * token * token / 64` word operations.

Signatures of compiled functions carry no annotations and are exempt from run-time checks: Numba would have to compile
the checks too. They index whole arrays, as every slice in a loop would count references.
"""

from typing import Any, NamedTuple, no_type_check

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from jaxflow._cache import numba_kernel

kernel: Any = numba_kernel(nogil=True, error_model="numpy", boundscheck=False)
# A step of one kernel, made a part of it: as a call it would hand over a dozen arrays, seven words each.
inlined: Any = numba.njit(forceinline=True, nogil=True, error_model="numpy", boundscheck=False)
# A loop over all positions that adds up in any order, so that a processor takes several at once.
wide: Any = numba_kernel(
    nogil=True, error_model="numpy", boundscheck=False, fastmath={"reassoc", "nsz", "contract", "nnan", "ninf"}
)

ONE = np.uint64(1)
CAPACITY, FLOW = 0, 1


class Workspace(NamedTuple):
    """What one thread keeps for one example and source layer; between pairs only touched entries are reset.

    `above` is the source's layer: layers 1 to `above - 1` lie between source and sink. Flow is stored, not residual
    capacity: in a graph without cycles no arc carries more than the value, so rounding stays relative to the value
    however large the capacities are.
    """

    arc: np.ndarray  # float64 (above, token, token, 2): capacity and flow, side by side for the cache
    arcs: np.ndarray  # uint64 (above, token, word): the arcs there are, a row's heads
    room: np.ndarray  # uint64 (above, token, word): those of them that can take more
    sends: np.ndarray  # uint64 (above, token, word): the nodes of the layer above that send flow into a node
    level: np.ndarray  # uint64 (distance, above, word): nodes at each distance from the sink that are not exhausted
    reach: np.ndarray  # uint64 (above, word): nodes that can reach the sink at all
    seen: np.ndarray  # uint64 (above, word): nodes found by a search from the sink
    leaves: np.ndarray  # float64 (above, token): what a node can send other positions than its own
    column: np.ndarray  # float64 (token,): capacities of the arcs into the sink
    sink: np.ndarray  # float64 (token,): room left on them
    layer_of: np.ndarray  # uint32 (distance,): the current path, source first
    node_of: np.ndarray  # uint32 (distance,)
    offered: np.ndarray  # float64 (distance,): what a node of the path was offered
    left: np.ndarray  # float64 (distance,): what of it is still to be sent on
    sent: np.ndarray  # float64 (distance,): what it sent; summed, as the difference of large offers would lose it
    touched: np.ndarray  # int64 (arcs,): arcs whose flow was made positive, as flat indices


def workspace(capacity: np.ndarray, above: int) -> Workspace:
    """A clean workspace for sources at layer `above` of `capacity` (layer, token, token)."""
    nodes = capacity.shape[-1]
    words = (nodes + 63) // 64
    arcs = pack(capacity[:above])
    # A node's distance from the sink is at most the number of nodes; pages that are never reached cost nothing.
    longest = (above - 1) * nodes + 3
    return Workspace(
        arc=_without_flow(capacity[:above], np.empty((above, nodes, nodes, 2))),
        arcs=arcs,
        room=arcs.copy(),
        sends=np.zeros((above, nodes, words), np.uint64),
        level=np.empty((longest, above, words), np.uint64),
        reach=np.zeros((above, words), np.uint64),
        seen=np.zeros((above, words), np.uint64),
        leaves=leaves_of(capacity[:above]),
        column=np.zeros(nodes),
        sink=np.zeros(nodes),
        layer_of=np.zeros(longest, np.uint32),
        node_of=np.zeros(longest, np.uint32),
        offered=np.zeros(longest),
        left=np.zeros(longest),
        sent=np.zeros(longest),
        touched=np.zeros(above * nodes * nodes + 1, np.int64),
    )


@kernel
@no_type_check
def _without_flow(capacity, arc):
    """Capacity and flow of each arc, which share a cache line, as every push needs both."""
    layers, nodes, _ = capacity.shape
    for layer in range(layers):
        for i in range(nodes):
            for j in range(nodes):
                arc[layer, i, j, CAPACITY] = capacity[layer, i, j]
                arc[layer, i, j, FLOW] = 0.0
    return arc


@wide
@no_type_check
def leaves_of(capacity):
    """What each node can send other positions than its own, `layer token`."""
    layers, nodes, _ = capacity.shape
    leaves = np.empty((layers, nodes))
    for layer in range(layers):
        for i in range(nodes):
            total = 0.0
            for j in range(i):
                total += capacity[layer, i, j]
            for j in range(i + 1, nodes):
                total += capacity[layer, i, j]
            leaves[layer, i] = total
    return leaves


@kernel
@no_type_check
def _renumber(capacity, order, out):
    layers, size = capacity.shape[0], order.shape[0]
    for layer in range(layers):
        for i in range(size):
            for j in range(size):
                out[layer, i, j] = capacity[layer, order[i], order[j]]
    return out


def renumbered(capacity: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Capacities of the positions in `order`, in that order, as float64."""
    # Large arrays are NumPy's, which come in large pages: to touch 4 KiB at a time takes as long as to fill them.
    return _renumber(capacity, order, np.empty((len(capacity), len(order), len(order))))


def up_to(work: Workspace, above: int) -> Workspace:
    """The part of a clean workspace that sources at a lower layer need; shares its memory."""
    whole, words = work.reach.shape
    longest = (above - 1) * work.sink.shape[0] + 3
    level = work.level.reshape(-1)[: longest * above * words].reshape(longest, above, words)
    parts = {name: getattr(work, name)[:above] for name in ("arc", "arcs", "room", "sends", "reach", "seen", "leaves")}
    return work if above == whole else work._replace(level=level, **parts)


def pack(capacity: np.ndarray) -> np.ndarray:
    """Which arcs exist, uint64 (layer, token, word)."""
    layers, nodes, _ = capacity.shape
    # Rows are filled up to whole words; node i is bit i % 64 of word i // 64, whatever the machine's byte order.
    wide = np.zeros((layers, nodes, (nodes + 63) // 64 * 64), bool)
    wide[..., :nodes] = capacity > 0
    return np.packbits(wide, axis=-1, bitorder="little").view(np.dtype("<u8")).astype(np.uint64)


def _count_trailing_zeros(typing_context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


# Position of the lowest set bit of a word that is not 0.
lowest_bit: Any = intrinsic(_count_trailing_zeros)


@kernel
@no_type_check
def bit(node):
    """The word that holds only this node's bit."""
    return ONE << np.uint64(node & 63)
