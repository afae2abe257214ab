"""What mixings have in common whose weights are made of gradients in the attention."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxflow._typing import Settled
from jaxflow.mixing._own import WIDE, as_own, with_own_stream
from jaxflow.mixing._protocol import Capacities
from jaxflow.models import LayerOutput

# Own streams of 1 beside the weights, and none at all.
IDENTITY, NONE = "identity", "none"

Heads = Float[Array, "*row head token token"]


@dataclass(frozen=True)
class GradientMixing:
    """A mixing whose weights are the mean over heads of what only counts where it raises the explained number.

    Subclasses say what counts, in `terms`. Weights are in units of the explained number, and keep their size unless
    `own` is a share.

    Attributes:
        own: own stream of each position: wide, identity, none, or a share from 0 to 1.
    """

    own: Settled[float | str] = WIDE

    def __post_init__(self) -> None:
        object.__setattr__(self, "own", as_own(self.own, (WIDE, IDENTITY, NONE)))

    @property
    def needs(self) -> frozenset[str]:
        """Attention, and its gradient."""
        return frozenset({"attention", "gradients"})

    @property
    def wide(self) -> bool:
        """Whether own streams must bind no flow."""
        return self.own == WIDE

    def terms(self, layer: LayerOutput) -> Heads:
        """What each head's arcs are worth, of either sign; padding may hold anything."""
        raise NotImplementedError

    def capacities(self, layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Capacities:
        """The layer's weights and own streams."""
        weights, own = with_own_stream(raising(self.terms(layer), mask), self.own, mask, scaled=False)
        # Padding keeps no stream, or it leaks capacity.
        return weights, mask.astype(weights.dtype) if self.own == IDENTITY else own


def raising(terms: Heads, mask: Bool[Array, "*#row token"]) -> Float[Array, "*row token token"]:
    """`mean over heads of relu(terms)`, 0 on padding, whatever stood there."""
    # Padding first: what a model computes there may be anything, NaN included, and its gradient says nothing.
    pairs = (mask[..., :, None] & mask[..., None, :])[..., None, :, :]
    terms = jnp.where(pairs, terms, jnp.zeros((), terms.dtype))
    # A head that lowers the number gives nothing.
    return jnp.mean(jnp.maximum(terms, 0), axis=-3)
