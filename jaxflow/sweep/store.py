"""Results on disk: Parquet shards in one folder, a record beside each, and a manifest.

    manifest.json       what made them: written once, before the first shard
    part-00000.parquet  rows of shard 0, one a text
    part-00000.json     what shard 0 is: its checksum, and what of the input it covers; with it the shard is done

Every file is written whole or not at all, and none by two processes, so a sweep may be killed at any moment and
several processes may fill one folder. What is killed between a shard and its record has not made the shard.
"""

import dataclasses
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError
from jaxflow.sweep import arrow
from jaxflow.sweep.arrow import Row

FORMAT = 2
MANIFEST = "manifest.json"
LEFTOVERS = ".jaxflow-*.tmp"
# Rows that are read together where one is wanted.
ROW_GROUP = 128


@dataclass(frozen=True)
class Record:
    """What a finished shard is.

    Attributes:
        index: which shard, from 0.
        rows: rows of the input that it covers, skipped ones included.
        input_sha256: a hash of these rows.
        last: whether the input ends with them.
        examples: rows of its Parquet file; there is no file where it has none.
        sha256: of the file.
        tokens: of its texts, special ones included.
        flows: how many flows it holds.
        certified: how many of them are proven.
        stages: how many each stage settled.
        skipped: rows that were left out: `id`, its row or line number, and `reason`.
    """

    index: int
    rows: int
    input_sha256: str
    last: bool
    examples: int
    sha256: str | None
    tokens: int
    flows: int
    certified: int
    stages: dict[str, int]
    skipped: tuple[dict[str, Any], ...]

    @property
    def file(self) -> str:
        """The name of its Parquet file."""
        return shard_file(self.index)


def shard_file(index: int) -> str:
    """The name of a shard's Parquet file."""
    return f"part-{index:05d}.parquet"


def read_manifest(folder: Path) -> dict[str, Any]:
    """What made the results in a folder.

    Raises:
        InputError: there are none, or they are of another version's format.
    """
    return read_description(folder, MANIFEST, "results of jaxflow", FORMAT)


def read_description(folder: Path, file: str, holding: str, version: int) -> dict[str, Any]:
    """The JSON file that says what a folder holds.

    Raises:
        InputError: it is not there or cannot be read, or its `format` is not this version of jaxflow's.
    """
    try:
        description = json.loads((folder / file).read_text("utf-8"))
        found = description["format"]
    except FileNotFoundError:
        raise InputError(f"{str(folder)!r} holds no {holding}: there is no {file} in it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(folder / file)!r} cannot be read: {error}") from None
    if found != version:
        raise InputError(f"{str(folder)!r} is of format {found}, and this version of jaxflow reads format {version}")
    return description


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write what makes the results."""
    with replaced(folder / MANIFEST) as temporary:
        _ = temporary.write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")


def read_records(folder: Path) -> dict[int, Record]:
    """Finished shards by their index. What is not a whole record stands for a shard that is not finished."""
    found = {}
    for path in sorted(folder.glob("part-*.json")):
        record = _read_record(path)
        if record is not None and path.name == _record_file(record.index):
            found[record.index] = record
    return dict(sorted(found.items()))


def write_shard(folder: Path, record: Record, rows: Sequence[Row], metadata: dict[str, str]) -> Record:
    """Write a shard's rows, and then its record, which is returned with the checksum of what was written."""
    path = folder / record.file
    if rows:
        _ = arrow.pyarrow()
        import pyarrow.parquet as pq

        table = arrow.to_table(rows, metadata)
        with replaced(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", row_group_size=ROW_GROUP, write_page_checksum=True)
            record = dataclasses.replace(record, sha256=checksum(temporary))
    fields = dataclasses.asdict(record)
    with replaced(folder / _record_file(record.index)) as temporary:
        _ = temporary.write_text(json.dumps(fields | {"check": _check(fields)}) + "\n", "utf-8")
    return record


def checksum(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(folder: Path, record: Record) -> bool:
    """Whether a shard is there as it was written, by its checksum."""
    if not record.examples:
        return True
    try:
        return checksum(folder / record.file) == record.sha256
    except OSError:
        return False


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary file in the folder of `path` that takes its place in one step, once it is safely on disk.

    After a kill or a full disk at any moment `path` is what it was before, or complete.

    Raises:
        InputError: the folder cannot be written.
    """
    temporary = path.with_name(f".jaxflow-{path.name}-{secrets.token_hex(4)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        sync(temporary)
        _ = temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def is_empty(folder: Path) -> bool:
    """Whether nothing is in a folder but what a killed writer may have left."""
    return set(folder.iterdir()) <= set(folder.glob(LEFTOVERS))


def remove_leftovers(folder: Path, process_index: int = 0, process_count: int = 1) -> None:
    """Remove the temporary files of a writer that was killed, but none that another process may be writing."""
    for path in folder.glob(LEFTOVERS):
        digits = path.name.removeprefix(".jaxflow-part-").partition(".")[0]
        if process_count == 1 or (digits.isdecimal() and int(digits) % process_count == process_index):
            path.unlink(missing_ok=True)


def remove_records(folder: Path, indices: Iterable[int]) -> None:
    """Have shards count as not done."""
    for index in indices:
        (folder / _record_file(index)).unlink(missing_ok=True)


def _record_file(index: int) -> str:
    return shard_file(index).replace(".parquet", ".json")


def _read_record(path: Path) -> Record | None:
    try:
        fields = json.loads(path.read_text("utf-8"))
        whole = fields.pop("check") == _check(fields)
        return Record(**fields | {"skipped": tuple(fields["skipped"])}) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _check(fields: dict[str, Any]) -> str:
    """A checksum of a record itself."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def sync(path: Path) -> None:
    """Have a file, or a folder's list of names, safely on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
