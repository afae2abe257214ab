"""Confidence intervals of means over examples, by bootstrap."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from jaxflow._checks import InputError, as_count, one_of, shown

INTERVALS = ("bca", "percentile")
# Numbers that a resampling holds at once.
HELD = 1 << 23


@dataclass(frozen=True, eq=False)
class Interval:
    """Means and the interval that each lies in.

    Attributes:
        mean: over examples, of each column.
        low: the interval's lower end.
        high: its upper end.
        count: number of examples with a value.
        undefined: number of examples left out because their value is NaN.
    """

    mean: Float[np.ndarray, "*column"]
    low: Float[np.ndarray, "*column"]
    high: Float[np.ndarray, "*column"]
    count: Int[np.ndarray, "*column"]
    undefined: Int[np.ndarray, "*column"]


def mean_interval(
    values: ArrayLike,
    *,
    level: object = 0.95,
    method: str = "bca",
    resamples: object = 9999,
    clusters: ArrayLike | None = None,
    seed: int = 0,
) -> Interval:
    """The mean over examples of each column, with a bootstrap interval (`scipy.stats.bootstrap`).

    Args:
        values: `example *column`, NaN where an example has none (it is left out of its column, and counted).
        level: of confidence.
        method: `"bca"`, corrected for bias and skew (Efron 1987), or `"percentile"`.
        resamples: number of draws.
        clusters: the group of each example (a seed, a model, a document): whole clusters are drawn instead of examples,
            which is right where those of one cluster are alike. The mean is still over examples.
        seed: of the draws; one seed gives one result.

    Returns:
        Arrays `*column`. A column of equal values (or of one cluster's worth of them) has an interval of no width; a
        column without two examples or clusters has NaN for its ends.

    Raises:
        InputError: an argument does not fit.
    """
    one_of("method", method, INTERVALS)
    if not isinstance(level, float | np.floating) or not 0 < level < 1:
        raise InputError("level", "be a number between 0 and 1", shown(level))
    count = as_count("resamples", resamples)
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" or not array.ndim or np.isinf(array).any():
        got = f"{array.dtype} of shape {array.shape}"
        raise InputError("values", "be finite numbers or NaN of shape (example, *column)", got)
    groups = _as_clusters(clusters, len(array))
    flat = array.reshape(len(array), -1).astype(np.float64)
    # A stream of draws for each column: a column's interval does not depend on the columns beside it.
    seeds = np.random.default_rng(seed).spawn(flat.shape[1])
    rows = [
        _interval(column, groups, float(level), method, count, draws)
        for column, draws in zip(flat.T, seeds, strict=True)
    ]
    columns = np.array(rows, np.float64).reshape(*array.shape[1:], 3)
    undefined = np.isnan(flat).sum(axis=0).reshape(array.shape[1:])
    return Interval(
        mean=np.asarray(columns[..., 0]),
        low=np.asarray(columns[..., 1]),
        high=np.asarray(columns[..., 2]),
        count=np.asarray(len(array) - undefined),
        undefined=np.asarray(undefined),
    )


def _interval(
    column: np.ndarray, groups: np.ndarray, level: float, method: str, resamples: int, draws: np.random.Generator
) -> tuple[float, float, float]:
    real = ~np.isnan(column)
    if not real.any():
        return np.nan, np.nan, np.nan
    # A cluster is drawn whole, so its sum and size are all that counts.
    _, member = np.unique(groups[real], return_inverse=True)
    sums, sizes = np.bincount(member, column[real]), np.bincount(member).astype(np.float64)
    mean = column[real].mean()
    if len(sums) < 2:
        return mean, np.nan, np.nan
    # Where all clusters have one mean the bootstrap is degenerate, and BCa divides by 0.
    if np.ptp(sums / sizes) <= 1e-12 * max(1.0, abs(mean)):
        return mean, mean, mean

    # Clusters differ in size: the mean over examples is a ratio of sums, not a mean of means.
    def ratio(total: np.ndarray, size: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(total.sum(axis=axis) / size.sum(axis=axis))

    # SciPy's statistics take half a second to import.
    import scipy.stats

    interval = scipy.stats.bootstrap(
        (sums, sizes),
        ratio,
        n_resamples=resamples,
        batch=max(1, HELD // len(sums)),
        vectorized=True,
        paired=True,
        confidence_level=level,
        method="BCa" if method == "bca" else "percentile",
        rng=draws,
    ).confidence_interval
    return mean, float(interval.low), float(interval.high)


def _as_clusters(clusters: ArrayLike | None, examples: int) -> np.ndarray:
    if clusters is None:
        return np.arange(examples)
    groups = np.asarray(clusters)
    if groups.shape != (examples,):
        expected = f"name one cluster for each of {examples} examples"
        raise InputError("clusters", expected, f"shape {groups.shape}")
    return groups
