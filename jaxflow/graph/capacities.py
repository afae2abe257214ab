"""Graphs of any capacities, from arrays of any framework."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxflow import _checks
from jaxflow._checks import InputError, not_forked
from jaxflow._typing import AnyArray, ArrayLike, Capacity, TokenMask
from jaxflow.graph import arrays as _arrays
from jaxflow.graph import attention
from jaxflow.graph.graph import AttentionGraph, check_capacities

_WAY_OUT = "clip or scale them first; padding, where `mask` is false, may hold anything"


def capacity_graph(
    weights: ArrayLike | Sequence[ArrayLike], own: ArrayLike | None = None, mask: ArrayLike | None = None
) -> AttentionGraph:
    """Build the graph of layers from capacities of any size: rows need not sum to 1.

    Nothing is scaled or rounded but to float32, so that weights that keep their size (norms, gradients) keep it in
    rollout and flow. Below 1.2e-38 processors may take a capacity for 0.

    Args:
        weights: capacity from each position (row) to each position below it (column), `*batch layer token token` as
            one array, or a list or tuple of one entry a layer, each `*batch token token`; not negative.
        own: capacity of each position's own stream (the residual connection), not negative: `*batch layer token`, or
            what broadcasts to it from the right: one number, one a position, one a layer (`layer 1`); None is 0.
        mask: `*batch token`, true or 1 on real tokens; None where all are real. Rows, columns and own streams of
            padding become 0, whatever they hold.

    Returns:
        The graph, in float32 (float64 where JAX has it switched on and the weights came in it). Cost: layer * token^2.

    Raises:
        InputError: for a wrong rank or shape, an empty mask, and, where values can be read, for capacities on real
            tokens that are negative or not finite in the graph's precision.
    """
    not_forked()
    arcs = _read_weights(weights)
    tokens = attention.as_mask(mask, (*arcs.shape[:-3], arcs.shape[-1]), from_sequence=isinstance(weights, Sequence))
    streams = _read_own(own, arcs.shape[:-1])
    # What single precision cannot hold becomes infinite, and is told below.
    with np.errstate(over="ignore"):
        arcs, streams = attention.as_float(arcs), attention.as_float(streams)
    arcs, streams = _on_real_tokens(arcs, streams.astype(arcs.dtype), tokens)
    # Last: padding may hold anything, and single precision may have made a large number infinite.
    if not _checks.is_traced(arcs, streams, tokens):
        check_capacities("weights", np.asarray(arcs), np.asarray(streams), _WAY_OUT)
    return AttentionGraph(weights=arcs, own=streams, mask=tokens)


def _read_weights(weights: ArrayLike | Sequence[ArrayLike]) -> AnyArray:
    """One array `*batch layer token token`, checked but for its values."""
    # As with attention, a sequence holds one entry a layer.
    if isinstance(weights, Sequence) and not isinstance(weights, str | bytes) and len(weights):
        layers = [_arrays.read_array("weights", layer) for layer in weights]
        shapes = sorted({layer.shape for layer in layers})
        if len(shapes) > 1 or layers[0].ndim < 2:
            expected = "hold an array (*batch, token, token) of one shape a layer"
            raise InputError("weights", expected, ", ".join(map(str, shapes)))
        array = (jnp.stack if any(isinstance(layer, jax.Array) for layer in layers) else np.stack)(layers, axis=-3)
    else:
        array = _arrays.read_array("weights", weights)
    shape = array.shape
    if array.ndim < 3 or shape[-1] != shape[-2] or 0 in shape:
        raise InputError("weights", "have shape (*batch, layer, token, token)", str(shape))
    _arrays.refuse_unreal("weights", array.dtype)
    return array


def _read_own(own: ArrayLike | None, shape: tuple[int, ...]) -> AnyArray:
    """Own streams `*batch layer token`, checked but for their values; 0 where none are passed."""
    if own is None:
        return np.zeros(shape, np.float32)
    array = _arrays.read_array("own", own)
    _arrays.refuse_unreal("own", array.dtype)
    try:
        return (jnp.broadcast_to if isinstance(array, jax.Array) else np.broadcast_to)(array, shape)
    except ValueError:
        raise InputError("own", f"have shape {shape}, or broadcast to it", str(array.shape)) from None


def _on_real_tokens(
    weights: Capacity, own: Float[Array, "*batch layer token"], mask: TokenMask
) -> tuple[Capacity, Float[Array, "*batch layer token"]]:
    """Padding's rows, columns and own streams set to 0, whatever they held."""
    positions = mask[..., None, :]
    pairs = positions[..., :, None] & positions[..., None, :]
    return jnp.where(pairs, weights, jnp.zeros_like(weights)), jnp.where(positions, own, jnp.zeros_like(own))
