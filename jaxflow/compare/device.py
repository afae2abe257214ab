"""The device's programs on a batch of the same texts in two models."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxflow._pytree import pytree
from jaxflow._switches import broadcasting, undefined_as_nan
from jaxflow._typing import Capacity, Queries
from jaxflow.compare.paths import influence, path_widths
from jaxflow.graph.graph import AttentionGraph
from jaxflow.graph.rollout import raw_attention
from jaxflow.heads.patterns import head_patterns
from jaxflow.heads.pooling import pooled
from jaxflow.heads.similarity import Products, head_products, linear_cka
from jaxflow.running import Arrays
from jaxflow.statistics.distances import jensen_shannon, mean_over_rows, total_variation

UnitHeads = Float[Array, "text layer head unit unit"]
# Units may be more than a model's tokens, which are what it takes: the axes have names of their own.
UnitArcs = Float[Array, "text layer query_unit key_unit"]


@pytree
class BatchSide:
    """One model's view of a batch.

    Attributes:
        heads: attention of every head between units, 0 on padding.
        fused: raw attention of each layer, between units.
        capacity: of each layer, between units, own streams included.
        graph: between tokens, for the methods of relevance.
        logits: of the head; None if it was not run.
    """

    heads: UnitHeads
    fused: Float[Array, "text layer unit unit"]
    capacity: Float[Array, "text layer unit unit"]
    graph: AttentionGraph
    logits: Array | None


@pytree
class Measured:
    """How two models differ on each text; `layer` counts pairs of layers.

    Attributes:
        jensen_shannon: distance of each head from its namesake, mean over rows.
        total_variation: likewise.
        layer_jensen_shannon: of the fused attention.
        layer_total_variation: likewise.
        patterns: of the first model's heads and of the second's.
        products: what the correlation of heads is made of.
        cka: of all pairs of heads.
    """

    jensen_shannon: Float[Array, "text layer head"]
    total_variation: Float[Array, "text layer head"]
    layer_jensen_shannon: Float[Array, "text layer"]
    layer_total_variation: Float[Array, "text layer"]
    patterns: tuple[Float[Array, "text layer head pattern"], Float[Array, "text layer head pattern"]]
    products: Products
    cka: Float[Array, "text layer head other"]


@pytree
class Traced:
    """Paths from positions at a model's top down to its units; the input is state 0."""

    widths: Float[Array, "text state query unit"]
    influence: Float[Array, "text state query unit"]


@undefined_as_nan
@partial(jax.jit, static_argnames="pairs")
@broadcasting
def measure(
    first: BatchSide,
    second: BatchSide,
    rows: Bool[Array, "text unit"],
    mask: Bool[Array, "text unit"],
    role: Int[Array, "text unit"],
    *,
    pairs: tuple[tuple[int, int], ...],
) -> Measured:
    """Compare the heads of pairs of layers, one pair at a time.

    Args:
        first: the first model.
        second: the other.
        rows: units that both models have tokens of.
        mask: units of a text.
        role: see `head_patterns`.
        pairs: compared layers, counted from 1.
    """
    # Places of the compared layers in each model's arrays.
    layers = [jnp.asarray([pair[side] - 1 for pair in pairs]) for side in (0, 1)]

    def compared(pair: tuple[Array, Array, Array, Array]) -> dict[str, Arrays]:
        one, two, fused_one, fused_two = pair
        # Both models' rows of a unit are needed, and all keys: what goes to a unit that one of them lacks is a
        # difference too.
        both = rows[..., None, :]
        there_one, there_two = (jnp.where(both[..., None], each, jnp.zeros_like(each)) for each in (one, two))
        return {
            "jensen_shannon": mean_over_rows(jensen_shannon(one, two), both),
            "total_variation": mean_over_rows(total_variation(one, two), both),
            "layer_jensen_shannon": mean_over_rows(jensen_shannon(fused_one, fused_two), rows),
            "layer_total_variation": mean_over_rows(total_variation(fused_one, fused_two), rows),
            "patterns": (head_patterns(one, rows, role), head_patterns(two, rows, role)),
            "products": head_products(there_one, there_two, mask),
            "cka": linear_cka(one, two, rows),
        }

    # The pairs of layers go to the front, for `map`: `pair text head unit unit`, and `pair text unit unit` when fused.
    matrices = [
        jnp.moveaxis(part[:, index], 1, 0)
        for part, index in zip((first.heads, second.heads, first.fused, second.fused), layers * 2, strict=True)
    ]
    # One pair of layers at a time: all of them at once would hold several arrays of the heads' size.
    by_pair = jax.lax.map(compared, tuple(matrices))
    # A map stacks pairs of layers in front of the texts.
    return Measured(**jax.tree.map(lambda each: jnp.moveaxis(each, 0, 1), by_pair))


@jax.jit
@broadcasting
def trace(side: BatchSide, queries: Queries, decay: Float[Array, ""]) -> Traced:
    """Trace positions at the top of a model down to its units."""
    return Traced(path_widths(side.fused, queries), influence(side.capacity, queries, decay))


@jax.jit
@broadcasting
def units_of(graph: AttentionGraph, members: Float[Array, "text token unit"] | None) -> tuple[UnitArcs, UnitArcs]:
    """A graph between units instead of tokens: its weights as shares, and its capacities."""
    shares, capacity = raw_attention(graph), graph.capacity
    return (shares, capacity) if members is None else (pooled(shares, members), pooled(capacity, members))


@jax.jit
@broadcasting
def shared_widths(first: Capacity, second: Capacity, queries: Queries) -> Float[Array, "text state query unit"]:
    """Widths of paths along arcs that both models have: an arc is worth what the weaker of the two gives it."""
    return path_widths(jnp.minimum(first, second), queries)
