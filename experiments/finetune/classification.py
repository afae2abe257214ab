"""Tasks that give a text, or a pair of texts, one of a few classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, Shaped

from experiments.finetune.batches import logits_of
from experiments.finetune.task import Prepared, Sizes, Task, spread
from jaxflow import InputError
from jaxflow.models import Encoder, Encoding, TextEncoder, TokenBatch

# Tokens that texts are cut to.
LONGEST = 128


@dataclass(frozen=True)
class Labelled:
    """Texts, or pairs of texts, and their classes."""

    texts: tuple[str, ...]
    classes: tuple[int, ...]
    pairs: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def first(self, wanted: int | None) -> "Labelled":
        """The first so many; None is all."""
        return self._rows(np.arange(len(self))[:wanted])

    def some(self, wanted: int | None) -> "Labelled":
        """So many of them, evenly spaced; None is all."""
        return self._rows(spread(len(self), wanted))

    def _rows(self, rows: np.ndarray) -> "Labelled":
        pairs = None if self.pairs is None else tuple(self.pairs[row] for row in rows)
        return Labelled(tuple(self.texts[row] for row in rows), tuple(self.classes[row] for row in rows), pairs)


@dataclass(frozen=True)
class Split:
    """What is trained on and what is held out, and what else the record says of them."""

    train: Labelled
    held: Labelled
    facts: dict[str, Any] = field(default_factory=dict)


def classification(name: str, labels: tuple[str, ...], read: Callable[[Path], Split], *, epochs: float) -> Task:
    """A task whose data `read` finds in a folder."""

    def prepare(model: TextEncoder, folder: Path, sizes: Sizes) -> Prepared:
        split = read(folder)
        train, held = split.train.some(sizes.train), split.held.some(sizes.held)
        for part, examples in (("train on", train), ("judge by", held)):
            if not len(examples):
                raise InputError("data", f"hold examples of {name} to {part}", "none", place=str(folder))
        held_encodings = encoded(model, held)

        def judge(model: TextEncoder, few: int | None) -> dict[str, Any]:
            rows = spread(len(held), few)
            logits = np.stack(logits_of(model, [held_encodings[row] for row in rows]))
            return measures(logits, np.asarray(held.classes)[rows], labels)

        facts = {"trained_on": len(train), "held_out": len(held), "longest": LONGEST, **split.facts}
        return Prepared(encoded(model, train), np.asarray(train.classes, np.int32), judge, facts)

    return Task(name, "sequence_classification", labels, classification_loss, prepare, ("loss", "accuracy"), epochs)


def classification_loss(
    module: Encoder, batch: TokenBatch, classes: Int[Array, " example"], key: Key[Array, ""] | None
) -> Float[Array, ""]:
    """Cross-entropy of a classifier's logits, mean over the batch."""
    logits = module(batch, key=key, return_attention=False, return_hidden_states=False).logits
    assert logits is not None
    return optax.softmax_cross_entropy_with_integer_labels(logits, classes).mean()


def encoded(model: TextEncoder, examples: Labelled) -> list[Encoding]:
    """Tokens of all texts, those of long texts cut."""
    return model.tokenize(examples.texts, examples.pairs, max_length=LONGEST, truncate=True)


def accuracy(model: TextEncoder, examples: Labelled) -> float:
    """Share of the texts whose likeliest class is the right one."""
    logits = np.stack(logits_of(model, encoded(model, examples)))
    return float((logits.argmax(axis=-1) == np.asarray(examples.classes)).mean())


def measures(
    logits: Float[np.ndarray, "example label"], classes: Shaped[np.ndarray, " example"], labels: Sequence[str]
) -> dict[str, Any]:
    """Accuracy and what it is to be compared with, the mean cross-entropy, and who was taken for what.

    `confusion` is by the right class, then by the predicted one. With two classes `f1` is the second one's.
    """
    found = logits.argmax(axis=-1)
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (classes, found), 1)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, classes.astype(np.int32)).mean()
    record: dict[str, Any] = {
        "accuracy": counts.trace() / counts.sum(),
        "always_the_most_frequent": counts.sum(axis=1).max() / counts.sum(),
        "loss": float(loss),
        "confusion": {
            label: dict(zip(labels, row.tolist(), strict=True)) for label, row in zip(labels, counts, strict=True)
        },
    }
    if len(labels) == 2:
        either = counts[1].sum() + counts[:, 1].sum()
        record["f1"] = 2 * counts[1, 1] / either if either else 0.0
    return record
