"""The entry to attention flow: which pairs, by which method."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxflow import _checks
from jaxflow._checks import InputError, not_forked
from jaxflow._programs import Bucket, to_device
from jaxflow._switches import unbounded_as_infinite
from jaxflow._typing import Given, Integers, Queries
from jaxflow.flow import auto, exact
from jaxflow.flow.device.solvers import SOLVERS, on_device, spread_of
from jaxflow.flow.scaling import (
    capacity_on_host,
    ends_and_scale_on_host,
    fills_on_host,
    meet_on_host,
    rounded_down,
)
from jaxflow.flow.solution import FIRST_EXACT, FlowSolution, Solver
from jaxflow.flow.worker import Worker
from jaxflow.graph.graph import AttentionGraph, check_graph, filled_graph, graph_bucket, with_automatic_axes

# Solvers in pure JAX run wherever the graph is; the other methods work on the host.
SOLVER_NAMES = ("auto", *SOLVERS, "exact")
# Positions by a word.
LAST = "last"
# Solving leaves out arcs that can carry a thousandth of `tol` of a flow, and never more than this part of it.
MOST_LEFT_OUT = 1e-9


def attention_flow(
    graph: Given[AttentionGraph],
    queries: str | Integers | None = None,
    layers: Integers | None = None,
    method: Given[str | Solver] = "auto",
    tol: float | int | np.floating = 1e-6,
    *,
    cuts: bool = False,
) -> FlowSolution:
    """Maximum flow from positions after a layer down to every input token, through the graph's capacities.

    How much of a token can reach a position through all the layers' bottlenecks at once (Abnar & Zuidema 2020,
    section 3). Unlike rollout it does not thin out over paths: from a few layers up, on diffuse attention, many flows
    saturate and tie, so look at ties before ranking tokens by it.

    Args:
        graph: the layered graph.
        queries: positions of the sources: None for every one, an int, a sequence of ints, `"last"` for each example's
            last that is no padding, or integers `*batch query` where they differ from example to example. The axis is
            kept.
        layers: layers of the sources, counted from 1: None for all, an int, or a sequence. The axis is kept.
        method: `"bounds"` brackets every flow in one pass of pure JAX, under jit, vmap, grad and sharding on any
            backend; `"relaxed"` is pure JAX as well and much tighter, for more work a pair: a flow and a cut that
            close in on each other; `"exact"` solves every pair on the CPU. `"auto"` takes one after the other, each
            for the pairs that the one before left further apart than `tol`: bounds of all pairs and the relaxation of
            what is left on the accelerator that holds the graph, and solving on the CPU, part by part of the batch,
            while the accelerator is at the next. A graph that the CPU holds it solves at once: there the solver is
            faster than the bounds. A `Solver` of your own, or `Relaxed(passes=600)`, goes as well.
            `"smooth"` is for training: its value lies below the flow but has a smooth gradient, ties included.
        tol: how near a lower and an upper bound must come for a flow to count as certified, relative to the scale of
            an example's capacities: the power of two next below the largest sum of a row, 1 for attention.
        cuts: return a minimum cut of each pair as well, for `cut_capacity`; every pair is then solved on the CPU.
            Takes (layers of the graph + 1) * token bytes a pair.

    Returns:
        Bounds, best value and whether they are proven, `*batch layer query token`. From solvers in JAX arrays in the
        graph's precision, rounded outward; from `"exact"` and `"auto"` NumPy arrays in float64, and by `stages` how
        many pairs each stage settled: values are right to a tenth of `tol` of themselves (and to 1e-7) where they were
        solved, to `tol` of the scale where an accelerator's bounds met. `saturated` says where flow is no more than one
        of the trivial cuts. Flow from or to padding is 0.

    Raises:
        InputError: for a position or layer that is not there, an unknown method, a method that works on the host inside
            a transformation, what is no graph, and a graph with values that are negative or not finite, where they can
            be read. Under a transformation nothing is certified of an example that has such, and its bounds are NaN.
    """
    not_forked()
    graph = check_graph(graph)
    with Worker() as worker:
        return begin_flow(graph, queries, layers, method, tol, worker, cuts=cuts, fill=True, at_once=True)()


@unbounded_as_infinite
def begin_flow(
    graph: Given[AttentionGraph],
    queries: str | Integers | None,
    layers: Integers | None,
    method: Given[str | Solver],
    tol: float | int | np.floating,
    worker: Worker,
    *,
    cuts: bool = False,
    fill: bool = False,
    at_once: bool = False,
) -> Callable[[], FlowSolution]:
    """Check what `attention_flow` was asked, do the device's share, hand the CPU's to the worker; gives what waits.

    So a caller with several batches has the flows of one solved while the next goes through the device. With `fill`,
    graphs are filled up to one of a few sizes before a program is compiled for them. With `at_once`, what the CPU
    alone does is done on the caller's thread: starting another takes longer than a short text.
    """
    if not isinstance(graph, AttentionGraph):
        raise InputError("graph", "be an AttentionGraph", type(graph).__name__)
    solver = as_solver("method", method)
    if not isinstance(tol, float | int | np.floating) or not 0 <= tol < float("inf"):
        raise InputError("tol", "be a number, 0 or more", _checks.shown(tol))
    graph = jax.tree.map(jnp.asarray, graph)  # the host may hold it, after jax.device_get
    chosen_layers = as_layers(layers, graph.num_layers)
    read, every = read_queries(queries, graph), queries is None
    if not isinstance(solver, str):
        if cuts:
            raise InputError("cuts", "be False where nothing is solved", _checks.shown(cuts), "pass `method='exact'`")
        return _begin_on_device(graph, _put(read), chosen_layers, tol, solver, every=every, fill=fill)
    if _checks.is_traced(graph, read):
        raise InputError(
            "method",
            "run on the device under jit, vmap or grad",
            f"{_checks.shown(method)}, which solves on the host",
            "pass `method='bounds'` there, or solve outside for the cut and differentiate cut_capacity",
        )
    # On an accelerator bounds come first, and only what they leave is solved; on the CPU solving is quicker than
    # bounds.
    if solver == "auto" and not cuts and _is_on_accelerator(graph):
        return _begin_staged(graph, _put(read), chosen_layers, tol, worker, every=every, fill=fill)
    return _begin_exact(graph, np.asarray(read), chosen_layers, tol, None if at_once else worker, cuts=cuts)


def _begin_on_device(
    graph: AttentionGraph,
    queries: Queries,
    layers: tuple[int, ...],
    tol: float | int | np.floating,
    solver: Solver,
    *,
    every: bool,
    fill: bool,
) -> Callable[[], FlowSolution]:
    """Run a solver in pure JAX, in a transformation or out of it; outside, filled up to one of a few sizes first."""
    most = rounded_down(float(tol), graph.weights.dtype)
    # A solver of the user's own is given its graphs as they are.
    ours = fill and type(solver) in map(type, SOLVERS.values()) and not _checks.is_traced(graph, queries)
    room = graph_bucket(graph) if ours else None
    if room is None:
        found = _bounded(*with_automatic_axes((graph, queries)), layers, most, solver)
        return lambda: found
    filled, axes = _filled(graph, queries, every, room)
    found = _bounded(*filled, layers, most, solver)
    return lambda: jax.tree.map(lambda x: room.cut(x, axes), found)


def _begin_staged(
    graph: AttentionGraph,
    queries: Queries,
    layers: tuple[int, ...],
    tol: float | int | np.floating,
    worker: Worker,
    *,
    every: bool,
    fill: bool,
) -> Callable[[], FlowSolution]:
    """Begin with the accelerator's stages; the worker solves what they leave, beside the next."""
    room = graph_bucket(graph) if fill else None
    if room is None:
        return auto.begin(*with_automatic_axes((graph, queries)), layers, float(tol), worker)
    filled, axes = _filled(graph, queries, every, room)
    finish = auto.begin(*filled, layers, float(tol), worker)
    return lambda: jax.tree.map(lambda x: room.cut(x, axes), finish())


def _put(read: Queries | np.ndarray) -> Queries:
    """Positions on the device. By NumPy they compile nothing."""
    return to_device(read) if isinstance(read, np.ndarray) else read


def _bounded(
    graph: AttentionGraph, queries: Queries, layers: tuple[int, ...], tol: Any, solver: Solver
) -> FlowSolution:
    try:
        return on_device(graph, queries, layers, tol, solver, spread_of(graph))
    except InputError as error:
        # Raised anew: JAX adds lines of its own to what is raised while it traces.
        raise type(error)(*error.args, place=error.place) from None


def _filled(
    graph: AttentionGraph, queries: Queries, every: bool, room: Bucket
) -> tuple[tuple[AttentionGraph, Array], str]:
    """A graph and queries filled up to a bucket, and the axes of what a solver makes of them."""
    axis = "token" if every else "query"
    return (filled_graph(graph, room), room.fill(queries, axis)), f"layer {axis} token"


def as_solver(name: str, method: Given[str | Solver]) -> str | Solver:
    """Take in a method, checked: a solver in pure JAX, or the name of a method that works on the host."""
    # A name, most often; whether a value is a solver takes longer to say.
    if not isinstance(method, str):
        if isinstance(method, type):
            got = f"the class {method.__name__}"
            raise InputError(name, "be a name or a solver's value", got, f"pass `{name}={method.__name__}()`")
        if isinstance(method, Solver):
            # Programs are compiled for a solver and found again by its value.
            if getattr(type(method), "__hash__", None) is None:
                raise InputError(name, "be hashable", _checks.shown(method), "make its class a frozen dataclass")
            return method
    _checks.one_of(name, method, SOLVER_NAMES)
    return SOLVERS.get(method, method)


def _begin_exact(
    graph: AttentionGraph,
    queries: np.ndarray,
    layers: tuple[int, ...],
    tol: float | int | np.floating,
    worker: Worker | None,
    *,
    cuts: bool,
) -> Callable[[], FlowSolution]:
    """Have every pair solved on the CPU; without a worker, before this returns."""
    shape = (*graph.batch_shape, len(layers), queries.shape[-1], graph.num_tokens)
    mask = np.asarray(graph.mask)
    real = np.take_along_axis(mask, queries, axis=-1)
    # Axes: `*batch layer query token`; the solver is given one batch axis. Pairs with padding are left out: they are 0.
    wanted = np.broadcast_to((real[..., :, None] & mask[..., None, :])[..., None, :, :], shape)

    def flat(array: np.ndarray, axes: int) -> np.ndarray:
        return array.reshape(-1, *array.shape[array.ndim - axes :])

    # In the graph's own precision, which holds them: of long texts every copy counts.
    weights = np.asarray(graph.weights)
    capacity = capacity_on_host(weights, np.asarray(graph.own), weights.dtype)
    problem = flat(capacity, 3), flat(queries, 1), layers
    options: dict[str, Any] = {
        "wanted": flat(wanted, 3),
        "cuts": cuts,
        "tol": min(1e-3 * float(tol), MOST_LEFT_OUT),
    }
    solving = worker.solve(*problem, **options) if worker is not None else exact.max_flow(*problem, **options)

    def finish() -> FlowSolution:
        solved = solving if isinstance(solving, exact.ExactFlow) else solving.result()
        value, lower, upper = (
            np.where(wanted, x.reshape(shape), 0.0) for x in (solved.value, solved.lower, solved.upper)
        )
        ends, scale = ends_and_scale_on_host(capacity, queries, layers)
        room = float(tol) * scale
        return FlowSolution(
            value=value,
            lower=lower,
            upper=upper,
            certified=meet_on_host(lower, upper, room),
            saturated=wanted & fills_on_host(lower, ends, room),
            cut=None if solved.cut is None else solved.cut.reshape(*shape, *solved.cut.shape[-2:]),
            settled=np.where(wanted, solved.settled.reshape(shape) + np.uint8(FIRST_EXACT), np.uint8(0)),
        )

    return finish


def _is_on_accelerator(graph: AttentionGraph) -> bool:
    return isinstance(graph.weights, jax.Array) and any(d.platform != "cpu" for d in graph.weights.devices())


def as_layers(layers: Integers | None, count: int) -> tuple[int, ...]:
    """Take in layers, counted from 1, checked: None for all of them, an int, or a sequence."""
    if layers is None:
        return tuple(range(1, count + 1))
    values = _integers("layers", layers)
    if values.ndim > 1:
        raise InputError("layers", "be an int or a sequence of ints", _checks.shown(layers))
    for layer in values.ravel():
        if not 1 <= layer <= count:
            raise InputError("layers", f"be from 1 to {count}, counted from 1 at the input", str(layer))
    return tuple(int(layer) for layer in values.ravel())


def as_queries(queries: Any, graph: AttentionGraph) -> Queries:
    """Take in positions of sources, checked, `*batch query`: None for all of them, "last", an int, or a sequence."""
    return _put(read_queries(queries, graph))


def read_queries(queries: Any, graph: AttentionGraph) -> Queries | np.ndarray:
    """As `as_queries`, on the host where they can be read."""
    batch, tokens = graph.batch_shape, graph.num_tokens
    if queries is None:
        queries = np.arange(tokens)
    elif isinstance(queries, str):
        queries = _named(queries, graph)
    values = queries if _checks.is_traced(queries) else _integers("queries", queries)
    values = values.reshape(1) if values.ndim == 0 else values
    if values.shape[:-1] not in ((), batch):
        expected = f"be an int, a sequence of ints, or integers of shape {(*batch, 'query')}"
        raise InputError("queries", expected, f"shape {values.shape}")
    if not _checks.is_traced(values) and not ((values >= 0) & (values < tokens)).all():
        wrong = values[(values < 0) | (values >= tokens)][0]
        raise InputError("queries", f"be positions from 0 to {tokens - 1}", str(wrong))
    shape = (*batch, values.shape[-1])
    if _checks.is_traced(values):
        return jnp.broadcast_to(jnp.asarray(values, dtype=jnp.int32), shape)
    return np.array(np.broadcast_to(values, shape), np.int32)


def _named(name: str, graph: AttentionGraph) -> Queries | np.ndarray:
    """Positions that a word stands for, `*batch 1`. A graph knows its padding, but not where a model's head reads."""
    if name != LAST:
        way_out = "`jaxflow.attribute` takes the words that need a model"
        raise InputError("queries", f"be one integer or more, {LAST!r}, or None", _checks.shown(name), way_out)
    xp = jnp if _checks.is_traced(graph.mask) else np
    return xp.where(xp.asarray(graph.mask), xp.arange(graph.num_tokens), 0).max(axis=-1, keepdims=True)


def _integers(name: str, value: Integers) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "iu" or not array.size:
        raise InputError(name, "be one integer or more", _checks.shown(value))
    return array
