"""A mixing from outside the package, which needs values: how long the vectors are that attention adds up."""

from dataclasses import dataclass

import jax.numpy as jnp


@dataclass(frozen=True)
class ValueNorms:
    """`|sum over heads of a * f(x_j)|` with `f` the value and its output projection; the own stream is `|x_i|`."""

    scale: float = 1.0
    name: str = "value-norms"
    needs: frozenset[str] = frozenset({"attention", "values"})

    def capacities(self, layer, mask):
        """A layer's weights and own streams, 0 on padding."""
        vectors = jnp.einsum("...hjd,hdw->...hjw", layer.values, layer.output)
        added = jnp.einsum("...hij,...hjw->...ijw", layer.attention, vectors)
        weights = self.scale * jnp.linalg.norm(added, axis=-1)
        own = jnp.linalg.norm(layer.inputs, axis=-1)
        pairs = mask[..., :, None] & mask[..., None, :]
        return jnp.where(pairs, weights, 0), jnp.where(mask, own, 0)
