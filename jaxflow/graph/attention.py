"""Attention as an encoder's softmax gave it: taken in from any framework, checked, masked and fused over heads."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxflow import _checks
from jaxflow._checks import InputError
from jaxflow._programs import to_device
from jaxflow._typing import AnyArray, ArrayLike, Attention, Attentions, Capacity, DTypeLike, Square, TokenMask
from jaxflow.graph import arrays as _arrays
from jaxflow.graph import values as _values
from jaxflow.graph.arrays import as_float

HeadWeights: TypeAlias = Float[Array, "*#batch #layer head"]

# From this many tokens on, heads are added up one by one: on a processor a sum over an axis so far apart in memory took
# a hundred times as long, and a product of matrices ten times (9 heads, 576 tokens: .14 against 16 and 1.5 ms).
LONG = 192
FUSIONS: dict[str, Callable[[Attention], Capacity]] = {
    "mean": lambda attention: _mean(attention),  # noqa: PLW0108
    "max": lambda attention: jnp.max(attention, axis=-3),
    "min": lambda attention: _least(attention),  # noqa: PLW0108
}


def as_attention(attentions: Attentions, *, normalize: object, mask: ArrayLike | None) -> tuple[Attention, TokenMask]:
    """Take in attention of shape `*batch layer head query key` and its token mask, from any framework, checked.

    Args:
        attentions: one array, or a list or tuple of one entry a layer (`*batch head query key`, as Hugging Face's
            models return them): JAX or NumPy arrays, torch tensors, nested lists.
        normalize: accept rows that do not sum to 1.
        mask: true on real tokens, `*batch token`; None where all are real.

    Raises:
        InputError: for attention that was not computed, a shape that does not fit, and, where values can be read,
            naming the first entry that is not finite or negative, the first row that does not sum to 1, or a mask
            that is not the model's.

    Warns:
        UserWarning: no mask is passed and tokens look like padding.
    """
    normalize = _checks.as_flag("normalize", normalize)
    array = _arrays.read_layers(attentions)
    if array.ndim < 4:
        expected = "have shape (*batch, layer, head, query, key)"
        way_out = "pass every layer with every head (one head alone still needs an axis of 1)"
        raise InputError("attentions", expected, str(array.shape), way_out)
    if array.shape[-1] != array.shape[-2]:
        raise _arrays.not_square(array.shape)
    if 0 in array.shape:
        raise InputError("attentions", "not be empty", f"shape {array.shape}")
    _arrays.refuse_unreal("attentions", array.dtype)
    array = array.astype(np.float32) if array.dtype == bool else array
    # A mask of a wrong shape may come from attention whose first axis was taken for layers.
    from_sequence = isinstance(attentions, Sequence)
    tokens = as_mask(mask, (*array.shape[:-4], array.shape[-1]), from_sequence=from_sequence)
    if not _checks.is_traced(array, tokens):
        _values.refuse_unsound(array, tokens, normalize=bool(normalize))
        if mask is None and not normalize:
            _values.warn_of_padding(array, stacklevel=4)
    # After the checks: rows are judged as they came.
    if normalize:
        array = _evened_rows(array, tokens)
    return as_float(array), tokens


def masked(attention: Attention, mask: TokenMask) -> Attention:
    """Attention with padding's rows and columns set to 0, whatever they held."""
    pairs = mask[..., None, None, :, None] & mask[..., None, None, None, :]
    return jnp.where(pairs, attention, jnp.zeros((), attention.dtype))


def renormalized(weights: Capacity, mask: TokenMask) -> Capacity:
    """Rows scaled to sum to 1 over real tokens; an empty row becomes the identity's, padding's rows stay 0."""
    total = jnp.sum(weights, axis=-1, keepdims=True)
    # An empty row attends to nothing else, so what it holds stays where it is.
    alone = identity(mask, weights.dtype)[..., None, :, :]
    # What is not a number stays so: it must not pass for an empty row.
    return jnp.where(total == 0, alone, weights / jnp.where(total == 0, jnp.ones_like(total), total))


def row_shares(weights: Float[Array, "*rows token"]) -> Float[Array, "*rows token"]:
    """Rows scaled to sum to 1, whatever their size; a row of zeros stays zeros."""
    # By a power of two first: sums of very large weights would overflow, and very small ones be lost.
    weights = evened(weights, (-1,))
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return weights / jnp.where(total == 0, jnp.ones_like(total), total)


def identity(mask: TokenMask, dtype: DTypeLike) -> Square:
    """The identity on real tokens, 0 on padding."""
    own = jnp.eye(mask.shape[-1], dtype=bool).reshape((1,) * (mask.ndim - 1) + 2 * mask.shape[-1:])
    return (own & mask[..., :, None]).astype(dtype)


def as_head_weights(heads: ArrayLike, shape: tuple[int, ...]) -> HeadWeights:
    """Take in weights of heads: `head`, `layer head` or `*batch layer head`, non-negative."""
    weights = _arrays.read_array("heads", heads)
    _arrays.refuse_unreal("heads", weights.dtype)
    *batch, layers, count = shape[:-2]
    allowed = ((count,), (layers, count), (*batch, layers, count))
    if weights.shape not in allowed:
        expected = " or ".join(str(option) for option in dict.fromkeys(allowed))
        raise InputError("heads", f"have shape {expected} where they are weights", str(weights.shape))
    # Only proportions count: sums of very large weights would overflow, and very small ones be lost.
    if _checks.is_traced(weights):
        weights = evened(as_float(weights), (-1,))
    else:
        host = np.asarray(weights).astype(np.float64)
        if not (np.isfinite(host).all() and (host >= 0).all()):
            wrong = host[~(np.isfinite(host) & (host >= 0))].ravel()[0]
            expected = "be finite and not negative where they are weights"
            raise InputError("heads", expected, f"{wrong}", "clip them at 0 first")
        if not (host.max(axis=-1) > 0).all():
            expected = "leave at least one head in every layer where they are weights"
            raise InputError("heads", expected, "a layer of zeros")
        # The largest weight of a layer comes between 1/2 and 1, exactly.
        _, exponent = np.frexp(host.max(axis=-1, keepdims=True))
        host = np.ldexp(host, -exponent)
        weights = as_float(host if weights.dtype == np.float64 else host.astype(np.float32))
    return weights if weights.ndim > 1 else weights[None, :]


def fuse_heads(attention: Attention, mask: TokenMask, heads: str | HeadWeights) -> Capacity:
    """One matrix a layer out of a layer's heads, its rows summing to 1 over real tokens."""
    if isinstance(heads, str) and heads == "mean":
        # A mean can lose its padding afterwards: one matrix to mask in the place of all heads'.
        mean = FUSIONS[heads](attention)[..., None, :, :]
        return renormalized(masked(mean, mask)[..., 0, :, :], mask)
    # `_least` looks at whole rows, so here padding goes first.
    clean = masked(attention, mask)
    if isinstance(heads, str):
        return renormalized(FUSIONS[heads](clean), mask)
    weights = heads.astype(clean.dtype)
    # Letters: l layer, h head, q query, k key.
    fused = jnp.einsum("...lhqk,...lh->...lqk", clean, weights, precision=jax.lax.Precision.HIGHEST)
    return renormalized(fused, mask)


def as_mask(mask: ArrayLike | None, shape: tuple[int, ...], *, from_sequence: bool) -> TokenMask:
    """Take in a mask of real tokens, checked; all are real where it is None."""
    if mask is None:
        return to_device(np.ones(shape, bool))
    array = _arrays.read_array("mask", mask)
    if array.shape != shape:
        raise _arrays.misfitting_mask(array.shape, shape, from_sequence=from_sequence)
    if _checks.is_traced(array):
        return jnp.asarray(array).astype(bool)
    host = np.asarray(array)
    if not np.isin(host, (0, 1)).all():
        other = np.asarray(host)[~np.isin(host, (0, 1))].ravel()[0]
        expected = "hold 1 (or True) on real tokens and 0 (or False) on padding, and nothing else"
        raise InputError("mask", expected, _checks.shown_text(str(other)), _values.OWN_MASK)
    empty = np.asarray(~host.astype(bool).any(axis=-1))
    if empty.any():
        where = _checks.index_words(_checks.first_index(empty), ()) or "the only example"
        # The longest text of a batch has no padding, so that a mask the wrong way round leaves it nothing.
        raise InputError("mask", "leave at least one real token in every example", f"none in {where}", _values.OWN_MASK)
    return to_device(host.astype(bool))


def _mean(attention: Attention) -> Capacity:
    """The mean over heads."""
    heads = attention.shape[-3]
    if attention.shape[-1] < LONG:
        return jnp.mean(attention, axis=-3)
    # *batch 1 query key each.
    parts = jax.lax.split(attention, (1,) * heads, attention.ndim - 3)
    mean = jnp.squeeze(reduce(jnp.add, parts), -3) / heads
    # Held, or the compiler adds the heads up again for each use of the mean.
    return jax.lax.optimization_barrier(mean)


def _least(attention: Attention) -> Capacity:
    """The smallest over heads; rows of very small numbers all times the same power of two.

    Devices take numbers below the least normal one for 0, so that rows of such numbers alone would seem empty: their
    order and their size are read from their bits.
    """
    least = jnp.min(attention, axis=-3)
    format_ = jnp.finfo(attention.dtype)
    whole = {4: jnp.int32, 8: jnp.int64}[attention.dtype.itemsize]
    # Numbers that are not negative are in the order of their bits; below 2^nmant these count the smallest number.
    bits = jnp.min(jax.lax.bitcast_convert_type(jnp.abs(attention), whole), axis=-3)
    lift = -int(format_.minexp) // 2
    one = jnp.ones((), attention.dtype)
    raised = least * (one * 2.0**lift)
    counted = bits.astype(attention.dtype) * (one * 2.0 ** (lift + int(format_.minexp) - int(format_.nmant)))
    exact = jnp.where(bits < 1 << int(format_.nmant), counted, raised)
    # The derivative is that of the product.
    raised = raised + jax.lax.stop_gradient(exact - raised)
    largest = jax.lax.bitcast_convert_type(jnp.max(bits, axis=-1, keepdims=True), attention.dtype)
    return jnp.where(largest < 2.0**-lift, raised, least)


def _evened_rows(attention: AnyArray, mask: TokenMask) -> AnyArray:
    """Rows times a power of two each, the same for all heads, so that the largest weight of a row is about 1.

    Sums of very large weights would overflow, and those of very small ones are lost. What the rows are after they are
    scaled to sum to 1 is the same to the last bit.
    """
    if isinstance(attention, jax.Array):
        return evened(masked(as_float(attention), mask), (-3, -1))
    # On the host, before anything is rounded to single precision.
    tokens = np.asarray(mask) if not _checks.is_traced(mask) else np.ones(mask.shape, bool)
    real = tokens[..., None, None, :, None] & tokens[..., None, None, None, :]
    weights = np.where(real, attention, 0).astype(np.float64)
    _, exponent = np.frexp(weights.max(axis=(-3, -1), keepdims=True))
    weights = np.ldexp(weights, -exponent)
    return weights if attention.dtype == np.float64 else weights.astype(np.float32)


def evened(weights: Float[Array, "..."], axes: tuple[int, ...]) -> Float[Array, "..."]:
    """Weights times a power of two, so that the largest along the axes is about 1; its derivative is as if it was 1."""
    _, exponent = jnp.frexp(jax.lax.stop_gradient(jnp.max(weights, axis=axes, keepdims=True)))
    # In two steps, as one factor alone might be beyond what the format holds.
    half = exponent // 2
    one = jnp.ones_like(half, dtype=weights.dtype)
    return weights * jnp.ldexp(one, -half) * jnp.ldexp(one, half - exponent)
