"""Where texts come from: given in hand or by an iterable; always as a stream. Files are in `files`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxflow._checks import InputError
from jaxflow._untyped import JsonObject
from jaxflow.inputs.rows import BadRow, Row, as_row, choose_columns, listed, row_of


@runtime_checkable
class Source(Protocol):
    """Texts as a stream."""

    @property
    def name(self) -> str:
        """What to call it in messages and in the manifest."""
        ...

    @property
    def column(self) -> str | None:
        """The column that holds the texts, where there are columns."""
        ...

    @property
    def pair_column(self) -> str | None:
        """The column that holds second texts, if any."""
        ...

    @property
    def paired(self) -> bool:
        """Whether each text has a second one."""
        ...

    @property
    def note(self) -> str | None:
        """Assumptions to tell the user."""
        ...

    @property
    def once(self) -> bool:
        """Whether it can be read only once."""
        ...

    @property
    def reading(self) -> JsonObject:
        """How the bytes of a file are read, for the manifest: encoding, separator, quotes."""
        ...

    def rows(self) -> Iterator[Row]:
        """Texts in order, or an error in the place of a text that cannot be used.

        Raises:
            InputError: the rest cannot be read.
        """
        ...

    def count(self) -> int | None:
        """The number of rows, more or less, where it can be known beforehand."""
        ...


@dataclass(frozen=True)
class InlineSource:
    """Texts in hand.

    Attributes:
        texts: the texts.
        pairs: a second text for each, or None.
        name: what to call them in messages and in the manifest.
        column: None; a file's property.
        pair_column: None; a file's property.
        note: None; a file's property.
        once: False.
    """

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None = None
    name: str = "--text"
    column: None = None
    pair_column: None = None
    note: None = None
    once: bool = False

    @property
    def paired(self) -> bool:
        """Whether each text has a second one."""
        return self.pairs is not None

    @property
    def reading(self) -> JsonObject:
        """Nothing; a file's property."""
        return {}

    def rows(self) -> Iterator[Row]:
        """The texts in order."""
        pairs: Sequence[str | None] = self.pairs or [None] * len(self.texts)
        for number, (text, pair) in enumerate(zip(self.texts, pairs, strict=True), 1):
            place = f"{self.name} {number}"
            yield as_row(number, place, text, place, pair, f"the pair of {place}")

    def count(self) -> int:
        """How many there are."""
        return len(self.texts)


@dataclass(frozen=True)
class IterableSource:
    """Texts from an iterable of Python's: of texts, or of records by column, such as a Hugging Face data set.

    Attributes:
        items: the iterable.
        name: what to call it in messages and in the manifest.
        column: the column of records that holds the texts.
        pair_column: the column that holds second texts, if any.
        note: None; a file's property.
    """

    items: Iterable[object]
    name: str = "the texts"
    column: str | None = None
    pair_column: str | None = None
    note: None = None

    @property
    def paired(self) -> bool:
        """Whether each text has a second one."""
        return self.pair_column is not None

    @property
    def once(self) -> bool:
        """Whether it can be read only once, as a generator can."""
        return isinstance(self.items, Iterator)

    @property
    def reading(self) -> JsonObject:
        """Nothing; a file's property."""
        return {}

    def rows(self) -> Iterator[Row]:
        """The texts in order, drawn one at a time."""
        for number, item in enumerate(self.items, 1):
            place = f"row {number} of {self.name}"
            if isinstance(item, str) and self.pair_column is None:
                # A plain text has no columns, and cannot have a pair.
                yield row_of(number, place, item, None, None)
            elif isinstance(item, dict):
                yield row_of(number, place, item, self.column or "text", self.pair_column)
            else:
                expected, got = "be a text or a record by column", type(item).__name__
                yield BadRow(number, InputError(None, expected, got, place=place))

    def count(self) -> int | None:
        """How many there are, where the iterable knows."""
        try:
            return len(self.items)  # pyright: ignore[reportArgumentType]
        except TypeError:
            return None


def as_source(source: Any, column: str | None = None, pair_column: str | None = None) -> Source:
    """Take in a Python source: texts, records by column, or a data set.

    Args:
        source: an iterable of texts or of dicts, a generator included, or a `datasets.Dataset` or `IterableDataset`.
        column: the column of the texts; None takes `text`, or else the only column a data set has.
        pair_column: the column of second texts, for models that read two.

    Raises:
        InputError: it is none of these, or has no such column.
    """
    if isinstance(source, str) or not isinstance(source, Iterable):
        expected = "be a file's path, texts, records or a data set"
        # Tables of Arrow are no iterables.
        way_out = "pass `table.to_pylist()`" if hasattr(source, "to_pylist") else "put a single text in a list"
        raise InputError("source", expected, type(source).__name__, way_out)
    if isinstance(source, dict):
        raise InputError("source", "be one data set", f"a dict of {listed(list(source))}", "pass one of them")
    # Known by what they can do, so that neither `datasets` nor pandas is imported for it.
    if hasattr(source, "select_columns"):
        return _data_set(source, column, pair_column)
    if hasattr(source, "columns"):
        # Going through it would give the names of its columns.
        way_out = "pass a column of it, or its rows as dicts"
        raise InputError("source", "be texts or records", type(source).__name__, way_out)
    return IterableSource(source, "the texts", column, pair_column)


def _data_set(source: Any, column: str | None, pair_column: str | None) -> IterableSource:
    """A Hugging Face data set, of which only the columns wanted are read, as plain values."""
    # A stream may not know its columns; then each record is looked at.
    names = source.column_names
    if names is not None:
        column, _ = choose_columns(list(names), "the data set", column, pair_column)
    wanted = [name for name in (column or "text", pair_column) if name is not None]
    return IterableSource(source.with_format(None).select_columns(wanted), "the data set", column, pair_column)
