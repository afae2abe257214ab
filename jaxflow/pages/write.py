"""One name for writing a page, whatever it shows."""

from os import PathLike
from pathlib import Path

from jaxflow._checks import InputError
from jaxflow._paths import local_path
from jaxflow.attribution import Attribution, Question
from jaxflow.pages.exploration import Exploration
from jaxflow.pages.explorer import write_explorer
from jaxflow.pages.page import page_data, render, write_report
from jaxflow.store.arrow import rows_of
from jaxflow.store.output import write_text
from jaxflow.store.results import Store


def write_page(result: Attribution | Store | Exploration | object, path: str | PathLike[str]) -> Path:
    """Write a page that opens offline: a report of relevance, or the explorer.

    Args:
        result: what `attribute`, `run_sweep`, `open_sweep` or `explore` gave.
        path: of the page; an ordinary file there is replaced in one step, and keeps its mode.

    Returns:
        The path.

    Raises:
        InputError: it is none of these, or the file cannot be written.
    """
    if isinstance(result, Exploration):
        return write_explorer(result, Path(path))
    if isinstance(result, Store):
        return write_report(result, Path(path))
    if not isinstance(result, Attribution) or not result.examples:
        got = "no example" if isinstance(result, Attribution) else type(result).__name__
        raise InputError("result", "be what attribute, run_sweep, open_sweep or explore gives", got)
    # An attribution has no manifest: what a page reads of one is known all the same.
    about = {
        "model": result.model,
        "question": (result.question or Question(methods=tuple(result.examples[0].relevance))).as_json(),
        "input": {"name": "texts", "examples": len(result)},
    }
    target = local_path("path", path)
    write_text(target, render(page_data(about, rows_of(range(1, len(result) + 1), result))))
    return target
