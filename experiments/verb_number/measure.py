"""Accuracy of a trained model: on held-out text and on the test sets of others, by number of attractors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.verb_number.batches import BUCKETS, as_batch
from experiments.verb_number.beginnings import UNKNOWN, Beginning
from experiments.verb_number.tokenizer import END, PADDING, START
from experiments.verb_number.tokenizer import UNKNOWN as UNKNOWN_WORD
from jaxflow.models import TextEncoder

BATCH = 128


def class_probabilities(encoder: TextEncoder, found: Sequence[Beginning]) -> np.ndarray:
    """Probability of VBZ and VBP for each beginning, `(beginning, 2)`."""
    index = encoder.tokenizer.get_vocab()
    coded = [[START, *(index.get(word, UNKNOWN_WORD) for word in b.words), END] for b in found]
    lengths = np.array([len(ids) for ids in coded])
    which = np.searchsorted(BUCKETS, lengths)
    logits = np.zeros((len(found), 2), np.float32)
    for bucket, length in enumerate(BUCKETS):
        rows = np.flatnonzero(which == bucket)
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH].tolist()
            ids = np.full((BATCH, length), PADDING, np.int32)
            ids[:, 0] = START
            for row, place in enumerate(part):
                ids[row, : lengths[place]] = coded[place]
            logits[part] = _logits(encoder, ids)[: len(part)]
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return exponents / exponents.sum(1, keepdims=True)


def _logits(encoder: TextEncoder, ids: np.ndarray) -> np.ndarray:
    return np.asarray(encoder(as_batch(ids), return_attention=False, return_hidden_states=False).logits)


def accuracies(encoder: TextEncoder, sets: dict[str, list[Beginning]]) -> dict[str, Any]:
    """Accuracy on each set: in all, by number, by source and by attractors, and the share of unknown words."""
    known = set(encoder.tokenizer.get_vocab())
    report = {}
    for name, found in sets.items():
        found = list({(b.words, b.number): b for b in found}.values())
        right = class_probabilities(encoder, found).argmax(1) == [b.number for b in found]
        words = [word in known for b in found for word in b.words]
        report[name] = {
            "count": len(found),
            "accuracy": _mean(right),
            "by number": _by(found, right, lambda b: ("VBZ", "VBP")[b.number]),
            "by source": _by(found, right, lambda b: b.source),
            "by attractors": _by(found, right, lambda b: "unknown" if b.attractors == UNKNOWN else str(b.attractors)),
            "majority": max(_mean(np.array([b.number == n for b in found])) for n in (0, 1)),
            "unknown words": 1 - _mean(np.array(words)),
        }
    return report


def _by(found: Sequence[Beginning], right: np.ndarray, kind: Callable[[Beginning], str]) -> dict[str, Any]:
    kinds = np.array([kind(b) for b in found])
    return {
        name: {"count": int((kinds == name).sum()), "accuracy": _mean(right[kinds == name])}
        for name in sorted(set(kinds.tolist()))
    }


def _mean(values: np.ndarray) -> float:
    return round(float(np.mean(values)), 4)
