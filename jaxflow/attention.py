"""Attention as an encoder's softmax gave it: taken in from any framework, checked, masked and fused over heads."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxflow import _checks
from jaxflow._checks import InputError
from jaxflow._programs import Programs, to_device
from jaxflow._typing import Attention, Mixing, TokenMask

# How far a row's sum may be from 1 before it is not taken for attention: rounding of the softmax's own format.
ROW_SUM_TOLERANCE = 1e-3
ROW_SUM_TOLERANCE_HALF = 2e-2

HeadWeights: TypeAlias = Float[Array, "*#batch #layer head"]

FUSIONS: dict[str, Callable[[Attention], Mixing]] = {
    "mean": lambda attention: jnp.mean(attention, axis=-3),
    "max": lambda attention: jnp.max(attention, axis=-3),
    "min": lambda attention: jnp.min(attention, axis=-3),
}


def as_attention(attentions: Any, *, normalize: bool, mask: Any | None) -> tuple[Attention, TokenMask]:
    """Take in attention of shape `*batch layer head query key` and its token mask, from any framework, checked.

    Args:
        attentions: one array, or a sequence of one array a layer (`*batch head query key`, as Hugging Face's models
            return them): JAX or NumPy arrays, torch tensors, nested lists.
        normalize: accept rows that do not sum to 1.
        mask: true on real tokens, `*batch token`; None where all are real.

    Raises:
        InputError: naming the first entry that is not finite or negative, the first row that does not sum to 1, or
            the shape that does not fit.
    """
    array = _stacked(attentions)
    if array.ndim < 4:
        raise InputError(
            f"`attentions` must have shape (*batch, layer, head, query, key), got {array.shape}; "
            "pass every layer with every head (one head alone still needs an axis of 1)"
        )
    if array.shape[-1] != array.shape[-2]:
        raise InputError(
            f"`attentions` must have as many queries as keys, got {array.shape[-2]} queries and "
            f"{array.shape[-1]} keys; only self-attention makes a graph of layers"
        )
    if 0 in array.shape:
        raise InputError(f"`attentions` must not be empty, got shape {array.shape}")
    tokens = _as_mask(mask, (*array.shape[:-4], array.shape[-1]))
    if not _checks.is_traced(array, tokens):
        _check_numbers(array)
        # A device looks at its own array; only one that fails is fetched, to say where.
        if not isinstance(array, jax.Array) or not _is_sound(array, tokens, normalize=normalize):
            _check_values(np.asarray(array), np.asarray(tokens), normalize=normalize)
    if normalize:
        array = _evened_rows(array, tokens)
    return _as_float(array), tokens


def masked(attention: Attention, mask: TokenMask) -> Attention:
    """Attention with padding's rows and columns set to 0, whatever they held."""
    pairs = mask[..., None, None, :, None] & mask[..., None, None, None, :]
    return jnp.where(pairs, attention, jnp.zeros((), attention.dtype))


def renormalized(weights: Mixing, mask: TokenMask) -> Mixing:
    """Rows scaled to sum to 1 over real tokens; an empty row becomes the identity's, padding's rows stay 0."""
    total = jnp.sum(weights, axis=-1, keepdims=True)
    # An empty row attends to nothing else, so what it holds stays where it is.
    alone = jnp.eye(weights.shape[-1], dtype=weights.dtype) * mask[..., None, :, None].astype(weights.dtype)
    # What is not a number stays so: it must not pass for an empty row.
    return jnp.where(total == 0, alone, weights / jnp.where(total == 0, jnp.ones_like(total), total))


def as_head_weights(heads: Any, shape: tuple[int, ...]) -> HeadWeights:
    """Take in weights of heads: `head`, `layer head` or `*batch layer head`, non-negative."""
    weights = _as_float(_array("heads", heads))
    *batch, layers, count = shape[:-2]
    allowed = ((count,), (layers, count), (*batch, layers, count))
    if weights.shape not in allowed:
        expected = " or ".join(str(option) for option in dict.fromkeys(allowed))
        raise InputError(f"`heads` as weights must have shape {expected}, got {weights.shape}")
    if not _checks.is_traced(weights):
        host = np.asarray(weights)
        if not (np.isfinite(host).all() and (host >= 0).all()):
            raise InputError("`heads` as weights must be finite and not negative; clip them at 0 first")
        if not (host.max(axis=-1) > 0).all():
            raise InputError("`heads` as weights must leave at least one head in every layer; got a layer of zeros")
    # Only proportions count, and sums of very large weights would overflow.
    weights = _evened(weights, (-1,))
    return weights if weights.ndim > 1 else weights[None, :]


def fuse_heads(attention: Attention, mask: TokenMask, heads: str | HeadWeights) -> Mixing:
    """One matrix a layer out of a layer's heads, its rows summing to 1 over real tokens."""
    if isinstance(heads, str) and heads == "mean":
        # A mean can lose its padding afterwards: one matrix to mask in the place of all heads'.
        mean = FUSIONS[heads](attention)[..., None, :, :]
        return renormalized(masked(mean, mask)[..., 0, :, :], mask)
    clean = masked(attention, mask)
    if isinstance(heads, str):
        return renormalized(FUSIONS[heads](clean), mask)
    weights = heads.astype(clean.dtype)
    fused = jnp.einsum("...lhqk,...lh->...lqk", clean, weights, precision=jax.lax.Precision.HIGHEST)
    return renormalized(fused, mask)


def _stacked(attentions: Any) -> Any:
    """One array out of one a layer; anything else as it is, as an array."""
    if not isinstance(attentions, list | tuple) or not attentions or not hasattr(attentions[0], "shape"):
        return _array("attentions", attentions)
    layers = [_array("attentions", layer) for layer in attentions]
    shapes = {layer.shape for layer in layers}
    if len(shapes) > 1:
        raise InputError(f"`attentions` must have the same shape in every layer, got {sorted(shapes)}")
    if layers[0].ndim < 3:
        raise InputError(
            f"`attentions` as a sequence must hold one array (*batch, head, query, key) a layer, got {layers[0].shape}"
        )
    stack = jnp.stack if any(isinstance(layer, jax.Array) for layer in layers) else np.stack
    return stack(layers, axis=-4)


def _array(name: str, value: Any) -> Any:
    """A JAX or NumPy array out of what any framework calls one, without importing that framework."""
    if isinstance(value, jax.Array | np.ndarray):
        return value
    if hasattr(value, "detach"):  # a torch tensor, perhaps on a device, perhaps in a format that NumPy lacks
        value = value.detach().cpu()
        return value.float().numpy().astype(jnp.bfloat16) if str(value.dtype) == "torch.bfloat16" else value.numpy()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"`{name}` cannot be read as an array: {error}") from None
    if array.dtype.kind in "OSU":
        raise InputError(f"`{name}` cannot be read as an array, got {type(value).__name__}")
    return array


def _as_mask(mask: Any | None, shape: tuple[int, ...]) -> TokenMask:
    if mask is None:
        return to_device(np.ones(shape, bool))
    array = _array("mask", mask)
    if array.shape != shape:
        raise InputError(f"`mask` must have shape {shape}, got {array.shape}; pass the tokenizer's attention_mask")
    if _checks.is_traced(array):
        return array.astype(bool)
    host = np.asarray(array)
    if not np.isin(host, (0, 1)).all():
        raise InputError("`mask` must hold 1 (or True) on real tokens and 0 (or False) on padding, and nothing else")
    empty = np.asarray(~host.astype(bool).any(axis=-1))
    if empty.any():
        where = _checks.index_words(_checks.first_index(empty), ()) or "the only example"
        raise InputError(f"`mask` must leave at least one real token in every example, got none in {where}")
    return to_device(host.astype(bool))


def _check_numbers(attention: Any) -> None:
    if not (attention.dtype.kind in "biuf" or _is_small_float(attention.dtype)):
        raise InputError(f"`attentions` must hold real numbers, got {attention.dtype}")


def _tolerance(dtype: Any) -> float:
    return ROW_SUM_TOLERANCE if dtype.itemsize > 2 else ROW_SUM_TOLERANCE_HALF


@partial(Programs, static=("normalize",))
def _is_sound(attention: Array, mask: TokenMask, *, normalize: bool) -> Bool[Array, ""]:
    """Whether there is surely nothing that `_check_values` would refuse."""
    weights = masked(_as_float(attention), mask)
    sound = jnp.all(jnp.isfinite(weights) & (weights >= 0))
    if normalize:
        return sound
    # Summed in single precision, padding's columns as they are; near the limit the host decides.
    held = _as_float(attention)
    total = jnp.sum(jnp.where(jnp.isfinite(held), held, jnp.zeros_like(held)), axis=-1)
    near = jnp.abs(total - 1) <= 0.99 * _tolerance(attention.dtype)
    return sound & jnp.all(near | ~mask[..., None, None, :])


def _evened_rows(attention: Any, mask: TokenMask) -> Any:
    """Rows times a power of two each, the same for all heads, so that the largest weight of a row is about 1.

    Sums of very large weights would overflow, and those of very small ones are lost. What the rows are after they are
    scaled to sum to 1 is the same to the last bit.
    """
    if isinstance(attention, jax.Array):
        return _evened(masked(_as_float(attention), mask), (-3, -1))
    # On the host, before anything is rounded to single precision.
    tokens = np.asarray(mask) if not _checks.is_traced(mask) else np.ones(mask.shape, bool)
    real = tokens[..., None, None, :, None] & tokens[..., None, None, None, :]
    weights = np.where(real, attention, 0).astype(np.float64)
    _, exponent = np.frexp(weights.max(axis=(-3, -1), keepdims=True))
    evened = np.ldexp(weights, -exponent)
    return evened if attention.dtype == np.float64 else evened.astype(np.float32)


def _evened(weights: Float[Array, "..."], axes: tuple[int, ...]) -> Float[Array, "..."]:
    """Weights times a power of two, so that the largest along the axes is about 1; its derivative is as if it was 1."""
    _, exponent = jnp.frexp(jax.lax.stop_gradient(jnp.max(weights, axis=axes, keepdims=True)))
    # In two steps, as one factor alone might be beyond what the format holds.
    half = exponent // 2
    one = jnp.ones_like(half, dtype=weights.dtype)
    return weights * jnp.ldexp(one, -half) * jnp.ldexp(one, half - exponent)


def _check_values(attention: np.ndarray, mask: np.ndarray, *, normalize: bool) -> None:
    """Refuse attention that is not finite, negative or not normalised, on real tokens."""
    real = mask[..., None, None, :, None] & mask[..., None, None, None, :]
    axes = ("layer", "head", "query", "key")
    with np.errstate(invalid="ignore"):
        for wrong, problem in ((~np.isfinite(attention), "finite"), (attention < 0, "not negative")):
            if (wrong & real).any():
                index = _checks.first_index(wrong & real)
                raise InputError(
                    f"`attentions` must be {problem}, got {attention[index]} at {_checks.index_words(index, axes)}; "
                    "pass the probabilities after the softmax, on real tokens at least"
                )
    if normalize:
        return
    # All that is not finite stands on padding here, and is not looked at.
    total = np.where(np.isfinite(attention), attention, np.zeros_like(attention)).sum(axis=-1, dtype=np.float64)
    tolerance = _tolerance(attention.dtype)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(total - 1) <= tolerance) & mask[..., None, None, :]
    if wrong.any():
        index = _checks.first_index(wrong)
        raise InputError(
            f"`attentions` must have rows that sum to 1, got {total[index]:.6g} at "
            f"{_checks.index_words(index, axes[:3])}; pass normalize=True to have rows of any sum scaled"
        )


def _as_float(array: Any) -> Any:
    """Floating point of at least single precision; double only where JAX has it switched on."""
    small = _is_small_float(array.dtype) or not np.issubdtype(array.dtype, np.floating)
    if isinstance(array, np.ndarray):
        return to_device(np.array(array, np.float32 if small else array.dtype))
    return jnp.asarray(array, dtype=jnp.float32) if small else jnp.asarray(array)


def _is_small_float(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize < 4
