"""Protocols of faithfulness: which tokens of a text go for a row of relevance, and what the answers are worth.

`p` is the explained number, `x` the text and `r` some of its tokens. Several protocols are different readings of the
same passes: removals of the same tokens are run once for all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxflow._checks import InputError, as_flag, one_of, shown
from jaxflow._typing import Given

# DeYoung et al. (2020), section 5.
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
TENTHS = tuple(tenth / 10 for tenth in range(11))


def counted(shares: Sequence[float], count: int) -> Int[np.ndarray, " share"]:
    """How many of so many tokens the shares are, rounded up."""
    # Less a little: 0.07 * 100 is just above 7 in floating point, and must be 7 tokens.
    return np.ceil(np.asarray(shares) * count - 1e-9).astype(int)


def as_shares(shares: Given[Sequence[float]]) -> tuple[float, ...]:
    """Shares, checked.

    Raises:
        InputError: one is not in [0, 1], or there is none.
    """
    given = tuple(shares) if np.ndim(shares) == 1 else ()
    if not given or not all(0 <= float(share) <= 1 for share in given):
        raise InputError("shares", "be numbers in [0, 1]", shown(shares))
    return tuple(map(float, given))


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of relevance of one text, without padding.

    Attributes:
        relevance: larger is more relevant; of equals the earlier token goes first.
        chosen: tokens that may be removed; the others always stay.
        ids: the text's tokens, which random draws depend on.
    """

    relevance: Float[np.ndarray, "row token"]
    chosen: Bool[np.ndarray, " token"]
    ids: Int[np.ndarray, " token"]

    @cached_property
    def count(self) -> int:
        """Number of tokens that may be removed."""
        return int(self.chosen.sum())

    @cached_property
    def places(self) -> Int[np.ndarray, "row token"]:
        """The rank of each token, from 0 for the most relevant; those that stay come last."""
        # Stable, so that of equals the earlier token goes first.
        order = np.argsort(np.where(self.chosen, -self.relevance, np.inf), axis=-1, kind="stable")
        places = np.empty_like(order)
        np.put_along_axis(places, order, np.broadcast_to(np.arange(order.shape[-1]), order.shape), axis=-1)
        return places

    def counts(self, shares: Sequence[float]) -> Int[np.ndarray, " share"]:
        """How many tokens the shares are, rounded up."""
        return counted(shares, self.count)

    def top(self, counts: Int[np.ndarray, " removal"]) -> Bool[np.ndarray, "row removal token"]:
        """The most relevant tokens, so many of them for each removal."""
        return (self.places[:, None] < np.asarray(counts)[:, None]) & self.chosen

    def others(self, counts: Int[np.ndarray, " removal"]) -> Bool[np.ndarray, "row removal token"]:
        """All but the most relevant tokens."""
        return ~self.top(counts) & self.chosen


@runtime_checkable
class FaithfulnessProtocol(Protocol):
    """A frozen value that says what to remove, and what the answers are worth.

    Attributes:
        name: of its scores.
        faithful: `"high"` or `"low"`, the end where scores of a faithful relevance lie.
        of_probability: whether it takes no other number than a probability.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def faithful(self) -> str: ...  # noqa: D102

    @property
    def of_probability(self) -> bool: ...  # noqa: D102

    def removed(self, rows: Rows) -> Bool[np.ndarray, "row removal token"]:
        """The tokens to remove, as many removals for each text."""
        ...

    def score(self, rows: Rows, value: float, numbers: Float[np.ndarray, "row removal"]) -> Float[np.ndarray, " row"]:
        """The rows' scores, from the explained number of the text as it stands and after each removal."""
        ...


@dataclass(frozen=True)
class _Shares:
    """What protocols share that remove shares of the tokens, rounded up to whole tokens."""

    shares: Given[Sequence[float]] = SHARES

    of_probability = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", as_shares(self.shares))

    def removed(self, rows: Rows) -> Bool[np.ndarray, "row removal token"]:
        """The most relevant shares."""
        return rows.top(rows.counts(self.shares))


@dataclass(frozen=True)
class Comprehensiveness(_Shares):
    """Mean over shares of `p(x) - p(x without r)`, `r` the most relevant tokens (DeYoung et al. 2020)."""

    name: str = "comprehensiveness"
    faithful = "high"

    def score(self, rows: Rows, value: float, numbers: Float[np.ndarray, "row removal"]) -> Float[np.ndarray, " row"]:
        """The mean fall."""
        return (value - numbers).mean(axis=-1)


@dataclass(frozen=True)
class Sufficiency(Comprehensiveness):
    """Mean over shares of `p(x) - p(r)`, the most relevant tokens `r` alone (DeYoung et al. 2020)."""

    name: str = "sufficiency"
    faithful = "low"

    def removed(self, rows: Rows) -> Bool[np.ndarray, "row removal token"]:
        """All tokens but the most relevant shares."""
        return rows.others(rows.counts(self.shares))


@dataclass(frozen=True)
class Aopc(_Shares):
    """Area over the perturbation curve: mean over steps of `p(x) - p(x without r)`, the unchanged text one of them.

    Signed as Samek et al. (2017) have it. `absolute=True` takes `|p(x) - p(x without r)|`, as AttCAT does (Qiang et al.
    2022), which also rewards tokens that speak against the number.
    """

    shares: Given[Sequence[float]] = TENTHS
    absolute: Given[bool] = False
    faithful = "high"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "absolute", as_flag("absolute", self.absolute))

    @property
    def name(self) -> str:
        """Both kinds apart."""
        return "aopc-absolute" if self.absolute else "aopc"

    def score(self, rows: Rows, value: float, numbers: Float[np.ndarray, "row removal"]) -> Float[np.ndarray, " row"]:
        """The mean change."""
        falls = value - numbers
        return (np.abs(falls) if self.absolute else falls).mean(axis=-1)


@dataclass(frozen=True)
class Curve(_Shares):
    """Area under the curve of `p` while tokens go, the most relevant ones first (MoRF) or the least relevant (LeRF).

    The area by trapezoids over the shares, which must rise, through their range: the mean height of the curve.

    Attributes:
        first: `"most"` or `"least"`.
    """

    shares: Given[Sequence[float]] = TENTHS
    first: str = "most"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("first", self.first, ("most", "least"))
        if len(self.shares) < 2 or (np.diff(self.shares) <= 0).any():
            raise InputError("shares", "be two or more that rise, of a curve", shown(self.shares))

    @property
    def name(self) -> str:
        """Both orders apart."""
        return "morf" if self.first == "most" else "lerf"

    @property
    def faithful(self) -> str:
        """Without what is most relevant the number falls at once."""
        return "low" if self.first == "most" else "high"

    def removed(self, rows: Rows) -> Bool[np.ndarray, "row removal token"]:
        """The first shares in the order that the tokens go."""
        counts = rows.counts(self.shares)
        return rows.top(counts) if self.first == "most" else rows.others(rows.count - counts)

    def score(self, rows: Rows, value: float, numbers: Float[np.ndarray, "row removal"]) -> Float[np.ndarray, " row"]:
        """The curve's mean height."""
        return np.trapezoid(numbers, self.shares, axis=-1) / (self.shares[-1] - self.shares[0])


@dataclass(frozen=True)
class LogOdds(_Shares):
    """LOdds: mean over shares of `log(p(x without r) / p(x))`, `r` the most relevant tokens (Shrikumar et al. 2017)."""

    shares: Given[Sequence[float]] = TENTHS
    name: str = "log-odds"
    faithful = "low"
    of_probability = True

    def score(self, rows: Rows, value: float, numbers: Float[np.ndarray, "row removal"]) -> Float[np.ndarray, " row"]:
        """The mean logarithm; probabilities below the least normal number count as that number."""
        least = np.finfo(np.float64).tiny
        return (np.log(np.maximum(numbers, least)) - np.log(max(value, least))).mean(axis=-1)


@dataclass(frozen=True)
class SaCo:
    """Salience-guided faithfulness coefficient (Wu et al. 2024), from -1 to 1.

    Tokens form groups by rank, each removed alone. A pair of groups counts by the difference of their relevance,
    positive where the more relevant group's fall is at least the other's, else negative; all by the sum of sizes. NaN
    where all groups are equally relevant. A group's relevance is its mean here, as groups may differ by a token.

    Attributes:
        groups: how many; a text of fewer tokens has a group a token.
    """

    groups: int = 5
    name: str = "saco"

    faithful = "high"
    of_probability = False

    def __post_init__(self) -> None:
        if isinstance(self.groups, bool) or not isinstance(self.groups, int) or self.groups < 2:
            raise InputError("groups", "be a whole number, 2 or more", shown(self.groups))

    def removed(self, rows: Rows) -> Bool[np.ndarray, "row removal token"]:
        """Each group; those that the text has no tokens for are empty."""
        group = rows.places * min(self.groups, rows.count) // max(rows.count, 1)
        return (group[:, None] == np.arange(self.groups)[:, None]) & rows.chosen

    def score(self, rows: Rows, value: float, numbers: Float[np.ndarray, "row removal"]) -> Float[np.ndarray, " row"]:
        """The coefficient."""
        groups = self.removed(rows)
        sizes = groups.sum(axis=-1)
        relevance = np.where(groups, rows.relevance[:, None], 0).sum(axis=-1) / np.maximum(sizes, 1)
        # row group group: pairs of two groups that are there, the more relevant first.
        first, second = np.triu_indices(self.groups, 1)
        there = (sizes[:, first] > 0) & (sizes[:, second] > 0)
        weights = np.where(there, relevance[:, first] - relevance[:, second], 0)
        agrees = numbers[:, first] <= numbers[:, second]
        total = np.abs(weights).sum(axis=-1)
        return np.where(agrees, weights, -weights).sum(axis=-1) / np.where(total > 0, total, np.nan)


@dataclass(frozen=True)
class SoftComprehensiveness:
    """Mean fall `p(x) - p(x')` where each token goes by chance, with its relevance as the probability.

    Zhao & Aletras (2023). Relevance is scaled to [0, 1] within each text and row; equal relevance is one half. They
    mask single numbers of the embeddings, cut negative falls and divide by the fall of a text of nothing; here whole
    tokens go, so that every removal and model serves, and falls stay as they are, like those of the hard measures.

    Attributes:
        draws: removals of each row. All rows of a text are drawn by the same uniform numbers.
        seed: of the draws, which depend on it and the text's tokens alone.
    """

    draws: int = 8
    seed: int = 0
    name: str = "soft-comprehensiveness"

    faithful = "high"
    of_probability = False

    def __post_init__(self) -> None:
        if isinstance(self.draws, bool) or not isinstance(self.draws, int) or self.draws < 1:
            raise InputError("draws", "be a whole number, 1 or more", shown(self.draws))

    def removed(self, rows: Rows) -> Bool[np.ndarray, "row removal token"]:
        """Tokens whose uniform number is below their relevance."""
        return self._less(rows) & rows.chosen

    def score(self, rows: Rows, value: float, numbers: Float[np.ndarray, "row removal"]) -> Float[np.ndarray, " row"]:
        """The mean fall."""
        return (value - numbers).mean(axis=-1)

    def _less(self, rows: Rows) -> Bool[np.ndarray, "row removal token"]:
        uniform = np.random.default_rng([self.seed, *rows.ids.tolist()]).random((self.draws, len(rows.ids)))
        if not rows.count:
            return np.zeros((len(rows.relevance), *uniform.shape), bool)
        low = np.where(rows.chosen, rows.relevance, np.inf).min(axis=-1, keepdims=True, initial=np.inf)
        high = np.where(rows.chosen, rows.relevance, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
        span = np.where(high > low, high - low, 1)
        scaled = np.where(high > low, (np.where(rows.chosen, rows.relevance, low) - low) / span, 0.5)
        return uniform < scaled[:, None]


@dataclass(frozen=True)
class SoftSufficiency(SoftComprehensiveness):
    """Mean fall `p(x) - p(x')` where each token stays by chance, with its relevance as the probability; see above."""

    name: str = "soft-sufficiency"
    faithful = "low"

    def removed(self, rows: Rows) -> Bool[np.ndarray, "row removal token"]:
        """Tokens whose uniform number is not below their relevance."""
        return ~self._less(rows) & rows.chosen


PROTOCOLS: tuple[FaithfulnessProtocol, ...] = (
    Curve(),
    Curve(first="least"),
    Comprehensiveness(),
    Sufficiency(),
    Aopc(),
    Aopc(absolute=True),
    LogOdds(),
    SaCo(),
    SoftComprehensiveness(),
    SoftSufficiency(),
)
