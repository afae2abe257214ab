"""Attention times the gradient of an explained number: capacities that depend on the class."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxflow.graph import attention as _attention
from jaxflow.graph.graph import with_residual
from jaxflow.mixing._protocol import Capacities
from jaxflow.mixing.attention import as_share
from jaxflow.models import LayerOutput


@dataclass(frozen=True)
class AttentionGradient:
    """`mean over heads of relu(gradient * attention)` (Chefer, Gur & Wolf 2021), rows scaled to sum to 1.

    The gradient is the total one, of the number that is explained: attention of later layers moves along. A row on
    which the number doesn't rest is empty, and stays with itself.

    Attributes:
        residual: share of each position that is its own, from 0 to 1.
    """

    residual: float | Any = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "residual", as_share(self.residual))

    @property
    def name(self) -> str:
        """Its name in `MIXINGS`."""
        return "attention-gradient"

    @property
    def needs(self) -> frozenset[str]:
        """Attention, and its gradient."""
        return frozenset({"attention", "gradients"})

    def capacities(self, layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Capacities:
        """Rows of `gradient_weights` scaled to sum to 1, times `1 - residual`; and the residual."""
        assert layer.gradient is not None
        weights = gradient_weights(layer.attention, layer.gradient, mask)
        # Gradients may be as small as the format allows: a power of two first, so that no sum of theirs is lost.
        shares = _attention.renormalized(_attention.evened(weights, (-1,))[..., None, :, :], mask)[..., 0, :, :]
        return with_residual(shares, jnp.full(mask.shape[:-1], self.residual, shares.dtype), mask)


def gradient_weights(
    attention: Float[Array, "*row head token token"],
    gradient: Float[Array, "*row head token token"],
    mask: Bool[Array, "*#row token"],
) -> Float[Array, "*row token token"]:
    """`mean over heads of relu(gradient * attention)`, 0 on padding, whatever stood there."""
    # Padding first: what a model computes there may be anything, NaN included, and its gradient says nothing.
    pairs = (mask[..., :, None] & mask[..., None, :])[..., None, :, :]
    owed = jnp.where(pairs, gradient * attention, jnp.zeros((), attention.dtype))
    # Only positive products count: a head that lowers the number gives nothing.
    return jnp.mean(jnp.maximum(owed, 0), axis=-3)
