"""Views of results in a notebook: the pages register them, so that data import no pages."""

import importlib

# The qualified name of a class -> the function that draws it, "module:name", imported when it is first needed.
_VIEWS: dict[str, str] = {}


def register_view(shown: str, drawn_by: str) -> None:
    """Have a class drawn by a function.

    Args:
        shown: the class, as "package.module.Class".
        drawn_by: a function of its instance that gives HTML, as "package.module:function".
    """
    _VIEWS[shown] = drawn_by


def shown_as_html(value: object) -> str | None:
    """HTML of the registered view; None without one, and a notebook then shows the plain text."""
    kind = type(value)
    drawn_by = _VIEWS.get(f"{kind.__module__}.{kind.__qualname__}")
    if drawn_by is None:
        return None
    module, name = drawn_by.split(":")
    return getattr(importlib.import_module(module), name)(value)
