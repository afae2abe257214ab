"""Solvers in pure JAX at work on a graph, wherever it is held."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from jaxflow._checks import InputError, shown
from jaxflow._programs import Programs
from jaxflow._switches import broadcasting
from jaxflow._typing import Queries
from jaxflow.flow.device.bounds import Bounds
from jaxflow.flow.device.relaxed import Relaxed
from jaxflow.flow.device.smooth import Smooth
from jaxflow.flow.scaling import is_usable, meet
from jaxflow.flow.solution import FlowSolution, Solver
from jaxflow.graph.graph import AttentionGraph

# Solvers by the names that users have for them; a new one is added here.
SOLVERS: dict[str, Solver] = {"bounds": Bounds(), "relaxed": Relaxed(), "smooth": Smooth()}


@partial(Programs, static=("layers", "solver"))
@broadcasting
def on_device(
    graph: AttentionGraph, queries: Queries, layers: tuple[int, ...], tol: Any, solver: Solver
) -> FlowSolution:
    """Bounds of the graph's flows by a solver, 0 and certified where either end is padding.

    Nothing is certified of an example whose attention is not finite and not negative, or whose residual lies outside
    [0, 1]; its bounds are NaN.
    """
    sound = _is_sound(graph)
    # Where nothing is compiled (`jax_disable_jit`), the tolerance comes as NumPy's.
    tol = jnp.asarray(tol) if isinstance(tol, np.ndarray | np.generic) else tol
    # A solver is given nothing that it may not expect.
    mixing = jnp.where(sound, graph.mixing, jnp.zeros_like(graph.attention))
    shape = (*graph.batch_shape, len(layers), queries.shape[-1], graph.num_tokens)
    found = _as_solution(solver(mixing, queries, layers, tol), shape, solver)
    real = real_pairs(graph.mask, queries)

    def on_real(values: Any) -> Array:
        values = jnp.where(sound, values, jnp.full_like(values, jnp.nan))
        return jnp.where(real, values, jnp.zeros_like(values))

    # Whatever a solver says: bounds that do not meet, or are no numbers, prove nothing.
    met = meet(*jax.lax.stop_gradient((found.lower, found.upper)), tol)
    return FlowSolution(
        value=on_real(found.value),
        lower=on_real(found.lower),
        upper=on_real(found.upper),
        certified=((found.certified & met) | ~real) & sound,
    )


def _is_sound(graph: AttentionGraph) -> Bool[Array, "*batch 1 1 1"]:
    """Whether an example's graph is one: capacities finite and not negative, and a share for the residual."""
    usable = jnp.all(is_usable(graph.attention), axis=(-3, -2, -1))
    return (usable & is_usable(graph.residual) & (graph.residual <= 1))[..., None, None, None]


def _as_solution(found: Any, shape: tuple[int, ...], solver: Any) -> FlowSolution:
    """Take in what a solver returned, checked."""
    name = getattr(solver, "__name__", type(solver).__name__)
    expected, way_out = (
        f"return a FlowSolution with arrays of shape {shape}",
        "return what jaxflow.flow.device.bounds.flow_bounds returns, for example",
    )
    if not isinstance(found, FlowSolution):
        raise InputError("method", expected, f"{shown(found)} from {name}", way_out)
    for field in ("value", "lower", "upper", "certified"):
        array = getattr(found, field)
        if jnp.shape(array) != shape:
            raise InputError("method", expected, f"{field} of shape {jnp.shape(array)} from {name}", way_out)
        if jnp.issubdtype(jnp.result_type(array), jnp.bool_) != (field == "certified"):
            raise InputError("method", expected, f"{field} of {jnp.result_type(array)} from {name}", way_out)
    return found


def real_pairs(mask: Bool[Array, "*batch token"], queries: Queries) -> Bool[Array, "*batch 1 query token"]:
    """Whether neither end of a pair is padding."""
    real_queries = jnp.take_along_axis(mask, queries, axis=-1)
    return (real_queries[..., :, None] & mask[..., None, :])[..., None, :, :]
