"""Norms of the vectors that a layer moves between positions."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxflow import _checks
from jaxflow._typing import Square
from jaxflow.mixing._own import OwnStream
from jaxflow.mixing._protocol import Capacities
from jaxflow.mixing._vectors import HIGHEST, HeadVectors, before_deviation, head_vectors, length, own_vectors, root
from jaxflow.models import LayerOutput, NormOutput

VARIANTS = ("N", "N-Res", "N-ResLN", "N-Enc")


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
    and norms for the last two. Cost: less than a forward pass; memory of one layer's attention and of heads times the
    hidden states.

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
        _checks.one_of("variant", self.variant, VARIANTS)

    @property
    def name(self) -> str:
        """Its name in `MIXINGS`."""
        return "norms"

    @property
    def needs(self) -> frozenset[str]:
        """Values; norms as well where they are in the variant."""
        norms = {"norms"} if self.variant in ("N-ResLN", "N-Enc") else set()
        return frozenset({"attention", "values"} | norms)

    def capacities(self, layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Capacities:
        """The norms, and own streams as asked for."""
        vectors, inputs = head_vectors(layer), layer.inputs
        assert inputs is not None
        for norm in _norms(layer, self.variant):
            vectors, inputs = before_deviation(norm, vectors), before_deviation(norm, inputs)
        lengths = pair_lengths(layer.attention, vectors)
        if self.variant != "N":
            # The position's own vector has its state in it.
            own = length(own_vectors(layer, vectors) + inputs)
            diagonal = jnp.eye(mask.shape[-1], dtype=bool)
            lengths = jnp.where(diagonal, own[..., None], lengths)
        for norm in _norms(layer, self.variant):
            lengths = lengths / norm.deviation[..., None]
        return self.settled(lengths, mask)


def pair_lengths(attention: Float[Array, "*row head token token"], vectors: HeadVectors) -> Square:
    """`|sum over heads of a^h_ij v_h(j)|` for each pair, without the vectors of pairs.

    `|sum_h a_h v_h|^2 = sum_{g h} a_g a_h <v_g, v_h>`: one Gram matrix a token in the place of one vector a pair. In
    single precision the rounding of the products counts against the squared sum of `a_h |v_h|`, which in trained models
    is 5 times `|sum|` at most: 3e-7 of the length there.
    """
    # Letters: g h head, q query, k key, w width.
    gram = jnp.einsum("...gkw,...hkw->...kgh", vectors, vectors, precision=HIGHEST)
    turned = jnp.einsum("...gqk,...kgh->...hqk", attention, gram, precision=HIGHEST)
    return root(jnp.sum(turned * attention, axis=-3))


def mixing_ratio(layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Float[Array, "*row token"]:
    """Of each position the share that came from others: `m_i = |mix| / (|mix| + |own|)`, both by "N-Enc".

    `mix` is the sum of the vectors of all others, `own` the position's own with its state (Kobayashi et al. 2021,
    equation 12). Both have the same deviations, which cancel.
    """
    assert layer.values is not None
    assert layer.inputs is not None
    diagonal = jnp.eye(mask.shape[-1], dtype=bool)
    others = jnp.where(diagonal, 0, layer.attention)
    moved = jnp.einsum("...hqk,...hkd->...hqd", others, layer.values, precision=HIGHEST)
    mix = jnp.einsum("...hqd,hdw->...qw", moved, layer.output, precision=HIGHEST)
    kept = jnp.diagonal(layer.attention, axis1=-2, axis2=-1)[..., None] * layer.values
    own = jnp.einsum("...hqd,hdw->...qw", kept, layer.output, precision=HIGHEST) + layer.inputs
    for norm in _norms(layer, "N-Enc"):
        mix, own = before_deviation(norm, mix), before_deviation(norm, own)
    mix, own = length(mix), length(own)
    total = mix + own
    return jnp.where(mask, mix / jnp.where(total == 0, 1, total), 0)


def _norms(layer: LayerOutput, variant: str) -> tuple[NormOutput, ...]:
    """The norms that a variant passes: none where they stand before their blocks, as the values passed them already."""
    if layer.norms is None or layer.norms.pre_norm or variant in ("N", "N-Res"):
        return ()
    return (layer.norms.attention, layer.norms.output)[: VARIANTS.index(variant) - 1]
