"""Norms of the vectors that a layer moves between positions."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxflow import _checks
from jaxflow._typing import Square
from jaxflow.mixing._own import OwnStream
from jaxflow.mixing._protocol import Capacities
from jaxflow.mixing._vectors import HIGHEST, length, norms_behind, parts_behind, root
from jaxflow.models import LayerOutput

# How many of the layer's norms each passes.
VARIANTS = {"N": 0, "N-Res": 0, "N-ResLN": 1, "N-Enc": 2}


@dataclass(frozen=True)
class Norms(OwnStream):
    """How long the vectors are that a layer moves from each token to each position.

    With `z_ij` the sum over heads of attention times value behind the output projection, and `r_ij = z_ij`, plus the
    position's own state where i = j:

    - "N": `|z_ij|` (Kobayashi et al. 2020). The residual connection is not in it.
    - "N-Res": `|r_ij|`; "N-ResLN": `|g1(r_ij)|`, with g1 the linearised norm behind the attention block (Kobayashi et
      al. 2021): `g(v) = scale * (v - mean(v)) / sqrt(variance(y) + epsilon)`, y the true state before that norm.
    - "N-Enc": `|g2(g1(r_ij))|`, with g2 the norm behind the feed-forward block likewise, whose vector is skipped
      (Modarressi et al. 2022, GlobEnc).

    Norms that stand before their blocks are in the values already, so there the last three are the same. Needs values,
    and norms for the last two. Cost: token * width^2 and token^2 * head^2 a layer, about half a forward pass more;
    memory of a few times one layer's attention.

    Attributes:
        variant: N, N-Res, N-ResLN or N-Enc.
        own: own streams: measured, wide, or a share of each position from 0 to 1. Measured adds none: the diagonal
            holds a position's own vector, with the residual connection in it but for "N". Rollout then is the papers'
            (no further identity); flow is bound by the rows and by the first layer's columns. A share: rows sum to 1
            less the share, which is added to the diagonal, as for attention. Wide: own streams bind no flow, which
            then shows all that the norms let through; rollout over it weights paths by how few arcs between positions
            they take.
        rows: shares (each row scaled to sum to 1), sizes (as they are), or auto, which is sizes for wide own streams.
            With shares, as published, rollout gives shares and flow is at most 1. With sizes layers and positions of
            long vectors carry more in both, and values have the norms' unit.
    """

    variant: str = "N-Enc"

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.one_of("variant", self.variant, tuple(VARIANTS))

    @property
    def name(self) -> str:
        """Its name in `MIXINGS`."""
        return "norms"

    @property
    def needs(self) -> frozenset[str]:
        """Values; norms as well where they are in the variant."""
        norms = {"norms"} if VARIANTS[self.variant] else set()
        return frozenset({"attention", "values"} | norms)

    def capacities(self, layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Capacities:
        """The norms, and own streams as asked for."""
        norms = norms_behind(layer, VARIANTS[self.variant])
        parts = parts_behind(layer, norms)
        lengths = pair_lengths(layer, parts.projection)
        if self.variant != "N":
            # The position's own vector has its state in it.
            diagonal = jnp.eye(mask.shape[-1], dtype=bool)
            lengths = jnp.where(diagonal, length(parts.own())[..., None], lengths)
        for norm in norms:
            lengths = lengths / norm.deviation[..., None]
        return self.settled(lengths, mask)


def pair_lengths(layer: LayerOutput, projection: Float[Array, "head head_width width"]) -> Square:
    """`|sum over heads of a^h_ij v_h(j) P_h|` for each pair, without the vectors of pairs.

    `|sum_h a_h v_h P_h|^2 = sum_{g h} a_g a_h v_g (P_g P_h^T) v_h^T`: one Gram matrix a token, by products of values as
    wide as a head, in the place of one vector a pair. In single precision the rounding of the products counts against
    the squared sum of `a_h |v_h P_h|`, which in trained models is 5 times the length at most: 3e-7 of the length there.
    """
    assert layer.values is not None
    # Letters: g h head, k key, d e head width, w width. Heads in front, so that a head's values lie together.
    values = jnp.moveaxis(layer.values, -3, 0)
    attention = jnp.moveaxis(layer.attention, -3, 0)
    products = jnp.einsum("gdw,hew->gdhe", projection, projection, precision=HIGHEST)

    def add(total: Square, slices: tuple[Array, Array, Array]) -> tuple[Square, None]:
        """Adds one head's products with all heads to the squares."""
        value, product, weights = slices
        gram = jnp.sum(jnp.einsum("...kd,dhe->h...ke", value, product, precision=HIGHEST) * values, axis=-1)
        # Head by head, so that the compiler makes one pass over pairs of the sum: a product of matrices would have as
        # many small ones as there are tokens.
        other = sum(gram[head][..., None, :] * attention[head] for head in range(len(attention)))
        return total + weights * other, None

    # One head after the other: all of them hold a number for each head, token and entry of the states.
    squares, _ = jax.lax.scan(add, jnp.zeros_like(attention[0]), (values, products, attention))
    return root(squares)


def mixing_ratio(layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Float[Array, "*row token"]:
    """Of each position the share that came from others: `m_i = |mix| / (|mix| + |own|)`, both by "N-Enc".

    `mix` is the sum of the vectors of all others, `own` the position's own with its state (Kobayashi et al. 2021).
    Both have the same deviations, which cancel.
    """
    parts = parts_behind(layer, norms_behind(layer, VARIANTS["N-Enc"]))
    mix, own = length(parts.others()), length(parts.own())
    total = mix + own
    return jnp.where(mask, mix / jnp.where(total == 0, 1, total), 0)
