"""The file formats texts are read from, each as a stream of records with their place in words.

A record that is malformed does not end the stream: in place of its content stands the error that says what is wrong
with it, and whoever reads decides whether to go on. What makes the rest unreadable is raised.
"""

import csv
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, missing_extra

# Number of the record (a line or a row, from 1), its place in words, and its columns by name, or the line itself, or
# what is wrong with it.
Record = tuple[int, str, Any]
DELIMITERS = {"csv": ",", "tsv": "\t"}


def column_names(path: Path, kind: str, name: str) -> list[str]:
    """The columns that a file has, as far as its header, schema or first record says."""
    if kind == "parquet":
        with _parquet(path, name) as file:
            return list(file.schema_arrow.names)
    if kind in DELIMITERS:
        return _header(_table(path, name, DELIMITERS[kind]), name)
    first_error = None
    for _, _, record in _json_lines(path, name):
        if not isinstance(record, InputError):
            return list(record)
        first_error = first_error or record
    raise first_error or InputError(f"{name} has no record")


def records(path: Path, kind: str, name: str, columns: tuple[str, ...]) -> Iterator[Record]:
    """The file's records in order, with at least the columns asked for."""
    if kind == "txt":
        return _text_lines(path, name)
    if kind == "jsonl":
        return _json_lines(path, name)
    if kind == "parquet":
        return _parquet_rows(path, name, columns)
    return _table_rows(path, name, DELIMITERS[kind])


def count(path: Path, kind: str, name: str) -> int:
    """How many records there are, malformed ones included, for showing how far a run is.

    One quick pass over the bytes, and none of a Parquet file. Lines of nothing but spaces beyond ASCII's are counted.
    """
    if kind == "parquet":
        with _parquet(path, name) as file:
            return file.metadata.num_rows
    if kind in DELIMITERS:
        return max(0, sum(1 for _ in _table(path, name, DELIMITERS[kind])) - 1)
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _lines(path: Path, name: str) -> Iterator[tuple[int, str, InputError | None]]:
    """Lines with their ends and numbers, and what is wrong with them; a byte order mark is dropped."""
    start = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            wrong = None
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                line = raw.decode("utf-8", errors="replace")
                wrong = InputError(
                    f"{name} is not UTF-8: byte 0x{raw[error.start]:02x} in line {number} "
                    f"(byte {start + error.start} of the file); save it as UTF-8"
                )
            start += len(raw)
            yield number, line.removeprefix("\ufeff") if number == 1 else line, wrong


def _text_lines(path: Path, name: str) -> Iterator[Record]:
    for number, line, wrong in _lines(path, name):
        if line.strip():
            yield number, f"line {number} of {name}", wrong or line.rstrip("\r\n")


def _json_lines(path: Path, name: str) -> Iterator[Record]:
    for number, line, wrong in _lines(path, name):
        if line.strip():
            place = f"line {number} of {name}"
            yield number, place, wrong or _json_object(line, place)


def _json_object(line: str, place: str) -> dict[str, Any] | InputError:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        said = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        return InputError(f"{place} is malformed JSON: {said}")
    if not isinstance(record, dict):
        return InputError(f"{place} is malformed: a JSON object is expected, got {type(record).__name__}")
    return record


def _table(path: Path, name: str, delimiter: str) -> Iterator[tuple[int, list[str] | InputError]]:
    """Rows of a delimited file, with the number of the line each ends in."""
    # The limit is one for the whole process; a text may be longer than its default of 128 KiB.
    _ = csv.field_size_limit(sys.maxsize)
    undecoded: list[InputError] = []

    def lines() -> Iterator[str]:
        for _, line, wrong in _lines(path, name):
            undecoded.extend([wrong] if wrong else [])
            yield line

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    while True:
        try:
            row: Any = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            row = InputError(f"line {reader.line_num} of {name} is malformed: {error}")
        if undecoded:
            row = undecoded[0]
            undecoded.clear()
        if row:
            yield reader.line_num, row


def _header(rows: Iterator[tuple[int, list[str] | InputError]], name: str) -> list[str]:
    for _, row in rows:
        if isinstance(row, InputError):
            raise row
        return row
    raise InputError(f"{name} has no header")


def _table_rows(path: Path, name: str, delimiter: str) -> Iterator[Record]:
    rows = _table(path, name, delimiter)
    header = _header(rows, name)
    for number, (line, row) in enumerate(rows, 1):
        place = f"row {number} (line {line}) of {name}"
        if isinstance(row, InputError):
            yield number, place, row
        elif len(row) != len(header):
            yield number, place, InputError(f"{place} is malformed: {len(header)} columns expected, got {len(row)}")
        else:
            yield number, place, dict(zip(header, row, strict=True))


def _parquet(path: Path, name: str) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise missing_extra("pyarrow", "text", "reading Parquet") from None
    try:
        # Not the path: Arrow takes "in:1.parquet" for an address.
        return pq.ParquetFile(pa.OSFile(os.fspath(path)))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{name} is not a Parquet file that can be read: {_first_line(error)}") from None


def _parquet_rows(path: Path, name: str, columns: tuple[str, ...]) -> Iterator[Record]:
    import pyarrow as pa

    number = 0
    with _parquet(path, name) as file:
        try:
            for batch in file.iter_batches(batch_size=1024, columns=list(columns)):
                for record in batch.to_pylist():
                    number += 1
                    yield number, f"row {number} of {name}", record
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{name} is malformed after row {number}: {_first_line(error)}") from None
        except UnicodeDecodeError:
            raise InputError(f"{name} is not UTF-8: a text after row {number} cannot be decoded") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
