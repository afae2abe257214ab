"""The entry to attention flow: which pairs, by which method."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from jaxflow import _checks
from jaxflow._checks import InputError
from jaxflow._typing import Queries
from jaxflow.flow import exact
from jaxflow.flow.bounds import Bounds
from jaxflow.flow.relaxed import Relaxed
from jaxflow.flow.solution import FlowSolution, Solver
from jaxflow.graph import AttentionGraph, with_automatic_axes

# Solvers in pure JAX, which run wherever the graph is; the other methods work on the host.
SOLVERS: dict[str, Solver] = {"bounds": Bounds(), "relaxed": Relaxed()}
METHODS = ("auto", *SOLVERS, "exact")


def attention_flow(
    graph: AttentionGraph,
    queries: Any | None = None,
    layers: Any | None = None,
    method: str | Solver = "auto",
    tol: float | int | np.floating = 1e-6,
    *,
    cuts: bool = False,
) -> FlowSolution:
    """Maximum flow from positions after a layer down to every input token, the mixing weights being capacities.

    How much of a token can reach a position through all the layers' bottlenecks at once (Abnar & Zuidema 2020,
    section 3). Unlike rollout it does not thin out over paths: from a few layers up, on diffuse attention, many flows
    saturate and tie, so look at ties before ranking tokens by it.

    Args:
        graph: the layered graph.
        queries: positions of the sources: None for every one, an int, a sequence of ints, or integers `*batch query`
            where they differ from example to example. The axis is kept.
        layers: layers of the sources, counted from 1: None for all, an int, or a sequence. The axis is kept.
        method: `"bounds"` brackets every flow in one pass of pure JAX, under jit, vmap, grad and sharding on any
            backend; `"exact"` solves every pair on the CPU; `"auto"` bounds all pairs on the accelerator that holds
            the graph and solves on the CPU those whose bounds differ by more than `tol`. A graph that the CPU holds
            is solved at once: there the solver is faster than the bounds. `"relaxed"` is pure JAX like `"bounds"` and
            much tighter, for more work a pair: a flow and a cut that close in on each other. A `Solver` of
            your own, or `Relaxed(passes=300)`, goes as well.
        tol: how near a lower and an upper bound must come for a flow to count as certified.
        cuts: return a minimum cut of each pair as well, for `cut_capacity`; every pair is then solved on the CPU.
            Takes (layers of the graph + 1) * token bytes a pair.

    Returns:
        Bounds, best value and whether they are proven, `*batch layer query token`. From solvers in JAX arrays in the
        graph's precision, rounded outward; from `"exact"` and `"auto"` NumPy arrays in float64, exact values right
        to 1e-9. Flow from or to padding is 0.

    Raises:
        InputError: for a position or layer that is not there, an unknown method, or a method that works on the host
            inside a transformation.
    """
    if not isinstance(graph, AttentionGraph):
        raise InputError(f"`graph` must come from attention_graph, got {type(graph).__name__}")
    if not isinstance(method, Solver):
        _checks.one_of("method", method, METHODS)
        method = SOLVERS.get(method, method)
    if not isinstance(tol, float | int | np.floating) or not 0 <= tol < float("inf"):
        raise InputError(f"`tol` must be a number, 0 or more, got {tol!r}")
    graph = jax.tree.map(jnp.asarray, graph)  # the host may hold it, after jax.device_get
    chosen_layers = as_layers(layers, graph.num_layers)
    chosen_queries = _as_queries(queries, graph)
    if isinstance(method, Solver):
        if cuts:
            raise InputError("`cuts` come from solving; pass method='exact' with cuts=True")
        return _on_device(*with_automatic_axes((graph, chosen_queries)), chosen_layers, tol, method)
    if _checks.is_traced(graph, chosen_queries):
        raise InputError(
            f"method={method!r} solves on the host and cannot run under jit, vmap or grad; use method='bounds' there, "
            "or solve outside for the cut and differentiate cut_capacity"
        )
    return _on_host(graph, chosen_queries, chosen_layers, method, tol, cuts=cuts)


@partial(jax.jit, static_argnames=("layers", "solver"))
def _on_device(
    graph: AttentionGraph, queries: Queries, layers: tuple[int, ...], tol: Any, solver: Solver
) -> FlowSolution:
    found = solver(graph.mixing, queries, layers, tol)
    real = _real_pairs(graph.mask, queries)

    def on_real(values: Any) -> Array:
        return jnp.where(real, values, jnp.zeros_like(values))

    return FlowSolution(
        value=on_real(found.value),
        lower=on_real(found.lower),
        upper=on_real(found.upper),
        certified=found.certified | ~real,
    )


def _on_host(
    graph: AttentionGraph,
    queries: Queries,
    layers: tuple[int, ...],
    method: str,
    tol: float | int | np.floating,
    *,
    cuts: bool,
) -> FlowSolution:
    """Solve on the CPU what is asked for, or what the bounds leave open."""
    batch = graph.batch_shape
    shape = (*batch, len(layers), queries.shape[-1], graph.num_tokens)
    wanted = np.broadcast_to(np.asarray(_real_pairs(graph.mask, queries)), shape)
    value, lower, upper = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    if method == "auto" and not cuts and _is_on_accelerator(graph):
        bounds = jax.tree.map(
            np.asarray, _on_device(*with_automatic_axes((graph, queries)), layers, tol, SOLVERS["bounds"])
        )
        value, lower, upper = (np.array(x, np.float64) for x in (bounds.value, bounds.lower, bounds.upper))
        # The device compared in its own precision; what it returned is compared again here.
        wanted = wanted & (upper - lower > tol)

    def flat(array: np.ndarray, axes: int) -> np.ndarray:
        return array.reshape(-1, *array.shape[array.ndim - axes :])

    solved = exact.max_flow(
        flat(np.asarray(graph.mixing, np.float64), 3),
        flat(np.asarray(queries), 1),
        layers,
        wanted=flat(wanted, 3),
        cuts=cuts,
    )
    for ours, theirs in ((value, solved.value), (lower, solved.lower), (upper, solved.upper)):
        np.copyto(ours, theirs.reshape(shape), where=wanted)
    cut = solved.cut.reshape(*shape, *solved.cut.shape[-2:]) if solved.cut is not None else None
    return FlowSolution(value=value, lower=lower, upper=upper, certified=upper - lower <= tol, cut=cut)


def _is_on_accelerator(graph: AttentionGraph) -> bool:
    return isinstance(graph.attention, jax.Array) and any(d.platform != "cpu" for d in graph.attention.devices())


def _real_pairs(mask: Bool[Array, "*batch token"], queries: Queries) -> Bool[Array, "*batch 1 query token"]:
    real_queries = jnp.take_along_axis(mask, queries, axis=-1)
    return (real_queries[..., :, None] & mask[..., None, :])[..., None, :, :]


def as_layers(layers: Any | None, count: int) -> tuple[int, ...]:
    """Take in layers, counted from 1, checked: None for all of them, an int, or a sequence."""
    if layers is None:
        return tuple(range(1, count + 1))
    values = _integers("layers", layers)
    if values.ndim > 1:
        raise InputError(f"`layers` must be an int or a sequence of ints, got {layers!r}")
    for layer in values.ravel():
        if not 1 <= layer <= count:
            raise InputError(f"`layers` must be from 1 to {count}, counted from the input's end, got {layer}")
    return tuple(int(layer) for layer in values.ravel())


def _as_queries(queries: Any | None, graph: AttentionGraph) -> Queries:
    batch, tokens = graph.batch_shape, graph.num_tokens
    if queries is None:
        queries = np.arange(tokens)
    values = queries if _checks.is_traced(queries) else _integers("queries", queries)
    values = values.reshape(1) if values.ndim == 0 else values
    if values.shape[:-1] not in ((), batch):
        raise InputError(
            f"`queries` must be an int, a sequence of ints, or integers of shape {(*batch, 'query')}, "
            f"got shape {values.shape}"
        )
    if not _checks.is_traced(values) and not ((values >= 0) & (values < tokens)).all():
        wrong = values[(values < 0) | (values >= tokens)][0]
        raise InputError(f"`queries` must be positions from 0 to {tokens - 1}, got {wrong}")
    return jnp.broadcast_to(jnp.asarray(values, dtype=jnp.int32), (*batch, values.shape[-1]))


def _integers(name: str, value: int | Sequence[int] | Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "iu" or not array.size:
        raise InputError(f"`{name}` must be one integer or more, got {value!r}")
    return array
