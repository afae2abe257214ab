"""Value zeroing: how much a position changes when another's value is left out of the layer."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxflow.mixing._own import OwnStream
from jaxflow.mixing._protocol import Capacities
from jaxflow.mixing._vectors import length
from jaxflow.models import LayerOutput
from jaxflow.models.batch import used_length


@dataclass(frozen=True)
class ValueZeroing(OwnStream):
    """Cosine distance of each position's state after the layer to that without one token's value (Mohebbi et al. 2023).

    `c_ij = 1 - cos(y_i, y_i without value j)`, with y the layer's own output, feed-forward part and norms included; the
    attention stays as it was. Needs attention and reruns. Cost: the layer behind its attention once for each token of
    the batch's longest text, so about two thirds as many forward passes as it has tokens; one rerun is held at a time.
    (The feed-forward part is not linear, so it takes each pair of positions once, which is most of that.) In single
    precision distances are right to 2e-5 of a row's largest.

    Attributes:
        own: own streams: measured, wide, or a share of each position from 0 to 1. Measured adds none: the diagonal
            holds the effect of a position's own value, and rollout is the paper's; the residual connection is in no
            entry, so flow leaves a position as soon as others' values matter. A share: rows sum to 1 less the share,
            which is added to the diagonal. Wide: own streams bind no flow, which then shows all that the distances let
            through.
        rows: shares (each row scaled to sum to 1, as published), sizes (as they are), or auto, which is sizes for wide
            own streams. Sizes lie between 0 and 2: positions that change more carry more.
    """

    @property
    def name(self) -> str:
        """Its name in `MIXINGS`."""
        return "value-zeroing"

    @property
    def needs(self) -> frozenset[str]:
        """Values, and the layer once more."""
        return frozenset({"attention", "values", "rerun"})

    def capacities(self, layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Capacities:
        """The distances, and own streams as asked for."""
        values = layer.values
        assert values is not None
        whole, tokens = _directions(layer.rerun()), jnp.arange(mask.shape[-1])

        def without(token: Int[Array, ""]) -> Float[Array, "*row query"]:
            less = layer.rerun(values=jnp.where((tokens == token)[:, None], 0, values))
            # 1 - cos of unit vectors is half their squared distance; so written, near vectors lose no digits.
            return jnp.sum(jnp.square(whole - _directions(less)), axis=-1) / 2

        # One token after the other: a rerun for all of them at once would be as many batches.
        def filled(token: Int[Array, ""], distances: Float[Array, "token *row query"]) -> Array:
            return distances.at[token].set(without(token))

        room = jnp.zeros((mask.shape[-1], *whole.shape[:-1]), whole.dtype)
        distance = jnp.moveaxis(jax.lax.fori_loop(0, used_length(mask), filled, room), 0, -1)
        return self.settled(distance, mask)


def _directions(states: Float[Array, "*row token width"]) -> Float[Array, "*row token width"]:
    """States scaled to length 1; a state of zeros stays."""
    size = length(states)[..., None]
    return states / jnp.where(size == 0, 1, size)
