"""The vectors that attention adds up, and what norms make of them.

A layer's attention block moves `z_ij = sum over heads h of a^h_ij f_h(x_j)` from token j to position i, with
`f_h(x_j)` the head's value behind the output projection: the value's bias is in it, the projection's is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxflow.models import LayerOutput, NormOutput

Vectors = Float[Array, "*row token width"]
HeadVectors = Float[Array, "*row head token width"]
HIGHEST = jax.lax.Precision.HIGHEST


@dataclass(frozen=True)
class Parts:
    """What a layer's vectors are made of, behind norms but for their deviations.

    All parts of a state have its deviation, so it can come last; what is left of a norm, `scale * (v - mean(v))`, is
    the same map for all positions, and goes onto the projection once in the place of every vector.

    Attributes:
        layer: the layer.
        projection: from each head's values to the states.
        inputs: the layer's input.
    """

    layer: LayerOutput
    projection: Float[Array, "head head_width width"]
    inputs: Vectors

    def vectors(self) -> HeadVectors:
        """`f_h(x_j)` of every head and token. Cost: token * width^2, and memory of heads times the hidden states."""
        # Letters: h head, k key, d head width, w width.
        return jnp.einsum("...hkd,hdw->...hkw", self.layer.values, self.projection, precision=HIGHEST)

    def own(self) -> Vectors:
        """`z_ii + x_i`: what attention leaves each position of itself, and its own state."""
        itself = jnp.diagonal(self.layer.attention, axis1=-2, axis2=-1)
        return self._projected(itself[..., None] * self.layer.values) + self.inputs

    def others(self) -> Vectors:
        """The sum over j != i of `z_ij`."""
        diagonal = jnp.eye(self.layer.attention.shape[-1], dtype=bool)
        attention = jnp.where(diagonal, 0, self.layer.attention)
        return self._projected(jnp.einsum("...hqk,...hkd->...hqd", attention, self.layer.values, precision=HIGHEST))

    def _projected(self, values: Float[Array, "*row head token head_width"]) -> Vectors:
        return jnp.einsum("...hqd,hdw->...qw", values, self.projection, precision=HIGHEST)


def norms_behind(layer: LayerOutput, count: int) -> tuple[NormOutput, ...]:
    """The first `count` norms behind the layer's sums; none where they stand before its blocks: values passed them."""
    if layer.norms is None or layer.norms.pre_norm:
        return ()
    return (layer.norms.attention, layer.norms.output)[:count]


def parts_behind(layer: LayerOutput, norms: Sequence[NormOutput]) -> Parts:
    """A layer's parts behind linearised norms, but for their deviations.

    `g_y(v) = scale * (v - mean(v)) / sqrt(variance(y) + epsilon)` with y the true state before the norm gives parts of
    that state their shares in what the norm gave: they sum to it, less its bias.
    """
    assert layer.output is not None
    assert layer.inputs is not None
    projection, inputs = layer.output, layer.inputs
    for norm in norms:
        projection, inputs = _before_deviation(norm, projection), _before_deviation(norm, inputs)
    return Parts(layer, projection, inputs)


def _before_deviation(norm: NormOutput, vectors: Float[Array, "..."]) -> Float[Array, "..."]:
    return norm.scale * (vectors - jnp.mean(vectors, axis=-1, keepdims=True) if norm.centred else vectors)


def length(vectors: Float[Array, "... width"]) -> Float[Array, "..."]:
    """Euclidean lengths."""
    return root(jnp.sum(jnp.square(vectors), axis=-1))


def root(square: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square roots; 0, with a derivative of 0, for what is 0 or was rounded below."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)
