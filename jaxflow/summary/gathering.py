"""Statistics of a data set, gathered example by example in memory that does not grow with their number."""

import heapq
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxflow.flow import exact
from jaxflow.statistics.agreement import Spearman, rank_agreement
from jaxflow.statistics.ranks import tied_tokens
from jaxflow.store.arrow import Row, relevance_columns
from jaxflow.store.record import Record

# Relevance values in one chunk, padding included.
CHUNK = 1 << 19
# Solved flows are right to 1e-9, so equal ones may differ in the last digits; those that a device's bounds settled are
# right to 1e-6.
SOLVED, BOUNDED = 1e-9, 1e-6

Lines = Float[np.ndarray, "line token"]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Relevance of some examples, one line for each example, layer and query, padded on the right.

    Attributes:
        values: by method.
        real: true on tokens, false on padding.
        words: true on tokens that are not special.
        example: the line's example.
        layer: place of the line's layer among the layers of the results.
        weight: of a line: 1 / queries of its example, so that every example counts alike.
    """

    values: dict[str, Lines]
    real: Bool[np.ndarray, "line token"]
    words: Bool[np.ndarray, "line token"]
    example: Int[np.ndarray, " line"]
    layer: Int[np.ndarray, " line"]
    weight: Float[np.ndarray, " line"]


class Means:
    """Weighted means, layer by layer, of any number of quantities."""

    def __init__(self, layers: int):
        self._layers = layers
        self._sums: dict[Hashable, np.ndarray] = {}

    def add(self, key: Hashable, layer: np.ndarray, weight: np.ndarray, values: np.ndarray) -> None:
        """Take in values, one a line; NaN is not defined and left out."""
        known = np.isfinite(values)
        weights = np.where(known, weight, 0.0)
        # Two rows: weighted sums and weights of each layer.
        sums = self._sums.setdefault(key, np.zeros((2, self._layers)))
        sums[0] += np.bincount(layer, weights * np.where(known, values, 0.0), self._layers)
        sums[1] += np.bincount(layer, weights, self._layers)

    def of(self, key: Hashable) -> tuple[Float[np.ndarray, " layer"], Float[np.ndarray, " layer"]]:
        """The mean of each layer, NaN where nothing was defined, and the number of its examples."""
        sums = self._sums.get(key, np.zeros((2, self._layers)))
        return np.divide(sums[0], sums[1], out=np.full(self._layers, np.nan), where=sums[1] > 0), sums[1]


class Keyed:
    """Means by key, layer by layer; new keys may come at any time."""

    def __init__(self, layers: int):
        self._keys: dict[Hashable, int] = {}
        self._sums = np.zeros((layers, 0))
        self._counts = np.zeros(0, np.int64)

    def add(self, keys: Sequence[Hashable], values: Float[np.ndarray, "layer key"]) -> None:
        """Take in a value a layer for each key; a key may come more than once."""
        # A key's column, by the order in which keys first came.
        places = np.array([self._keys.setdefault(key, len(self._keys)) for key in keys], np.int64)
        more = len(self._keys) - len(self._counts)
        if more > 0:
            # Room for as many again, so that adding a key costs little on average.
            room = more + len(self._counts)
            self._sums = np.pad(self._sums, [(0, 0), (0, room)])
            self._counts = np.pad(self._counts, (0, room))
        size = len(self._counts)
        self._counts += np.bincount(places, minlength=size)
        for sums, row in zip(self._sums, values, strict=True):
            sums += np.bincount(places, row, size)

    def means(self) -> tuple[list[Any], Float[np.ndarray, "layer key"], Int[np.ndarray, " key"]]:
        """The keys in the order they came, their means, and how often each came."""
        size = len(self._keys)
        return list(self._keys), self._sums[:, :size] / np.maximum(self._counts[:size], 1), self._counts[:size]


class Lowest:
    """The `count` examples with the lowest values."""

    def __init__(self, count: int):
        self._count = count
        self._kept: list[tuple[float, int, int | str, str]] = []
        self._count_in = 0

    def add(self, value: float, id_: int | str, text: str) -> None:
        """Take in an example."""
        # `heapq` keeps the least at the top: negated, that is the highest value, the next to be pushed out. Of equal
        # values the later example goes first; images have names for numbers.
        self._count_in += 1
        item = (-value, -self._count_in, id_, text)
        if len(self._kept) < self._count:
            heapq.heappush(self._kept, item)
        else:
            _ = heapq.heappushpop(self._kept, item)

    def sorted(self) -> list[tuple[float, int | str, str]]:
        """Value, id and text of each, the lowest first."""
        return [(-value, id_, text) for value, _, id_, text in sorted(self._kept, reverse=True)]


def chunks(rows: Iterable[Row]) -> Iterator[tuple[list[Row], Chunk]]:
    """Rows in chunks of at most `CHUNK` values, or of one row."""
    chunk_rows: list[Row] = []
    lines = longest = 0
    for row in rows:
        count, tokens = len(row["layers"]) * len(row["queries"]), len(row["tokens"])
        # One long text would pad all lines of its chunk, so the chunk's size is counted with padding.
        if chunk_rows and (lines + count) * max(longest, tokens) > CHUNK:
            yield chunk_rows, _chunk(chunk_rows)
            chunk_rows, lines, longest = [], 0, 0
        chunk_rows.append(row)
        lines, longest = lines + count, max(longest, tokens)
    if chunk_rows:
        yield chunk_rows, _chunk(chunk_rows)


def distribution(chunk: Chunk, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Entropy of each line as shares of its sum, in nats, and its exponential; NaN where all is 0."""
    entropy = _entropy(np.where(chunk.real, chunk.values[method], 0.0))
    return entropy, np.exp(entropy)


def _entropy(values: Lines) -> np.ndarray:
    """Entropy of each row as shares of its sum, in nats; NaN where all is 0. Of signed relevance the sizes count."""
    values = np.abs(values)
    total = values.sum(axis=1, keepdims=True)
    shares = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    # 0 log 0 is 0.
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1)
    return np.where(total[:, 0] > 0, entropy, np.nan)


def tolerance(records: Sequence[Record]) -> float:
    """Difference up to which flows of shards tie: 1e-9 if all were solved, 1e-6 if bounds settled any."""
    solved = sum(record.stages.get(stage, 0) for record in records for stage in exact.STAGES)
    return SOLVED if solved == sum(record.flows for record in records) else BOUNDED


def ties(chunk: Chunk, method: str, tol: float) -> np.ndarray:
    """Share of each line's words that tie with another one, up to a difference of `tol`."""
    return tied_tokens(chunk.values[method], chunk.words, tol)[0]


def agreement(chunk: Chunk, one: str, two: str, tol: float) -> np.ndarray:
    """Spearman's rank correlation of two methods over each line's words; NaN where it is not defined.

    Values tie as in `ties`.
    """
    ranked = rank_agreement(chunk.values[one], chunk.values[two], chunk.words, Spearman(tol=tol))
    return np.where(ranked.constant, np.nan, ranked.value)


def effective_rank(values: Float[np.ndarray, "layer query token"]) -> Float[np.ndarray, " layer"]:
    """Exponential of the entropy of the singular values as shares of their sum (Roy & Vetterli 2007).

    How many directions the queries' rows take up: 1 where all are alike. Cost: layer * query^2 * token.
    """
    return np.exp(_entropy(np.linalg.svd(values.astype(np.float64), compute_uv=False)))


def pairs_of(methods: Sequence[str]) -> list[tuple[str, str]]:
    """Methods two by two."""
    return list(combinations(methods, 2))


def _chunk(rows: list[Row]) -> Chunk:
    """Rows of different lengths as one chunk, padded with 0 on the right."""
    methods = relevance_columns(rows[0])
    # Lines of each example, one for each layer and query: layers outermost, as in the arrays.
    counts = [len(row["layers"]) * len(row["queries"]) for row in rows]
    width = max(len(row["tokens"]) for row in rows)
    example = np.repeat(np.arange(len(rows)), counts)
    lengths = np.array([len(row["tokens"]) for row in rows])
    words = np.zeros((len(rows), width), bool)
    for index, row in enumerate(rows):
        words[index, : lengths[index]] = row["source"] >= 0
    # Each example's lines stand together, from `starts[index]` on.
    values = {method: np.zeros((len(example), width)) for method in methods}
    starts = np.concatenate([[0], np.cumsum(counts)])
    for index, row in enumerate(rows):
        here = slice(starts[index], starts[index + 1])
        for method in methods:
            values[method][here, : lengths[index]] = row[method].reshape(counts[index], -1)
    layer = np.concatenate([np.repeat(np.arange(len(row["layers"])), len(row["queries"])) for row in rows])
    weight = np.concatenate([np.full(count, 1 / len(row["queries"])) for count, row in zip(counts, rows, strict=True)])
    real = np.arange(width) < lengths[example][:, None]
    return Chunk(values, real, words[example], example, layer, weight)
