"""Files of texts and standard input, as sources."""

import io
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, missing_extra, shown, shown_text
from jaxflow._paths import is_local, local_path, with_scheme
from jaxflow._untyped import JsonObject
from jaxflow.inputs import formats, lines
from jaxflow.inputs.formats import Format, Reading
from jaxflow.inputs.rows import Row, check_column, choose_columns, row_of

SUFFIXES = {".txt": "txt", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}


@dataclass(frozen=True)
class FileSource:
    """Texts in a file, read as a stream each time they are asked for.

    Attributes:
        path: where the bytes are.
        form: how the bytes are read.
        name: what to call it in messages and in the manifest.
        column: the column that holds the texts; None in a file of plain lines.
        pair_column: the column that holds second texts, if any.
        note: assumptions to tell the user.
        once: False.
    """

    path: Path
    form: Format
    name: str
    column: str | None
    pair_column: str | None
    note: str | None
    once: bool = False

    @property
    def paired(self) -> bool:
        """Whether each text has a second one."""
        return self.pair_column is not None

    @property
    def reading(self) -> JsonObject:
        """How the bytes are read, for the manifest."""
        return self.form.as_json()

    def of_column(self, column: str, argument: str = "label_column") -> "FileSource":
        """Another column of the same file; `argument` is the one that named it.

        Raises:
            InputError: it has no such column.
        """
        _refuse_columns(self.form.kind, self.name, ((argument, column),))
        names = formats.column_names(self.path, self.form, self.name, (column,), named=True)
        check_column(argument, column, names, self.name)
        return replace(self, column=column, pair_column=None, note=None)

    def rows(self) -> Iterator[Row]:
        """Texts in order, or an error that names the line or row of a text that cannot be used."""
        wanted = tuple(column for column in (self.column, self.pair_column) if column is not None)
        for number, place, record in formats.records(self.path, self.form, self.name, wanted):
            yield row_of(number, place, record, self.column, self.pair_column)

    def values(self) -> Iterator[object]:
        """Values of the column, or lines, of any type; None for an empty one or nothing but spaces.

        Raises:
            InputError: a record is malformed, or lacks the column.
        """
        wanted = () if self.column is None else (self.column,)
        for _, place, record in formats.records(self.path, self.form, self.name, wanted):
            if isinstance(record, InputError):
                raise record
            if self.column is not None and self.column not in record:
                raise InputError(None, "hold a value", "none", place=f"{self.column!r} in {place}")
            value = record if self.column is None else record[self.column]
            if isinstance(value, InputError):
                raise InputError(*value.args, place=f"{self.column!r} in {place}")
            yield None if isinstance(value, str) and not value.strip() else value

    def count(self) -> int:
        """How many records the file has."""
        return formats.count(self.path, self.form, self.name)


@contextmanager
def open_source(
    path: str,
    column: str | None = None,
    pair_column: str | None = None,
    *,
    stdin: io.BufferedIOBase | None = None,
    separator: str | None = None,
    quotes: str = "auto",
    encoding: str | None = None,
) -> Iterator[FileSource]:
    """A file of texts; `-` is standard input, one text a line.

    What can be read only once (standard input, a pipe) is first copied to a temporary file, which goes when the
    context ends.

    Args:
        path: a .txt file (one text a line; blank lines are left out), or a .jsonl, .csv, .tsv or .parquet file, each
            also packed (.gz, .zst); or the address of one in a store that `fsspec` knows, such as s3://, which is first
            copied to a temporary file.
        column: the column of the texts. None takes `text`, or else the only column there is.
        pair_column: the column of second texts, for models that read two.
        stdin: the stream that `-` stands for.
        separator: between the cells of a .csv or .tsv file: a character, or "comma", "semicolon", "tab" or "pipe".
            None goes by the header.
        quotes: "yes" if cells of a .csv or .tsv file may stand in quotes, "no" if quotes are characters of the texts.
            "auto" looks through the file where tabs separate cells, and is "yes" elsewhere.
        encoding: of the file; None takes UTF-8, or what its byte order mark says.

    Raises:
        InputError: there is no such file, column or format, or the file is empty.
    """
    reading = Reading(separator, quotes, encoding)
    with ExitStack() as stack:
        if path == "-":
            if stdin is None:
                raise InputError("source", "be a file's path", "'-'", "pass a file: standard input is not read here")
            spooled = stack.enter_context(_spooled(iter(lambda: stdin.read(lines.CHUNK), b"")))
            yield _file_source(stack, spooled, "txt", None, "standard input", column, pair_column, reading)
            return
        if not is_local(path):
            file = _stored(path)
            kind, packed = _kind(file)
            if kind is None:
                raise _unknown_suffix(file)
            fetched = stack.enter_context(_spooled(_fetched(path)))
            yield _file_source(stack, fetched, kind, packed, file.name, column, pair_column, reading)
            return
        file = local_path("source", path)
        kind, packed = _kind(file)
        if stat.S_ISREG(_mode(file)):
            if kind is None:
                raise _unknown(file)
            yield _file_source(stack, file, kind, packed, file.name, column, pair_column, reading)
            return
        # A pipe is opened once only: closing it, even after a test, may end its writer.
        with _opened(file) as stream:
            spooled = stack.enter_context(_spooled(iter(lambda: stream.read(lines.CHUNK), b"")))
        yield _file_source(stack, spooled, kind or "txt", packed, path, column, pair_column, reading)


def check_unread(is_file: bool, *, separator: str | None, quotes: str, encoding: str | None) -> None:
    """Refuse options of reading a file where the source is no file.

    Raises:
        InputError: such an option was passed.
    """
    passed = {"separator": separator, "quotes": None if quotes == "auto" else quotes, "encoding": encoding}
    for argument, value in passed.items():
        if not is_file and value is not None:
            raise InputError(argument, "go with a file", shown(value), "leave it out")


def _unknown(file: Path) -> InputError:
    """The error for a file whose name says no format; first bytes that say one give a more exact error, raised here."""
    # Packed files hold anything, so their own first bytes say nothing of their content.
    if lines.packing(file) is None:
        with _opened(file) as stream:
            lines.refuse_foreign(stream.read(16), file.name)
    return _unknown_suffix(file)


def _unknown_suffix(file: Path) -> InputError:
    expected = f"end in one of {', '.join(SUFFIXES)} (.gz or .zst may follow)"
    return InputError("source", expected, shown(file.name), "name the file by what it holds")


def _mode(file: Path) -> int:
    """The mode of a file; a regular file is opened as a test, others never."""
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        raise InputError("source", "be a file", f"{shown(str(file))}, which does not exist", "check the path") from None
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    if stat.S_ISDIR(mode):
        raise InputError("source", "be a file", f"the folder {shown(str(file))}", "name one file")
    if stat.S_ISREG(mode):
        # Permissions show only when the file is opened.
        _opened(file).close()
    return mode


def _opened(file: Path) -> io.BufferedReader:
    try:
        return file.open("rb")
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> InputError:
    got = f"{shown(str(file))} ({getattr(error, 'strerror', None) or error})"
    return InputError("source", "be a file that can be read", got, "check the path, and your permission to read it")


def _kind(file: Path) -> tuple[str | None, str | None]:
    """Format and packing of a file, by its name; None where it says nothing."""
    packed = lines.PACKED_SUFFIXES.get(file.suffix.lower())
    inner = Path(file.stem) if packed else file
    return SUFFIXES.get(inner.suffix.lower()), packed


def _stored(address: str) -> Path:
    """The file that an address names, for its name."""
    # Of chained addresses the first that has a path, as in `zip://in.csv::s3://bucket/all.zip`.
    file = Path(next(link for link in address.split("::") if "://" in link))
    # A query, as in `?versionId=3`, may follow the name, which may have such characters too; it may hold keys as well.
    return file if _kind(file)[0] else Path(re.split("[?#]", str(file), maxsplit=1)[0])


def _fetched(address: str) -> Iterator[bytes]:
    """The content of a file in a store.

    Raises:
        InputError: there is no such file, it cannot be read, or a package for its store is missing.
    """
    try:
        import fsspec
    except ImportError:
        raise missing_extra("fsspec", "text", "reading from a store") from None
    try:
        with fsspec.open(with_scheme(address), "rb") as opened:
            stream: Any = opened
            yield from iter(lambda: stream.read(lines.CHUNK), b"")
    except FileNotFoundError:
        raise InputError(
            "source", "be a file", f"{shown(address)}, which does not exist", "check the address"
        ) from None
    except ImportError as error:
        # Such as s3fs or gcsfs, which fsspec names.
        raise InputError("source", "be in a store that can be read", shown(address), str(error)) from None
    # Each store has errors of its own: of access, of the network, of a protocol that is not known.
    except Exception as error:
        got = f"{shown(address)} ({shown_text(str(error)) or type(error).__name__})"
        way_out = "check the address and your access to it, or name a file on this host"
        if isinstance(error, ValueError) and "rotocol not known" in str(error):
            way_out = "name a store that fsspec knows, such as s3://, gs:// or https://, or a file on this host"
        raise InputError("source", "be a file that can be read", got, way_out) from None


@contextmanager
def _spooled(chunks: Iterable[bytes]) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(prefix="jaxflow-input-") as copy:
        for chunk in chunks:
            _ = copy.write(chunk)
        copy.flush()
        yield Path(copy.name)


def _file_source(
    stack: ExitStack,
    path: Path,
    kind: str,
    named: str | None,
    name: str,
    column: str | None,
    pair_column: str | None,
    reading: Reading,
) -> FileSource:
    if path.stat().st_size == 0:
        raise InputError(None, "hold a text", "an empty file", place=name)
    # By its first bytes: they decide, and must not contradict the name.
    packed = lines.packing(path)
    if named is not None and packed != named:
        got = "one that is not packed" if packed is None else f"one packed by {packed}"
        raise InputError(None, f"be packed by {named}, as its name says", got, "rename it, or get it again", place=name)
    if kind == "parquet" and packed is not None:
        # Parquet is read from its end, which a stream that is unpacked cannot give.
        path, packed = stack.enter_context(_spooled(lines.unpacked(path, packed, name))), None
    columns = (("column", column), ("pair_column", pair_column))
    _refuse_columns(kind, name, columns)
    form, notes = formats.format_of(path, kind, packed, name, reading, column)
    # Plain text has no columns; everywhere else one is checked or chosen before anything is read.
    chosen = None
    if kind != "txt":
        wanted = tuple(each for each in (column or "text", pair_column) if each is not None)
        names = formats.column_names(path, form, name, wanted, named=column is not None)
        chosen, note = choose_columns(names, name, column, pair_column)
        notes += [] if note is None else [note]
    return FileSource(path, form, name, chosen, pair_column, "; ".join(notes) or None)


def _refuse_columns(kind: str, name: str, columns: Iterable[tuple[str, str | None]]) -> None:
    for argument, value in columns:
        if kind == "txt" and value is not None:
            raise InputError(argument, "go with a file that has columns", shown(value), "leave it out", place=name)
