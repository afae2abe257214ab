"""Attention itself as capacities: heads fused into one matrix a layer, rows that sum to 1, a share of the residual."""

from dataclasses import dataclass, field
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxflow import _checks
from jaxflow._checks import InputError
from jaxflow._typing import ArrayLike, Given, Settled
from jaxflow.graph import attention as _attention
from jaxflow.graph.arrays import read_array
from jaxflow.graph.graph import check_residual, with_residual
from jaxflow.mixing._protocol import Capacities
from jaxflow.models import LayerOutput, Model

# Of attention to a text's first token.
KEPT, LEFT_OUT = "kept", "left-out"
# A field that a mixing's JSON names only where it is not the default.
UNNAMED = {"unnamed": True}
HeadTuples: TypeAlias = tuple[float, ...] | tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Attention:
    """The paper's mixing (Abnar & Zuidema 2020): heads fused, rows scaled to sum to 1, a share for the residual.

    Attributes:
        heads: how a layer's heads become one matrix: mean, max or min. In Python also weights of heads, `head` or
            `layer head`, not negative; only their proportions within a layer count. Arrays become nested tuples.
        residual: share of each position that is its own, from 0 to 1.
        sinks: whether other positions' attention to a text's first token is kept, or left-out. Decoders send it what
            they have no use for (an attention sink). Left out, the rest of each row is scaled to sum to 1, and a
            position that attends to nothing else stays with itself; the first token's own row is as it was.
    """

    heads: Settled[str | HeadTuples | ArrayLike] = "mean"
    residual: Given[float] = 0.5
    # Folders from before there was a choice do not name it.
    sinks: str = field(default=KEPT, metadata=UNNAMED)

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", _as_heads(self.heads))
        object.__setattr__(self, "residual", as_share(self.residual))
        _checks.one_of("sinks", self.sinks, (KEPT, LEFT_OUT))

    @property
    def name(self) -> str:
        """Its name in `MIXINGS`."""
        return "attention"

    @property
    def needs(self) -> frozenset[str]:
        """Attention alone."""
        return frozenset({"attention"})

    def check(self, model: Model) -> None:
        """Refuse weights of heads that the model doesn't have."""
        if not isinstance(self.heads, str):
            # Values were checked when it was made; the number of layers and heads is known only now.
            _ = _attention.as_head_weights(np.asarray(self.heads), (model.layers, model.heads, 1, 1))

    def capacities(self, layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Capacities:
        """The layer's attention, heads fused, times `1 - residual`; and the residual."""
        heads = self.heads
        if not isinstance(heads, str):
            weights = _evened_weights(np.asarray(heads))
            # This layer's weights, or the same for all layers.
            heads = weights[layer.index if len(weights) > 1 else 0][None, :]
        attention = layer.attention if self.sinks == KEPT else _without_first(layer.attention, mask)
        # The functions of the graph take an axis of layers: here it holds this layer alone.
        fused = _attention.fuse_heads(attention[..., None, :, :, :], mask, heads)[..., 0, :, :]
        return with_residual(fused, jnp.full(mask.shape[:-1], self.residual, fused.dtype), mask)


def _without_first(
    attention: Float[Array, "*row head token token"], mask: Bool[Array, "*row token"]
) -> Float[Array, "*row head token token"]:
    """Attention without what other positions pay to a text's first real token."""
    # row token; padding may stand on either side.
    first = jnp.arange(mask.shape[-1]) == jnp.argmax(mask, axis=-1)[..., None]
    paid = ~first[..., :, None] & first[..., None, :]
    return jnp.where(paid[..., None, :, :], jnp.zeros((), attention.dtype), attention)


def as_share(share: ArrayLike, argument: str = "residual") -> float:
    """Take in the residual's share, checked: one number in [0, 1], as programs are compiled for it."""
    if _checks.is_traced(share):
        way_out = "pass one an example to `attention_graph`"
        raise InputError(argument, "be one number in [0, 1]", "a traced array", way_out)
    # On the host: default mixings are made when jaxflow is imported, and JAX must not begin to use devices by that.
    return float(check_residual(share, (), argument))


def _as_heads(heads: str | ArrayLike) -> str | HeadTuples:
    """Take in a way of fusing heads, checked but for the number of layers and heads; weights become nested tuples."""
    if isinstance(heads, str):
        _checks.one_of("heads", heads, tuple(_attention.FUSIONS))
        return heads
    if heads is None:
        raise InputError("heads", f"be one of {', '.join(map(repr, _attention.FUSIONS))}, or weights", "None")
    weights = read_array("heads", heads)
    if _checks.is_traced(weights):
        raise InputError("heads", "be known before anything is compiled", "a traced array", "pass it outside of jit")
    # Weights of a single example: a mixing is one value for all of them.
    weights = np.asarray(weights)
    if weights.ndim not in (1, 2) or not weights.size:
        raise InputError("heads", "have shape (head,) or (layer, head) where they are weights", str(weights.shape))
    _ = _evened_weights(weights)
    # Nested tuples are hashable, as programs are found by a mixing's value; arrays are not.
    values = weights.astype(np.float64).tolist()
    return tuple(values) if weights.ndim == 1 else tuple(map(tuple, values))


def _evened_weights(weights: np.ndarray) -> Float[Array, "layer head"]:
    """Weights of heads, checked, as the device has them; one layer's where all have the same."""
    layers = weights.shape[0] if weights.ndim == 2 else 1
    return _attention.as_head_weights(weights, (layers, weights.shape[-1], 1, 1))
