"""Strong arcs and the paths they make: those that are alike in both models, and those that are stronger in one."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._switches import broadcasting
from jaxflow._typing import Capacity, Queries

ARC_KINDS = ("alike", "stronger_a", "stronger_b")
# How many times as large a value of one model must be to count as stronger there; the explorer has the same rule.
STRONGER = 2
States = Float[Array, "*batch state query token"]


@dataclass(frozen=True, eq=False)
class Arcs:
    """Strong arcs of the two models' fused attention, one entry an arc.

    An arc leads from a position after a layer to one before it. It is strong where its weight, which is its share of
    the row, reaches the threshold.

    Attributes:
        layer: which pair of layers, counted from 0.
        query: the position that attends.
        key: the position attended to.
        weight_a: its weight in the first model.
        weight_b: its weight in the second.
        kind: index in `ARC_KINDS`: alike in both models, stronger in the first or in the second; see `stronger_in`.
        path_a: whether it lies on a path of strong arcs up to the first query position at the first model's top.
        path_b: likewise in the second model.
    """

    layer: Int[np.ndarray, " arc"]
    query: Int[np.ndarray, " arc"]
    key: Int[np.ndarray, " arc"]
    weight_a: Float[np.ndarray, " arc"]
    weight_b: Float[np.ndarray, " arc"]
    kind: Int[np.ndarray, " arc"]
    path_a: Bool[np.ndarray, " arc"]
    path_b: Bool[np.ndarray, " arc"]

    def __len__(self) -> int:
        return len(self.layer)

    def count(self, kind: str) -> int:
        """How many are of a kind."""
        return int((self.kind == ARC_KINDS.index(kind)).sum())


def stronger_in(first: Float[np.ndarray, "*shape"], second: Float[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
    """Which model's values are at least `STRONGER` times the other's: 0 neither's, 1 the first's, 2 the second's.

    It is the ratio that says so: a threshold between two values that are alike does not make one of them special.
    """
    # Where both are 0 neither is stronger, though 0 is twice 0.
    first_is, second_is = (
        (one > other) & (one >= STRONGER * other) for one, other in ((first, second), (second, first))
    )
    return np.where(first_is, 1, np.where(second_is, 2, 0)).astype(np.int8)


def strong_arcs(
    first: Float[np.ndarray, "layer token token"],
    second: Float[np.ndarray, "layer token token"],
    threshold: float,
    reach: tuple[Float[np.ndarray, "layer token"], Float[np.ndarray, "layer token"]],
) -> Arcs:
    """The arcs of two models that are strong in one of them at least.

    Args:
        first: fused attention, layer by layer.
        second: of the other model.
        threshold: the least share of its row that makes an arc strong.
        reach: for each model the width of the widest path from the query down to each position after each layer.
    """
    # Few arcs are strong: from here on only they are looked at, `arc`.
    layer, query, key = np.nonzero(np.maximum(first, second) >= threshold)
    here = layer, query, key
    # An arc is on a path of strong arcs where it is strong and the widest path down to its upper end is, too.
    on_path = [
        (weights[here] >= threshold) & (width[layer, query] >= threshold)
        for weights, width in zip((first, second), reach, strict=True)
    ]
    return Arcs(
        layer=layer.astype(np.int32),
        query=query.astype(np.int32),
        key=key.astype(np.int32),
        weight_a=first[here].astype(np.float32),
        weight_b=second[here].astype(np.float32),
        kind=stronger_in(first[here], second[here]),
        path_a=on_path[0],
        path_b=on_path[1],
    )


@jax.jit
@broadcasting
def path_widths(fused: Capacity, queries: Queries) -> States:
    """Width of the widest path from positions at the top down to every position of every layer.

    A path goes down one layer a step, along an arc of attention or, through the residual connection, by staying where
    it is; its width is the least weight among its arcs (staying costs nothing, so a path without arcs has width 1).
    There is a path of strong arcs exactly where this width reaches the threshold, whatever the threshold.

    Args:
        fused: raw attention: each layer's weights as shares, without own streams.
        queries: the positions at the top.

    Returns:
        `*batch state query token`, state 0 being the input and the last one the top. Cost: layer * query * token^2.
    """

    def step(above: Array, weights: Array) -> tuple[Array, Array]:
        # Of each position that attends, what gets through it; the widest of them, or staying.
        through = jnp.max(jnp.minimum(weights[..., None, :, :], above[..., :, :, None]), axis=-2)
        # through: `query token`, of `query token token`; the least of an arc and the path above it.
        below = jnp.maximum(above, through)
        return below, below

    return _descend(step, fused, queries)


@jax.jit
@broadcasting
def influence(capacity: Capacity, queries: Queries, decay: Float[Array, ""]) -> States:
    """How strongly positions at the top are traced to every position of every layer, fading on the way down.

    After DeRose et al. (2020), who trace the classification token's attention from the deepest layer to the words
    and let it decay over layers; their formula is not public, so this is ours. With `C_l` the capacities of layer l
    (own streams, or the residual, are in them), `L` layers and `e` the query's unit vector:

        I_L = e,  I_(l-1) = decay * I_l C_l

    so `I_l(w)` is `decay^(L - l)` times rollout from the top to layer l; with `decay=1` it is rollout itself, and
    `I_0` without decay its row of the input's words. A word's total is the sum over layers, see `total_influence`.

    Args:
        capacity: `AttentionGraph.capacity`.
        queries: positions at the top, 0 for [CLS].
        decay: from 0 (nothing is left) to 1 (nothing fades).

    Returns:
        `*batch state query token`, state 0 being the input and the last one the top.
    """

    def step(above: Array, weights: Array) -> tuple[Array, Array]:
        below = jnp.einsum("...qi,...ik->...qk", above, weights, precision=jax.lax.Precision.HIGHEST)
        below = decay.astype(below.dtype) * below
        return below, below

    return _descend(step, capacity, queries)


def total_influence(states: Float[np.ndarray, "state query token"]) -> Float[np.ndarray, "query token"]:
    """Each word's influence over all layers below the top, as shares that sum to 1 for each query."""
    # The top is the query itself, and says nothing of words.
    total = np.asarray(states[:-1], np.float64).sum(axis=0)
    whole = total.sum(axis=-1, keepdims=True)
    return total / np.where(whole > 0, whole, 1.0)


def _descend(step, layers: Capacity, queries: Queries) -> States:
    """Run a step from the top layer down to the input and stack what it gives, the input first."""
    # At the top each query is itself, with width or influence 1.
    top = jax.nn.one_hot(queries, layers.shape[-1], dtype=layers.dtype)
    _, below = jax.lax.scan(step, top, jnp.moveaxis(layers, -3, 0), reverse=True)
    # The scan runs backwards and stacks by layer: state l is below layer l + 1, the top comes last.
    return jnp.moveaxis(jnp.concatenate([below, top[None]]), 0, -3)
