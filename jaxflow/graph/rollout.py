"""Raw attention and attention rollout: a layer's own weights, and shares of each position by input token."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow import _checks
from jaxflow._checks import InputError, not_forked
from jaxflow._programs import Programs, is_at_hand
from jaxflow._typing import Attentions, Given, Relevance, Square, TokenMask
from jaxflow.graph import attention
from jaxflow.graph.graph import AttentionGraph, check_graph, in_buckets, with_own

# Powers of two between which rollout keeps its size: float32 ends at 126, and sums of a row must stay within.
LARGEST_POWER = 96
# From this many tokens on, a product of triangles is cut into blocks of so many rows, on a processor.
LONG, BLOCK = 256, 96


def raw_attention(graph: Given[AttentionGraph]) -> Relevance:
    """A layer's own weights as shares: each row of `weights` scaled to sum to 1, without the own streams.

    Entry [l, i, j] is how much position i attends to position j in layer l + 1: positions, not input tokens, which is
    why it turns uniform and loses its meaning with depth (Abnar & Zuidema 2020, section 2). Of `attention_graph`'s
    graphs it is the attention, heads fused (but where `residual=1` left no attention in the graph).

    Args:
        graph: the layered graph, an `AttentionGraph`.

    Returns:
        `*batch layer query token`; rows sum to 1 on real tokens and are 0 on padding; a row of zeros stays zeros. Cost:
        layer * token^2.

    Raises:
        InputError: if the graph is none, or one made by hand that is not sound.
    """
    not_forked()
    return in_buckets(_raw, check_graph(graph), "layer token token")


def attention_rollout(graph: Given[AttentionGraph], start: int | np.integer = 0) -> Relevance:
    """Share of each position after each layer that came from each node of layer `start`, summed over all paths.

    The product of the layers' capacities, `R_l = C_l R_(l-1)`, as a scan over layers at full precision (Abnar &
    Zuidema 2020, section 3; the own streams, or residual, are in the capacities). Where rows sum to 1
    (`AttentionGraph.row_stochastic`) these are shares; else products, which grow or shrink with the capacities' size.

    Args:
        graph: the layered graph, an `AttentionGraph`.
        start: the layer whose nodes relevance is shared out over; 0 is the input.

    Returns:
        `*batch layer-start query token`: entry [0] is for the layer just above `start`. Rows sum to 1 on real tokens
        where those of the graph do, and are 0 on padding. Cost: layer * token^3.

    Raises:
        InputError: if there is no layer above `start`, the graph is none, or one made by hand that is not sound, or
            its capacities are so large that their product overflows (where values can be read).
    """
    not_forked()
    graph = check_graph(graph)
    if not isinstance(start, int | np.integer) or isinstance(start, bool) or not 0 <= start < graph.num_layers:
        expected = f"be a layer from 0 (the input) to {graph.num_layers - 1} (the last but one)"
        raise InputError("start", expected, _checks.shown(start))
    rolled = in_buckets(_rollout, graph, "layer token token", start=int(start))
    # What overflows in a layer is infinite or NaN in all layers above it.
    if not _checks.is_traced(rolled) and not (np.isfinite(rolled).all() if is_at_hand(rolled) else _is_finite(rolled)):
        expected = f"have a product of capacities that {rolled.dtype} holds"
        raise InputError("graph", expected, "an overflow", "scale each layer down")
    return rolled


def head_rollout(
    graph: Given[AttentionGraph], attentions: Attentions, layer: int | np.integer
) -> Float[Array, "*batch head query token"]:
    """Rollout through each head of one layer alone: `R(l, head) = C(l, head) R(l-1)`, all heads fused below it.

    A head's capacities are its attention, each row of the size that the graph's own weights have there, over the same
    own streams.

    Args:
        graph: the layered graph, an `AttentionGraph`, that `attentions` made.
        attentions: the argument of `attention_graph`, `*batch layer head query key`.
        layer: the layer whose heads are told apart, counted from 1.

    Returns:
        `*batch head query token`; rows sum to 1 on real tokens and are 0 on padding. Cost: (layer + head) * token^3.

    Raises:
        InputError: for a layer that is not there, or attention of another shape than the graph's.
    """
    not_forked()
    graph = check_graph(graph)
    if not isinstance(layer, int | np.integer) or isinstance(layer, bool) or not 1 <= layer <= graph.num_layers:
        raise InputError("layer", f"be from 1 to {graph.num_layers}", _checks.shown(layer))
    weights, _ = attention.as_attention(attentions, normalize=True, mask=graph.mask)
    expected = (*graph.batch_shape, graph.num_layers, graph.num_tokens, graph.num_tokens)
    if (*weights.shape[:-3], *weights.shape[-2:]) != expected:
        expected = f"be the graph's own attention, of shape {expected} and heads"
        raise InputError("attentions", expected, str(weights.shape))
    return in_buckets(_head_rollout, graph, "head token token", (weights, "layer head token token"), layer=int(layer))


def no_layers(mask: TokenMask) -> Square:
    """Rollout below the first layer: real tokens are themselves."""
    return attention.identity(mask, jnp.float32)


def product(upper: Float[Array, "*batch token token"], lower: Float[Array, "*#batch token token"]) -> Square:
    """Shares through one more matrix of capacities, `R_l = C_l R_(l-1)`, at full precision."""
    return _dense(upper, lower) if upper.shape[-1] < LONG else _long_product(upper, lower)


def _dense(upper: Float[Array, "*batch query token"], lower: Float[Array, "*#batch token source"]) -> Array:
    # Accelerators round matrix products to fewer bits by default, which drifts rows off the simplex layer by layer.
    return jnp.einsum("...qk,...kt->...qt", upper, lower, precision=jax.lax.Precision.HIGHEST)


@jax.custom_jvp
def _long_product(upper: Float[Array, "*batch token token"], lower: Float[Array, "*#batch token token"]) -> Square:
    return jax.lax.platform_dependent(upper, lower, cpu=_on_processor, default=_dense)


@_long_product.defjvp
def _long_tangent(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Square, Square]:
    # Blocks are left out for their zeros, whose derivatives are none.
    (upper, lower), (by_upper, by_lower) = primals, tangents
    return _long_product(upper, lower), _dense(by_upper, lower) + _dense(upper, by_lower)


def _on_processor(upper: Float[Array, "*batch token token"], lower: Float[Array, "*#batch token token"]) -> Square:
    # A decoder's matrices are lower triangles. Their values say so, whoever made them; what is no number is not 0.
    causal = _is_triangle(upper) & _is_triangle(lower)
    return jax.lax.cond(causal, _of_triangles, _dense, upper, lower)


def _is_triangle(matrices: Float[Array, "*batch token token"]) -> Bool[Array, ""]:
    return jnp.all((matrices == 0) | jnp.tri(matrices.shape[-1], dtype=bool))


def _of_triangles(upper: Float[Array, "*batch token token"], lower: Float[Array, "*#batch token token"]) -> Square:
    """The product of two lower triangles: 42 % of the multiplications where there are six blocks of rows."""
    tokens = upper.shape[-1]
    blocks = []
    for start in range(0, tokens, BLOCK):
        end = min(tokens, start + BLOCK)
        # Rows of the block reach no further than its end, neither in `upper` nor in their product.
        block = _dense(upper[..., start:end, :end], lower[..., :end, :end])
        blocks.append(jnp.pad(block, [(0, 0)] * (block.ndim - 1) + [(0, tokens - end)]))
    return jnp.concatenate(blocks, axis=-2)


def leveled(
    relevance: Float[Array, "*batch token token"], power: Int[Array, "*batch"]
) -> tuple[Square, Int[Array, "*batch"]]:
    """Relevance times a power of two, so that its largest value is about 1, and the power that was taken out."""
    _, exponent = jnp.frexp(jnp.max(relevance, axis=(-2, -1)))
    return _times_power(relevance, -exponent), power + exponent


def sized(relevance: Float[Array, "*batch token token"], power: Int[Array, "*batch"]) -> Square:
    """Relevance of its own size again; beyond what float32 holds, of the largest or smallest size that it does."""
    return _times_power(relevance, jnp.clip(power, -LARGEST_POWER, LARGEST_POWER))


def _times_power(relevance: Float[Array, "*batch token token"], power: Int[Array, "*batch"]) -> Square:
    """Relevance times a power of two, exactly."""
    # As factors, which are twice as fast as `ldexp` of every entry; two, as float32 may not hold the power itself.
    one, half = jnp.ones((), relevance.dtype), power // 2
    first, second = jnp.ldexp(one, half), jnp.ldexp(one, power - half)
    return relevance * first[..., None, None] * second[..., None, None]


@Programs
def _is_finite(rolled: Relevance) -> Bool[Array, ""]:
    return jnp.all(jnp.isfinite(rolled[..., -1, :, :]))


@Programs
def _raw(graph: AttentionGraph) -> Relevance:
    return attention.row_shares(graph.weights)


@partial(Programs, static=("start",))
def _rollout(graph: AttentionGraph, start: int) -> Relevance:
    layers = jnp.moveaxis(with_own(graph.weights, graph.own), -3, 0)[start:]
    first, above = layers[0], layers[1:]

    # A position's shares are its capacities times the shares of the positions below.
    def step(below: Array, capacity: Array) -> tuple[Array, Array]:
        rolled = product(capacity, below)
        return rolled, rolled

    _, rolled = jax.lax.scan(step, first, above)
    return jnp.moveaxis(jnp.concatenate([first[None], rolled]), 0, -3)


@partial(Programs, static=("layer",))
def _head_rollout(
    graph: AttentionGraph, weights: Float[Array, "*batch layer head token token"], layer: int
) -> Float[Array, "*batch head query token"]:
    # Heads are scaled as layers are, one matrix each; an axis of layers is added for masking.
    heads = weights[..., layer - 1, :, :, :]
    clean = attention.masked(heads[..., None, :, :], graph.mask)[..., 0, :, :]
    # batch head query key: each row has the sum of the graph's own row.
    sizes = jnp.sum(graph.weights[..., layer - 1, :, :], axis=-1)[..., None, :, None]
    capacity = with_own(
        sizes * attention.renormalized(clean, graph.mask),
        jnp.broadcast_to(graph.own[..., layer - 1, None, :], clean.shape[:-1]),
    )
    if layer == 1:
        return capacity
    return product(capacity, _rollout(graph, 0)[..., layer - 2, None, :, :])
