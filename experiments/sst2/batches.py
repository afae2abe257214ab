"""Phrases in batches of one length each; which batch a step sees depends on the seed and the step alone."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from jaxflow.models import Encoding, TextEncoder, TokenBatch

# Tokens that phrases are padded to, special ones included.
BUCKETS = (8, 12, 18, 28, 40, 64, 96, 128)


class Epochs:
    """All examples once an epoch, in batches of about `tokens` tokens; a bucket's last batch is filled up by others."""

    def __init__(
        self, encoder: TextEncoder, encodings: Sequence[Encoding], classes: Sequence[int], *, tokens: int, seed: int
    ):
        self.encoder, self.encodings = encoder, encodings
        self.classes, self.seed = np.asarray(classes, np.int32), seed
        which = np.searchsorted(BUCKETS, [len(encoding) for encoding in encodings])
        self.members = {BUCKETS[bucket]: np.flatnonzero(which == bucket) for bucket in np.unique(which)}
        self.sizes = {length: max(1, min(tokens // length, len(rows))) for length, rows in self.members.items()}
        self._order = lru_cache(maxsize=2)(self._shuffled)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return sum(-(-len(rows) // self.sizes[length]) for length, rows in self.members.items())

    def __call__(self, step: int) -> tuple[TokenBatch, np.ndarray]:
        """The batch of a step and its classes."""
        length, rows = self._order(step // self.steps)[step % self.steps]
        return self.encoder.pad([self.encodings[row] for row in rows], length), self.classes[rows]

    def _shuffled(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        rng = np.random.default_rng((self.seed, epoch))
        batches = []
        for length, members in self.members.items():
            rows, size = rng.permutation(members), self.sizes[length]
            # `resize` goes round: the batch that is not full takes from the front.
            whole = np.resize(rows, -(-len(rows) // size) * size)
            batches += [(length, part) for part in whole.reshape(-1, size)]
        return [batches[place] for place in rng.permutation(len(batches))]
