"""Accuracy of a trained model: on held-out text and on the test sets of others, by number of attractors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.verb_number.batches import as_batch, bucketed
from experiments.verb_number.beginnings import UNKNOWN, Beginning
from experiments.verb_number.tokenizer import PADDING, START, coded
from experiments.verb_number.tokenizer import UNKNOWN as UNKNOWN_WORD
from jaxflow.models import TextEncoder

BATCH = 128


def class_probabilities(model: TextEncoder, found: Sequence[Beginning]) -> np.ndarray:
    """Probability of VBZ and VBP for each beginning, `(beginning, 2)`."""
    logits = np.zeros((len(found), 2), np.float32)
    for bucket in bucketed(found, model.tokenizer):
        for start in range(0, len(bucket.places), BATCH):
            part = bucket.ids[start : start + BATCH]
            ids = np.full((BATCH, part.shape[1]), PADDING, np.int32)
            ids[:, 0] = START
            ids[: len(part)] = part
            logits[bucket.places[start : start + BATCH]] = _logits(model, ids)[: len(part)]
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return exponents / exponents.sum(1, keepdims=True)


def _logits(model: TextEncoder, ids: np.ndarray) -> np.ndarray:
    return np.asarray(model(as_batch(ids), return_attention=False, return_hidden_states=False).logits)


def accuracies(model: TextEncoder, sets: dict[str, list[Beginning]]) -> dict[str, Any]:
    """Accuracy on each set: in all, number, source and attractors; shares of words in pieces and of unknown ones."""
    report = {}
    for name, found in sets.items():
        found = list({(b.words, b.number): b for b in found}.values())
        right = class_probabilities(model, found).argmax(1) == [b.number for b in found]
        words = list(coded(model.tokenizer, ([word] for b in found for word in b.words)))
        report[name] = {
            "count": len(found),
            "accuracy": _mean(right),
            "by number": _by(found, right, lambda b: ("VBZ", "VBP")[b.number]),
            "by source": _by(found, right, lambda b: b.source),
            "by attractors": _by(found, right, lambda b: "unknown" if b.attractors == UNKNOWN else str(b.attractors)),
            "majority": max(_mean(np.array([b.number == n for b in found])) for n in (0, 1)),
            "words in pieces": _mean(np.array([len(ids) > 1 for ids in words])),
            "unknown words": _mean(np.array([UNKNOWN_WORD in ids for ids in words])),
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
