"""Column sums of class-specific weights: no functional of the graph's paths, and the baseline that flow has to beat."""

from dataclasses import dataclass

import jax.numpy as jnp

from jaxflow._typing import Settled, Square, TokenMask
from jaxflow.mixing import AttentionGradient, Mixing

WEIGHTS = AttentionGradient(own="none")


@dataclass(frozen=True)
class ColumnSums:
    """Sums of `relu(gradient * attention)` over all queries and all layers up to the layer asked for.

    Relevance at the last layer is that of the whole model. Each query has the same row: positions to explain play no
    part. Values are in units of the explained number. Cost: one backward pass, shared with mixings that need it.

    Attributes:
        name: its column.
        mixing: whose weights are summed, by value; own streams would be summed as well.
    """

    name: str = "column-sums"
    mixing: Settled[str | Mixing] = WEIGHTS

    def start(self, mask: TokenMask) -> Square:
        """No layer is summed: `row query token` of zeros."""
        return jnp.zeros((*mask.shape, mask.shape[-1]), jnp.float32)

    def step(self, carry: Square, attention: Square, capacity: Square) -> tuple[Square, Square]:
        """The sums with one more layer's columns, the same for every query."""
        sums = carry + jnp.sum(capacity, axis=-2, keepdims=True)
        return sums, sums
