"""The explorer's page of a source's first texts: what `jaxflow explore` writes, and `jaxflow compare` may."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError
from jaxflow.models import TextEncoder
from jaxflow.report.explore import EXAMPLES, Exploration, explore
from jaxflow.report.explorer import write_explorer
from jaxflow.sweep.rows import Row, Text
from jaxflow.sweep.source import Source


def explore_source(
    models: Sequence[TextEncoder], source: Source, labels: Source | None = None, *, most: int = EXAMPLES, **options: Any
) -> Exploration:
    """Run the first texts of a source through one model, or two.

    Args:
        models: one, or the pretrained and the fine-tuned one.
        source: of the texts.
        labels: of what each text should be taken for, as many rows.
        most: texts, at most.
        options: those of `explore`.

    Raises:
        InputError: as `explore` does, and at the first row without a text.
    """
    rows = _usable(islice(source.rows(), most))
    known = None if labels is None else [row.text for row in _usable(islice(labels.rows(), most))]
    return explore(
        models[0],
        [row.text for row in rows],
        models[1] if len(models) > 1 else None,
        pairs=[str(row.pair) for row in rows] if source.paired else None,
        labels=known,
        **options,
    )


def write_source_page(models: Sequence[TextEncoder], source: Source, path: Path, **options: Any) -> Path | None:
    """Write the page of two models' first texts, as `explore_source` takes them; None where they differ in shape."""
    if len({(model.config.layers, model.config.heads) for model in models}) > 1:
        return None
    return write_explorer(explore_source(models, source, **options), path)


def _usable(rows: Iterable[Row]) -> list[Text]:
    """Rows that all hold a text; the first that doesn't is an error."""
    found = []
    for row in rows:
        if not isinstance(row, Text):
            raise InputError(row.reason)
        found.append(row)
    return found
