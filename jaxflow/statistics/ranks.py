"""Ranks of masked rows, with ties; whole batches at once, by sorting."""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from jaxflow._checks import InputError, first_index, one_of, shown

TIES = ("average", "dense")


def ranks(
    values: ArrayLike, mask: ArrayLike | None = None, *, ties: str = "average", tol: float | int = 0.0
) -> Float[np.ndarray, "..."]:
    """Rank of each value among the values of its row, the smallest first, from 1.

    Args:
        values: `*batch token`.
        mask: true on values that take part, to be broadcast to `values`; None is all.
        ties: `"average"`, equal values share the mean of their places, or `"dense"`, equal values have one rank and the
            next value the next.
        tol: in order, a value no more than `tol` above the one before it counts as equal to it. Solved flows
            are right to 1e-9, so equal ones may differ in the last digits: 1e-9 suits them; 1e-6 those that an
            accelerator's bounds settled (`FlowSolution.stages`).

    Returns:
        `*batch token`, float64, 0 where the mask is false. As `scipy.stats.rankdata` of each row. Cost: sorting.

    Raises:
        InputError: the shapes don't fit, or a value that takes part is not finite.
    """
    one_of("ties", ties, TIES)
    array, chosen = as_rows("values", values, mask)
    return rank_rows(array, chosen, ties, as_tolerance(tol))


def rank_rows(
    values: Float[np.ndarray, "*batch token"], mask: Bool[np.ndarray, "*batch token"], ties: str, tol: float
) -> Float[np.ndarray, "*batch token"]:
    """`ranks` of checked arrays."""
    order, first = runs(values, mask, tol)
    if ties == "dense":
        ranked = np.cumsum(first, axis=-1).astype(np.float64)
    else:
        # Places from `start` to `stop - 1`, counted from 1, have the mean (start + 1 + stop) / 2.
        start, stop = bounds(first)
        ranked = (start + stop + 1) / 2
    # Back from the sorted order to the tokens' own.
    placed = np.empty_like(ranked)
    np.put_along_axis(placed, order, ranked, axis=-1)
    return np.where(mask, placed, 0.0)


def tied_tokens(
    values: Float[np.ndarray, "*batch token"], mask: Bool[np.ndarray, "*batch token"], tol: float
) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
    """Share of a row's tokens that tie with another one, and share of its pairs that tie; 0 for one token or none."""
    order, first = runs(values, mask, tol)
    start, stop = bounds(first)
    others = np.where(np.take_along_axis(mask, order, axis=-1), stop - start - 1, 0)
    count = mask.sum(axis=-1)
    return (others > 0).sum(axis=-1) / np.maximum(count, 1), others.sum(axis=-1) / np.maximum(count * (count - 1), 1)


def as_rows(
    name: str, values: ArrayLike, mask: ArrayLike | None
) -> tuple[Float[np.ndarray, "*batch token"], Bool[np.ndarray, "*batch token"]]:
    """Values in float64 and their mask, checked."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" or not array.ndim:
        got = f"{array.dtype} of shape {array.shape}"
        raise InputError(name, "be numbers of shape (*batch, token)", got)
    array = array.astype(np.float64)
    chosen = np.asarray(True if mask is None else mask)
    if chosen.dtype != np.bool_:
        raise InputError("mask", "be booleans, true on tokens that take part", str(chosen.dtype))
    try:
        chosen = np.broadcast_to(chosen, array.shape)
    except ValueError:
        expected = f"broadcast to the shape of `{name}`, {array.shape}"
        raise InputError("mask", expected, f"shape {chosen.shape}") from None
    wrong = chosen & ~np.isfinite(array)
    if wrong.any():
        index = first_index(wrong)
        raise InputError(name, "be finite where the mask is true", f"{array[index]} at {index}")
    return array, chosen


def as_tolerance(tol: object) -> float:
    """A tolerance for ties."""
    if isinstance(tol, bool) or not isinstance(tol, int | float | np.number) or not 0 <= tol < np.inf:
        raise InputError("tol", "be a number, 0 or more", shown(tol))
    return float(tol)


def runs(
    values: Float[np.ndarray, "*batch token"], mask: Bool[np.ndarray, "*batch token"], tol: float
) -> tuple[Int[np.ndarray, "*batch token"], Bool[np.ndarray, "*batch token"]]:
    """The sorted order, masked tokens last, and where in it a run of equal values begins; masked tokens stand alone."""
    order = np.argsort(np.where(mask, values, np.inf), axis=-1, kind="stable")
    ordered, real = np.take_along_axis(values, order, axis=-1), np.take_along_axis(mask, order, axis=-1)
    first = np.ones(order.shape, bool)
    # Masked tokens may hold anything, inf - inf included.
    ordered = np.where(real, ordered, 0.0)
    first[..., 1:] = (np.diff(ordered, axis=-1) > tol) | ~real[..., 1:]
    return order, first


def bounds(first: Bool[np.ndarray, "*batch token"]) -> tuple[np.ndarray, np.ndarray]:
    """For each place of the sorted order, where its run begins and where the next one does."""
    width = first.shape[-1]
    places = np.arange(width)
    # The last beginning up to each place, and from the right the first one behind it.
    start = np.maximum.accumulate(np.where(first, places, 0), axis=-1)
    nexts = np.concatenate([np.where(first[..., 1:], places[1:], width), np.full((*first.shape[:-1], 1), width)], -1)
    stop = np.minimum.accumulate(nexts[..., ::-1], axis=-1)[..., ::-1]
    return start, stop
