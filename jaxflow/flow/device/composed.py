"""Upper bounds by composition: a flow is split by its nodes at a layer, each share bounded above and below it.

`U(a, b)[u, v] <= sum_k min(U(m, b)[u, k], U(a, m)[k, v])` for every layer m between a and b. The least over all m is
taken, which is no single cut. What arrives at m and what can go on from there are themselves bounded in single steps:
other splits of those two hardly ever tighten the whole, and would take layer^3 products.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxflow._typing import AtLayers, Capacity, Queries, Square
from jaxflow.flow.device.blocks import map_blocks
from jaxflow.flow.device.minsum import min_sum_up

Onward = Float[Array, "inner *batch token token"]


Product = Callable[[Array, Array], Array]


def composed_bounds(capacity: Capacity, queries: Queries, layers: tuple[int, ...]) -> AtLayers:
    """Upper bounds from the queries at each of the layers, rounded outward; exact at layers 1 and 2.

    Cost: layer products of token^3 for what can go on, and layer products of query * token^2 for each source layer.
    """
    # Why it is a bound: the paths of a flow from u to v pass some node k of layer m. Their share by k is a flow from u
    # to k and a flow from k to v, so it is at most the smaller of any two bounds of these; the shares add up to the
    # flow. At layers 1 and 2 both bounds are the arcs themselves, and a flow that fills the smaller arc of each k
    # exists.
    onward = _onward(capacity, max(layers) - 1)
    return met_halfway(capacity, onward, queries, layers, (min_sum_up, min_sum_up), jnp.minimum, jnp.inf)


def met_halfway(
    capacity: Capacity,
    onward: Onward,
    queries: Queries,
    layers: tuple[int, ...],
    products: tuple[Product, Product],
    better: Product,
    worst: float,
) -> AtLayers:
    """The best, over the layers between, of what arrives there and what goes on from there.

    Args:
        capacity: weights of the arcs.
        onward: from every node of the layers 1, 2, ... to every input token.
        queries: positions of the sources.
        layers: layers of the sources.
        products: what arrives one layer further down, of what arrives and the weights; and the pairs' values, of what
            arrives and what goes on.
        better: of two values.
        worst: a value that every other is better than.
    """

    def of_queries(block: Int[Array, "query ..."]) -> Float[Array, "query ... source_layer token"]:
        return jax.vmap(lambda query: _of_query(capacity, onward, query, layers, products, better, worst))(block)

    numbers = capacity[..., 0, :, 0].size * len(layers)
    return jnp.moveaxis(map_blocks(of_queries, jnp.moveaxis(queries, -1, 0), numbers), 0, -2)


def _onward(capacity: Capacity, depth: int) -> Onward:
    """Bounds from every node of layers 1 to `depth` down to every input token."""

    def step(bound: Square, weights: Square) -> tuple[Square, Square]:
        # U(0, l)[u, v] <= sum_k min(C_l[u, k], U(0, l - 1)[k, v]): the split just below u, whose first part is one arc.
        bound = min_sum_up(weights, bound)
        return bound, bound

    first = capacity[..., 0, :, :]
    _, others = jax.lax.scan(step, first, jnp.moveaxis(capacity[..., 1:depth, :, :], -3, 0))
    return jnp.concatenate([first[None], others])[:depth]


def _of_query(
    capacity: Capacity,
    onward: Onward,
    query: Int[Array, "*batch"],
    layers: tuple[int, ...],
    products: tuple[Product, Product],
    better: Product,
    worst: float,
) -> Float[Array, "*batch source_layer token"]:
    """The best from one query of each example."""
    pass_on, meet = products
    depth, level = onward.shape[0], jnp.asarray(layers, dtype=jnp.int32)[:, None]
    # Axes: `*batch layer token`, the arcs out of the query's position after each layer; `own` has the source layers'.
    rows = jnp.take_along_axis(capacity, query[..., None, None, None], axis=-2)[..., 0, :]
    own = jnp.take(rows, level[:, 0] - 1, axis=-2)

    def step(carry: tuple[Array, Array], below: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
        arriving, best = carry
        inner, weights, goes_on = below
        # `arriving` is `*batch source_layer token`: from the query at each source layer to the nodes of layer `inner`.
        # All source layers go down together: one begins with its own arcs when the step just below it comes, and takes
        # no part before (`met` leaves it out).
        arriving = jnp.where(level == inner + 1, own, pass_on(arriving, weights))
        # The split at this layer; of all the layers between source and sink the best is kept.
        met = jnp.where(level > inner, meet(arriving, goes_on), worst)
        return (arriving, better(best, met)), None

    first = jnp.where(level == 1, own, jnp.full_like(own, worst))
    below = (
        jnp.arange(depth, 0, -1, dtype=jnp.int32),
        jnp.moveaxis(capacity[..., depth:0:-1, :, :], -3, 0),
        jnp.flip(onward, 0),
    )
    (_, best), _ = jax.lax.scan(step, (jnp.zeros_like(own), first), below)
    return best
