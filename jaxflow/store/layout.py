"""Which columns of a folder's files are which of results."""

from collections.abc import Sequence

from jaxflow._checks import InputError, shown
from jaxflow._untyped import ArrowData, ArrowTable
from jaxflow.store.arrow import pyarrow
from jaxflow.store.record import Record


class Layout:
    """The columns of a sweep's files, which are those of results.

    Attributes:
        schema: of all files together; None where each has that of the others.
    """

    schema: ArrowData = None

    def stored(self, name: str, there: Sequence[str]) -> str:
        """The column of a file, which has those of `there`, that is asked for by a name."""
        return name

    def added(self, record: Record, first: int, rows: int, there: Sequence[str]) -> dict[str, ArrowData]:
        """Columns of a file's rows that are not in it; `first` is the number of its first row."""
        return {}

    def as_results(self, table: ArrowTable) -> ArrowTable:
        """A table as `to_rows` reads it."""
        return table

    def read(self, file: ArrowData, record: Record, first: int, chosen: Sequence[str] | None) -> ArrowTable:
        """All columns of an open file, or some of them, under the names that were asked for.

        Raises:
            InputError: there is no such column.
        """
        there = file.schema_arrow.names
        added = self.added(record, first, file.metadata.num_rows, there)
        if chosen is None:
            return self.with_added(file.read(), added)
        stored = {name: self.stored(name, [*there, *added]) for name in chosen}
        # Of a name that it doesn't know, pyarrow says nothing and gives no column.
        for name, column in stored.items():
            if column not in there and column not in added:
                listed = ", ".join(map(repr, dict.fromkeys([*there, *added])))
                raise InputError("columns", "name columns of the results", shown(name), f"there are: {listed}")
        table = self.with_added(file.read([column for column in stored.values() if column in there]), added)
        if all(name == column for name, column in stored.items()) and not added:
            return table
        return pyarrow().table({name: table.column(column) for name, column in stored.items()})

    def with_added(self, table: ArrowTable, added: dict[str, ArrowData]) -> ArrowTable:
        """A table and further columns of its rows."""
        for name, column in added.items():
            table = table.append_column(name, column)
        return table
