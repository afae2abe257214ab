"""Widest paths: the one path from a position to a token whose narrowest arc is widest."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxflow._checks import not_forked
from jaxflow._programs import Programs
from jaxflow._typing import AtLayers, Given, Integers, Queries, Square
from jaxflow.flow.solve import as_layers, as_queries
from jaxflow.graph.graph import AttentionGraph, check_graph, in_buckets, with_own


def widest_path(
    graph: Given[AttentionGraph], queries: str | Integers | None = None, layers: Integers | None = None
) -> AtLayers:
    """Width of the widest path from positions after a layer down to every input token.

    A path is as wide as its narrowest arc: the largest, over paths, of the least capacity. It is a flow along one path,
    and so a lower bound of `attention_flow`, which comparisons alone find: it is exact in any precision.

    Args:
        graph: the layered graph.
        queries: positions at the paths' upper ends, as in `attention_flow`.
        layers: of these, counted from 1: None for all, an int, or a sequence.

    Returns:
        `*batch layer query token`, in pure JAX, under jit, vmap and grad too; its derivative is 1 at the narrowest arc
        of a widest path and 0 elsewhere (at ties, one choice of several). 0 on padding. Cost: layer * token^3.

    Raises:
        InputError: as from `attention_flow`.
    """
    not_forked()
    graph = jax.tree.map(jnp.asarray, check_graph(graph))
    chosen_layers, chosen_queries = as_layers(layers, graph.num_layers), as_queries(queries, graph)
    return in_buckets(_widest, graph, "layer query token", (chosen_queries, "query"), layers=chosen_layers)


@jax.custom_jvp
def max_min(upper: Float[Array, "*batch query middle"], lower: Float[Array, "*batch middle token"]) -> Square:
    """The largest, over the middle, of the smaller of two: `out[i, j] = max_k min(upper[i, k], lower[k, j])`.

    Entries are not negative. Cost: query * middle * token, in memory of query * token.
    """
    return _best(upper, lower)[0]


@max_min.defjvp
def _max_min_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Square, Square]:
    # The derivative is that of the best node's two arcs: read there, it needs no array of all three axes. The value
    # itself comes out of the search, as reading by index is slow on accelerators.
    _, best = _best(*primals)

    def width(upper: Array, lower: Array) -> Square:
        return jnp.minimum(jnp.take_along_axis(upper, best, axis=-1), jnp.take_along_axis(lower, best, axis=-2))

    return jax.jvp(width, primals, tangents)


def _best(
    upper: Float[Array, "*batch query middle"], lower: Float[Array, "*batch middle token"]
) -> tuple[Square, Int[Array, "*batch query token"]]:
    """The largest widths, and the nodes of the middle that have them."""

    # Axes: `*batch query` and `*batch token` of one node k of the middle after the other.
    def step(carry: tuple[Array, Array], node: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
        best, index = carry
        row, column, number = node
        width = jnp.minimum(row[..., :, None], column[..., None, :])
        better = width > best
        return (jnp.where(better, width, best), jnp.where(better, number, index)), None

    zero = jnp.zeros((*upper.shape[:-1], lower.shape[-1]), upper.dtype)
    count = jnp.arange(upper.shape[-1], dtype=jnp.int32)
    rows = jnp.moveaxis(upper, -1, 0), jnp.moveaxis(lower, -2, 0), count
    found, _ = jax.lax.scan(step, (zero, jnp.zeros(zero.shape, jnp.int32)), rows)
    return found


@partial(Programs, static=("layers",))
def _widest(graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> AtLayers:
    capacity = jnp.moveaxis(with_own(graph.weights, graph.own), -3, 0)

    def step(below: Array, capacity: Array) -> tuple[Array, Array]:
        widths = max_min(capacity, below)
        return widths, widths

    _, above = jax.lax.scan(step, capacity[0], capacity[1:])
    # Axes: `layer *batch query token`; of the layers asked for the rows of the queries.
    chosen = jnp.concatenate([capacity[:1], above])[jnp.asarray(layers) - 1]
    return jnp.take_along_axis(jnp.moveaxis(chosen, 0, -3), queries[..., None, :, None], axis=-2)
