"""Values of attention, checked where they can be read: finite, not negative, normalised, and none of it on padding."""

import warnings
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow import _checks
from jaxflow._checks import InputError
from jaxflow._programs import Programs, is_at_hand
from jaxflow._typing import AnyArray, Attention, TokenMask
from jaxflow.graph.arrays import as_float

# How far a row's sum may be from 1 before it is not taken for attention: rounding of the softmax's own format.
ROW_SUM_TOLERANCE = 1e-3
ROW_SUM_TOLERANCE_HALF = 2e-2
# A real token's row that gives padding more than this is more than rounding: masked scores leave next to nothing.
PADDING_SHARE = 0.05
# A key that gets less than this from all rows of all heads was masked; softmax gives some head's row more.
MASKED_WEIGHT = 1e-6
# The most frequent mistake with masks, and the way out.
OWN_MASK = (
    "pass the mask that the model was given, with 1 (or True) on real tokens; PyTorch's key_padding_mask is the other "
    "way round, so pass ~key_padding_mask"
)

AXES = ("layer", "head", "query", "key")


def refuse_unsound(attention: AnyArray, mask: TokenMask, *, normalize: bool) -> None:
    """Refuse attention with unsound values on real tokens. Values must be in hand, not traced.

    Args:
        attention: `*batch layer head query key`, a JAX or NumPy array.
        mask: true on real tokens.
        normalize: rows may have any sum.

    Raises:
        InputError: naming the first entry that is not finite or negative, the first row that does not sum to 1, or
            the example whose attention falls on padding.
    """
    # A device looks at its own array; only one that fails is fetched, to say where.
    if is_at_hand(attention) or not _is_sound(attention, mask, normalize=normalize):
        _check_values(np.asarray(attention), np.asarray(mask), normalize=normalize)


def warn_of_padding(attention: AnyArray, stacklevel: int) -> None:
    """Warn where tokens look like padding though no mask was passed: nothing of a real token's row falls on them."""
    # The largest weight over layers and heads is enough to see it, and small.
    if is_at_hand(attention):
        looks = _forgotten(*_reach_on_host(np.asarray(attention)))
    else:
        looks = _forgotten_on_device(*_reach(attention))
    padded, real, leads = (np.asarray(part) for part in looks)
    if not padded.any():
        return
    index = _checks.first_index(padded)
    tokens = attention.shape[-1]
    start, end = (real[index], tokens - 1) if leads[index] else (0, tokens - 1 - real[index])
    example = f"in {_checks.index_words(index, ())}, " if index else ""
    span = f"token {start} looks" if start == end else f"tokens {start} to {end} look"
    warnings.warn(
        f"`mask` was not passed, and {example}{span} like padding: no other token attends there in any layer or head; "
        "pass the tokenizer's attention_mask, or a mask of ones if all tokens are real",
        stacklevel=stacklevel,
    )


@partial(Programs, static=("normalize",))
def _is_sound(attention: Array, mask: TokenMask, *, normalize: bool) -> Bool[Array, ""]:
    """Whether there is surely nothing that `_check_values` would refuse."""
    rows, weights = mask[..., None, None, :], as_float(attention)
    real = rows[..., :, None] & rows[..., None, :]
    sound = jnp.all((jnp.isfinite(weights) & (weights >= 0)) | ~real)
    # Padding's columns as they are, but for what is no number there.
    weights = jnp.where(jnp.isfinite(weights), weights, jnp.zeros_like(weights))
    judged = _is_judged(mask)[..., None, None, None, None]
    on_padding = jnp.where(rows[..., :, None] & ~rows[..., None, :] & judged, weights, jnp.zeros_like(weights))
    if normalize:
        leaks = jnp.any(on_padding > 0, axis=(-4, -3, -2, -1))
        return sound & ~jnp.any(leaks & ~jnp.any((weights > 0) & real, axis=(-4, -3, -2, -1)))
    # Summed in single precision; near the limits the host decides.
    away = jnp.where(rows, jnp.abs(jnp.sum(weights, axis=-1) - 1), 0)
    tolerance = ROW_SUM_TOLERANCE_HALF
    if attention.dtype.itemsize > 2:
        # XLA may drop a cast there and back; this it keeps. (Rounding of float16 is below the limit anyway.)
        rounded = jax.lax.reduce_precision(weights, exponent_bits=8, mantissa_bits=7) == weights
        half = jnp.all(rounded | ~real, axis=_other_axes(weights.ndim))
        tolerance = jnp.where(half, ROW_SUM_TOLERANCE_HALF, ROW_SUM_TOLERANCE)[..., :, None, None]
    sound = sound & jnp.all(away <= 0.99 * tolerance)
    return sound & jnp.all(jnp.sum(on_padding, axis=-1) <= 0.99 * PADDING_SHARE)


def _other_axes(rank: int) -> tuple[int, ...]:
    """All axes but the layers'."""
    return (*range(rank - 4), rank - 3, rank - 2, rank - 1)


def _check_values(attention: np.ndarray, mask: np.ndarray, *, normalize: bool) -> None:
    weights = check_numbers(attention, mask, mask)
    if normalize:
        _check_something_is_left(weights, mask)
        return
    check_sums(weights, mask, mask)
    _check_padding(weights, mask)


def check_numbers(attention: np.ndarray, queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Attention without what is not finite on padding.

    Args:
        attention: `*batch layer head query key`.
        queries: true on real ones.
        keys: true on real ones.

    Raises:
        InputError: naming the first entry of real tokens that is not finite or negative.
    """
    real = queries[..., None, None, :, None] & keys[..., None, None, None, :]
    with np.errstate(invalid="ignore"):
        for wrong, problem in ((~np.isfinite(attention), "finite"), (attention < 0, "not negative")):
            if (wrong & real).any():
                index = _checks.first_index(wrong & real)
                got = f"{attention[index]} at {_checks.index_words(index, AXES)}"
                way_out = "pass the probabilities after the softmax, and a `mask` where padding holds something else"
                raise InputError("attentions", f"be {problem}", got, way_out)
    # All that is not finite stands on padding here, and is not looked at.
    return np.where(np.isfinite(attention), attention, np.zeros_like(attention))


def check_sums(weights: np.ndarray, queries: np.ndarray, keys: np.ndarray) -> None:
    """Refuse rows that do not sum to 1; arguments as of `check_numbers`.

    Raises:
        InputError: naming the first row of a real token that does not.
    """
    total = weights.sum(axis=-1, dtype=np.float64)
    wrong = (np.abs(total - 1) > ROW_SUM_TOLERANCE) & queries[..., None, None, :]
    if wrong.any():
        real = queries[..., None, None, :, None] & keys[..., None, None, None, :]
        tolerance = np.where(_is_half(weights, real), ROW_SUM_TOLERANCE_HALF, ROW_SUM_TOLERANCE)[..., :, None, None]
        wrong &= np.abs(total - 1) > tolerance
    if wrong.any():
        index = _checks.first_index(wrong)
        raise InputError(
            "attentions",
            "have rows that sum to 1",
            f"{total[index]:.6g} at {_checks.index_words(index, AXES[:3])}",
            "call model.eval() first where a model is in training, which drops weights at random, or divide each row "
            "by its sum, as `normalize=True` of `jaxflow.attention_graph` does "
            f"(rounding may change a sum by {ROW_SUM_TOLERANCE}, "
            f"and by {ROW_SUM_TOLERANCE_HALF} where a layer holds only numbers of bfloat16 or float16, cast or not)",
        )


def _is_half(weights: np.ndarray, real: np.ndarray) -> Bool[np.ndarray, " layer"]:
    """Whether all weights of a layer are numbers of bfloat16 or of float16, as after a cast from there."""
    if weights.dtype.itemsize <= 2:
        return np.ones(weights.shape[-4], bool)
    axes = _other_axes(weights.ndim)
    with np.errstate(over="ignore"):
        alike = [weights.astype(half).astype(weights.dtype) == weights for half in (jnp.bfloat16, np.float16)]
    return np.any([(each | ~real).all(axis=axes) for each in alike], axis=0)


def _is_judged(mask: AnyArray) -> Any:
    """Which examples' padding is looked at: one token alone may be left out on purpose, as one that takes all is."""
    return (~mask).sum(axis=-1) > 1


def _check_padding(weights: np.ndarray, mask: np.ndarray) -> None:
    """Refuse a mask that is not the model's: real tokens attend to its padding though the model masked something.

    A model without a mask attends everywhere, and its attention to padding is left out. One with a mask leaves keys to
    which no row of real tokens, or none of padding's, attends. With the mask the wrong way round these are the keys
    that it calls real.
    """
    judged = _is_judged(mask)[..., None]
    if not judged.any():
        return
    shares = np.where(mask[..., None, None, None, :], 0, weights).sum(axis=-1, dtype=np.float64)
    shares = np.where((mask & judged)[..., None, None, :], shares, 0)
    if not (shares > PADDING_SHARE).any():
        return
    reach = weights.max(axis=(-4, -3))
    by_real = np.where(mask[..., :, None], reach, 0).max(axis=-2)
    by_padding = np.where(mask[..., :, None], 0, reach).max(axis=-2)
    # Padding's rows may be cleared, which says nothing.
    by_padding = np.where(by_padding.max(axis=-1, keepdims=True) > 0, by_padding, 1)
    if not (judged & ((by_real < MASKED_WEIGHT) | (by_padding < MASKED_WEIGHT))).any():
        return
    index = _checks.first_index(shares > PADDING_SHARE)
    raise _on_padding(f"{shares[index]:.0%} of {_checks.index_words(index, AXES[:3])} on padding")


def _check_something_is_left(weights: np.ndarray, mask: np.ndarray) -> None:
    """Refuse a mask that leaves an example nothing of its rows."""
    rows = mask[..., None, None, :]
    positive = weights > 0
    on_padding = (positive & rows[..., :, None] & ~rows[..., None, :]).any(axis=(-4, -3, -2, -1))
    left = (positive & rows[..., :, None] & rows[..., None, :]).any(axis=(-4, -3, -2, -1))
    wrong = np.asarray(on_padding & ~left & _is_judged(mask))
    if wrong.any():
        where = _checks.index_words(_checks.first_index(wrong), ())
        raise _on_padding("everything on padding" + (f" in {where}" if where else ""))


def _on_padding(got: str) -> InputError:
    way_out = f"{OWN_MASK}; `normalize=True` of `jaxflow.attention_graph` leaves real tokens out on purpose"
    return InputError("mask", "call real what real tokens attend to", got, way_out)


@Programs
def _reach(attention: Attention) -> tuple[Float[Array, "*batch token token"], Bool[Array, "*batch token"]]:
    """The most that each position gives each other one in any layer and head, and whose rows are even throughout."""
    weights = as_float(attention)
    most, least = jnp.max(weights, axis=-1), jnp.min(weights, axis=-1)
    return jnp.max(weights, axis=(-4, -3)), jnp.all(most - least <= 1e-3 * most, axis=(-3, -2))


def _reach_on_host(attention: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    reach = attention.max(axis=(-4, -3))
    # Few rows are even, and only those that give all keys alike in the maximum can be.
    even = reach.max(axis=-1) - reach.min(axis=-1) <= 1e-3 * reach.max(axis=-1)
    if even.any():
        most, least = attention.max(axis=-1), attention.min(axis=-1)
        even &= (most - least <= 1e-3 * most).all(axis=(-3, -2))
    return np.asarray(reach, np.float32), np.asarray(even)


@Programs
def _forgotten_on_device(reach: Array, even: Array) -> tuple[Array, Array, Array]:
    return _forgotten(reach, even)


def _forgotten(
    reach: Float[Any, "*batch token token"], even: Bool[Any, "*batch token"]
) -> tuple[Bool[Any, "*batch"], Int[Any, "*batch"], Bool[Any, "*batch"]]:
    """Examples that look padded, the number of real tokens in each, and whether these come first.

    Padding's own rows are as any other's (a model masks keys) or even (all keys masked). Behind the text, even rows
    are padding's only where real tokens see what follows: a causal last row may be even. Attention that is sparse
    among real tokens too, as it is made by hand or of windows, is not judged.
    """
    position = np.arange(reach.shape[-1])
    attended = ((reach > 0) & ~even[..., :, None]).any(axis=-2)
    count = attended.sum(axis=-1, keepdims=True)
    leads = (attended == (position < count)).all(axis=-1)
    trails = (attended == (position >= reach.shape[-1] - count)).all(axis=-1)
    apart = ~(attended[..., :, None] & attended[..., None, :])
    full = ((reach > 0) | apart).all(axis=(-2, -1))
    causal = ((reach > 0) | apart | (position[:, None] < position)).all(axis=(-2, -1))
    causal = causal & (trails | ~even.any(axis=-1))
    some = (count[..., 0] >= 2) & (count[..., 0] < reach.shape[-1])
    return some & (leads | trails) & (full | causal) & ~(even & attended).any(axis=-1), count[..., 0], leads
