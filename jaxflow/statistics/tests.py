"""Whether a change is more than chance: bootstrap intervals, sign-flip tests, and corrections for many of them."""

from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float

from jaxflow._checks import InputError, first_index, one_of
from jaxflow.statistics.blocks import Blocks
from jaxflow.statistics.intervals import Interval

CORRECTIONS = ("benjamini-hochberg", "holm", "none")
# Numbers that are held at once.
HELD = 1 << 22


def block_interval(blocks: Blocks, *, level: float = 0.95, resamples: int = 1999, seed: int = 0) -> Interval:
    """The mean of each column, with a bootstrap interval (percentile): blocks are drawn, the same ones for all columns.

    Faster than `evaluation.mean_interval` where there are many columns, and all that a stream's sums allow. A column
    without two blocks has NaN for its ends.
    """
    sums, counts = blocks.sums, blocks.counts
    number, columns = len(sums), sums.shape[1:]
    flat, weights = sums.reshape(number, -1), counts.reshape(number, -1).astype(np.float64)
    draws = np.random.default_rng(seed)
    means = np.full((resamples, flat.shape[1]), np.nan)
    step = max(1, HELD // max(number, flat.shape[1]))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = draws.multinomial(number, np.full(number, 1 / number), size=size).astype(np.float64)
        total = drawn @ weights
        means[start : start + size] = drawn @ flat / np.where(total > 0, total, np.nan)
    alone = (weights > 0).sum(axis=0) < 2
    low, high = (_quantile(means, alone, at) for at in ((1 - level) / 2, (1 + level) / 2))
    # Where all blocks have one mean the draws differ from it by rounding alone.
    same = _is_even(flat, weights) & ~alone
    mean = blocks.mean.reshape(-1)
    return Interval(
        mean=mean.reshape(columns),
        low=np.where(same, mean, low).reshape(columns),
        high=np.where(same, mean, high).reshape(columns),
        count=np.asarray(counts.sum(axis=0)),
        undefined=np.asarray(blocks.texts - counts.sum(axis=0)),
    )


def sign_flip(blocks: Blocks, *, resamples: int = 9999, seed: int = 0) -> Float[np.ndarray, "*column"]:
    """Two-sided p-value of the paired permutation test: are differences as likely in one direction as in the other?

    Where two models differ by chance alone, swapping them in any text changes the sign of its difference and nothing
    else. All ways of swapping are gone through where there are no more than `resamples`, else so many are drawn, and
    the data themselves count as one (so p is at least 1 / (resamples + 1)). The same swaps for all columns.

    Args:
        blocks: differences.
        resamples: how many.
        seed: of the draws.

    Returns:
        One p-value a column; NaN where there is no value.
    """
    sums = blocks.sums
    number, columns = len(sums), sums.shape[1:]
    flat = sums.reshape(number, -1)
    observed = np.abs(flat.sum(axis=0))
    # What is equal but for rounding counts as equal.
    least = observed - 1e-10 * np.abs(flat).sum(axis=0)
    exact = 2**number <= resamples + 1
    draws = np.random.default_rng(seed)
    beyond = np.zeros(flat.shape[1])
    total = 2**number if exact else resamples
    step = max(1, HELD // max(number, flat.shape[1]))
    for start in range(0, total, step):
        size = min(step, total - start)
        if exact:
            signs = (np.arange(start, start + size)[:, None] >> np.arange(number)) & 1
        else:
            signs = draws.integers(0, 2, size=(size, number))
        beyond += (np.abs((2.0 * signs - 1.0) @ flat) >= least).sum(axis=0)
    p = beyond / total if exact else (beyond + 1) / (total + 1)
    return np.where(blocks.total.reshape(-1) > 0, p, np.nan).reshape(columns)


def adjusted(p: Any, correction: str = "benjamini-hochberg") -> Float[np.ndarray, "*column"]:
    """P-values corrected for how many of them there are; NaN is no test, and stays.

    Args:
        p: any shape; all of them are one family of tests.
        correction: `"benjamini-hochberg"` bounds the share of false findings, `"holm"` the chance of any; `"none"`.

    Raises:
        InputError: the correction is another, or a value is no probability.
    """
    one_of("correction", correction, CORRECTIONS)
    array = np.asarray(p, np.float64)
    known = ~np.isnan(array)
    wrong = known & ((array < 0) | (array > 1))
    if wrong.any():
        index = first_index(wrong)
        raise InputError("p", "hold probabilities, from 0 to 1", f"{array[index]} at {index}")
    if correction == "none" or not known.any():
        return array
    found = array[known]
    if correction == "holm":
        order = np.argsort(found, kind="stable")
        steps = np.maximum.accumulate(found[order] * np.arange(len(found), 0, -1))
        corrected = np.empty_like(found)
        corrected[order] = np.minimum(steps, 1.0)
    else:
        corrected = scipy.stats.false_discovery_control(found, method="bh")
    adjusted_values = np.full(array.shape, np.nan)
    adjusted_values[known] = corrected
    return adjusted_values


def _quantile(means: np.ndarray, alone: np.ndarray, at: float) -> np.ndarray:
    found = np.full(means.shape[1], np.nan)
    # A draw may leave a column without a value; it then says nothing of that column.
    whole = ~alone & ~np.isnan(means).any(axis=0)
    found[whole] = np.quantile(means[:, whole], at, axis=0)
    for column in np.flatnonzero(~alone & ~whole):
        found[column] = np.nanquantile(means[:, column], at)
    return found


def _is_even(flat: np.ndarray, weights: np.ndarray) -> np.ndarray:
    means = np.where(weights > 0, flat / np.where(weights > 0, weights, 1), np.nan)
    # A column without a value has neither a least nor a largest mean.
    some = (weights > 0).any(axis=0)
    low = np.where(some, np.where(np.isnan(means), np.inf, means).min(axis=0), 0.0)
    high = np.where(some, np.where(np.isnan(means), -np.inf, means).max(axis=0), 0.0)
    return high - low <= 1e-12 * np.maximum(1.0, np.abs(high))
