"""Solvers in pure JAX at work on a graph, wherever it is held."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxflow._switches import broadcasting
from jaxflow._typing import Queries
from jaxflow.flow.bounds import Bounds
from jaxflow.flow.relaxed import Relaxed
from jaxflow.flow.smooth import Smooth
from jaxflow.flow.solution import FlowSolution, Solver
from jaxflow.graph import AttentionGraph

# Solvers by the names that users have for them; a new one is added here.
SOLVERS: dict[str, Solver] = {"bounds": Bounds(), "relaxed": Relaxed(), "smooth": Smooth()}


@partial(jax.jit, static_argnames=("layers", "solver"))
@broadcasting
def on_device(
    graph: AttentionGraph, queries: Queries, layers: tuple[int, ...], tol: Any, solver: Solver
) -> FlowSolution:
    """Bounds of the graph's flows by a solver, 0 and certified where either end is padding."""
    found = solver(graph.mixing, queries, layers, tol)
    real = real_pairs(graph.mask, queries)

    def on_real(values: Any) -> Array:
        return jnp.where(real, values, jnp.zeros_like(values))

    return FlowSolution(
        value=on_real(found.value),
        lower=on_real(found.lower),
        upper=on_real(found.upper),
        certified=found.certified | ~real,
    )


def real_pairs(mask: Bool[Array, "*batch token"], queries: Queries) -> Bool[Array, "*batch 1 query token"]:
    """Whether neither end of a pair is padding."""
    real_queries = jnp.take_along_axis(mask, queries, axis=-1)
    return (real_queries[..., :, None] & mask[..., None, :])[..., None, :, :]
