"""Solvers in pure JAX at work on a graph, wherever it is held."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxflow._checks import InputError, shown
from jaxflow._programs import Programs
from jaxflow._switches import broadcasting
from jaxflow._typing import AtLayers, Capacity, Queries
from jaxflow.flow.device.bounds import Bounds
from jaxflow.flow.device.cut import end_cuts
from jaxflow.flow.device.minsum import unit_roundoff
from jaxflow.flow.device.relaxed import Relaxed
from jaxflow.flow.device.smooth import Smooth
from jaxflow.flow.scaling import is_usable, meet, scale_exponent, scaled, shifted
from jaxflow.flow.solution import FlowSolution, Solver
from jaxflow.graph.graph import AttentionGraph, with_own

# Solvers by the names that users have for them; a new one is added here.
SOLVERS: dict[str, Solver] = {"bounds": Bounds(), "relaxed": Relaxed(), "smooth": Smooth()}


@partial(Programs, static=("layers", "solver", "apart"))
@broadcasting
def on_device(
    graph: AttentionGraph,
    queries: Queries,
    layers: tuple[int, ...],
    tol: Any,
    solver: Solver,
    apart: jax.NamedSharding | None = None,
) -> FlowSolution:
    """Bounds of the graph's flows by a solver, 0 and certified where either end is padding.

    `tol` is relative to the scale of each example's capacities. Nothing is certified of an example whose capacities
    are not finite and not negative; its bounds are NaN. `apart` says how the examples are spread over devices
    (`spread_of`): each device then solves its own, and none waits for another.
    """
    weights = with_own(graph.weights, graph.own)
    sound = _is_sound(graph, weights)
    # A solver is given nothing that it may not expect.
    capacity = jnp.where(sound, weights, jnp.zeros_like(weights))
    # Where nothing is compiled (`jax_disable_jit`), the tolerance comes as NumPy's.
    tol = shifted(jnp.asarray(tol, capacity.dtype), scale_exponent(capacity), False)
    shape = (*graph.batch_shape, len(layers), queries.shape[-1], graph.num_tokens)

    def solve(capacity: Array, queries: Array, tol: Array) -> Any:
        return solver(capacity, queries, layers, tol)

    if apart is not None:
        # A loop that ends with its slowest pair would ask all devices for theirs, round by round.
        solve = jax.shard_map(solve, mesh=apart.mesh, in_specs=(apart.spec,) * 3, out_specs=apart.spec, check_vma=False)
    solution = _as_solution(solve(capacity, queries, tol), shape, solver)
    real = real_pairs(graph.mask, queries)

    def on_real(values: Any) -> Array:
        values = jnp.where(sound, values, jnp.full_like(values, jnp.nan))
        return jnp.where(real, values, jnp.zeros_like(values))

    # Whatever a solver says: bounds that do not meet, or are no numbers, prove nothing.
    lower, upper = jax.lax.stop_gradient((solution.lower, solution.upper))
    return FlowSolution(
        value=on_real(solution.value),
        lower=on_real(solution.lower),
        upper=on_real(solution.upper),
        certified=((solution.certified & meet(lower, upper, tol)) | ~real) & sound,
        saturated=_fills_an_end(capacity, lower, queries, layers, tol) & real & sound,
    )


def spread_of(graph: AttentionGraph) -> jax.NamedSharding | None:
    """How the examples of a batch are spread over several devices; None where they are not, each of them whole."""
    sharding = getattr(graph.weights, "sharding", None)
    if not isinstance(sharding, jax.NamedSharding) or graph.weights.ndim != 4 or not sharding.spec:
        return None
    first, rest = sharding.spec[0], sharding.spec[1:]
    spread = jax.NamedSharding(sharding.mesh, jax.P(first))
    # Devices that hold parts of one example have to talk.
    if first is None or any(rest) or spread.is_fully_replicated or isinstance(sharding.mesh, jax.sharding.AbstractMesh):
        return None
    return spread


def _is_sound(graph: AttentionGraph, capacity: Capacity) -> Bool[Array, "*batch 1 1 1"]:
    """Whether an example's graph is one: capacities finite and not negative, sums on the diagonal too."""
    arcs = jnp.all(is_usable(graph.weights) & is_usable(capacity), axis=(-3, -2, -1))
    return (arcs & jnp.all(is_usable(graph.own), axis=(-2, -1)))[..., None, None, None]


def _fills_an_end(
    capacity: Capacity, lower: AtLayers, queries: Queries, layers: tuple[int, ...], tol: Float[Array, "*batch 1 1 1"]
) -> Bool[Array, "*batch source_layer query token"]:
    """Whether a flow of value `lower` fills all that leaves the source or all that enters the sink, within `tol`."""
    # Scaled, as sums of very large capacities overflow and very small ones are taken for 0.
    weights = scaled(jax.lax.stop_gradient(capacity))
    ends = end_cuts(weights.above, queries, layers)
    flow, room = (shifted(x, -weights.exponent, False) for x in (jnp.maximum(lower, 0), tol))
    # Bounds are rounded outward, each by a few units of the last place.
    return flow + room >= ends * (1 - 8 * unit_roundoff(ends.dtype))


def _as_solution(solution: Any, shape: tuple[int, ...], solver: Any) -> FlowSolution:
    """Take in what a solver returned, checked."""
    place = f"the solver {getattr(solver, '__name__', type(solver).__name__)}"
    expected, way_out = (
        f"return a FlowSolution with arrays of shape {shape}",
        "return what jaxflow.flow.device.bounds.flow_bounds returns, for example",
    )
    if not isinstance(solution, FlowSolution):
        raise InputError(None, expected, shown(solution), way_out, place=place)
    for field in ("value", "lower", "upper", "certified"):
        array = getattr(solution, field)
        if jnp.shape(array) != shape:
            raise InputError(None, expected, f"{field} of shape {jnp.shape(array)}", way_out, place=place)
        if jnp.issubdtype(jnp.result_type(array), jnp.bool_) != (field == "certified"):
            raise InputError(None, expected, f"{field} of {jnp.result_type(array)}", way_out, place=place)
    return solution


def real_pairs(mask: Bool[Array, "*batch token"], queries: Queries) -> Bool[Array, "*batch 1 query token"]:
    """Whether neither end of a pair is padding."""
    real_queries = jnp.take_along_axis(mask, queries, axis=-1)
    return (real_queries[..., :, None] & mask[..., None, :])[..., None, :, :]
