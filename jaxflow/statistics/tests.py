"""Tests for changes beyond chance: bootstrap intervals, sign-flip tests, and corrections for many tests."""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from jaxflow._checks import InputError, first_index, one_of
from jaxflow.statistics.blocks import Blocks, NamedBlocks
from jaxflow.statistics.intervals import Interval

CORRECTIONS = ("benjamini-hochberg", "holm", "none")
# Columns whose resampled means are held at once.
COLUMNS = 1 << 10
# Numbers that fit into a processor's own cache beside what is computed of them.
CACHED = 1 << 17
# NumPy computes products of up to so many multiplications in one thread. For larger ones it takes several, which wait
# in a loop for the next product: this doubled the CPU time of a comparison's statistics.
ONE_THREAD, PIECE_ROWS = 1 << 18, 64


def block_interval(blocks: Blocks, *, level: float = 0.95, resamples: int = 1999, seed: int = 0) -> Interval:
    """The mean of each column, with a bootstrap interval (percentile): blocks are drawn, the same ones for all columns.

    Faster than `evaluation.mean_interval` for many columns, and possible with a stream's sums alone. A column without
    two blocks has NaN for its ends.
    """
    sums, counts = blocks.sums, blocks.counts
    number, shape = len(sums), sums.shape[1:]
    flat, weights = sums.reshape(number, -1), counts.reshape(number, -1).astype(np.float64)
    drawn, levels = _drawn_blocks(number, resamples, seed), [(1 - level) / 2, (1 + level) / 2]
    ends = np.full((2, flat.shape[1]), np.nan)
    # Columns in blocks: resampled means take `resamples` numbers a column.
    for start in range(0, flat.shape[1], COLUMNS):
        here = slice(start, start + COLUMNS)
        ends[:, here] = _interval_ends(drawn, flat[:, here], weights[:, here], levels)
    # Where all blocks have one mean the draws differ from it by rounding alone.
    mean, same = blocks.mean.reshape(-1), _is_even(flat, weights) & ~_are_alone(weights)
    low, high = np.where(same, mean, ends)
    return Interval(
        mean=mean.reshape(shape),
        low=low.reshape(shape),
        high=high.reshape(shape),
        count=np.asarray(counts.sum(axis=0)),
        undefined=np.asarray(blocks.texts - counts.sum(axis=0)),
    )


def named_intervals(table: NamedBlocks, *, seed: int = 0) -> dict[str, Interval]:
    """`block_interval` of several arrays at once."""
    whole = block_interval(table.blocks, seed=seed)
    parts = {field: table.split(values) for field, values in vars(whole).items()}
    return {name: Interval(**{field: values[name] for field, values in parts.items()}) for name in table.shapes}


def sign_flip(blocks: Blocks, *, resamples: int = 9999, seed: int = 0) -> Float[np.ndarray, "*column"]:
    """Two-sided p-value of the paired permutation test: are differences as likely in one direction as in the other?

    Where two models differ by chance alone, swapping them in any text changes the sign of its difference and nothing
    else. All ways of swapping are tried if there are at most `resamples`; else `resamples` of them are drawn, and the
    data themselves count as one (so p is at least 1 / (resamples + 1)). The same swaps for all columns.

    Args:
        blocks: differences.
        resamples: number of draws.
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
    # All ways of swapping come in pairs with opposite signs and sums of one size, so half of them are gone through.
    total = 2 ** (number - 1) if exact else resamples
    draws = np.random.default_rng(seed)
    beyond = np.zeros(flat.shape[1])
    step = max(1, CACHED // max(number, flat.shape[1]))
    for start in range(0, total, step):
        size = min(step, total - start)
        if exact:
            # The bits of a number are one way of swapping; the last block, whose bit is 0 in this half, never swaps.
            signs = (np.arange(start, start + size)[:, None] >> np.arange(number)) & 1
        else:
            signs = draws.integers(0, 2, size=(size, number))
        sums_of_draws = _product(2.0 * signs - 1.0, flat)
        beyond += (np.abs(sums_of_draws, out=sums_of_draws) >= least).sum(axis=0)
    p = beyond / total if exact else (beyond + 1) / (total + 1)
    return np.where(blocks.total.reshape(-1) > 0, p, np.nan).reshape(columns)


def adjusted(p: ArrayLike, correction: str = "benjamini-hochberg") -> Float[np.ndarray, "*column"]:
    """P-values corrected for their number; NaN is no test, and stays.

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
    family = array[known]
    if correction == "holm":
        # The smallest of n is multiplied by n, the next by n - 1, and so on, and none is corrected to less than one
        # before it.
        order = np.argsort(family, kind="stable")
        steps = np.maximum.accumulate(family[order] * np.arange(len(family), 0, -1))
        corrected = np.empty_like(family)
        corrected[order] = np.minimum(steps, 1.0)
    else:
        # SciPy's statistics take half a second to import.
        import scipy.stats

        corrected = scipy.stats.false_discovery_control(family, method="bh")
    adjusted_values = np.full(array.shape, np.nan)
    adjusted_values[known] = corrected
    return adjusted_values


# One comparison asks for many tables of the same number of blocks. Drawing costs more than all else there, and the
# same draws serve them all.
@lru_cache(maxsize=2)
def _drawn_blocks(number: int, resamples: int, seed: int) -> Int[np.ndarray, "block resample"]:
    """How often each resample holds each block."""
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=resamples)
    # At most 2^15 - 1 blocks fit; `Blocks` holds 1,024 at most by default.
    drawn = np.ascontiguousarray(drawn.T, np.int16 if number < 1 << 15 else np.int64)
    drawn.flags.writeable = False
    return drawn


def _interval_ends(
    drawn: Int[np.ndarray, "block resample"],
    sums: Float[np.ndarray, "block column"],
    counts: Float[np.ndarray, "block column"],
    levels: list[float],
) -> Float[np.ndarray, "level column"]:
    """Quantiles of each column's mean over the resamples; NaN for a column without two blocks."""
    # Where no value is missing all columns have the same counts, and one stands for all.
    counts = counts[:, :1] if (counts == counts[:, :1]).all() else counts
    chosen = drawn.astype(np.float64)
    # A draw may leave a column without a value; it then says nothing of that column.
    total = _product(counts.T, chosen)
    # column resample
    means = _product(sums.T, chosen) / np.where(total > 0, total, np.nan)
    return np.where(_are_alone(counts), np.nan, _quantiles(means, levels))


def _quantiles(values: Float[np.ndarray, "column resample"], levels: list[float]) -> Float[np.ndarray, "level column"]:
    """Quantiles of each row's numbers, linear between two of them, NaN left out; NaN where there is nothing else."""
    # NaN comes last. Sorting takes a third of the time of `np.quantile`, which looks for the few numbers it needs.
    values = np.sort(values, axis=-1)
    last = np.maximum(values.shape[-1] - np.isnan(values).sum(axis=-1) - 1, 0)
    place = np.multiply.outer(np.asarray(levels), last)
    below = np.floor(place).astype(int)
    low, high = (values[np.arange(len(values)), index] for index in (below, np.minimum(below + 1, last)))
    return low + (high - low) * (place - below)


def _product(left: Float[np.ndarray, "row part"], right: Float[np.ndarray, "part column"]) -> np.ndarray:
    """The product of two matrices, in pieces that one thread computes where these are not too narrow."""
    columns = ONE_THREAD // (PIECE_ROWS * left.shape[1])
    if columns < 8:
        return left @ right
    product = np.empty((len(left), right.shape[1]))
    for start in range(0, right.shape[1], columns):
        these = slice(start, start + columns)
        piece = np.ascontiguousarray(right[:, these])
        for row in range(0, len(left), PIECE_ROWS):
            rows = slice(row, row + PIECE_ROWS)
            _ = np.matmul(left[rows], piece, out=product[rows, these])
    return product


def _are_alone(counts: Float[np.ndarray, "block column"]) -> Bool[np.ndarray, " column"]:
    """Columns that have values in fewer than two blocks."""
    return (counts > 0).sum(axis=0) < 2


def _is_even(flat: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Columns whose blocks all have one mean, but for rounding."""
    means = np.where(weights > 0, flat / np.where(weights > 0, weights, 1), np.nan)
    # A column without a value has neither a least nor a largest mean.
    some = (weights > 0).any(axis=0)
    low = np.where(some, np.where(np.isnan(means), np.inf, means).min(axis=0), 0.0)
    high = np.where(some, np.where(np.isnan(means), -np.inf, means).max(axis=0), 0.0)
    return high - low <= 1e-12 * np.maximum(1.0, np.abs(high))
