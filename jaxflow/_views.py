"""What later parts do for results, such as views in a notebook: registered, so that data import no pages."""

import importlib
from collections.abc import Callable
from typing import Any

# A purpose and the qualified name of a class -> a function, "module:name", imported when it is first needed.
_REGISTERED: dict[tuple[str, str], str] = {}


def register(purpose: str, kind: str, function: str) -> None:
    """Have a function do something for instances of a class.

    Args:
        purpose: what it does: "html" draws them for a notebook, "save" keeps them on disk.
        kind: the class, as "package.module.Class".
        function: whose first argument is the instance, as "package.module:function".
    """
    _REGISTERED[purpose, kind] = function


def registered(purpose: str, value: object) -> Callable[..., Any]:
    """The function registered for a value's class."""
    module, name = _REGISTERED[purpose, _name(value)].split(":")
    return getattr(importlib.import_module(module), name)


def shown_as_html(value: object) -> str | None:
    """HTML of the registered view; None without one, and a notebook then shows the plain text."""
    return registered("html", value)(value) if ("html", _name(value)) in _REGISTERED else None


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
