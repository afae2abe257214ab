"""How alike two ways of ranking a text's tokens are."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from jaxflow._checks import InputError, one_of, shown
from jaxflow.statistics.ranks import as_rows, as_tolerance, rank_rows, tied_tokens

PROTOCOLS = ("standard", "paper")
# Pairs of tokens held at once by Kendall's tau.
PAIRS = 1 << 23

Rows = Float[np.ndarray, "*batch token"]
RowMask = Bool[np.ndarray, "*batch token"]


@runtime_checkable
class RankMeasure(Protocol):
    """A coefficient of rank agreement, row by row: a frozen value."""

    @property
    def tol(self) -> float | int:
        """How near two values count as equal."""
        ...

    def __call__(self, first: Rows, second: Rows, mask: RowMask) -> Float[np.ndarray, "*batch"]:
        """The coefficient of each row, NaN where it is not defined."""
        ...


@dataclass(frozen=True)
class Spearman:
    """Spearman's rank correlation.

    Attributes:
        protocol: `"standard"`, Pearson's correlation of average ranks, as `scipy.stats.spearmanr`, not defined where
            all values of a row are equal; or `"paper"`, the published code of Abnar & Zuidema (2020): dense ranks in
            `1 - 6 sum d^2 / (n (n^2 - 1))`. That formula is wrong under ties (dense ranks then differ by less, so it
            tends upward, and it gives a number even for constant rows); it is here to compare with their tables.
        tol: how near two values count as equal, see `ranks`.
    """

    protocol: str = "standard"
    tol: float | int = 0.0

    def __post_init__(self) -> None:
        one_of("protocol", self.protocol, PROTOCOLS)
        _ = as_tolerance(self.tol)

    def __call__(self, first: Rows, second: Rows, mask: RowMask) -> Float[np.ndarray, "*batch"]:
        """The correlation of each row."""
        ties = "average" if self.protocol == "standard" else "dense"
        one, two = (rank_rows(rows, mask, ties, float(self.tol)) for rows in (first, second))
        count = mask.sum(axis=-1)
        if self.protocol == "paper":
            # Fewer than two tokens have no order: NaN.
            spread = np.where(mask, (one - two) ** 2, 0).sum(axis=-1)
            return 1 - 6 * spread / np.where(count > 1, count * (count**2 - 1.0), np.nan)
        # Average ranks sum to n (n + 1) / 2 whatever the ties.
        one, two = (np.where(mask, ranked - (count[..., None] + 1) / 2, 0) for ranked in (one, two))
        scale = np.sqrt((one * one).sum(axis=-1) * (two * two).sum(axis=-1))
        return (one * two).sum(axis=-1) / np.where(scale > 0, scale, np.nan)


@dataclass(frozen=True)
class Kendall:
    """Kendall's tau-b, as `scipy.stats.kendalltau`: pairs in the same order less pairs in opposite order, over
    `sqrt((pairs untied in one) (pairs untied in the other))`; not defined where all values of a row are equal.

    Attributes:
        tol: how near two values count as equal, see `ranks`.
    """  # noqa: D205

    tol: float | int = 0.0

    def __post_init__(self) -> None:
        _ = as_tolerance(self.tol)

    def __call__(self, first: Rows, second: Rows, mask: RowMask) -> Float[np.ndarray, "*batch"]:
        """Tau-b of each row; token^2 a row, a bounded number of rows at a time."""
        # Order is all that counts here: dense ranks are small integers, and ties up to `tol` are equal in them.
        batch, width = first.shape[:-1], first.shape[-1]
        one, two = (
            rank_rows(rows, mask, "dense", float(self.tol)).astype(np.int16).reshape(-1, width)
            for rows in (first, second)
        )
        flat = mask.reshape(-1, width)
        taus = np.empty(len(flat))
        step = max(1, PAIRS // max(1, width * width))
        for start in range(0, len(flat), step):
            here = slice(start, start + step)
            taus[here] = _tau(one[here], two[here], flat[here])
        return taus.reshape(batch)


@dataclass(frozen=True, eq=False)
class Agreement:
    """Agreement of each example, and the facts to look at before it is averaged.

    Attributes:
        value: the coefficient, `*batch`; NaN where it is not defined.
        count: number of tokens that take part.
        constant: true where all values of one side are equal, so that there is no ranking to agree with. The paper's
            protocol gives a number even there.
        tied_tokens: share of the tokens that tie with another one, on the first and on the second side.
        tied_pairs: share of the pairs that tie, likewise.
    """

    value: Float[np.ndarray, "*batch"]
    count: Int[np.ndarray, "*batch"]
    constant: Bool[np.ndarray, "*batch"]
    tied_tokens: tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]
    tied_pairs: tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]

    def mean(self, axis: int | tuple[int, ...] = 0) -> np.ndarray:
        """Mean over examples where it is defined; NaN where it never is."""
        defined = np.isfinite(self.value)
        count = defined.sum(axis=axis)
        return np.asarray(np.where(defined, self.value, 0).sum(axis=axis) / np.where(count > 0, count, np.nan))

    def std(self, axis: int | tuple[int, ...] = 0) -> np.ndarray:
        """Standard deviation over examples where it is defined (divided by their number)."""
        defined = np.isfinite(self.value)
        count = defined.sum(axis=axis)
        away = np.where(defined, self.value - np.expand_dims(self.mean(axis), axis), 0)
        return np.asarray(np.sqrt((away**2).sum(axis=axis) / np.where(count > 0, count, np.nan)))

    def undefined(self, axis: int | tuple[int, ...] = 0) -> np.ndarray:
        """How many examples have no coefficient: these are left out of the mean."""
        return np.asarray((~np.isfinite(self.value)).sum(axis=axis))


def rank_agreement(
    relevance: ArrayLike,
    scores: ArrayLike,
    mask: ArrayLike | None = None,
    measure: object = Spearman(),
) -> Agreement:
    """Agreement of two rankings of each example's tokens.

    Args:
        relevance: `*batch token`: a method's values, of all layers say (`padded` makes it of an attribution's rows).
        scores: `*batch token`, broadcast with it: the values to compare with, such as blank-out scores `[:, None]`.
        mask: `*batch token`, broadcast with both: true on tokens that take part. Leave out padding always, and special
            tokens by choice (`TokenInputs.positions("words")`). None is all.
        measure: `Spearman()`, `Spearman(protocol="paper")`, `Kendall()`, or one of your own.

    Returns:
        One coefficient a row, the number of its tokens, and the shares that tie.

    Raises:
        InputError: shapes that don't broadcast, or a number that is not finite where the mask is true.
    """
    if not isinstance(measure, RankMeasure) or isinstance(measure, type):
        raise InputError("measure", "be a value such as Spearman() or Kendall()", shown(measure))
    shapes = [np.shape(part) for part in (relevance, scores, True if mask is None else mask)]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise InputError("relevance", "broadcast with `scores` and `mask`", f"shapes {shapes}") from None
    first, chosen = as_rows("relevance", np.broadcast_to(np.asarray(relevance), shape), mask)
    second, _ = as_rows("scores", np.broadcast_to(np.asarray(scores), shape), mask)
    # NumPy makes numbers of arrays without axes, so even one row has one here.
    first, second, chosen = first[None], second[None], chosen[None]
    shares = [tied_tokens(rows, chosen, float(measure.tol)) for rows in (first, second)]
    count = chosen.sum(axis=-1)
    constant = (count < 2) | (shares[0][1] == 1) | (shares[1][1] == 1)
    return Agreement(
        value=np.asarray(measure(first, second, chosen)[0]),
        count=np.asarray(count[0]),
        constant=np.asarray(constant[0]),
        tied_tokens=(np.asarray(shares[0][0][0]), np.asarray(shares[1][0][0])),
        tied_pairs=(np.asarray(shares[0][1][0]), np.asarray(shares[1][1][0])),
    )


def _tau(
    one: Int[np.ndarray, "row token"], two: Int[np.ndarray, "row token"], mask: Bool[np.ndarray, "row token"]
) -> Float[np.ndarray, " row"]:
    # `row token token`: 1, 0 or -1 for each ordered pair, 0 where either token does not take part.
    both = mask[:, :, None] & mask[:, None, :]
    first, second = (np.sign(rows[:, :, None] - rows[:, None, :]) * both for rows in (one, two))
    # Every pair is counted in both directions, above and below alike.
    concordance = (first * second).sum(axis=(1, 2), dtype=np.float64)
    untied = [np.abs(signs).sum(axis=(1, 2), dtype=np.float64) for signs in (first, second)]
    scale = np.sqrt(untied[0]) * np.sqrt(untied[1])
    return concordance / np.where(scale > 0, scale, np.nan)
