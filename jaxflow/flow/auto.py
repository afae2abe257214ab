"""Exact flow with an accelerator: bounds for every pair, each further stage for what the one before left open.

A batch is taken in parts. While the CPU solves what is left of one, the device is at the bounds of the next.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._programs import Programs
from jaxflow._typing import Queries
from jaxflow.flow import exact
from jaxflow.flow.device.cut import end_cuts
from jaxflow.flow.device.feasible import rounding
from jaxflow.flow.device.relaxed import Relaxed
from jaxflow.flow.device.solvers import SOLVERS, on_device, real_pairs, spread_of
from jaxflow.flow.scaling import fills_on_host, meet_on_host, rounded_down, scale_exponent, scaled, shifted
from jaxflow.flow.solution import FIRST_EXACT, STAGES, FlowSolution
from jaxflow.flow.worker import Worker
from jaxflow.graph.graph import AttentionGraph

# A part is not worth less than this many pairs, and a batch not more parts than this; more of them where one would
# hold more numbers than this (the bounds keep about layer^2 / 2 matrices of an example, and work on as many at once).
PART_PAIRS = 1 << 12
PARTS = 8
PART_NUMBERS = 1 << 28
# Pairs are relaxed in lists of these lengths at least and at most, always a power of two: few programs.
SHORTEST_LIST, LONGEST_LIST = 1 << 8, 1 << 14
# More than what `end_cuts` rounds outward by, in single precision.
ENDS_ROUNDING = 1e-6
# Parts that may wait for the CPU before the device does.
AHEAD = 2

Wanted = Bool[np.ndarray, "example layer query token"]


def begin(
    graph: AttentionGraph, queries: Queries, layers: tuple[int, ...], tol: float, worker: Worker
) -> Callable[[], FlowSolution]:
    """Do the device's share, hand what is left to the worker, and return what waits for it.

    Results depend neither on how long anything takes nor on what else runs. Memory on the device: that of one part's
    bounds, and of one list of pairs.
    """
    batch, tokens = graph.batch_shape, graph.num_tokens
    graph, queries = jax.tree.map(lambda x: x.reshape(-1, *x.shape[len(batch) :]), (graph, queries))
    examples, width = queries.shape
    count = _parts(examples, len(layers) * width * tokens, (max(layers) * tokens) ** 2)
    # `tol` is relative to each example's scale; examples that fill the last part up have scale 1.
    scale, ends = _scale_and_ends(graph, queries, layers=layers)
    solved = _Solved((-(-examples // count) * count, len(layers), width, tokens))
    waiting: deque[_BegunPart] = deque()
    room: np.ndarray | None = None
    for rows, part, bounds in _bounded_parts(graph, queries, layers, tol, count):
        # Takes the device's results of this part, and waits for them; the next part's bounds are under way meanwhile.
        if room is None:
            room = np.full((len(solved.value), 1, 1, 1), tol)
            room[:examples] *= np.ldexp(1.0, np.asarray(scale))
        left = _settle_on_device(solved, rows, part, bounds, layers, room[rows])
        if not left.any():
            continue
        if len(waiting) == AHEAD:
            solved.take(*waiting.popleft())
        capacity, positions = np.asarray(part[0].capacity, np.float64), np.asarray(part[1])
        waiting.append((rows, left, worker.solve(capacity, positions, layers, wanted=left)))

    def finish() -> FlowSolution:
        while waiting:
            solved.take(*waiting.popleft())
        assert room is not None
        real = np.asarray(real_pairs(graph.mask, queries))
        return solved.solution(batch, examples, room[:examples], np.asarray(ends, np.float64), real)

    return finish


_BegunPart = tuple[slice, Wanted, Future[exact.ExactFlow]]
_Part = tuple[AttentionGraph, Queries]


class _Solved:
    """Results as they come in, an example a row."""

    def __init__(self, shape: tuple[int, ...]):
        self.value, self.lower, self.upper = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.settled = np.zeros(shape, np.uint8)

    def take(self, rows: slice, wanted: Wanted, solving: Future[exact.ExactFlow]) -> None:
        solved = solving.result()
        for ours, theirs in (
            (self.value, solved.value),
            (self.lower, solved.lower),
            (self.upper, solved.upper),
            (self.settled, solved.settled + np.uint8(FIRST_EXACT)),
        ):
            np.copyto(ours[rows], theirs, where=wanted)

    def solution(
        self, batch: tuple[int, ...], examples: int, room: np.ndarray, ends: np.ndarray, real: np.ndarray
    ) -> FlowSolution:
        value, lower, upper, settled = (x[:examples] for x in (self.value, self.lower, self.upper, self.settled))
        # The device's trivial cuts are in its own precision, rounded outward by some units of its last place.
        filled = fills_on_host(lower, ends * (1 - ENDS_ROUNDING), room) & real
        parts = value, lower, upper, meet_on_host(lower, upper, room), filled, settled
        value, lower, upper, certified, filled, settled = (x.reshape(*batch, *x.shape[1:]) for x in parts)
        return FlowSolution(
            value=value, lower=lower, upper=upper, certified=certified, settled=settled, saturated=filled
        )


def _parts(examples: int, pairs: int, numbers: int) -> int:
    """How many parts a batch is taken in: a power of two, so that batches of a power of two fill them."""
    fit = math.ceil(examples / max(1, PART_NUMBERS // numbers))
    worth = min(PARTS, examples * pairs // PART_PAIRS)
    return min(examples, 1 << (max(fit, worth, 1) - 1).bit_length())


def _bounded_parts(
    graph: AttentionGraph, queries: Queries, layers: tuple[int, ...], tol: float, count: int
) -> Iterator[tuple[slice, _Part, FlowSolution]]:
    """Each part with its bounds; those of the next are under way by then."""
    before, most = None, rounded_down(tol, graph.weights.dtype)
    for index in range(count):
        part = _part(graph, queries, jnp.asarray(index, jnp.int32), count)
        # JAX returns at once and computes on: this part is at work when the one before is handed out.
        bounds = on_device(*part, layers, most, SOLVERS["bounds"], spread_of(part[0]))
        now = slice(index, None, count), part, bounds
        if before is not None:
            yield before
        before = now
    if before is not None:
        yield before


@partial(Programs, static=("count",))
def _part(
    graph: AttentionGraph, queries: Int[Array, "example query"], index: Int[Array, ""], count: int
) -> tuple[AttentionGraph, Int[Array, "part query"]]:
    """Every `count`-th example, so that each device of a mesh has its share of every part."""

    def own(array: Array) -> Array:
        filled = jnp.pad(array, [(0, -array.shape[0] % count)] + [(0, 0)] * (array.ndim - 1))
        return filled.reshape(-1, count, *array.shape[1:])[:, index]

    return jax.tree.map(own, (graph, queries))


def _settle_on_device(
    solved: _Solved, rows: slice, part: _Part, bounds: FlowSolution, layers: tuple[int, ...], room: np.ndarray
) -> Wanted:
    """Write down what the bounds and the relaxation settle; which pairs they leave.

    `room`, `example 1 1 1`, is how far bounds that meet may be apart.
    """
    graph, queries = part
    for ours, theirs in ((solved.value, bounds.value), (solved.lower, bounds.lower), (solved.upper, bounds.upper)):
        ours[rows] = np.asarray(theirs, np.float64)
    lower, upper, settled = solved.lower[rows], solved.upper[rows], solved.settled[rows]
    # Stage 1: the bounds.
    real = np.broadcast_to(np.asarray(real_pairs(graph.mask, queries)), lower.shape)
    # The device compared in its own precision; what it returned is compared again here.
    left = real & ~meet_on_host(lower, upper, room)
    settled[real & ~left] = 1 + STAGES.index("bounds")
    # Stage 2: the relaxation, for pairs whose bounds are apart. The rest is stage 3, solving, the caller's.
    solver = SOLVERS["relaxed"]
    assert isinstance(solver, Relaxed)
    # What cannot be proven by it because of its own rounding goes straight on.
    depth, dtype = max(layers), graph.weights.dtype
    listed = np.nonzero(left & (upper * rounding(depth, dtype) <= room))
    if depth < 3 or not len(listed[0]):
        return left
    pairs = listed[0], np.asarray(layers)[listed[1]], np.asarray(queries)[listed[0], listed[2]], listed[3]
    below, above = _relaxed(graph, depth, pairs, solver)
    lower[listed], upper[listed] = np.maximum(lower[listed], below), np.minimum(upper[listed], above)
    closed = meet_on_host(lower[listed], upper[listed], room[listed[0], 0, 0, 0])
    met = tuple(axis[closed] for axis in listed)
    solved.value[rows][met] = (lower[met] + upper[met]) / 2
    settled[met], left[met] = 1 + STAGES.index("relaxed"), False
    return left


def _relaxed(graph: AttentionGraph, depth: int, pairs: tuple[Any, ...], solver: Relaxed) -> tuple[Any, Any]:
    """Bounds of the pairs by the relaxation, list by list.

    Each device has its own examples' pairs, in lists as long as the others'; what a list lacks is its first pair again.
    """
    apart = spread_of(graph)
    devices = 1 if apart is None else graph.weights.shape[0] // apart.shard_shape(graph.weights.shape)[0]
    each = graph.weights.shape[0] // devices
    # Where each device's pairs stand among all, in lists of equal length.
    own = [np.flatnonzero(pairs[0] // each == device) for device in range(devices)]
    longest = max(map(len, own))
    lower, upper = np.empty((2, len(pairs[0])))
    begin = 0
    while begin < longest:
        # The lists' lengths are powers of two: seven programs serve any number of pairs.
        size = min(LONGEST_LIST, max(SHORTEST_LIST, 1 << (longest - begin - 1).bit_length()))
        some = [places[begin : begin + size] for places in own]
        # A device that has none left relaxes any pair of its first example.
        listed = np.zeros((4, devices, size), np.int32)
        listed[1] = depth
        for device, places in enumerate(some):
            for axis, values in zip(listed, pairs, strict=True):
                axis[device, : len(places)] = values[places]
                axis[device, len(places) :] = values[places[:1]] if len(places) else axis[device, -1]
            listed[0, device] %= each
        flat = tuple(jnp.asarray(axis.reshape(-1)) for axis in listed)
        below, above = _relaxed_list(graph, flat, depth=depth, solver=solver, apart=apart)
        for side, values in ((lower, below), (upper, above)):
            rows = np.asarray(values, np.float64).reshape(devices, size)
            for places, row in zip(some, rows, strict=True):
                side[places] = row[: len(places)]
        begin += size
    return lower, upper


@partial(Programs, static=("depth", "solver", "apart"))
def _relaxed_list(
    graph: AttentionGraph,
    pairs: tuple[Int[Array, " pair"], ...],
    *,
    depth: int,
    solver: Relaxed,
    apart: jax.NamedSharding | None,
) -> tuple[Float[Array, " pair"], Float[Array, " pair"]]:
    """Bounds of listed pairs; with examples `apart`, the pairs of the first device come first, and so on.

    Examples are numbered from each device's own first.
    """

    def relax(capacity: Array, pairs: tuple[Array, ...]) -> tuple[Array, Array]:
        example, layer, query, token = pairs
        return solver.of_pairs(capacity, (example, layer, query, token))

    if apart is not None:
        relax = jax.shard_map(
            relax, mesh=apart.mesh, in_specs=(apart.spec, apart.spec), out_specs=apart.spec, check_vma=False
        )
    return relax(graph.capacity[:, :depth], pairs)


@partial(Programs, static=("layers",))
def _scale_and_ends(
    graph: AttentionGraph, queries: Queries, *, layers: tuple[int, ...]
) -> tuple[Int[Array, "example 1 1 1"], Float[Array, "example layer query token"]]:
    """The exponent of each example's scale, and the smaller trivial cut of each pair, rounded outward."""
    weights = scaled(graph.capacity)
    ends = shifted(end_cuts(weights.above, queries, layers), weights.exponent, True)
    return scale_exponent(graph.capacity), ends
