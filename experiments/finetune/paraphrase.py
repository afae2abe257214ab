"""Paraphrase: do two texts say the same? Files of QQP's or MRPC's form, with a heading that names the columns."""

from pathlib import Path
from typing import Any

from experiments.finetune.classification import Labelled, Split, classification
from experiments.finetune.files import rows_of
from experiments.finetune.task import Task
from jaxflow import InputError
from jaxflow._checks import shown, shown_text

LABELS = ("different", "paraphrase")
# QQP's, as GLUE has it; MRPC's are "#1 String", "#2 String" and "Quality".
COLUMNS = ("question1", "question2", "is_duplicate")
FILES = ("train.tsv", "dev.tsv")


def paraphrase(columns: tuple[str, str, str] = COLUMNS, files: tuple[str, str] = FILES) -> Task:
    """The task for files whose columns (first text, second text, class) have these names."""

    def read(folder: Path) -> Split:
        (train, first), (held, second) = (read_columns(folder / name, columns) for name in files)
        facts: dict[str, Any] = {"rows_left_out": first + second, "columns": columns, "files": files}
        return Split(train, held, facts)

    return classification("paraphrase", LABELS, read, epochs=3)


def read_columns(path: Path, columns: tuple[str, str, str]) -> tuple[Labelled, int]:
    """Pairs and classes, and how many rows are broken: QQP has some with too few fields or without a text.

    Raises:
        InputError: the heading has no such column, or a class is neither 0 nor 1.
    """
    rows = rows_of(path)
    heading = [name.removeprefix("\ufeff") for name in next(rows, (1, []))[1]]
    missing = [column for column in columns if column not in heading]
    if missing:
        got = f"{shown(missing[0])}; there are: {shown_text(', '.join(heading))}"
        raise InputError("columns", "name three columns", got, place=str(path))
    places, pairs, broken = [heading.index(column) for column in columns], [], 0
    for number, fields in rows:
        if len(fields) != len(heading) or not all(fields[place].strip() for place in places):
            broken += 1
            continue
        first, second, label = (fields[place].strip() for place in places)
        if label not in ("0", "1"):
            raise InputError(None, "be 0 or 1", shown(label), place=f"{columns[2]!r} in line {number} of {path}")
        pairs.append((first, second, int(label)))
    firsts, seconds, classes = zip(*pairs, strict=True) if pairs else ((), (), ())
    return Labelled(firsts, classes, seconds), broken
