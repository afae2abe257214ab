"""Packages that others import for ends that are not ours, kept out of a process that is the command line's alone."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_left_out: set[str] = set()


def do_without(*packages: str) -> None:
    """From now on leave these packages out where others look for them, in all of this process.

    Those who can use them must then do without until the process ends.
    """
    _left_out.update(packages)


def does_without(package: str) -> bool:
    """Whether the process is to leave a package out where it can."""
    return package in _left_out


class _Blind:
    """One of the places where Python looks for modules, without one package."""

    def __init__(self, finder: Any, package: str) -> None:
        self._finder, self._package = finder, package

    def find_spec(self, name: str, *rest: Any) -> Any:
        return None if name == self._package else self._finder.find_spec(name, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


@contextmanager
def hidden(package: str) -> Iterator[None]:
    """A block in which a package seems not to be installed, if the process does without it and has not imported it."""
    if package not in _left_out or package in sys.modules:
        yield
        return
    finders = sys.meta_path[:]
    blind: list[Any] = [_Blind(finder, package) for finder in finders]
    sys.meta_path[:] = blind
    try:
        yield
    finally:
        sys.meta_path[:] = finders
