"""The folder of a comparison: written file by file, and read; `comparison.prepare` says what it holds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxflow._checks import InputError
from jaxflow.sweep.arrow import Row, pyarrow
from jaxflow.sweep.cells import rows_of_table, table_of
from jaxflow.sweep.store import read_description, replaced

FORMAT = 1
SUMMARY = "comparison.json"
# Values of a column that are written at once, as rows allow it: Parquet keeps the places of all of them in memory.
GROUP_VALUES = 1 << 25


@dataclass(frozen=True)
class StoredComparison:
    """A folder of a comparison that can be read.

    Attributes:
        folder: where it is.
        summary: comparison.json, see `comparison.prepare`.
    """

    folder: Path
    summary: dict[str, Any]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Texts in order, one at a time: arrays as NumPy arrays, lists of strings as lists."""
        for shard in self.summary["shards"]:
            yield from _read(self.folder / shard)

    def attention(self) -> Iterator[dict[str, Any]]:
        """The attention of the first texts, one at a time."""
        if self.summary["attention"]:
            yield from _read(self.folder / "attention.parquet")


def open_comparison(folder: str | Path) -> StoredComparison:
    """The comparison that `jaxflow compare` wrote into a folder.

    Raises:
        InputError: there is none, or it is of a later version of jaxflow.
    """
    path = Path(folder)
    summary = read_description(path, SUMMARY, "comparison", FORMAT)
    return StoredComparison(path, summary)


def write_rows(path: Path, rows: list[Row], written: list[Path]) -> None:
    """Write a table in one step, and note that it was written."""
    import pyarrow.parquet as pq

    table = table_of(rows, {"jaxflow": json.dumps({"comparison": FORMAT})})
    largest = max((cell.size for row in rows for cell in row.values() if isinstance(cell, np.ndarray)), default=1)
    with replaced(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=max(1, GROUP_VALUES // max(1, largest)))
    written.append(path)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    pa = pyarrow()
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(batch_size=32, row_groups=[group]):
                    yield from rows_of_table(pa.Table.from_batches([batch]))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {str(error).splitlines()[0]}") from None
