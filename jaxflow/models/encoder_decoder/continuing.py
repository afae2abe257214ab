"""What an encoder-decoder keeps while it writes targets: each new one runs alone."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxflow._pytree import pytree
from jaxflow.models.encoder_decoder.parts import Hidden


@pytree
class KeptTargets:
    """Keys and values of sources and of the targets so far.

    Attributes:
        sources: where there are any.
        cross: keys and values of the sources, for each of the decoder's layers.
        keys: of the targets, for each of the decoder's layers.
        values: likewise.
        place: of the next target.
    """

    sources: Bool[Array, "row token"]
    cross: tuple[Float[Array, "layer row token head head_width"], Float[Array, "layer row token head head_width"]]
    keys: Float[Array, "layer row place head head_width"]
    values: Float[Array, "layer row place head head_width"]
    place: Int[Array, ""]


def kept_sources(layers: Any, hidden: Hidden, sources: Bool[Array, "row token"], room: int) -> KeptTargets:
    """What is kept of the encoder's output, with room for so many targets behind the first.

    Args:
        layers: of the decoder, stacked.
        hidden: behind the encoder's last layer.
        sources: where there are any.
        room: most targets.
    """
    # Each layer's keys and values of the sources, which no target changes: layer row token head head_width.
    _, (keys, values) = jax.lax.scan(
        lambda _, layer: (None, (layer.cross.key(hidden), layer.cross.value(hidden))), None, layers
    )
    none = jnp.zeros((*keys.shape[:2], 1 + room, *keys.shape[3:]), jnp.float32)
    return KeptTargets(sources, (keys, values), none, none, jnp.int32(0))
