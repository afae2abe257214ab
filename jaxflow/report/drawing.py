"""The library that pages draw with: D3 (Bostock, Ogievetsky & Heer 2011).

D3 itself is no Python package; mpld3, which has been kept up since 2013 and is licensed like D3 (BSD), carries it in
its wheel, 240 kB that load nothing else. Plotly's and Bokeh's scripts are 4.5 MB and 1 MB, come with their own way of
drawing and have neither token rings nor links that keep their place, so that all would have been drawn by hand on top.
"""

import re
from importlib.util import find_spec
from pathlib import Path

from jaxflow._checks import missing_extra
from jaxflow.report.page import asset


def can_draw() -> bool:
    """Whether the drawing library is there."""
    return bool(_scripts())


def library(what: str) -> tuple[str, str]:
    """D3 as mpld3 carries it, and its licence as a comment holds it.

    Args:
        what: needs it, for the error where it is not installed.

    Raises:
        InputError: it is not installed.
    """
    found = _scripts()
    if not found:
        raise missing_extra("mpld3", "report", what)
    script = found[-1].read_text("utf-8")
    # A script's end within the script would end its element.
    script = re.sub(r"</(script)", r"<\\/\1", script, flags=re.IGNORECASE)
    return script, asset("d3-licence.txt").replace("--", "- -")


def _scripts() -> list[Path]:
    # Found without being imported, which would import matplotlib too.
    package = find_spec("mpld3")
    folder = Path(package.origin or "").parent / "js" if package else None
    return sorted(folder.glob("d3.v*.min.js")) if folder else []
