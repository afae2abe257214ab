"""What a task is: its data, its head, its loss, and how it is judged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.finetune.fit import Loss
from jaxflow.models import Encoding, TextEncoder


@dataclass(frozen=True)
class Sizes:
    """How much of the data is used, evenly spaced through its files; None is all.

    Attributes:
        train: examples to train on.
        held: examples to judge by.
        seed: of what a task chooses at random.
    """

    train: int | None = None
    held: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Prepared:
    """A task's data for one encoder.

    Attributes:
        encodings: what to train on.
        targets: what the loss reads of each of them, `example ...`.
        judge: how good an encoder is on what was held out, by measure; of so many examples, None is all.
        facts: what the data are, for the record.
    """

    encodings: Sequence[Encoding]
    targets: np.ndarray
    judge: Callable[[TextEncoder, int | None], dict[str, Any]]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A task to fine-tune on.

    Attributes:
        name: of the command and of the record.
        head: what stands on the encoder.
        labels: of its classes, where it has classes.
        loss: what is made small.
        prepare: reads the data from a folder.
        shown: the measures that progress lines show.
        epochs: passes over the data that an hour of one core allows.
    """

    name: str
    head: str
    labels: tuple[str, ...]
    loss: Loss
    prepare: Callable[[TextEncoder, Path, Sizes], Prepared]
    shown: tuple[str, ...]
    epochs: float


def spread(count: int, wanted: int | None) -> np.ndarray:
    """Places of so many of `count` things, evenly spaced and in order."""
    if wanted is None or wanted >= count:
        return np.arange(count)
    return np.linspace(0, count - 1, wanted).astype(int)
