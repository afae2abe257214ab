"""Folders of Parquet files that hold results but no manifest, as data engines write what `Attributor` made."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, shown
from jaxflow._untyped import ArrowTable, JsonObject
from jaxflow.attribution.question import Question
from jaxflow.store.arrow import pyarrow, result_schema
from jaxflow.store.parts import first_line
from jaxflow.store.record import Record

KEPT = "keep the schema's metadata when you write it, as Arrow tables do"


@dataclass(frozen=True)
class PlainRecord(Record):
    """A file that was written by others, as the record of a shard.

    Attributes:
        name: of the file.
    """

    name: str = ""

    @property
    def file(self) -> str:
        """The name of its Parquet file."""
        return self.name


@dataclass(frozen=True)
class Naming:
    """Which of a table's columns are which of an example's.

    Attributes:
        columns: by name in results, the column.
    """

    columns: dict[str, str]

    def __call__(self, table: ArrowTable) -> ArrowTable:
        """A table as `to_rows` reads it: the columns of results alone, under their names."""
        pa = pyarrow()
        known = {name: column for name, column in self.columns.items() if column in table.column_names}
        chosen = {name: table.column(column) for name, column in known.items()}
        chosen.setdefault("id", pa.array(range(1, table.num_rows + 1)))
        chosen.setdefault("pair", pa.nulls(table.num_rows, pa.string()))
        return pa.table(chosen)


def plain_results(folder: Path) -> tuple[JsonObject, tuple[Record, ...], Naming] | None:
    """Manifest, records and naming of a folder of Parquet files without a manifest; None where there are no such files.

    Raises:
        InputError: a file cannot be read, or does not say what made it; or files are of different runs.
    """
    try:
        paths = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    except OSError:
        # A name that is too long is no folder's.
        paths = []
    if not paths:
        return None
    manifest: JsonObject | None = None
    records = []
    for path in paths:
        rows, about = _described(path)
        if manifest is not None and _run(about) != _run(manifest):
            got = f"{shown(path.name)} and {shown(paths[0].name)}, which differ in model or question"
            raise InputError("folder", "hold results of one run", got, "keep them in folders of their own")
        manifest = manifest or about
        records.append(_record(len(records), rows, path.name, last=path is paths[-1]))
    assert manifest is not None
    question = Question.from_json(manifest["question"])
    columns = {name: name for name in result_schema(question).names}
    columns |= {"id": manifest.get("id_column", "id"), "text": manifest["input"]["column"] or "text"}
    if manifest["input"]["pair_column"]:
        columns["pair"] = manifest["input"]["pair_column"]
    return manifest | {"input": manifest["input"] | {"name": folder.name}}, tuple(records), Naming(columns)


def _described(path: Path) -> tuple[int, JsonObject]:
    """Rows of a file, and what its metadata say of their origin."""
    pa = pyarrow()
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.OSFile(str(path))) as file:
            rows, metadata = file.metadata.num_rows, file.schema_arrow.metadata or {}
        # A frame of pandas keeps it among its own.
        own = json.loads(metadata.get(b"PANDAS_ATTRS", b"{}"))
        about = json.loads(metadata.get(b"jaxflow") or own.get("jaxflow", "{}"))
    except (pa.ArrowException, OSError, ValueError) as error:
        got = f"{shown(str(path))}, which cannot be read: {first_line(error)}"
        raise InputError("folder", "hold Parquet files that can be read", got) from None
    if not isinstance(about, dict) or not {"model", "question", "input"} <= about.keys():
        got = f"{shown(str(path))}, whose metadata do not say what made it"
        raise InputError("folder", "hold results of jaxflow", got, KEPT)
    return rows, about


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
