"""Beginnings as padded batches, by length, and how often training draws each."""

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
    """

    ids: np.ndarray
    numbers: np.ndarray
    places: np.ndarray


def token_ids(tokenizer: Any, found: Sequence[Beginning]) -> list[list[int]]:
    """Ids of each beginning, `<s>` and `</s>` included; of what is too long the tokens next to the verb."""
    return [[START, *ids[-(BUCKETS[-1] - 2) :], END] for ids in coded(tokenizer, (b.words for b in found))]


def bucketed(found: Sequence[Beginning], tokenizer: Any) -> list[Bucket]:
    """The buckets that are not empty."""
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
        buckets.append(Bucket(ids, numbers, places))
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


def as_batch(ids: np.ndarray) -> TokenBatch:
    """Token ids with their mask."""
    return TokenBatch(jnp.asarray(ids), jnp.asarray(ids != PADDING), jnp.zeros(ids.shape, jnp.int32))
