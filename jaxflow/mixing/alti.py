"""ALTI: how near each token's vector brings a position to what the attention block made of it."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxflow.mixing._own import OwnStream
from jaxflow.mixing._protocol import Capacities
from jaxflow.mixing._vectors import HIGHEST, norms_behind, parts_behind
from jaxflow.models import LayerOutput

# Numbers of the vectors of pairs that are held at once; 16 MB.
HELD = 1 << 22


@dataclass(frozen=True)
class Alti(OwnStream):
    """`c_ij = max(0, |y_i| - |y_i - T_ij|)`, lengths by the sum of absolute entries (Ferrando et al. 2022).

    `y_i` is the true state after the attention block, biases included; `T_ij = g1(r_ij)` the part of it that came from
    token j: its vector (see `Norms`), with the position's own state where i = j, behind the linearised norm. Where
    norms stand before their blocks there is no g1. Needs values and norms. Cost: token^2 * head * width a layer, about
    five forward passes of MiniLM at 128 tokens; the vectors of pairs are held for a few tokens at a time.

    Attributes:
        own: own streams: measured, wide, or a share of each position from 0 to 1. Measured adds none, as the diagonal
            holds the residual connection: rollout is the paper's, flow is bound by the rows and by the first layer's
            columns. A share: rows sum to 1 less the share, which is added to the diagonal. Wide: own streams bind no
            flow, which then shows all that the contributions let through.
        rows: shares (each row scaled to sum to 1, as published), sizes (as they are), or auto, which is sizes for wide
            own streams.
    """

    @property
    def name(self) -> str:
        """Its name in `MIXINGS`."""
        return "alti"

    @property
    def needs(self) -> frozenset[str]:
        """Values and norms."""
        return frozenset({"attention", "values", "norms"})

    def capacities(self, layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Capacities:
        """The contributions, and own streams as asked for."""
        attended, norms = layer.attended, norms_behind(layer, 1)
        assert attended is not None
        parts, tokens = parts_behind(layer, norms), jnp.arange(mask.shape[-1])
        deviation = norms[0].deviation if norms else jnp.ones(mask.shape)

        def from_key(slices: tuple[Array, Array, Array]) -> Float[Array, "*row query"]:
            """How far every position still is from its state without one token's vector."""
            # row head query; row head width; the token's number.
            attention, vector, key = slices
            moved = jnp.einsum("...hq,...hw->...qw", attention, vector, precision=HIGHEST)
            itself = (tokens == key)[:, None]
            part = (moved + jnp.where(itself, parts.inputs, 0)) / deviation[..., None]
            return jnp.sum(jnp.abs(attended - part), axis=-1)

        # One vector a pair is too much to hold, so keys in turn: each key's vectors are read once.
        keys = jnp.moveaxis(layer.attention, -1, 0), jnp.moveaxis(parts.vectors(), -2, 0), tokens
        at_once = max(1, HELD // attended.size)
        distance = jnp.moveaxis(jax.lax.map(from_key, keys, batch_size=at_once), 0, -1)
        nearness = jnp.sum(jnp.abs(attended), axis=-1)[..., None] - distance
        return self.settled(jnp.maximum(nearness, 0), mask)
