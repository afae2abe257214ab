"""Beginnings as padded batches, by length; which batch a step sees depends on the seed and the step alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.verb_number.beginnings import VBZ, Beginning
from experiments.verb_number.tokenizer import END, PADDING, START, coded
from jaxflow.models import TokenBatch

# Tokens of the longest beginning of each bucket, `<s>` and `</s>` included.
BUCKETS = (12, 22, 52)


# Sampling weights, where others have 1.
LONG, TEMPLATES = 0.6, 0.3


@dataclass(frozen=True)
class Bucket:
    """Beginnings of similar length.

    Attributes:
        ids: token ids, padded to the bucket's length.
        numbers: the labels.
        places: where each stands among all of the beginnings.
        cumulative: running sum of the sampling weights.
    """

    ids: np.ndarray
    numbers: np.ndarray
    places: np.ndarray
    cumulative: np.ndarray


def token_ids(tokenizer: Any, found: Sequence[Beginning]) -> list[list[int]]:
    """Ids of each beginning, `<s>` and `</s>` included; of what is too long the tokens next to the verb."""
    return [[START, *ids[-(BUCKETS[-1] - 2) :], END] for ids in coded(tokenizer, (b.words for b in found))]


def bucketed(found: Sequence[Beginning], tokenizer: Any, weights: np.ndarray | None = None) -> list[Bucket]:
    """The buckets that are not empty."""
    weights = np.ones(len(found)) if weights is None else weights
    tokens = token_ids(tokenizer, found)
    which = np.searchsorted(BUCKETS, [len(ids) for ids in tokens])
    buckets = []
    for bucket, length in enumerate(BUCKETS):
        places = np.flatnonzero(which == bucket)
        if not len(places):
            continue
        ids = np.full((len(places), length), PADDING, np.int32)
        for row, place in enumerate(places.tolist()):
            ids[row, : len(tokens[place])] = tokens[place]
        numbers = np.array([found[place].number for place in places.tolist()], np.int32)
        buckets.append(Bucket(ids, numbers, places, np.cumsum(weights[places])))
    return buckets


def sampling_weights(
    found: Sequence[Beginning], singular: Sequence[str], plural: Sequence[str], misleading: float
) -> np.ndarray:
    """How often each beginning is drawn.

    Both numbers have the same mass. Beginnings whose last noun misleads come up `misleading` times as often: they are
    few, and they are what the task is about. Long ones come up less often: they cost more.
    """
    number_of = dict.fromkeys(singular, VBZ) | dict.fromkeys(plural, 1 - VBZ)
    weights = np.ones(len(found))
    for i, b in enumerate(found):
        last = next((number_of[word] for word in reversed(b.words) if word in number_of), b.number)
        if last != b.number and b.source != "made":
            weights[i] *= misleading
        if len(b.words) + 2 > BUCKETS[1]:
            weights[i] *= LONG
        if b.source == "Marvin & Linzen":
            weights[i] *= TEMPLATES
    numbers = np.array([b.number for b in found])
    for number in (0, 1):
        weights[numbers == number] /= max(weights[numbers == number].sum(), 1e-9)
    return weights


class Sampler:
    """Draws training batches of about `tokens` tokens, each from one bucket."""

    def __init__(self, buckets: Sequence[Bucket], tokens: int, seed: int):
        self.buckets, self.seed = buckets, seed
        self.sizes = [max(1, tokens // bucket.ids.shape[1]) for bucket in buckets]
        # A bucket of short beginnings has larger batches, so it comes up less often for the same weight.
        chances = np.array([b.cumulative[-1] / size for b, size in zip(buckets, self.sizes, strict=True)])
        self.chances = chances / chances.sum()

    def __call__(self, step: int) -> tuple[TokenBatch, np.ndarray]:
        """The batch of a step and its labels."""
        rng = np.random.default_rng((self.seed, step))
        which = int(rng.choice(len(self.buckets), p=self.chances))
        bucket = self.buckets[which]
        drawn = rng.random(self.sizes[which]) * bucket.cumulative[-1]
        rows = np.minimum(np.searchsorted(bucket.cumulative, drawn, side="right"), len(bucket.numbers) - 1)
        return as_batch(bucket.ids[rows]), bucket.numbers[rows]


def as_batch(ids: np.ndarray) -> TokenBatch:
    """Token ids with their mask."""
    return TokenBatch(jnp.asarray(ids), jnp.asarray(ids != PADDING), jnp.zeros(ids.shape, jnp.int32))
