"""Means with bootstrap intervals and permutation tests, as small values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float

from jaxflow.compare import adjusted, block_interval, sign_flip
from jaxflow.statistics.blocks import Blocks


@dataclass(frozen=True)
class Cell:
    """A number, the 95 % interval that it lies in, and how likely chance is as far out; NaN where there is no test."""

    mean: float
    low: float
    high: float
    p: float = float("nan")

    def record(self) -> dict[str, float]:
        """As JSON has it."""
        found = {"mean": self.mean, "low": self.low, "high": self.high}
        return found if np.isnan(self.p) else {**found, "p": self.p}


def cells(values: Float[np.ndarray, "text row"], against: float | None = None, seed: int = 0) -> list[Cell]:
    """The mean of each row over texts; where a number is named to hold it against, by random signs."""
    interval = block_interval(_blocks(values), seed=seed)
    p = np.full(values.shape[1], np.nan) if against is None else sign_flip(_blocks(values - against), seed=seed)
    columns = (interval.mean, interval.low, interval.high, p)
    return [Cell(*map(float, each)) for each in zip(*columns, strict=True)]


def paired(first: Float[np.ndarray, "text row"], second: Float[np.ndarray, "text row"], seed: int = 0) -> list[Cell]:
    """The second's less the first's; the test swaps the two in texts at random."""
    return cells(second - first, against=0.0, seed=seed)


def family(found: Sequence[Cell]) -> list[Cell]:
    """The same with p-values corrected for their number (Benjamini & Hochberg)."""
    corrected = adjusted(np.array([cell.p for cell in found]))
    return [replace(cell, p=float(p)) for cell, p in zip(found, corrected, strict=True)]


def resampled(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    first: np.ndarray,
    second: np.ndarray,
    resamples: int,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of a statistic of two models' sums over blocks: with blocks drawn anew, and with models swapped in them.

    Args:
        statistic: of the two models' sums, each `block ...`, already drawn.
        first: of one model, one row a block.
        second: of the other, of the same texts.
        resamples: draws of each kind.
        seed: of the draws.
    """
    draws = np.random.default_rng(seed)
    drawn, swapped = [], []
    shape = (-1, *(1,) * (first.ndim - 1))
    for _ in range(resamples):
        rows = draws.integers(0, len(first), len(first))
        drawn.append(statistic(first[rows], second[rows]))
        turn = draws.integers(0, 2, len(first)).astype(bool).reshape(shape)
        swapped.append(statistic(np.where(turn, second, first), np.where(turn, first, second)))
    return np.stack(drawn), np.stack(swapped)


def rank_correlation(first: Any, second: Any, resamples: int = 9999, seed: int = 0) -> dict[str, float]:
    """Spearman's correlation of two lists, with the share of random pairings that is as far from 0."""
    one, two = (scipy.stats.rankdata(np.ravel(each)) for each in (first, second))
    one, two = one - one.mean(), two - two.mean()
    scale = np.sqrt((one @ one) * (two @ two))
    if scale == 0:
        return {"rho": float("nan"), "p": float("nan"), "count": len(one)}
    draws = np.random.default_rng(seed)
    order = np.argsort(draws.random((resamples, len(one))), axis=-1)
    rho = float(one @ two / scale)
    beyond = np.abs(two[order] @ one / scale) >= abs(rho) - 1e-12
    return {"rho": rho, "p": float((beyond.sum() + 1) / (resamples + 1)), "count": len(one)}


def gini(values: Any) -> float:
    """How unevenly a sum is spread: 0 where all are alike, nearly 1 where one has it all."""
    array = np.sort(np.ravel(values))
    number = len(array)
    return float((2 * np.arange(1, number + 1) - number - 1) @ array / (number * array.sum()))


def _blocks(values: Float[np.ndarray, "text row"]) -> Blocks:
    blocks = Blocks()
    for row in values:
        blocks.add(row)
    return blocks
