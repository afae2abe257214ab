"""Where texts come from: the command line, a file or standard input, always as a stream."""

import hashlib
import io
import json
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError
from jaxflow.sweep import formats

SUFFIXES = {".txt": "txt", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}


@dataclass(frozen=True)
class Example:
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


@dataclass(frozen=True)
class InlineSource:
    """Texts in hand.

    Attributes:
        texts: the texts.
        pairs: a second text for each, or None.
        name: what to call them in messages and in the manifest.
        column: None; a file's property.
        pair_column: None; a file's property.
    """

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None = None
    name: str = "--text"
    column: None = None
    pair_column: None = None

    @property
    def note(self) -> str | None:
        """What the user should be told about the choice of a column; nothing here."""
        return None

    def examples(self) -> Iterator[Example]:
        """The texts in order."""
        pairs: Sequence[str | None] = self.pairs or [None] * len(self.texts)
        for number, (text, pair) in enumerate(zip(self.texts, pairs, strict=True), 1):
            place = f"{self.name} {number}"
            _not_empty(text, place)
            if pair is not None:
                _not_empty(pair, f"the pair of {place}")
            yield Example(number, text, pair, place)

    def sha256(self) -> str:
        """A hash of the texts."""
        return hashlib.sha256(json.dumps([self.texts, self.pairs]).encode()).hexdigest()


@dataclass(frozen=True)
class FileSource:
    """Texts in a file, read as a stream each time they are asked for.

    Attributes:
        path: where the bytes are.
        kind: one of the values of `SUFFIXES`.
        name: what to call it in messages and in the manifest.
        column: the column that holds the texts; None in a file of plain lines.
        pair_column: the column that holds second texts, if any.
        note: what the user should be told about the choice of the column.
    """

    path: Path
    kind: str
    name: str
    column: str | None
    pair_column: str | None
    note: str | None

    def examples(self) -> Iterator[Example]:
        """The texts in order.

        Raises:
            InputError: the file cannot be read as what it should be; names the line or row.
        """
        for number, place, record in formats.records(self.path, self.kind, self.name, self._wanted):
            if self.column is None:
                text, pair = record, None
            else:
                text = _cell(record, self.column, place)
                pair = None if self.pair_column is None else _cell(record, self.pair_column, place)
            yield Example(number, text, pair, place)

    @property
    def _wanted(self) -> tuple[str, ...]:
        return tuple(column for column in (self.column, self.pair_column) if column is not None)

    def sha256(self) -> str:
        """A hash of the file's bytes."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


Source = InlineSource | FileSource


@contextmanager
def open_source(
    path: str, column: str | None = None, pair_column: str | None = None, *, stdin: io.BufferedIOBase | None = None
) -> Iterator[FileSource]:
    """A file of texts; `-` is standard input, one text a line.

    What can be read only once (standard input, a pipe) is first copied to a temporary file, which goes when the
    context ends.

    Args:
        path: a .txt file (one text a line; blank lines are left out), or a .jsonl, .csv, .tsv or .parquet file.
        column: the column of the texts. None takes `text`, or else the only column there is.
        pair_column: the column of second texts, for models that read two.
        stdin: the stream that `-` stands for.

    Raises:
        InputError: there is no such file, column or format, or the file is empty.
    """
    if path == "-":
        if stdin is None:
            raise InputError("standard input cannot be read here; pass a file with --input")
        with _spooled(stdin) as spooled:
            yield _file_source(spooled, "txt", "standard input", column, pair_column)
        return
    file = Path(path)
    mode = _mode(file)
    if stat.S_ISREG(mode):
        yield _file_source(file, _kind(file), file.name, column, pair_column)
        return
    with _opened(file) as stream, _spooled(stream) as spooled:
        yield _file_source(spooled, SUFFIXES.get(file.suffix.lower(), "txt"), path, column, pair_column)


def _mode(file: Path) -> int:
    try:
        mode = file.stat().st_mode
        if not stat.S_ISDIR(mode):
            _opened(file).close()
    except FileNotFoundError:
        raise InputError(f"no such file: {str(file)!r}; check --input") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {str(file)!r}: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{str(file)!r} is a folder; --input takes one file")
    return mode


def _opened(file: Path) -> io.BufferedReader:
    return file.open("rb")


def _kind(file: Path) -> str:
    kind = SUFFIXES.get(file.suffix.lower())
    if kind is None:
        raise InputError(f"{file.name!r} has no known format; name it {', '.join(SUFFIXES)}, by what it holds")
    return kind


@contextmanager
def _spooled(stream: io.BufferedIOBase) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(prefix="jaxflow-input-") as copy:
        shutil.copyfileobj(stream, copy)
        copy.flush()
        yield Path(copy.name)


def _file_source(path: Path, kind: str, name: str, column: str | None, pair_column: str | None) -> FileSource:
    if path.stat().st_size == 0:
        raise InputError(f"{name} is empty")
    if kind == "txt":
        for flag, value in (("--column", column), ("--pair-column", pair_column)):
            if value is not None:
                raise InputError(f"{name} is plain text and has no column {value!r}; leave out {flag}")
        return FileSource(path, kind, name, None, None, None)
    names = formats.column_names(path, kind, name)
    if pair_column is not None:
        _check_column(pair_column, names, name, "--pair-column")
    chosen, note = _choose_column(column, [n for n in names if n != pair_column], names, name)
    return FileSource(path, kind, name, chosen, pair_column, note)


def _choose_column(
    asked: str | None, candidates: Sequence[str], names: Sequence[str], file: str
) -> tuple[str, str | None]:
    if asked is not None:
        _check_column(asked, names, file, "--column")
        return asked, None
    if "text" in candidates:
        _check_column("text", names, file, "--column")
        return "text", None
    if len(candidates) == 1:
        return candidates[0], f"taking the texts from the only column of {file}, {candidates[0]!r}"
    raise InputError(f"{file} has no column 'text'; name one with --column: {_listed(names)}")


def _check_column(column: str, names: Sequence[str], file: str, flag: str) -> None:
    if column not in names:
        raise InputError(f"{file} has no column {column!r} ({flag}); it has: {_listed(names)}")
    if names.count(column) > 1:
        raise InputError(f"{file} has more than one column {column!r}; rename one")


def _listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _cell(record: dict[str, Any], column: str, place: str) -> str:
    if column not in record:
        raise InputError(f"{place} has no {column!r}; it has: {_listed(list(record))}")
    value = record[column]
    if not isinstance(value, str):
        found = "nothing" if value is None else type(value).__name__
        raise InputError(f"{place}: {column!r} must be text, got {found}")
    _not_empty(value, f"{column!r} in {place}")
    return value


def _not_empty(text: str, place: str) -> None:
    if not text.strip():
        raise InputError(f"{place} is empty; remove it, or give it a text")
    try:
        _ = text.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{place} is not valid Unicode (bytes that are not UTF-8, or half a surrogate pair); correct it"
        ) from None
