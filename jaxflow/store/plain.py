"""Folders of Parquet files that hold results but no manifest, as data engines write what `Attributor` made."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jaxflow._checks import InputError, shown
from jaxflow._untyped import ArrowData, ArrowTable, JsonObject, JsonValue
from jaxflow.attribution.question import Question
from jaxflow.attribution.registry import SATURATED
from jaxflow.store.arrow import pyarrow, result_schema
from jaxflow.store.layout import Layout
from jaxflow.store.parts import first_line
from jaxflow.store.record import Record

KEPT = (
    "keep the schema's metadata: have Ray Data write with batch_format='pyarrow' or the schema that "
    "`Attributor.schema` gives; what is written, read, cast to that schema and write anew"
)
# Columns of results that an example does without.
SPARE = ("first_target", "answer")
# A folder of a partitioned table, such as `year=2024`, whose files lack that column.
PARTITION = "*=*"
# The value of such a folder that stands for none.
NO_KEY = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class PlainRecord(Record):
    """A file that was written by others, as the record of a shard.

    Attributes:
        name: of the file, from the folder on.
    """

    name: str = ""

    @property
    def file(self) -> str:
        """The name of its Parquet file."""
        return self.name


@dataclass(frozen=True)
class Plain(Layout):
    """Columns of files that were written by others.

    Attributes:
        columns: by name in results, the column.
        keys: by name of a file, what the folders of a partitioned table say of all its rows.
        schema: of all files together.
    """

    columns: dict[str, str]
    keys: dict[str, dict[str, JsonValue]]
    schema: ArrowData

    def stored(self, name: str, there: Sequence[str]) -> str:
        """A file's own column, or else the one that is called so in results."""
        return name if name in there else self.columns.get(name, name)

    def added(self, record: Record, first: int, rows: int, there: Sequence[str]) -> dict[str, ArrowData]:
        """The keys of its folders; and numbers, where the files name no rows."""
        pa = pyarrow()
        keys = {name: [value] * rows for name, value in self.keys[record.file].items() if name not in there}
        added = {name: pa.array(values, self.schema.field(name).type) for name, values in keys.items()}
        if not {self.columns["id"], "id"} & {*there, *added}:
            added["id"] = pa.array(range(first, first + rows), pa.int64())
        return added

    def as_results(self, table: ArrowTable) -> ArrowTable:
        """A table with the columns of results alone, under their names."""
        pa = pyarrow()
        known = {name: column for name, column in self.columns.items() if column in table.column_names}
        chosen = {name: table.column(column) for name, column in known.items()}
        if "id" not in chosen:
            # Numbers that were added, or the files' own.
            chosen["id"] = table.column("id")
        chosen.setdefault("pair", pa.nulls(table.num_rows, pa.string()))
        return pa.table(chosen)


def plain_results(folder: Path) -> tuple[JsonObject, tuple[Record, ...], Plain] | None:
    """Manifest, records and columns of a folder of Parquet files without a manifest; None where there are none.

    Raises:
        InputError: a file cannot be read, does not say what made it or lacks a column of results; or files are of
            different runs or of different types.
    """
    try:
        paths = _files(folder) if folder.is_dir() else []
    except OSError:
        # A name that is too long is no folder's.
        paths = []
    if not paths:
        return None
    pa = pyarrow()
    names = [path.relative_to(folder).as_posix() for path in paths]
    described = [_described(path) for path in paths]
    manifest = described[0][1]
    for name, (_, about, _) in zip(names, described, strict=True):
        if _run(about) != _run(manifest):
            got = f"{shown(name)} and {shown(names[0])}, which differ in model or question"
            raise InputError("folder", "hold results of one run", got, "keep them in folders of their own")
    question = Question.from_json(manifest["question"])
    columns = {name: name for name in result_schema(question).names}
    columns |= {"id": manifest.get("id_column", "id"), "text": manifest["input"]["column"] or "text"}
    if manifest["input"]["pair_column"]:
        columns["pair"] = manifest["input"]["pair_column"]
    keys = dict(zip(names, _keys(folder, paths), strict=True))
    schema = pa.schema(list(_fields_of(names, [schema for *_, schema in described], keys, columns)))
    records = [
        _record(index, rows, name, last=name is names[-1])
        for index, (name, (rows, *_)) in enumerate(zip(names, described, strict=True))
    ]
    about = manifest | {"input": manifest["input"] | {"name": folder.name}}
    return about, tuple(records), Plain(columns, keys, schema)


def _files(folder: Path) -> list[Path]:
    """The files of a table, also of a partitioned one."""
    inner = (path for each in sorted(folder.glob(PARTITION)) if each.is_dir() for path in _files(each))
    return [*sorted(folder.glob("*.parquet")), *inner]


def _keys(folder: Path, paths: Sequence[Path]) -> list[dict[str, JsonValue]]:
    """By file, the keys of its partition: whole numbers where all files have one there, as Arrow takes them."""
    found: list[dict[str, JsonValue]] = []
    for path in paths:
        parts = (part.split("=", 1) for part in path.relative_to(folder).parts[:-1])
        found.append({name: None if value == NO_KEY else unquote(value) for name, value in parts})
    for name in {name: None for keys in found for name in keys}:
        values = [keys[name] for keys in found if keys.get(name) is not None]
        if all(re.fullmatch(r"-?\d{1,18}", value, re.ASCII) for value in values):
            found = [keys | ({name: int(keys[name])} if keys.get(name) is not None else {}) for keys in found]
    return found


def _fields_of(
    names: Sequence[str], schemas: Sequence[ArrowData], keys: dict[str, dict[str, JsonValue]], columns: dict[str, str]
) -> Iterator[ArrowData]:
    """The fields of all files together.

    Raises:
        InputError: a file lacks a column, or has it in a type that does not go with another file's.
    """
    pa = pyarrow()
    found: dict[str, tuple[ArrowData, str]] = {}
    for name, schema in zip(names, schemas, strict=True):
        kinds = {key: pa.scalar(value).type for key, value in keys[name].items()}
        fields = [*schema, *(pa.field(key, kind) for key, kind in kinds.items() if key not in schema.names)]
        there = {field.name for field in fields}
        # Then rows get numbers.
        if not {columns["id"], "id"} & there:
            fields.append(pa.field("id", pa.int64()))
        spare = (*SPARE, *(column for column in columns if column.endswith(SATURATED)), "id")
        for column, stored in columns.items():
            if stored not in there and column not in spare:
                got = f"{shown(name)} without {shown(stored)}"
                raise InputError("folder", "hold files with all columns of results", got, "keep it when you write them")
        for field in fields:
            known, other = found.setdefault(field.name, (field, name))
            if known.type == field.type:
                continue
            try:
                # What says more of the same column, such as a type after none.
                both = pa.unify_schemas([pa.schema([known]), pa.schema([field])], promote_options="permissive")
            except pa.ArrowException:
                got = f"{shown(field.name)} of type {known.type} in {shown(other)} and {field.type} in {shown(name)}"
                way_out = "cast one of them, or keep them in folders of their own"
                raise InputError("folder", "hold files with columns of the same types", got, way_out) from None
            found[field.name] = both.field(0), other
    return (field for field, _ in found.values())


def _described(path: Path) -> tuple[int, JsonObject, ArrowData]:
    """Rows of a file, what its metadata say of their origin, and its columns."""
    pa = pyarrow()
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.OSFile(str(path))) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
        metadata = schema.metadata or {}
        # A frame of pandas keeps it among its own.
        said = metadata.get(b"jaxflow") or json.loads(metadata.get(b"PANDAS_ATTRS", b"{}")).get("jaxflow")
        about = json.loads(said) if isinstance(said, str | bytes) else None
    except (pa.ArrowException, OSError, ValueError) as error:
        got = f"{shown(str(path))}, which cannot be read: {first_line(error)}"
        raise InputError("folder", "hold Parquet files that can be read", got) from None
    if not isinstance(about, dict) or not {"model", "question", "input"} <= about.keys():
        got = f"{shown(str(path))}, whose metadata do not say what made it"
        raise InputError("folder", "hold results of jaxflow", got, KEPT)
    return rows, about, schema.remove_metadata()


def _run(manifest: JsonObject) -> list[Any]:
    return [manifest.get(name) for name in ("model", "fingerprint", "question", "lengths")]


def _record(index: int, rows: int, name: str, *, last: bool) -> PlainRecord:
    # Flows are not counted here: one a row stands for "some", and no stage is known to have settled them.
    return PlainRecord(
        index=index,
        rows=rows,
        input_sha256="",
        last=last,
        examples=rows,
        sha256=None,
        tokens=0,
        flows=rows,
        certified=0,
        stages={},
        skipped=(),
        name=name,
    )
