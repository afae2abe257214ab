"""An encoder-decoder's attention as one graph of layers: sources first, then targets.

Encoder layers move the sources. A decoder layer is two layers of the graph, which both move the targets: self-attention
to targets, then cross-attention to sources. A stream that does not move in a layer passes it whole.
"""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxflow import _checks
from jaxflow._checks import InputError, arguments_named
from jaxflow._programs import Programs
from jaxflow._typing import AnyArray, ArrayLike, Attentions
from jaxflow.graph import arrays as _arrays
from jaxflow.graph import attention as _attention
from jaxflow.graph import values as _values
from jaxflow.graph.graph import AttentionGraph, as_residual, with_residual

# A decoder layer's two parts, in their order.
PARTS = ("self", "cross")
# The names of the three attentions in outputs of transformers.
SIDES = ("encoder_attentions", "decoder_attentions", "cross_attentions")

OfSources: TypeAlias = Float[Array, "*batch encoder_layer encoder_head source source"]
OfTargets: TypeAlias = Float[Array, "*batch decoder_layer decoder_head target target"]
Cross: TypeAlias = Float[Array, "*batch decoder_layer decoder_head target source"]
Masks: TypeAlias = tuple[Bool[Array, "*batch source"], Bool[Array, "*batch target"]]


def layer_name(layer: int, encoder_layers: int) -> str:
    """The name of a layer of the graph, counted from 1: "encoder 2", "decoder 1 cross"."""
    if layer <= encoder_layers:
        return f"encoder {layer}"
    above = layer - encoder_layers - 1
    return f"decoder {above // 2 + 1} {PARTS[above % 2]}"


def is_encoder_decoder(outputs: object) -> bool:
    """Whether a value is the output of an encoder-decoder, or a mapping that holds its attentions."""
    # Outputs of transformers are mappings too, without what was not computed.
    mapped = isinstance(outputs, Mapping) and any(side in outputs for side in SIDES[:2])
    return mapped or hasattr(outputs, SIDES[0])


def sides_of(outputs: Any) -> dict[str, Any]:
    """The three attentions of an encoder-decoder's output, by name; None for what was not computed."""
    if isinstance(outputs, Mapping):
        return {side: outputs.get(side) for side in SIDES}
    return {side: getattr(outputs, side, None) for side in SIDES}


def encoder_decoder_graph(
    encoder_attentions: Attentions,
    decoder_attentions: Attentions,
    cross_attentions: Attentions,
    source_mask: ArrayLike | None = None,
    target_mask: ArrayLike | None = None,
    heads: str | ArrayLike = "mean",
    residual: ArrayLike = 0.5,
) -> AttentionGraph:
    """Build one graph of layers from the three attentions of an encoder-decoder.

        out = model(**inputs, decoder_input_ids=targets, output_attentions=True)
        graph = jf.encoder_decoder_graph(out.encoder_attentions, out.decoder_attentions, out.cross_attentions)

    Positions are the sources, then the targets. Layers are the encoder's, then of each decoder layer two: self, cross.
    In encoder layers the sources mix as in `attention_graph`, in the others the targets; in cross layers targets attend
    to sources. A stream that does not move has no weights and own streams of 1, so that flow and rollout pass it whole.
    Raw attention of a cross layer is its cross-attention.

    Args:
        encoder_attentions: `*batch layer head source source`, in any form that `attention_graph` takes.
        decoder_attentions: `*batch layer head target target`.
        cross_attentions: `*batch layer head target source`, as many layers as the decoder has.
        source_mask: true or 1 on real sources, `*batch source`; None where all are real.
        target_mask: true or 1 on real targets, `*batch target`.
        heads: "mean", "max", "min", or weights of heads as `attention_graph` takes them, for the layers of the graph.
            Where encoder and decoder have different numbers of heads, each counts as often as makes them equal.
        residual: share of each position's own stream where it moves, in [0, 1]; one number, or one an example.

    Returns:
        The graph, `*batch layer token token` with sources and targets as tokens. Cost: as `attention_graph`'s, and
        layer * (source + target)^2 numbers of memory.

    Raises:
        InputError: as `attention_graph`, for each attention; and where their shapes do not fit each other.
    """
    _checks.not_forked()
    encoder, decoder, cross, masks = as_attentions(
        encoder_attentions, decoder_attentions, cross_attentions, source_mask, target_mask
    )
    # The share is an example's, and heads are counted as `joined` counts them.
    shape = jax.eval_shape(joined, encoder, decoder, cross).shape
    share = as_residual(residual, encoder.shape[:-4], encoder.dtype)
    if isinstance(heads, str) or heads is None:
        _checks.one_of("heads", heads, tuple(_attention.FUSIONS))
        return _mix_named(encoder, decoder, cross, masks, heads, share)
    return _mix_weighted(encoder, decoder, cross, masks, _attention.as_head_weights(heads, shape), share)


def _mix(
    encoder: OfSources,
    decoder: OfTargets,
    cross: Cross,
    masks: Masks,
    heads: str | _attention.HeadWeights,
    share: Float[Array, "*batch"],
) -> AttentionGraph:
    mask = jnp.concatenate(masks, axis=-1)
    fused = _attention.fuse_heads(joined(encoder, decoder, cross), mask, heads)
    weights, own = with_residual(fused, share[..., None], mask[..., None, :])
    targets = jnp.arange(mask.shape[-1]) >= encoder.shape[-1]
    moves = moving(targets, encoder.shape[-4], decoder.shape[-4])
    return AttentionGraph(*passed_whole(weights, own, moves, mask[..., None, :]), mask)


_mix_named, _mix_weighted = Programs(_mix, static=("heads",)), Programs(_mix)


def passed_whole(
    weights: Float[Array, "*batch token token"],
    own: Float[Array, "*batch token"],
    moves: Bool[Array, "*#batch token"],
    mask: Bool[Array, "*#batch token"],
) -> tuple[Float[Array, "*batch token token"], Float[Array, "*batch token"]]:
    """Capacities in which streams that do not move pass whole: no weights, and own streams of 1."""
    # A node forwards no more than its row's sum, which is 1 where rows are shares: then 1 never binds a flow.
    weights = jnp.where(moves[..., None], weights, jnp.zeros((), weights.dtype))
    return weights, jnp.where(moves, own, mask.astype(own.dtype))


def moving(targets: AnyArray, encoder_layers: int, decoder_layers: int) -> Any:
    """Whether each position's stream moves in each layer, `*batch layer token`.

    Args:
        targets: whether each position is a target, `*batch token`; a NumPy or JAX array.
        encoder_layers: how many.
        decoder_layers: how many; each is two layers of the graph.
    """
    above = np.arange(encoder_layers + 2 * decoder_layers) >= encoder_layers
    return targets[..., None, :] == above[:, None]


def as_attentions(
    encoder_attentions: Attentions,
    decoder_attentions: Attentions,
    cross_attentions: Attentions,
    source_mask: ArrayLike | None,
    target_mask: ArrayLike | None,
) -> tuple[OfSources, OfTargets, Cross, Masks]:
    """Take in the three attentions and the masks of sources and targets, checked."""
    encoder, sources = _as_own("encoder_attentions", encoder_attentions, "source_mask", source_mask)
    decoder, targets = _as_own("decoder_attentions", decoder_attentions, "target_mask", target_mask)
    batch = encoder.shape[:-4]
    if decoder.shape[:-4] != batch:
        expected, got = f"have the encoder's batch {batch}", f"shape {decoder.shape}"
        raise InputError("decoder_attentions", expected, got, "pass the outputs of one call")
    with arguments_named(attentions="cross_attentions"):
        cross = _arrays.read_layers(cross_attentions)
    expected = (*decoder.shape[:-1], encoder.shape[-1])
    if cross.shape != expected:
        way_out = "pass the outputs of one call, without a cache (use_cache=False)"
        raise InputError(
            "cross_attentions", f"have shape {expected} (queries are targets, keys sources)", str(cross.shape), way_out
        )
    if not _checks.is_traced(cross, sources, targets):
        with arguments_named(attentions="cross_attentions"):
            queries, keys = np.asarray(targets), np.asarray(sources)
            _values.check_sums(_values.check_numbers(np.asarray(cross), queries, keys), queries, keys)
    return encoder, decoder, _arrays.as_float(cross), (sources, targets)


def joined(encoder: AnyArray, decoder: AnyArray, cross: AnyArray) -> Any:
    """The three attentions over sources and targets together, `*batch layer head token token`, 0 elsewhere.

    Args:
        encoder: `*batch layer head source source`; all of them NumPy arrays, or all of them JAX arrays.
        decoder: `*batch layer head target target`.
        cross: `*batch layer head target source`, of as many layers and heads.
    """
    xp: Any = jnp if isinstance(cross, jax.Array) else np
    sources, targets = encoder.shape[-1], decoder.shape[-1]
    # Each head as often as makes both sides have as many: means, largest and smallest stay what they are.
    count = math.lcm(encoder.shape[-3], decoder.shape[-3])
    encoder, decoder, cross = (
        part if part.shape[-3] == count else xp.repeat(part, count // part.shape[-3], axis=-3)
        for part in (encoder, decoder, cross)
    )

    def placed(part: AnyArray, rows: tuple[int, int], columns: tuple[int, int]) -> Any:
        return xp.pad(part, [(0, 0)] * (part.ndim - 2) + [rows, columns])

    decoder = placed(decoder, (sources, 0), (sources, 0))
    cross = placed(cross, (sources, 0), (0, targets))
    # Self and cross in turn: `... layer part head token token`, then both axes of layers as one.
    both = xp.stack([decoder, cross], axis=-4)
    both = both.reshape(*both.shape[:-5], 2 * both.shape[-5], *both.shape[-3:])
    return xp.concatenate([placed(encoder, (0, targets), (0, targets)), both], axis=-4)


def _as_own(
    name: str, attentions: Attentions, mask_name: str, mask: ArrayLike | None
) -> tuple[Float[Array, "*batch layer head token token"], Bool[Array, "*batch token"]]:
    """One side's attention to itself with its mask."""
    with arguments_named(attentions=name, mask=mask_name):
        return _attention.as_attention(attentions, normalize=False, mask=mask)
