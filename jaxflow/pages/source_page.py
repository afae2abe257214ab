"""The explorer's page of a source's first texts: what `jaxflow explore` and `jaxflow compare` write."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError
from jaxflow.attribution import Question
from jaxflow.inputs.files import FileSource
from jaxflow.inputs.images import ImageRow
from jaxflow.inputs.rows import Row, Text
from jaxflow.inputs.source import Source
from jaxflow.models import Model
from jaxflow.pages.exploration import Exploration
from jaxflow.pages.explore import explore
from jaxflow.pages.explore_inputs import MOST_EXPLORED
from jaxflow.pages.explorer import write_explorer
from jaxflow.sweep.checks import check_images


def explore_source(
    models: Sequence[Model],
    source: Source,
    labels: FileSource | None = None,
    *,
    question: Question | None = None,
    most: int = MOST_EXPLORED,
    max_length: int | None = None,
    truncate: bool = False,
    **options: Any,
) -> Exploration:
    """Run the first texts of a source through one model, or two, and say what each head does.

    Args:
        models: one, or the pretrained and the fine-tuned one.
        source: of the texts.
        labels: the file, with the column, of what each text should be taken for: names of classes or their numbers;
            an empty cell is not known.
        question: what is asked about every text, as `explore` has it.
        most: texts, at most.
        max_length: most tokens of a text.
        truncate: cut longer texts rather than refuse them.
        options: the others of `explore`.

    Returns:
        What the page shows: roles of heads by `jaxflow.heads.roles`, and, where every model classifies texts that
        were not cut, their importance for the predicted class by `jaxflow.heads.importance`.

    Raises:
        InputError: as `explore` does, and at the first row without a text.
    """
    check_images(models[0], source)
    rows = _usable(islice(source.rows(), most))
    # Rows of images hold the images with their names.
    texts = [row if isinstance(row, ImageRow) else row.text for row in rows]
    pairs = [str(row.pair) for row in rows] if source.paired else None
    # The first of both: row and label belong together by number.
    known = None if labels is None else list(islice(labels.values(), most))
    limits: dict[str, Any] = {"max_length": max_length, "truncate": truncate}
    other = models[1] if len(models) > 1 else None
    heads = [model.head for model in models]
    # Only models that tell classes of texts apart have a predicted class to weigh heads by.
    classify = all(head.name == "sequence_classification" and head.problem != "regression" for head in heads)
    try:
        return explore(
            models[0],
            texts,
            question,
            other=other,
            pairs=pairs,
            labels=known,
            roles=True,
            importance=classify and pairs is None and max_length is None and not truncate,
            **limits,
            **options,
        )
    except InputError as error:
        # An error of a text names it by its number; the user knows it by its place in the source.
        raise error if error.entry is None else error.at(rows[error.entry].place) from None


def write_source_page(models: Sequence[Model], source: Source, path: Path, **options: Any) -> Path:
    """Write the page of two models' first texts, as `explore_source` takes them.

    Returns:
        The path.
    """
    return write_explorer(explore_source(models, source, **options), path)


def _usable(rows: Iterable[Row]) -> list[Text]:
    """Rows that all hold a text; the first that doesn't is an error."""
    texts = []
    for row in rows:
        if not isinstance(row, Text):
            raise row.error
        texts.append(row)
    return texts
