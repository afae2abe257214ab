"""Rows of input: a text each, or what is wrong with it; and which columns texts are taken from."""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxflow._checks import InputError, shown

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
        id: its row or line number, from 1.
        text: the text.
        pair: the second text, for models that read two.
        place: where it came from, in words, for messages.
    """

    id: int
    text: str
    pair: str | None
    place: str

    @property
    def content(self) -> str:
        """All that a resumed sweep must find again."""
        return json.dumps([self.id, self.text, self.pair])


@dataclass(frozen=True)
class BadRow:
    """A row that has no text to go on with.

    Attributes:
        id: its row or line number, from 1.
        reason: what is wrong with it, its place included.
    """

    id: int
    reason: str

    @property
    def content(self) -> str:
        """All that a resumed sweep must find again: not the reason, which names the file."""
        return json.dumps([self.id])


Row = Text | BadRow


def choose_columns(
    names: Sequence[str], file: str, column: str | None, pair_column: str | None
) -> tuple[str | None, str | None]:
    """The column of texts, checked or chosen, and what to say about the choice."""
    if pair_column is not None:
        check_column(pair_column, names, file, "--pair-column")
    candidates = [name for name in names if name != pair_column]
    if column is not None or "text" in candidates:
        column = "text" if column is None else column
        check_column(column, names, file, "--column")
        return column, None
    if len(candidates) == 1:
        return candidates[0], f"taking the texts from the only column of {file}, {shown(candidates[0])}"
    raise InputError(f"{file} has no column 'text'; name one with --column: {_listed(names)}")


def check_column(column: str, names: Sequence[str], file: str, flag: str) -> None:
    """Refuse a column that a file has not, or has twice; `flag` is what named it.

    Raises:
        InputError: there is none, or more than one.
    """
    if column not in names:
        raise InputError(f"{file} has no column {shown(column)} ({flag}); it has: {_listed(names)}")
    if names.count(column) > 1:
        raise InputError(f"{file} has more than one column {shown(column)}; rename one")


def _listed(names: Sequence[str], most: int = 20) -> str:
    listed = ", ".join(repr(name if len(name) <= NAME_MOST else f"{name[:NAME_MOST]}...") for name in names[:most])
    return (listed or "none") + (f" and {len(names) - most} more" if len(names) > most else "")


def row_of(number: int, place: str, record: Any, column: str | None, pair_column: str | None) -> Row:
    """A row out of a record: a line, or cells by column, or what is wrong with it."""
    if isinstance(record, InputError):
        return BadRow(number, str(record))
    if column is None:
        return as_row(number, place, record, place, None, "")
    for name in (column, pair_column):
        if name is not None and name not in record:
            return BadRow(number, f"{place} has no {name!r}; it has: {_listed(list(record))}")
    pair = None if pair_column is None else record[pair_column]
    pair_place = f"{pair_column!r} in {place}"
    if pair_column is not None and not isinstance(pair, str):
        return BadRow(number, _no_text(pair, pair_column, place))
    if not isinstance(record[column], str):
        return BadRow(number, _no_text(record[column], column, place))
    return as_row(number, place, record[column], f"{column!r} in {place}", pair, pair_place)


def _no_text(value: Any, column: str, place: str) -> str:
    return f"{place}: {column!r} must be text, got {'nothing' if value is None else type(value).__name__}"


def as_row(number: int, place: str, text: str, text_place: str, pair: str | None, pair_place: str) -> Row:
    """A row out of a text and its pair; the places are where each came from, in words."""
    wrong = _unusable(text, text_place) or (None if pair is None else _unusable(pair, pair_place))
    return Text(number, text, pair, place) if wrong is None else BadRow(number, wrong)


def _unusable(text: str, place: str) -> str | None:
    if not text.strip():
        return f"{place} is empty; remove it, or give it a text"
    if _is_unseen(text):
        shown_first = f"U+{ord(text.strip()[0]):04X}"
        return f"{place} is empty: it has no character that can be seen ({shown_first}); remove it, or give it a text"
    try:
        _ = text.encode()
    except UnicodeEncodeError:
        return f"{place} is not valid Unicode (bytes that are not UTF-8, or half a surrogate pair); correct it"
    return None


def _is_unseen(text: str) -> bool:
    """Whether a text is of nothing but blanks and characters that cannot be seen."""
    return all(
        unicodedata.category(each) in ("Cc", "Cf", "Zs", "Zl", "Zp") or _UNSEEN.match(each) is not None for each in text
    )
