"""Cuts found by annealing: sides that start undecided and are decided a layer at a time.

A node's side is taken as a number between 0 (the sink's) and 1 (the source's). Nodes of one layer are not adjacent, so
with the layers beside it fixed, a whole layer is best on the source side wherever it lets more in than out. Taken at
once, that step gets stuck at the first cut that no single layer can improve; so it is taken softly at first,
`in^power / (in^power + out^power)`, and the power rises from sweep to sweep until every side is decided (deterministic
annealing of the cut's mean field; Rose 1998). What comes out is a cut whatever it cost, so its capacity bounds the
flow from above.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxflow._typing import AtLayers, Capacity, Queries
from jaxflow.flow.device.blocks import map_pairs
from jaxflow.flow.device.cut import capacity_up

Arcs = Float[Array, "layer token token"]
Sides = Float[Array, "node_layer pair token"]


def cut_bounds(capacity: Capacity, queries: Queries, layers: list[int], sweeps: int) -> AtLayers:
    """Upper bounds by annealed cuts, rounded outward."""

    def of_pairs(capacity: Arcs, layer: Array, query: Array, token: Array) -> Float[Array, " pair"]:
        return capacity_up(capacity, annealed_cuts(jax.lax.stop_gradient(capacity), layer, query, token, sweeps))

    return map_pairs(of_pairs, capacity, queries, layers)


def annealed_cuts(
    capacity: Arcs, layer: Int[Array, " pair"], query: Int[Array, " pair"], token: Int[Array, " pair"], sweeps: int
) -> Bool[Array, "pair node_layer token"]:
    """Source sides of a cut of each pair.

    Args:
        capacity: weights of the arcs.
        layer: the sources' layers, counted from 1.
        query: the sources' positions.
        token: the sinks.
        sweeps: how often to go through the layers, down and up in turn; the last one decides.

    Returns:
        Sides. Cost: `sweeps` passes of two products (pair, token) x (token, token) a layer, in memory of
        pair * layer * token numbers.
    """
    depth, tokens = capacity.shape[:2]
    position = jnp.arange(tokens, dtype=jnp.int32)
    # Axes: `node_layer pair token`, so that one product (pair, token) x (token, token) does a layer for all pairs.
    source = (position == query[:, None]).astype(capacity.dtype)
    level = jnp.arange(depth + 1, dtype=jnp.int32)[:, None, None]
    # Undecided: evenly from the sink up to the source.
    even = level.astype(capacity.dtype) / layer.astype(capacity.dtype)[:, None]
    sides = jnp.where(level < layer[:, None], jnp.broadcast_to(even, (depth + 1, *source.shape)), 0)
    # Fixed: of the source's layer the source alone is on its side, and of the input all but the sink.
    sides = jnp.where(level == layer[:, None], source, sides)
    sides = sides.at[0].set((position != token[:, None]).astype(capacity.dtype))
    # Layers above the block's highest source are left out.
    inner = jnp.max(layer) - 1

    def decide(step: Array | int, sides: Sides) -> Sides:
        sweep, index = jnp.divmod(step, inner)
        # Down through the layers in even sweeps, up in odd ones: news of both ends reach every layer.
        at = jnp.where(sweep % 2 == 0, inner - index, index + 1)
        # On the source's side node i cuts its arcs to the sink's side below, `sum_j C[i, j] (1 - p[j])`; on the sink's
        # side it cuts its arcs from the source's side above, `sum_k p[k] C[k, i]`. The smaller is the better side.
        # Whatever comes out is a cut, so these products need no more than the device's own precision.
        lets_out = jnp.einsum("pj,ij->pi", 1 - sides[at - 1], capacity[at - 1])
        lets_in = jnp.einsum("pk,ki->pi", sides[at + 1], capacity[at])
        decided = _side(lets_in, lets_out, sweep, sweeps)
        return sides.at[at].set(jnp.where((at < layer)[:, None], decided, sides[at]))

    return jnp.moveaxis(jax.lax.fori_loop(0, sweeps * inner, decide, sides) > 0.5, 0, 1)


def _side(
    lets_in: Float[Array, "pair token"], lets_out: Float[Array, "pair token"], sweep: Int[Array, ""], sweeps: int
) -> Float[Array, "pair token"]:
    """Share of the source side: powers 1, 2, 4, 8 and no higher, then the last sweep's plain choice."""
    larger = jnp.maximum(lets_in, lets_out)
    # Squared once for each doubling of the power; of the two amounts only the ratio counts, which cannot overflow.
    ratio = jnp.minimum(lets_in, lets_out) / jnp.where(larger > 0, larger, jnp.ones_like(larger))
    doublings = 4 * (sweep + 1) // sweeps if sweeps > 4 else sweep
    for count in range(1, 4):
        ratio = jnp.where(doublings >= count, ratio * ratio, ratio)
    share = jnp.where(sweep == sweeps - 1, 0, ratio / (1 + ratio))
    return jnp.where(lets_in > lets_out, 1 - share, share)
