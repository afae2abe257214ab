"""Attention with the residual's share as measured in each position's vectors."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxflow._typing import ArrayLike, Settled
from jaxflow.graph import attention as _attention
from jaxflow.mixing._protocol import Capacities
from jaxflow.mixing.attention import Attention, HeadTuples
from jaxflow.mixing.norms import mixing_ratio
from jaxflow.models import LayerOutput, Model


@dataclass(frozen=True)
class AttentionMeasured:
    """Attention to others, scaled to the share that others really have in a position (W-Res of GlobEnc).

    `weights_ij = m_i a_ij / sum over k != i of a_ik` with 0 on the diagonal, and `own_i = 1 - m_i`, with `m_i` the
    mixing ratio by "N-Enc" (`Norms`): where the paper of rollout takes 0.5, trained BERTs have 0.16 to 0.22 (Kobayashi
    et al. 2021, Modarressi et al. 2022). Rows sum to 1. Needs values and norms. Cost: that of two attention blocks
    without their softmax.

    For flow the measured own streams are wide where little is mixed, so that what a token sends through others is
    narrow; a flow is at most 1.

    Attributes:
        heads: how a layer's heads become one matrix: mean, max or min. In Python also weights of heads, as for
            `Attention`.
    """

    heads: Settled[str | HeadTuples | ArrayLike] = "mean"

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", self._attention.heads)

    @property
    def _attention(self) -> Attention:
        """All of the attention, for its heads and their checks."""
        return Attention(heads=self.heads, residual=0.0)

    @property
    def name(self) -> str:
        """Its name in `MIXINGS`."""
        return "attention-measured"

    @property
    def needs(self) -> frozenset[str]:
        """Values and norms, for the ratio."""
        return frozenset({"attention", "values", "norms"})

    def check(self, model: Model) -> None:
        """Refuse weights of heads that the model doesn't have."""
        self._attention.check(model)

    def capacities(self, layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Capacities:
        """Shares of the others times the mixing ratio; and the rest."""
        fused, _ = self._attention.capacities(layer, mask)
        ratio = mixing_ratio(layer, mask)
        diagonal = jnp.eye(mask.shape[-1], dtype=bool)
        # A position that attends to itself alone has a ratio of 0 too, and keeps all of itself.
        others = _attention.row_shares(jnp.where(diagonal, 0, fused))
        return ratio[..., None] * others, jnp.where(mask, 1 - ratio, 0)
