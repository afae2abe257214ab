"""The gradient of an explained number in the attention: capacities that depend on the class."""

from dataclasses import dataclass

import jax.numpy as jnp

from jaxflow.mixing._gradients import GradientMixing, Heads
from jaxflow.models import LayerOutput


@dataclass(frozen=True)
class Gradient(GradientMixing):
    """`mean over heads of relu(gradient)` (GF of Azarkhalili & Libbrecht 2025): how much more of an arc would help.

    The gradient is as in `AttentionGradient`, and so is `own`. An arc that hardly anything goes along may weigh as much
    as one that carries all. Arcs on which attention is exactly 0, as those to later positions in causal models, weigh
    nothing: they are not in the model.

    Attributes:
        own: own stream of each position: wide, identity, none, or a share from 0 to 1. In Python a number or a word.
    """

    @property
    def name(self) -> str:
        """Its name in `MIXINGS`."""
        return "gradient"

    def terms(self, layer: LayerOutput) -> Heads:
        """The gradient, on arcs that there are."""
        assert layer.gradient is not None
        return jnp.where(layer.attention > 0, layer.gradient, jnp.zeros((), layer.gradient.dtype))
