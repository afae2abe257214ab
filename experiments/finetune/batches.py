"""Examples in batches of one length each; which batch a step sees depends on the seed and the step alone."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from jaxflow.models import Encoding, TextEncoder, TokenBatch
from jaxflow.running import EngineOptions, run_readers
from jaxflow.running.readers import Logits

# Tokens that examples are padded to, special ones included.
BUCKETS = (8, 12, 18, 28, 40, 64, 96, 128, 160, 192)
# Tokens of a batch that is only read.
TOKENS_READ = 4096


class Epochs:
    """All examples once an epoch, in batches of about `tokens` tokens; a bucket's last batch is filled up by others."""

    def __init__(
        self, model: TextEncoder, encodings: Sequence[Encoding], targets: np.ndarray, *, tokens: int, seed: int
    ):
        self.encoder, self.encodings, self.targets, self.seed = model, encodings, targets, seed
        self.members = by_length(model, encodings)
        self.sizes = {length: max(1, min(tokens // length, len(rows))) for length, rows in self.members.items()}
        self._order = lru_cache(maxsize=2)(self._shuffled)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return sum(-(-len(rows) // self.sizes[length]) for length, rows in self.members.items())

    def __call__(self, step: int) -> tuple[TokenBatch, np.ndarray]:
        """The batch of a step and its targets."""
        length, rows = self._order(step // self.steps)[step % self.steps]
        return self.encoder.pad([self.encodings[row] for row in rows], length), self.targets[rows]

    def tokens(self, steps: int) -> int:
        """Tokens of the first so many steps, padding included."""
        places = (self._order(step // self.steps)[step % self.steps] for step in range(steps))
        return sum(length * len(rows) for length, rows in places)

    def _shuffled(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        rng = np.random.default_rng((self.seed, epoch))
        batches = []
        for length, members in self.members.items():
            rows, size = rng.permutation(members), self.sizes[length]
            # `resize` goes round: the batch that is not full takes from the front.
            whole = np.resize(rows, -(-len(rows) // size) * size)
            batches += [(length, part) for part in whole.reshape(-1, size)]
        return [batches[place] for place in rng.permutation(len(batches))]


def by_length(model: TextEncoder, encodings: Sequence[Encoding]) -> dict[int, np.ndarray]:
    """Places of the encodings by the length that they are padded to, shortest first."""
    which = np.searchsorted(BUCKETS, [len(encoding) for encoding in encodings])
    # A model may be made for fewer tokens than the bucket has.
    return {min(BUCKETS[bucket], model.max_length): np.flatnonzero(which == bucket) for bucket in np.unique(which)}


def logits_of(model: TextEncoder, encodings: Sequence[Encoding]) -> list[np.ndarray]:
    """The head's numbers for each encoding, `label` or `token label` without padding."""
    options = EngineOptions(batch_tokens=TOKENS_READ)
    rows = [row for (row,) in run_readers(model, encodings, [Logits()], options=options)]
    return [row[: len(encoding)] if row.ndim == 2 else row for row, encoding in zip(rows, encodings, strict=True)]
