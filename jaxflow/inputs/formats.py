"""The file formats texts are read from, each as a stream of records with their place in words.

A malformed record does not end the stream: an error stands in the place of its content, and the reader decides whether
to go on. An error that makes the rest unreadable is raised.
"""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, missing_extra, one_of, shown
from jaxflow._untyped import ArrowData, JsonObject
from jaxflow.inputs import lines, quotes, tables
from jaxflow.inputs.lines import Coding
from jaxflow.inputs.rows import plain_values
from jaxflow.inputs.tables import Dialect

# Number of the record (a line or a row, from 1), its place in words, and its content: columns by name, the line itself,
# or the error that makes it useless; of Parquet a column's content may be an error as well.
Record = tuple[int, str, Any]
SEPARATORS = {"csv": ",", "tsv": "\t"}
QUOTES = ("auto", "yes", "no")
# Blank lines of plain text are of these alone.
BLANKS = " \t\n\r\x0b\x0c"
# Records of JSON lines that are searched for the names of columns, where none was named.
SEARCHED = 10_000


@dataclass(frozen=True)
class Reading:
    """Options of reading a file, as the user passed them.

    Attributes:
        separator: between the cells of a .csv or .tsv file; None goes by its header.
        quotes: "yes" if cells may stand in quotes, "no" if quotes are characters; "auto" goes by the file where tabs
            separate cells, and is "yes" elsewhere.
        encoding: of text; None goes by the file's mark, and is UTF-8 without one.
    """

    separator: str | None = None
    quotes: str = "auto"
    encoding: str | None = None

    def check(self, kind: str, name: str) -> None:
        """Refuse options that do not fit a kind of file.

        Raises:
            InputError: a value is unknown, or the kind has no separators, quotes or encodings.
        """
        _ = tables.separator_of(self.separator)
        one_of("quotes", self.quotes, QUOTES)
        for option, value, kinds in (
            ("separator", self.separator, tuple(SEPARATORS)),
            ("quotes", None if self.quotes == "auto" else self.quotes, tuple(SEPARATORS)),
            ("encoding", self.encoding, ("txt", "jsonl", *SEPARATORS)),
        ):
            if value is not None and kind not in kinds:
                listed = ", ".join(f".{each}" for each in kinds)
                raise InputError(option, f"go with a file of kind {listed}", shown(value), "leave it out", place=name)


@dataclass(frozen=True)
class Format:
    """How a file is read.

    Attributes:
        kind: "txt", "jsonl", "csv", "tsv" or "parquet".
        coding: how its bytes stand for lines; None for Parquet.
        dialect: how lines are cut into cells; None where they are not.
    """

    kind: str
    coding: Coding | None = None
    dialect: Dialect | None = None

    def as_json(self) -> JsonObject:
        """Entries of the manifest: all in which another reading of the same bytes could differ."""
        entries: JsonObject = {}
        if self.coding is not None:
            entries["encoding"] = self.coding.encoding
        if self.dialect is not None:
            entries |= {"separator": self.dialect.separator, "quotes": "yes" if self.dialect.quoted else "no"}
        return entries


def format_of(
    path: Path, kind: str, packed: str | None, name: str, reading: Reading, column: str | None
) -> tuple[Format, list[str]]:
    """The format of a file, and notes on the assumptions made.

    Args:
        path: where the file is.
        kind: of the file, by its name.
        packed: how it is packed.
        name: what to call it.
        reading: the user's options.
        column: the column that the user named.

    Raises:
        InputError: the format cannot be told, or an option does not fit.
    """
    reading.check(kind, name)
    if kind == "parquet":
        return Format(kind), []
    coding, note = lines.coding_of(path, packed, reading.encoding, name)
    notes = [] if note is None else [note]
    sample = lines.sample(path, coding, name)
    if kind not in SEPARATORS:
        # Line feeds in a file whose lines end in carriage returns, and the other way round, are errors of their lines.
        end = "\r" if "\n" not in sample and "\r" in sample else "\n"
        return Format(kind, dataclasses.replace(coding, end=end)), notes
    # The order matters: line ends first, as the header ends with one; then a line "sep=;", which is no header; then the
    # separator, by the header; last the quotes, by all cells.
    end = tables.line_end(sample)
    coding = dataclasses.replace(coding, end="\r" if end == "\r" else "\n")
    separator, before = tables.separator_of(reading.separator), 0
    said = tables.said_separator(sample, end)
    if said is not None:
        sample, before = sample.partition(end)[2], 1
        separator = separator or said
    if separator is None:
        separator, note = tables.recognise(sample, end, SEPARATORS[kind], column, name)
        notes += [] if note is None else [note]
    in_quotes = reading.quotes != "no"
    # Only tab-separated files come with quotes that are characters often enough to be looked through.
    if separator == "\t" and reading.quotes == "auto":
        in_quotes, note = quotes.quoted(islice(lines.lines(path, coding, name), before, None), name)
        notes += [] if note is None else [note]
    return Format(kind, coding, Dialect(separator, in_quotes, end, before)), notes


def column_names(path: Path, form: Format, name: str, wanted: tuple[str, ...], *, named: bool) -> list[str]:
    """Columns of a file, by its header, its schema, or the records up to the first that has the wanted ones.

    Args:
        path: where the file is.
        form: how it is read.
        name: what to call it.
        wanted: columns that are looked for in JSON lines, whose records may differ.
        named: whether the user named them, so that all records are searched.
    """
    if form.kind == "parquet":
        with _parquet(path, name) as file:
            return list(file.schema_arrow.names)
    if form.kind in SEPARATORS:
        return _header(_table(path, form, name), name)
    # A dict keeps the order in which columns come, and each once.
    first_error, columns = None, dict[str, None]()
    for number, (_, _, record) in enumerate(_json_lines(path, form, name), 1):
        if isinstance(record, InputError):
            first_error = first_error or record
        # Keys that differ from record to record must not fill the memory; wanted ones are taken in below in any case.
        elif len(columns) < SEARCHED:
            columns |= dict.fromkeys(record)
        if isinstance(record, dict) and all(column in columns or column in record for column in wanted):
            columns |= dict.fromkeys(record)
            break
        if number >= SEARCHED and not named:
            break
    if not columns:
        raise first_error or InputError(None, "hold a record with a column", "none", place=name)
    return list(columns)


def records(path: Path, form: Format, name: str, columns: tuple[str, ...]) -> Iterator[Record]:
    """The file's records in order, with at least the columns asked for."""
    if form.kind == "txt":
        return _text_lines(path, form, name)
    if form.kind == "jsonl":
        return _json_lines(path, form, name)
    if form.kind == "parquet":
        return _parquet_rows(path, name, columns)
    return _table_rows(path, form, name, columns)


def count(path: Path, form: Format, name: str) -> int:
    """How many records there are, malformed ones included, for showing how far a run is.

    One quick pass over the bytes, and none of a Parquet file.
    """
    if form.kind == "parquet":
        with _parquet(path, name) as file:
            return file.metadata.num_rows
    if form.kind in SEPARATORS:
        # The header is no record.
        return max(0, sum(1 for _ in _table(path, form, name)) - 1)
    assert form.coding is not None
    return sum(1 for raw, _ in lines.raw_lines(path, form.coding, name) if raw is None or raw.strip())


def _lines(path: Path, form: Format, name: str) -> Iterator[lines.Line]:
    assert form.coding is not None
    return lines.lines(path, form.coding, name)


def _text_lines(path: Path, form: Format, name: str) -> Iterator[Record]:
    for number, line, wrong in _lines(path, form, name):
        if wrong is not None or line.strip(BLANKS):
            place, text = f"line {number} of {name}", line.rstrip("\r\n")
            if wrong is None and ("\r" in text or "\n" in text):
                got = "a line end of another kind than the file's first"
                wrong = InputError(None, "be one line", got, "use one kind of line end", place=place)
            yield number, place, wrong or text


def _json_lines(path: Path, form: Format, name: str) -> Iterator[Record]:
    for number, line, wrong in _lines(path, form, name):
        if wrong is not None or line.strip():
            place = f"line {number} of {name}"
            yield number, place, wrong or _json_object(line, place)


def _json_object(line: str, place: str) -> JsonObject | InputError:
    try:
        record = json.loads(line)
        if isinstance(record, dict):
            return record
        got = "null" if record is None else type(record).__name__
    # Three kinds of failure, all of this line alone.
    except json.JSONDecodeError as error:
        got = f"malformed JSON ({error.msg} at column {error.colno})"
    except RecursionError:
        got = "malformed JSON (lists or objects that are nested too deeply)"
    except ValueError:
        # Python's own limit, against numbers that take minutes.
        got = "malformed JSON (a whole number of more than 4,300 digits)"
    # A list over many lines is the other way of writing records as JSON.
    way_out = "write one object a line, and no list around them" if line.lstrip()[:1] == "[" else None
    return InputError(None, "be a JSON object", got, way_out, place=place)


def _table(path: Path, form: Format, name: str) -> Iterator[tables.TableRow]:
    assert form.dialect is not None
    return tables.table(_lines(path, form, name), form.dialect, name)


def _header(rows: Iterator[tables.TableRow], name: str) -> list[str]:
    for _, row, _ in rows:
        if isinstance(row, InputError):
            raise row
        return row
    raise InputError(None, "begin with a header", "none", place=name)


def _table_rows(path: Path, form: Format, name: str, columns: tuple[str, ...]) -> Iterator[Record]:
    rows = _table(path, form, name)
    header = _header(rows, name)
    for number, (line, row, doubtful_end) in enumerate(rows, 1):
        place = f"row {number} (line {line}) of {name}"
        if isinstance(row, InputError):
            yield number, place, row
        # Cells are told apart by their place: one more or less, and each may be another column's.
        elif len(row) != len(header):
            expected = f"have {len(header)} cells, as the header has"
            yield number, place, InputError(None, expected, str(len(row)), place=place)
        elif doubtful_end and header[-1] in columns:
            got = "a carriage return, which may belong to the text"
            wrong = InputError(None, "end as the header does", got, "use one kind of line end", place=place)
            yield number, place, wrong
        else:
            yield number, place, dict(zip(header, row, strict=True))


@contextmanager
def _parquet(path: Path, name: str) -> Iterator[ArrowData]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise missing_extra("pyarrow", "text", "reading Parquet") from None
    # An open file: pyarrow takes some paths for addresses.
    with path.open("rb") as file:
        try:
            parquet = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(error, name) from None
        yield parquet


def _parquet_rows(path: Path, name: str, columns: tuple[str, ...]) -> Iterator[Record]:
    import pyarrow as pa

    number = 0
    with _parquet(path, name) as file:
        try:
            for batch in file.iter_batches(batch_size=1024, columns=list(columns)):
                for values in zip(*map(plain_values, batch.columns), strict=True):
                    number += 1
                    yield number, f"row {number} of {name}", dict(zip(batch.schema.names, values, strict=True))
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(error, f"the part after row {number} of {name}") from None


def _unreadable(error: Exception, place: str) -> InputError:
    got = f"an unreadable file ({(str(error).splitlines() or [type(error).__name__])[0]})"
    return InputError(None, "be Parquet", got, "get it again", place=place)
