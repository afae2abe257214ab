"""Sums over a stream of texts of any length, kept so that intervals and tests can be made of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int


class Blocks:
    """Sums of rows over runs of consecutive texts, never more than `most` of them.

    Each text is a block of its own until there are `most`; then neighbours are joined two by two, and blocks to come
    hold twice as many texts, and so on. Means stay those over all texts; what is drawn or turned round in a bootstrap
    or a permutation test is a block. Memory: `most` rows, however long the stream.
    """

    def __init__(self, most: int = 1024):
        assert most % 2 == 0
        self.most = most
        self.texts = 0
        self._size = 1
        self._sums: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []

    def add(self, row: Any) -> None:
        """Take in a text's row, `*column`; NaN where it has no value."""
        values = np.asarray(row, np.float64)
        known = ~np.isnan(values)
        values = np.where(known, values, 0.0)
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
        """Values that each block's sums rest on."""
        return np.stack(self._counts)

    @property
    def total(self) -> Int[np.ndarray, "*column"]:
        """Values in all."""
        return np.asarray(np.sum(self._counts, axis=0))

    @property
    def mean(self) -> Float[np.ndarray, "*column"]:
        """Mean over all values; NaN where there is none."""
        count = self.total
        return np.asarray(np.sum(self._sums, axis=0) / np.where(count > 0, count, np.nan))

    @staticmethod
    def beside(several: "Sequence[Blocks]") -> "Blocks":
        """Several of as many blocks each as one, on a new leading column axis; nothing can be added to it."""
        one = Blocks()
        one.texts = max(blocks.texts for blocks in several)
        one._sums = [np.stack(rows) for rows in zip(*(blocks._sums for blocks in several), strict=True)]
        one._counts = [np.stack(rows) for rows in zip(*(blocks._counts for blocks in several), strict=True)]
        return one
