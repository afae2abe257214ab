"""The folder of a comparison: written file by file, and read; `comparison.prepare` says what it holds."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from jaxflow._checks import InputError, shown
from jaxflow._paths import local_path
from jaxflow.store.arrow import Row, pyarrow
from jaxflow.store.cells import rows_of_table, table_of
from jaxflow.store.parts import DamageError, Parts, first_line
from jaxflow.store.shards import read_description, replaced

# In the first format heads were counted from 0.
FORMAT, FROM_ZERO = 2, 1
SUMMARY = "comparison.json"
SHARD = r"texts-[0-9]{5,}\.parquet"
# Values of a column that are written at once, as rows allow it: Parquet keeps the places of all of them in memory.
GROUP_VALUES = 1 << 25


# What a summary holds, and of which types; and columns that every file of texts has.
KINDS: dict[str, type] = {
    **dict.fromkeys(("texts", "total", "attention"), int),
    **dict.fromkeys(("shards", "layers", "patterns", "confusion"), list),
    **dict.fromkeys(("layer", "head", "words", "arcs", "settings", "models", "input", "versions"), dict),
}
COLUMNS = {"id", "text", "pair", "units", "offsets", "source", "words", "word", "queries", "layers"}
AGAIN = "put it back from a copy, or compare again into another folder"


@dataclass(frozen=True)
class StoredComparison:
    """A folder of a comparison that can be read.

    Attributes:
        folder: where it is.
        summary: comparison.json, see `comparison.prepare`; that of an older format as this one would have it.
        first_head: the number of the first head in heads.parquet.
    """

    folder: Path
    summary: dict[str, Any]
    first_head: int = 1

    def rows(self) -> Iterator[dict[str, Any]]:
        """Texts in order, one at a time: arrays as NumPy arrays, lists of strings as lists.

        Raises:
            InputError: a file was damaged.
        """
        count = 0
        for shard in self.summary["shards"]:
            for row in self._read(shard, COLUMNS):
                yield row
                count += 1
        if count != self.summary.get("texts", count):
            raise _damaged(self.folder, f"it holds {count} texts, and {self.summary['texts']} were compared")

    def attention(self) -> Iterator[dict[str, Any]]:
        """The attention of the first texts, one at a time.

        Raises:
            InputError: the file was damaged.
        """
        if self.summary["attention"]:
            yield from self._read("attention.parquet", {"id", "fused_a", "fused_b"})

    def heads(self) -> Iterator[dict[str, Any]]:
        """The rows of heads.parquet: heads counted from 1, whatever the format of the folder.

        Raises:
            InputError: the file was damaged.
        """
        for row in self._read("heads.parquet", {"head", "match"}):
            match = row["match"]
            row["head"] += 1 - self.first_head
            row["match"] = None if match is None or match < self.first_head else match + 1 - self.first_head
            yield row

    @cached_property
    def _parts(self) -> Parts:
        return Parts({str(self.folder / name): sha256 for name, sha256 in self.summary.get("files", {}).items()})

    def _read(self, name: str, columns: set[str]) -> Iterator[dict[str, Any]]:
        pa, path = pyarrow(), self.folder / name
        try:
            with self._parts.opened(path) as file:
                # Folders of the first edition have no checksums; a file of anything else is told by its columns.
                missing = columns - set(file.schema_arrow.names) if "texts" in self.summary else ()
                if missing:
                    raise DamageError(f"it has no column {min(missing)!r}")
                for group in range(file.num_row_groups):
                    for batch in file.iter_batches(batch_size=32, row_groups=[group]):
                        yield from rows_of_table(pa.Table.from_batches([batch]))
        except (DamageError, pa.ArrowException, OSError, ValueError, TypeError, AttributeError) as error:
            raise _damaged(path, first_line(error)) from None


def open_comparison(folder: str | Path) -> StoredComparison:
    """The comparison that `jaxflow compare` wrote into a folder.

    Its files are held against their checksums when they are read.

    Raises:
        InputError: there is none, it is of a later version of jaxflow, or its summary was damaged.
    """
    path = local_path("folder", folder)
    summary = read_description(path, SUMMARY, "comparison", FORMAT, older=(FROM_ZERO,), has_check=False)
    wrong = [name for name, kind in KINDS.items() if not isinstance(summary.get(name), kind)]
    files, shards = summary.get("files", {}), summary.get("shards")
    if not isinstance(files, dict) or not all(isinstance(each, str) for each in files.values()):
        wrong.append("files")
    # Names of files in this folder, and of none beside it.
    if isinstance(shards, list) and not all(isinstance(name, str) and re.fullmatch(SHARD, name) for name in shards):
        wrong.append("shards")
    if wrong:
        raise _damaged(path / SUMMARY, f"{wrong[0]!r} is missing or not what it should be")
    if summary["format"] != FROM_ZERO:
        return StoredComparison(path, summary)
    matching = [[None if head < 0 else head + 1 for head in row] for row in summary["head"].get("matching", [])]
    head = summary["head"] | ({"matching": matching} if matching else {})
    return StoredComparison(path, summary | {"format": FORMAT, "head": head}, first_head=0)


def _damaged(path: Path, why: str) -> InputError:
    return InputError("folder", "hold a comparison as it was written", f"{shown(str(path))}: {why}", AGAIN)


def write_rows(path: Path, rows: list[Row], written: list[Path]) -> None:
    """Write a table in one step, and note that it was written."""
    import pyarrow.parquet as pq

    table = table_of(rows, {"jaxflow": json.dumps({"comparison": FORMAT})})
    largest = max((cell.size for row in rows for cell in row.values() if isinstance(cell, np.ndarray)), default=1)
    rows_of_group = max(1, GROUP_VALUES // max(1, largest))
    # An open file: Arrow takes some paths for addresses.
    with replaced(path) as temporary, temporary.open("wb") as file:
        pq.write_table(table, file, compression="zstd", row_group_size=rows_of_group)
        file.flush()
    written.append(path)
