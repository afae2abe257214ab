"""The file formats texts are read from, each as a stream of records with their place in words."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, missing_extra

# Number of the record (a line or a row, from 1), its place in words, and its columns by name, or the line itself.
Record = tuple[int, str, Any]
DELIMITERS = {"csv": ",", "tsv": "\t"}


def column_names(path: Path, kind: str, name: str) -> list[str]:
    """The columns that a file has, as far as its header, schema or first record says."""
    if kind == "parquet":
        with _parquet(path, name) as file:
            return list(file.schema_arrow.names)
    if kind in DELIMITERS:
        return _header(_table(path, name, DELIMITERS[kind]), name)
    for _, _, record in _json_lines(path, name):
        return list(record)
    raise InputError(f"{name} has no record")


def records(path: Path, kind: str, name: str, columns: tuple[str, ...]) -> Iterator[Record]:
    """The file's records in order, with at least the columns asked for."""
    if kind == "txt":
        return _text_lines(path, name)
    if kind == "jsonl":
        return _json_lines(path, name)
    if kind == "parquet":
        return _parquet_rows(path, name, columns)
    return _table_rows(path, name, DELIMITERS[kind])


def _lines(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """Lines with their ends and numbers; a byte order mark is dropped."""
    start = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{name} is not UTF-8: byte 0x{raw[error.start]:02x} in line {number} "
                    f"(byte {start + error.start} of the file); save it as UTF-8"
                ) from None
            start += len(raw)
            yield number, line.removeprefix("\ufeff") if number == 1 else line


def _text_lines(path: Path, name: str) -> Iterator[Record]:
    for number, line in _lines(path, name):
        if line.strip():
            yield number, f"line {number} of {name}", line.rstrip("\r\n")


def _json_lines(path: Path, name: str) -> Iterator[Record]:
    for number, line in _lines(path, name):
        if not line.strip():
            continue
        place = f"line {number} of {name}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            said = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise InputError(f"{place} is malformed JSON: {said}") from None
        if not isinstance(record, dict):
            raise InputError(f"{place} is malformed: a JSON object is expected, got {type(record).__name__}")
        yield number, place, record


def _table(path: Path, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of a delimited file, with the number of the line each ends in."""
    # The limit is one for the whole process; a text may be longer than its default of 128 KiB.
    _ = csv.field_size_limit(sys.maxsize)
    reader = csv.reader((line for _, line in _lines(path, name)), delimiter=delimiter, strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"line {reader.line_num} of {name} is malformed: {error}") from None
        if row:
            yield reader.line_num, row


def _header(rows: Iterator[tuple[int, list[str]]], name: str) -> list[str]:
    for _, row in rows:
        return row
    raise InputError(f"{name} has no header")


def _table_rows(path: Path, name: str, delimiter: str) -> Iterator[Record]:
    rows = _table(path, name, delimiter)
    header = _header(rows, name)
    for number, (line, row) in enumerate(rows, 1):
        place = f"row {number} (line {line}) of {name}"
        if len(row) != len(header):
            raise InputError(f"{place} is malformed: {len(header)} columns expected, got {len(row)}")
        yield number, place, dict(zip(header, row, strict=True))


def _parquet(path: Path, name: str) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise missing_extra("pyarrow", "text", "reading Parquet") from None
    try:
        return pq.ParquetFile(path)
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
