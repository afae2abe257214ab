"""Entailment: does a first sentence imply a second one, contradict it, or neither? Trained on SNLI's dev set.

SNLI's training set of 549,367 pairs is not what this reads: the dev set trains and the test set judges, so that an hour
of one core is enough. Accuracies are far below those of models that were trained on the whole.
"""

from pathlib import Path

from experiments.finetune.classification import Labelled, Split, classification
from experiments.finetune.files import text_of
from jaxflow import InputError
from jaxflow._checks import shown

LABELS = ("entailment", "neutral", "contradiction")
TRAIN, TEST = "dev", "test"


def names(part: str) -> tuple[str, str, str]:
    """Files of labels, first and second sentences, a line each, as e-SNLI has them (dataset/eSNLI)."""
    return f"snli_labels.{part}.gz", f"snli_s1.{part}.gz", f"snli_s2.{part}.gz"


def read_pairs(folder: Path, part: str) -> tuple[Labelled, int]:
    """The pairs of a part that have a gold label, and how many have none (people disagreed)."""
    columns = [text_of(folder / name).removesuffix("\n").split("\n") for name in names(part)]
    if len({len(column) for column in columns}) != 1:
        got = ", ".join(f"{len(column)} in {name}" for column, name in zip(columns, names(part), strict=True))
        raise InputError(None, "have files of as many lines", got, "fetch them again", place=str(folder))
    rows = [tuple(field.strip() for field in row) for row in zip(*columns, strict=True)]
    strange = {label for label, _, _ in rows} - {*LABELS, "", "-"}
    if strange:
        place = f"the labels in {folder / names(part)[0]}"
        raise InputError(None, f"be {', '.join(LABELS)}", shown(min(strange)), place=place)
    gold = [(LABELS.index(label), first, second) for label, first, second in rows if label in LABELS]
    classes, firsts, seconds = zip(*gold, strict=True) if gold else ((), (), ())
    return Labelled(firsts, classes, seconds), len(rows) - len(gold)


def _read(folder: Path) -> Split:
    (train, first), (test, second) = read_pairs(folder, TRAIN), read_pairs(folder, TEST)
    return Split(train, test, {"without_gold_label": first + second, "files": "SNLI's dev trains, its test judges"})


SNLI = classification("snli", LABELS, _read, epochs=3)
