"""One name for writing a page, whatever it shows."""

from os import PathLike
from pathlib import Path

from jaxflow._checks import InputError
from jaxflow._versions import own_version
from jaxflow.attribution import Attribution, Example, Question
from jaxflow.compare.result import Comparison
from jaxflow.pages.comparison_page import Compared, write_comparison_page
from jaxflow.pages.exploration import Exploration
from jaxflow.pages.explore import names_apart
from jaxflow.pages.explorer import write_explorer
from jaxflow.pages.page import page_data, render, write_html, write_report
from jaxflow.store.arrow import rows_of
from jaxflow.store.results import Store


def write_page(result: Attribution | Store | Exploration | object, path: str | PathLike[str]) -> Path:
    """Write a page that opens offline: a report of relevance, the explorer, or what changed between two models.

    Args:
        result: what `attribute`, `run_sweep`, `open_sweep`, `explore` or `compare_models` gave.
        path: of the page; an ordinary file there is replaced in one step, and keeps its mode.

    Returns:
        The path.

    Raises:
        InputError: it is none of these, or the file cannot be written.
    """
    if isinstance(result, Exploration):
        return write_explorer(result, Path(path))
    if isinstance(result, Comparison):
        return write_comparison_page(result.summary, Path(path), Compared(*names_apart(result.models)))
    if isinstance(result, Store):
        return write_report(result, Path(path))
    if not isinstance(result, Attribution) or not result.examples:
        got = "no example" if isinstance(result, Attribution) else type(result).__name__
        # A user who has one example took it out of a result.
        way_out = "pass a part of the result, as in `result[:1]`" if isinstance(result, Example) else None
        raise InputError(
            "result", "be what attribute, run_sweep, open_sweep, explore or compare_models gives", got, way_out
        )
    # An attribution has no manifest and no files: here is what a page reads of one.
    about = {
        "model": result.model,
        "question": (result.question or Question(methods=tuple(result.examples[0].relevance))).as_json(),
        "reads_at": result.reads_at,
        "encoder_layers": result.encoder_layers,
        "input": {"name": "texts" if result.examples[0].picture is None else "images", "examples": len(result)},
        "versions": {"jaxflow": own_version()},
        "stored": False,
    }
    return write_html(render(page_data(about, rows_of(range(1, len(result) + 1), result))), Path(path))
