"""The engine's view of a text."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Item(Protocol):
    """One text, or one variant of a text, that goes through the models once."""

    @property
    def index(self) -> int:
        """Its number, by which its result is found again."""
        ...

    @property
    def place(self) -> str:
        """Where it came from, in words, for messages."""
        ...

    @property
    def length(self) -> int:
        """Its tokens, or its units where these are more."""
        ...
