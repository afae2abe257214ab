"""Sums over a stream of texts of any length, kept so that intervals and tests can be made of them."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
from jaxtyping import Float, Int, Num
from numpy.typing import ArrayLike


class Blocks:
    """Sums of rows over runs of consecutive texts, at most `most` of them.

    Each text is a block of its own until there are `most`; then neighbours are joined two by two, and later blocks hold
    twice as many texts, and so on. Means are over all texts; a bootstrap draws blocks, and a permutation test swaps
    them. Memory: `most` rows, however long the stream.
    """

    def __init__(self, most: int = 1024):
        assert most % 2 == 0
        self.most = most
        self.texts = 0
        self._size = 1
        self._sums: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []

    def add(self, row: ArrayLike) -> None:
        """Take in a text's row, `*column`; NaN where it has no value."""
        values = np.asarray(row, np.float64)
        known = ~np.isnan(values)
        values = np.where(known, values, 0.0)
        # A block is open until it has `_size` texts.
        if self.texts % self._size:
            self._sums[-1] = self._sums[-1] + values
            self._counts[-1] = self._counts[-1] + known
        else:
            if len(self._sums) == self.most:
                self._join()
            self._sums.append(values)
            self._counts.append(known.astype(np.int64))
        self.texts += 1

    def _join(self) -> None:
        # `most` is even, so that all blocks stay of one size.
        for blocks in (self._sums, self._counts):
            blocks[:] = [first + second for first, second in zip(blocks[::2], blocks[1::2], strict=True)]
        self._size *= 2

    def __len__(self) -> int:
        return len(self._sums)

    @property
    def sums(self) -> Float[np.ndarray, "block ..."]:
        """Sum of each block."""
        return np.stack(self._sums)

    @property
    def counts(self) -> Int[np.ndarray, "block ..."]:
        """Number of values in each block's sums."""
        return np.stack(self._counts)

    @property
    def total(self) -> Int[np.ndarray, "*column"]:
        """Number of values in all blocks."""
        return np.asarray(np.sum(self._counts, axis=0))

    @property
    def mean(self) -> Float[np.ndarray, "*column"]:
        """Mean over all values; NaN where there is none."""
        count = self.total
        return np.asarray(np.sum(self._sums, axis=0) / np.where(count > 0, count, np.nan))

    @classmethod
    def beside(cls, several: "Sequence[Blocks]") -> "Blocks":
        """Several with the same number of blocks as one, on a new leading column axis; nothing can be added to it."""
        return cls._made(
            max(blocks.texts for blocks in several),
            [np.stack(rows) for rows in zip(*(blocks._sums for blocks in several), strict=True)],
            [np.stack(rows) for rows in zip(*(blocks._counts for blocks in several), strict=True)],
        )

    def part(self, columns: Int[np.ndarray, " column"]) -> "Blocks":
        """Some columns, by their places on the first axis; nothing can be added to it."""
        return self._made(self.texts, [row[columns] for row in self._sums], [row[columns] for row in self._counts])

    @classmethod
    def _made(cls, texts: int, sums: list[np.ndarray], counts: list[np.ndarray]) -> "Blocks":
        made = cls()
        made.texts, made._sums, made._counts = texts, sums, counts
        return made


class NamedBlocks:
    """`Blocks` of several named arrays a text, side by side in one table, so that they share all draws.

    Attributes:
        blocks: the table, one axis of columns.
        shapes: of the arrays.
    """

    def __init__(self, blocks: Blocks | None = None, shapes: Mapping[str, tuple[int, ...]] | None = None) -> None:
        self.blocks = Blocks() if blocks is None else blocks
        self.shapes = dict(shapes or {})

    def add(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take in a text's arrays: the same names and shapes for every text."""
        self.shapes = self.shapes or {name: array.shape for name, array in arrays.items()}
        self.blocks.add(np.concatenate([np.ravel(arrays[name]) for name in self.shapes]))

    def only(self, names: Sequence[str]) -> "NamedBlocks":
        """The table of some of the arrays."""
        # Each column's number, in the shape of its array, says which columns an array has.
        places = self.split(np.arange(sum(map(prod, self.shapes.values()))))
        columns = np.concatenate([places[name].reshape(-1) for name in names])
        return NamedBlocks(self.blocks.part(columns), {name: self.shapes[name] for name in names})

    def split(self, values: Num[np.ndarray, " column"]) -> dict[str, np.ndarray]:
        """One number a column as arrays by name, of the shapes that came in."""
        ends = np.cumsum([prod(shape) for shape in self.shapes.values()])
        parts = np.split(values, ends[:-1])
        return {name: part.reshape(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}
