"""Reading of results: `open_sweep`."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, missing_extra, shown
from jaxflow._typing import DataFrame, Given
from jaxflow._untyped import ArrowData, ArrowTable, JsonObject
from jaxflow.attribution import Example
from jaxflow.store import arrow
from jaxflow.store import shards as store
from jaxflow.store.arrow import Row
from jaxflow.store.layout import Layout
from jaxflow.store.parts import DamageError, Parts, read_parts
from jaxflow.store.place import Place
from jaxflow.store.places import place_of
from jaxflow.store.plain import plain_results
from jaxflow.store.record import Record

MADE_AGAIN = "the same run makes it again"


@dataclass(frozen=True)
class Store(Sequence):  # not of `Example`: checks of types at run time would read one, which may be damaged
    """A folder of results: a sequence of examples, each read on demand, and the same as tables.

    Attributes:
        folder: where it is; of results in a store the copy here, which holds what was read.
        manifest: its origin: model, question, versions, input.
        records: of the finished shards, in order.
        layout: which columns of the files are which of results.
        place: where it is; None for the folder on this host.
    """

    folder: Path
    manifest: JsonObject
    records: tuple[Record, ...] = ()
    layout: Layout = field(default_factory=Layout, repr=False)
    place: Place = field(default=None, repr=False, compare=False)  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        if self.place is None:
            object.__setattr__(self, "place", Place(self.folder))

    @cached_property
    def _parts(self) -> Parts:
        return Parts({str(self.folder / record.file): record.sha256 for record in self.records})

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(record.examples for record in self.records))

    def __repr__(self) -> str:
        """Where it is, and how much is there."""
        shards = f"{len(self.records)} shard{'s' * (len(self.records) != 1)}"
        return f"Store({str(self.place)!r}: {len(self)} example{'s' * (len(self) != 1)} in {shards})"

    def __len__(self) -> int:
        return sum(record.examples for record in self.records)

    def __getitem__(self, index: Any) -> Any:
        """The example at a place, as from `attribute`. Reads its row group, and once the whole file to check it."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"there are {len(self)} examples, got index {index}")
        # The place where each shard ends says which one holds the example, and where in it.
        which = bisect_right(self._ends, place)
        return self._example(self._row(which, place - self._ends[which] + self.records[which].examples))

    def __iter__(self) -> Iterator[Example]:
        return map(self._example, self.rows())

    def _example(self, row: arrow.Row) -> Example:
        return arrow.as_example(row, self.manifest.get("encoder_layers", 0))

    @property
    def complete(self) -> bool:
        """Whether all of the input is done: no shard is missing up to the last."""
        return bool(self.records) and self.records[-1].last and self.records[-1].index == len(self.records) - 1

    @property
    def skipped(self) -> list[JsonObject]:
        """Rows of the input left out: `id`, the row or line number, and `reason`."""
        return [row for record in self.records for row in record.skipped]

    @property
    def files(self) -> list[Path]:
        """The Parquet files, in order; those of a store are fetched."""
        return [self._file(record) for record in self.records if record.examples]

    def table(self, columns: Sequence[str] | None = None) -> ArrowTable:
        """All rows as a `pyarrow.Table`, or only some of the columns."""
        pa = arrow.pyarrow()
        tables = list(self.tables(columns))
        # Files of others may differ, as where one has a number and another none.
        differ = any(table.schema != tables[0].schema for table in tables)
        return pa.concat_tables(tables, promote_options="permissive" if differ else "none") if tables else pa.table({})

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[ArrowTable]:
        """The rows as one `pyarrow.Table` a shard, of which one is in memory at a time."""
        chosen = None if columns is None else list(columns)

        def read(record: Record, end: int) -> ArrowTable:
            first = end - record.examples + 1
            return self._read(record, lambda file: self.layout.read(file, record, first, chosen))

        return (read(record, end) for record, end in zip(self.records, self._ends, strict=True) if record.examples)

    def dataset(self) -> ArrowData:
        """The files as a `pyarrow.dataset.Dataset`, for filters and engines that read parts of it.

        A file is compared with its checksum when it is first opened.
        """
        # First, for the error that names the extra; then what cannot be imported without it.
        _ = arrow.pyarrow()
        from jaxflow.store.dataset import dataset_of

        return dataset_of(self.folder, self.files, self._check, self.layout.schema)

    def to_pandas(self, columns: Sequence[str] | None = None) -> DataFrame:
        """All rows as a `pandas.DataFrame`, or only some of the columns; nested lists are nested NumPy arrays.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise missing_extra("pandas", "frames", "a data frame of pandas") from None
        return self.table(columns).to_pandas() if self.files else pd.DataFrame()

    def to_polars(self, columns: Sequence[str] | None = None) -> Any:
        """All rows as a `polars.DataFrame`, or only some of the columns.

        Raises:
            InputError: polars is not installed.
        """
        try:
            import polars as pl  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise missing_extra("polars", "frames", "a data frame of polars") from None
        return pl.from_arrow(self.table(columns))

    def rows(self) -> Iterator[Row]:
        """Rows in order, one at a time; relevance as NumPy arrays (layer, query, token)."""
        for table in self.tables():
            yield from arrow.to_rows(self.layout.as_results(table))

    def _row(self, which: int, place: int) -> Row:
        # Of a shard's thousand rows, only those of one group are decoded.
        record = self.records[which]
        table = self._read(record, lambda file: _row_of(file, place))
        number = self._ends[which] - record.examples + 1 + place
        added = self.layout.added(record, number, 1, table.column_names)
        (row,) = arrow.to_rows(self.layout.as_results(self.layout.with_added(table, added)))
        return row

    def _read(self, record: Record, read: Callable[[ArrowData], ArrowTable]) -> ArrowTable:
        path = self._file(record)
        try:
            with self._parts.opened(path) as file:
                # A whole file may still be another shard's, where nothing is known of its checksum.
                if file.metadata.num_rows != record.examples:
                    raise DamageError(f"it has {file.metadata.num_rows} rows, and its record {record.examples}")
                return read_parts(file, read)
        except DamageError as error:
            with self.place.named():
                raise _damaged(path, error) from None

    def _file(self, record: Record) -> Path:
        return self.place.fetch(self.folder / record.file)

    def _check(self, path: Path) -> None:
        try:
            self._parts.check(path)
        except DamageError as error:
            raise _damaged(path, error) from None


def open_sweep(folder: Given[str | Path | Place]) -> Store:
    """Open a sweep's results, finished or not; or a folder of Parquet files that a data engine wrote of `Attributor`'s.

    A row is an example: `id` (row or line number, from 1; of an image's file its name),
    `text`, `pair`, `tokens`, `offsets` (characters (start, end)
    of each token, (-1, -1) for special ones), `source` (0 for the text's tokens, 1 for the pair's, -1 for special
    ones), `queries`, `layers`, `prediction`, `probabilities`, and under each method's name its relevance as
    nested lists layer, query, token (`raw` and `rollout` in float32, `flow` in float64). With flow, `certified` says
    which values are proven, and `certified_share` is their share; `flow:saturated` says which of a flow method's are
    saturated (folders up to format 4 lack it).

    Of an image, `image` is a JPEG of what the model saw and `grid` the rows and columns of its patches, which are the
    tokens whose source is 0.

    `probabilities` are a dictionary here, and in tables a list of `label` and `probability`.

    Of results in a store (`"s3://bucket/results"`) shards are fetched as they are read, into a folder that goes with
    the store.

    Only the shards' records are read here; examples and tables are read on demand. A shard's file is then compared with
    its checksum once, which reads all of it.

    Raises:
        InputError: there are no results, they are of another version's format, or the manifest or a record is damaged.
    """
    place = place_of("folder", folder)
    with place.named():
        return _opened(place)


def _opened(place: Place) -> Store:
    path = place.folder
    if not store.has_manifest(path):
        # Files of a data engine, which say themselves what they are.
        place.fetch_all()
        plain = plain_results(path)
        if plain is not None:
            manifest, records, layout = plain
            about = manifest["input"] | {"examples": sum(record.examples for record in records)}
            return Store(path, manifest | {"input": about}, records, layout, place)
    manifest = store.read_manifest(path)
    # A damaged record would silently leave out a shard's examples.
    for damage in store.damaged_records(path).values():
        raise InputError("folder", "hold whole records of its shards", damage, MADE_AGAIN)
    records = tuple(store.read_records(path).values())
    about = manifest["input"] | {"examples": sum(record.examples for record in records)}
    return Store(path, manifest | {"input": about}, records, place=place)


def _row_of(file: ArrowData, place: int) -> ArrowTable:
    """A row of an open file, as a table."""
    groups = (file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))
    for group, rows in enumerate(groups):
        if place < rows:
            return file.read_row_group(group).slice(place, 1)
        place -= rows
    raise AssertionError("a place within the file")


def _damaged(path: Path, why: DamageError) -> InputError:
    got = f"{shown(str(path))}, which cannot be read: {why}"
    return InputError("folder", "hold its shards as they were written", got, MADE_AGAIN)
