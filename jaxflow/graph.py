"""The graph of layers that raw attention, rollout and flow are three functionals of."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxflow import _checks, attention
from jaxflow._checks import InputError, not_forked
from jaxflow._pytree import pytree
from jaxflow._typing import Attention, Mixing, TokenMask


@pytree
class AttentionGraph:
    """A Transformer's attention as a layered graph, all that rollout and flow need of a model.

    Nodes are positions after each layer, the input being layer 0; the arc from position i after layer l to position j
    before it has weight `mixing[..., l - 1, i, j]`. Made by `attention_graph`, which checks what is stated here and
    what the flow's proofs rely on.

    Attributes:
        attention: fused over heads, without the residual, `*batch layer token token`; rows sum to 1 on real tokens
            and are exactly 0 on padding, and so are padding's columns.
        residual: share of each position that the residual connection carries over, `*batch`, in [0, 1].
        mask: true on real tokens, `*batch token`.
    """

    attention: Mixing
    residual: Float[Array, "*batch"]
    mask: Bool[Array, "*batch token"]

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return self.attention.shape[-3]

    @property
    def num_tokens(self) -> int:
        """Number of positions, padding included."""
        return self.attention.shape[-1]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Leading batch axes, `()` for a single example."""
        return self.attention.shape[:-3]

    @property
    def mixing(self) -> Mixing:
        """What each position after a layer is made of: `residual * I + (1 - residual) * attention` on real tokens.

        Shape `*batch layer token token`. Rows sum to 1 on real tokens; padding's rows and columns are exactly 0.
        """
        return _mixing(self)


def attention_graph(
    attentions: Any,
    mask: Any | None = None,
    heads: Any = "mean",
    residual: Any = 0.5,
    *,
    normalize: bool = False,
) -> AttentionGraph:
    """Build the graph of layers from a model's attention probabilities.

    Each layer's heads are fused with padding's rows and columns set to 0, then rows are scaled to sum to 1 over real
    tokens (a row left empty becomes the identity's). The residual is kept apart and enters in
    `AttentionGraph.mixing`. With `heads="mean"` and `residual=0.5` this is the graph of Abnar & Zuidema (2020),
    section 3. Any mask goes: padding left, right or in the middle. Causal attention is an ordinary case.

    Args:
        attentions: `*batch layer head query key`, or a sequence of one `*batch head query key` a layer as Hugging
            Face's models return them; JAX, NumPy, torch on any device, nested lists. Each row sums to 1 over its keys.
        mask: `*batch token`, true or 1 on real tokens (a tokenizer's `attention_mask`); None where all are real.
        heads: how a layer's heads become one matrix: `"mean"`, `"max"`, `"min"`, or weights of shape `head`,
            `layer head` or `*batch layer head`, not negative; only their proportions within a layer count.
        residual: share of the residual connection, in [0, 1]; one number, or one an example (`*batch`).
        normalize: accept rows of any non-negative sum, for weights that are not probabilities (value-weighted,
            gradient-weighted); they are scaled after fusing, so that a head of larger weights counts for more.

    Returns:
        The graph, in float32 (float64 where JAX has it switched on and the attention came in it).

    Raises:
        InputError: for a wrong rank or shape, an empty mask, an unknown `heads`, a residual outside [0, 1], and, where
            values can be read (not under a transformation), for NaN, infinite or negative attention, or rows that do
            not sum to 1 within 1e-3 (2e-2 in 16-bit formats). What stands on padding is never looked at.
    """
    not_forked()
    weights, tokens = attention.as_attention(attentions, normalize=normalize, mask=mask)
    if isinstance(heads, str) or heads is None:
        _checks.one_of("heads", heads, tuple(attention.FUSIONS))
    else:
        heads = attention.as_head_weights(heads, weights.shape)
    share = as_residual(residual, weights.shape[:-4], weights.dtype)
    fused = _fuse_named(weights, tokens, heads) if isinstance(heads, str) else _fuse_weighted(weights, tokens, heads)
    return AttentionGraph(attention=fused, residual=share, mask=tokens)


def with_automatic_axes(tree: Any) -> Any:
    """Arrays with their sharding left to the compiler, where a mesh has explicit axes.

    A mesh of `jax.make_mesh` has explicit axes unless it is told otherwise; then every operation must say how its
    result is sharded, which a scan over layers and a map over pairs cannot. Nothing is moved.
    """
    sharded = [x for x in jax.tree.leaves(tree) if not _checks.is_traced(x) and isinstance(x, jax.Array)]
    meshes = [x.sharding.mesh for x in sharded if isinstance(x.sharding, jax.NamedSharding)]
    if not any(kind != jax.sharding.AxisType.Auto for mesh in meshes for kind in mesh.axis_types):
        return tree
    automatic = meshes[0].update(axis_types=(jax.sharding.AxisType.Auto,) * len(meshes[0].axis_names))

    def automatically(array: Any) -> Any:
        spec = array.sharding.spec if isinstance(array.sharding, jax.NamedSharding) else jax.P()
        return jax.device_put(array, jax.NamedSharding(automatic, spec))

    return jax.tree.map(automatically, tree)


@jax.jit
def _mixing(graph: AttentionGraph) -> Mixing:
    return mix(graph.attention, graph.residual[..., None, None, None], graph.mask)


def mix(weights: Mixing, residual: Float[Array, "*#batch 1 1 1"], mask: TokenMask) -> Mixing:
    """Add the residual connection to rows of attention, on real tokens."""
    # Padding goes before the residual is added: otherwise its rows keep a self-loop and leak capacity.
    own = jnp.eye(weights.shape[-1], dtype=weights.dtype) * mask[..., None, :, None].astype(weights.dtype)
    return residual * own + (1 - residual) * weights


@partial(jax.jit, static_argnames="heads")
def _fuse_named(weights: Attention, mask: TokenMask, heads: str) -> Mixing:
    return attention.fuse_heads(weights, mask, heads)


@jax.jit
def _fuse_weighted(weights: Attention, mask: TokenMask, heads: attention.HeadWeights) -> Mixing:
    return attention.fuse_heads(weights, mask, heads)


def as_residual(residual: Any, batch: tuple[int, ...], dtype: Any) -> Float[Array, "*batch"]:
    """Take in the residual's share, checked: one number for all examples, or one an example."""
    if not _checks.is_traced(residual):
        try:
            host = np.asarray(residual, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(f"`residual` must be a number in [0, 1], got {residual!r}") from None
        if not ((host >= 0) & (host <= 1)).all():
            raise InputError(f"`residual` must lie in [0, 1], got {residual}; 0.5 is the paper's")
        residual = host
    if jnp.shape(residual) not in ((), batch):
        raise InputError(f"`residual` must be one number or have shape {batch}, got shape {jnp.shape(residual)}")
    return jnp.broadcast_to(jnp.asarray(residual, dtype=dtype), batch)
