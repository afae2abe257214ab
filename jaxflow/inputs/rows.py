"""Rows of input, each a text or an error; and the choice of the columns of texts."""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxflow._checks import InputError, shown
from jaxflow._untyped import ArrowData

# Most characters of a column's name in a list of them.
NAME_MOST = 60
# Unicode's Default_Ignorable_Code_Point that are neither control nor format characters, with the blank of Braille and
# the mark that stands for what could not be decoded: nothing of a text that a model could read.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\ufffd"
    "\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True)
class Text:
    """One text, or pair of texts.

    Attributes:
        id: its row or line number, from 1; of an image's file its name.
        text: the text.
        pair: the second text, for models that read two.
        place: where it came from, in words, for messages.
    """

    id: int | str
    text: str
    pair: str | None
    place: str

    @property
    def given(self) -> Any:
        """What the model reads: the text."""
        return self.text

    @property
    def content(self) -> str:
        """The part that a resumed sweep must find again."""
        return json.dumps([self.id, self.text, self.pair])


@dataclass(frozen=True)
class BadRow:
    """A row without a usable text.

    Attributes:
        id: its row or line number, from 1; of an image's file its name.
        error: its fault and place.
    """

    id: int | str
    error: InputError

    @property
    def reason(self) -> str:
        """Its fault, in Python's words."""
        return str(self.error)

    @property
    def content(self) -> str:
        """All that a resumed sweep must find again: not the reason, which names the file."""
        return json.dumps([self.id])


Row = Text | BadRow


def choose_columns(
    names: Sequence[str], file: str, column: str | None, pair_column: str | None
) -> tuple[str | None, str | None]:
    """The column of texts, checked or chosen, and a note on the choice."""
    if pair_column is not None:
        check_column("pair_column", pair_column, names, file)
    # The second texts' column is never taken for the first's.
    candidates = [name for name in names if name != pair_column]
    if column is not None or "text" in candidates:
        column = "text" if column is None else column
        check_column("column", column, names, file)
        return column, None
    if len(candidates) == 1:
        return candidates[0], f"taking the texts from the only column of {file}, {shown(candidates[0])}"
    raise InputError(None, "have a column 'text'", listed(names), "name another with `column`", place=file)


def check_column(argument: str, column: str, names: Sequence[str], file: str) -> None:
    """Refuse a column that a file lacks or has twice; `argument` is the one that named it.

    Raises:
        InputError: there is none, or more than one.
    """
    if column not in names:
        raise InputError(argument, "name a column", f"{shown(column)}; there are: {listed(names)}", place=file)
    if names.count(column) > 1:
        raise InputError(argument, "name one column", f"{shown(column)}, which several have", place=file)


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names of columns as an error shows them."""
    words = ", ".join(repr(name if len(name) <= NAME_MOST else f"{name[:NAME_MOST]}...") for name in names[:most])
    return (words or "none") + (f" and {len(names) - most} more" if len(names) > most else "")


def plain_values(column: ArrowData) -> list[Any]:
    """A column of Arrow's as Python's values, with an error in the place of each text that is not UTF-8.

    Arrow checks no text; Python does when it makes one of the bytes.
    """
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_plain(value) for value in column]


def _plain(value: ArrowData) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x}"
        return InputError(None, "be UTF-8", byte, "correct it, or write the column anew as UTF-8")


def row_of(number: int, place: str, record: Any, column: str | None, pair_column: str | None) -> Row:
    """The row of a record: a line, cells by column, or an error."""
    if isinstance(record, InputError):
        return BadRow(number, record)
    # Without columns the record is the text itself.
    if column is None:
        return as_row(number, place, record, place, None, "")
    for name in (column, pair_column):
        if name is not None and name not in record:
            got = f"no such column; there are: {listed(list(record))}"
            return BadRow(number, InputError(None, "hold a text", got, place=f"{name!r} in {place}"))
    pair = None if pair_column is None else record[pair_column]
    for name in (pair_column, column):
        if name is not None and isinstance(record[name], InputError):
            return BadRow(number, InputError(*record[name].args, place=f"{name!r} in {place}"))
        if name is not None and not isinstance(record[name], str):
            got = "nothing" if record[name] is None else type(record[name]).__name__
            return BadRow(number, InputError(None, "hold a text", got, place=f"{name!r} in {place}"))
    return as_row(number, place, record[column], f"{column!r} in {place}", pair, f"{pair_column!r} in {place}")


def as_row(number: int, place: str, text: str, text_place: str, pair: str | None, pair_place: str) -> Row:
    """The row of a text and its pair; the places say in words where each came from."""
    error = _unusable(text, text_place) or (None if pair is None else _unusable(pair, pair_place))
    return Text(number, text, pair, place) if error is None else BadRow(number, error)


def _unusable(text: str, place: str) -> InputError | None:
    """The error for a text that no model can read, None for any other."""
    way_out = "remove it, or give it a text"
    if not text.strip():
        return InputError(None, "hold a text", "an empty one", way_out, place=place)
    if _is_unseen(text):
        got = f"none (U+{ord(text.strip()[0]):04X})"
        return InputError(None, "hold characters that can be seen", got, way_out, place=place)
    # Half a surrogate pair is a character to Python, but no tokenizer or file takes it.
    try:
        _ = text.encode()
    except UnicodeEncodeError:
        got = "bytes that are not UTF-8, or half a surrogate pair"
        return InputError(None, "be valid Unicode", got, "correct it", place=place)
    return None


def _is_unseen(text: str) -> bool:
    """Whether a text consists of blanks and invisible characters alone."""
    return all(
        unicodedata.category(each) in ("Cc", "Cf", "Zs", "Zl", "Zp") or _UNSEEN.match(each) is not None for each in text
    )
