"""The vectors that attention adds up, and what norms make of them.

A layer's attention block moves `z_ij = sum over heads h of a^h_ij f_h(x_j)` from token j to position i, with
`f_h(x_j)` the head's value behind the output projection: the value's bias is in it, the projection's is not.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxflow.models import LayerOutput, NormOutput

Vectors = Float[Array, "*row token width"]
HeadVectors = Float[Array, "*row head token width"]
HIGHEST = jax.lax.Precision.HIGHEST


def head_vectors(layer: LayerOutput) -> HeadVectors:
    """`f_h(x_j)` of every head and token. Cost: token * width^2, and memory of heads times the hidden states."""
    assert layer.values is not None
    # Letters: h head, k key, d head width, w width.
    return jnp.einsum("...hkd,hdw->...hkw", layer.values, layer.output, precision=HIGHEST)


def before_deviation(norm: NormOutput, vectors: Float[Array, "..."]) -> Float[Array, "..."]:
    """`scale * (v - mean(v))`: the linearised norm of parts of a state, but for its deviation.

    `g_y(v) = scale * (v - mean(v)) / sqrt(variance(y) + epsilon)` with y the true state gives the parts' shares in what
    the norm gave: they sum to it, less its bias. All parts of a state have its deviation, so that comes last.
    """
    return norm.scale * (vectors - jnp.mean(vectors, axis=-1, keepdims=True))


def own_vectors(layer: LayerOutput, vectors: HeadVectors) -> Vectors:
    """`z_ii`, what attention leaves each position of itself, of the heads' vectors."""
    # Each head's attention of positions to themselves: row head token.
    own = jnp.diagonal(layer.attention, axis1=-2, axis2=-1)
    return jnp.einsum("...hk,...hkw->...kw", own, vectors, precision=HIGHEST)


def length(vectors: Float[Array, "... width"]) -> Float[Array, "..."]:
    """Euclidean lengths."""
    return root(jnp.sum(jnp.square(vectors), axis=-1))


def root(square: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square roots; 0, with a derivative of 0, for what is 0 or was rounded below."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)
