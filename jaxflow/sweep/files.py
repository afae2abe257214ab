"""Files of texts and standard input, as sources."""

import io
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError
from jaxflow._paths import local_path
from jaxflow.sweep import formats
from jaxflow.sweep.rows import Row, choose_columns, row_of

SUFFIXES = {".txt": "txt", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}


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
        once: False.
    """

    path: Path
    kind: str
    name: str
    column: str | None
    pair_column: str | None
    note: str | None
    once: bool = False

    @property
    def paired(self) -> bool:
        """Whether each text has a second one."""
        return self.pair_column is not None

    def rows(self) -> Iterator[Row]:
        """The texts in order, and what is wrong in the place of those that cannot be used; names the line or row."""
        wanted = tuple(column for column in (self.column, self.pair_column) if column is not None)
        for number, place, record in formats.records(self.path, self.kind, self.name, wanted):
            yield row_of(number, place, record, self.column, self.pair_column)

    def values(self) -> Iterator[Any]:
        """What the column, or each line, holds, of any type; None for nothing, or nothing but spaces.

        Raises:
            InputError: a record is malformed, or lacks the column.
        """
        wanted = () if self.column is None else (self.column,)
        for _, place, record in formats.records(self.path, self.kind, self.name, wanted):
            if isinstance(record, InputError):
                raise record
            if self.column is not None and self.column not in record:
                raise InputError(f"{place} has no {self.column!r}")
            value = record if self.column is None else record[self.column]
            yield None if isinstance(value, str) and not value.strip() else value

    def count(self) -> int:
        """How many records the file has."""
        return formats.count(self.path, self.kind, self.name)


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
    file = local_path("source", path)
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
    chosen, note = choose_columns(formats.column_names(path, kind, name), name, column, pair_column)
    return FileSource(path, kind, name, chosen, pair_column, note)
