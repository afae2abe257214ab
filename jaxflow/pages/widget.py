"""The explorer as a widget of a notebook: what is chosen in it is there in Python."""

from typing import Any

from jaxflow._checks import missing_extra
from jaxflow.pages.exploration import Exploration
from jaxflow.pages.explorer import render_explorer
from jaxflow.pages.page import asset

try:
    import traitlets
    from anywidget import AnyWidget
except ImportError:
    raise missing_extra("anywidget", "widget", "the explorer as a widget") from None


class ExplorerWidget(AnyWidget):
    """The explorer in Jupyter, Colab, VS Code or marimo, whose choices are values in Python, either way.

        view = jf.ExplorerWidget(jf.explore(model, texts))
        view  # the last line of a cell shows it
        view.layer, view.head, view.token  # what is chosen now
        view.observe(print, names="token"); view.position = 3

    Needs `pip install 'jaxflow-attention[widget]'`. Nothing is loaded from elsewhere.

    Attributes:
        sentence: number of the text, from 0.
        position: whose make-up is shown, from 0.
        token: the word that is chosen, by its position; None where none is.
        layer: counted from 1.
        head: counted from 1; 0 is all that are chosen, put together.
        threshold: least arc that is drawn; None lets the page find one.
        height: in pixels.
    """

    _esm = asset("widget.js")
    page = traitlets.Unicode(help="the page as HTML").tag(sync=True)
    height = traitlets.Int(900).tag(sync=True)
    # None until the page has begun, which then says what is chosen.
    sentence = traitlets.Int(None, allow_none=True, min=0).tag(sync=True)
    position = traitlets.Int(None, allow_none=True, min=0).tag(sync=True)
    token = traitlets.Int(None, allow_none=True, min=0).tag(sync=True)
    layer = traitlets.Int(None, allow_none=True, min=1).tag(sync=True)
    head = traitlets.Int(None, allow_none=True, min=0).tag(sync=True)
    threshold = traitlets.Float(None, allow_none=True, min=0, max=1).tag(sync=True)

    def __init__(self, exploration: Exploration, **choices: Any) -> None:
        """An exploration as a widget; `choices` are attributes by name, to begin with."""
        super().__init__(page=render_explorer(exploration), **choices)
