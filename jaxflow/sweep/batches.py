"""Batches of data engines: their columns as values of Python, and the same batches with further columns."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from jaxflow._checks import InputError, shown
from jaxflow._untyped import ArrowTable
from jaxflow.inputs.rows import plain_values
from jaxflow.store import arrow

# What engines hand to a function, for errors.
EXPECTED_BATCH = "be a pyarrow Table or RecordBatch, a pandas DataFrame, or a dict of columns"

# A table or record batch of Arrow, a data frame of pandas, or columns by name; it is given back as it came.
TableLike: TypeAlias = Any
# A name of a column as the batch has it: pandas and dicts know numbers and tuples as well.
ColumnName: TypeAlias = Any


def columns_of(batch: TableLike) -> list[ColumnName]:
    """Names of the columns of a batch.

    Raises:
        InputError: it is no batch, or a dict whose columns are no lists or of different lengths.
    """
    if _is_arrow(batch):
        return list(batch.schema.names)
    if isinstance(batch, Mapping):
        _check_lengths(batch)
        return list(batch)
    if type(batch).__module__.partition(".")[0] == "pandas" and hasattr(batch, "columns"):
        return list(batch.columns)
    raise InputError("batch", EXPECTED_BATCH, type(batch).__name__)


def values_of(batch: TableLike, column: ColumnName) -> list[Any]:
    """A column of a batch as values of Python, None where they are missing."""
    values = batch[column]
    if hasattr(values, "to_pylist"):
        return plain_values(values)
    # Strings and numbers of arrays as those of Python.
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    return [None if _is_missing(value) else value for value in listed]


def with_columns(batch: TableLike, places: Sequence[int], table: ArrowTable, about: str) -> TableLike:
    """The rows of a batch at some places, with the columns of a table beside them, as the kind that the batch is.

    Args:
        batch: an Arrow table or record batch, a pandas frame or a dict.
        places: of the rows that are kept, from 0.
        table: the further columns of these rows.
        about: what made them, for the metadata of a table and the `attrs` of a frame.
    """
    if isinstance(batch, Mapping):
        chosen = {name: _chosen(values, places) for name, values in batch.items()}
        return chosen | {name: table.column(name).to_pylist() for name in table.column_names}
    if not _is_arrow(batch):
        chosen = batch.iloc[list(places)]
        frame = _framed(table)
        chosen = chosen.assign(**{name: frame[name].set_axis(chosen.index) for name in frame.columns})
        # What pandas writes into the metadata of Parquet.
        chosen.attrs = {**chosen.attrs, "jaxflow": about}
        return chosen
    pa = arrow.pyarrow()
    is_table = isinstance(batch, pa.Table)
    whole = batch if is_table else pa.Table.from_batches([batch])
    if len(places) < whole.num_rows:
        whole = whole.take(pa.array(places, pa.int64()))
    for field in table.schema:
        whole = whole.append_column(field, table.column(field.name))
    whole = whole.replace_schema_metadata({**(whole.schema.metadata or {}), "jaxflow": about})
    if is_table:
        return whole
    arrays = [column.combine_chunks() for column in whole.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=whole.schema)


def _check_lengths(batch: Mapping[ColumnName, Any]) -> None:
    lengths: dict[int, ColumnName] = {}
    for name, values in batch.items():
        try:
            if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__getitem__"):
                raise TypeError
            # An array without axes has no length either.
            _ = lengths.setdefault(len(values), name)
        except TypeError:
            got = f"{shown(values)} of type {type(values).__name__} as column {shown(name)}"
            raise InputError("batch", "hold columns that are lists or arrays", got, "put it in a list") from None
        if len(lengths) > 1:
            got = " and ".join(f"{length} in column {shown(one)}" for length, one in lengths.items())
            expected, way_out = "hold as many values in one column as in another", "give each row a value, or None"
            raise InputError("batch", expected, got, way_out)


def _is_missing(value: Any) -> bool:
    """Whether a value stands for none: NaN, or NA of pandas, which is not imported for it."""
    return (isinstance(value, float | np.floating) and bool(np.isnan(value))) or type(value).__name__ == "NAType"


def _chosen(values: Any, places: Sequence[int]) -> Any:
    """Values of a dict's column at some places: as the kind that they came as, or else a list."""
    if isinstance(values, np.ndarray):
        return values[np.asarray(places, np.int64)]
    if hasattr(values, "iloc"):
        return values.iloc[list(places)]
    return [values[place] for place in places] if not hasattr(values, "to_pylist") else values.take(list(places))


def _framed(table: ArrowTable) -> Any:
    """A table as a frame of pandas whose columns get the table's types wherever Arrow is made of them.

    Nested lists are lists, of which Ray makes lists too; arrays in arrays it pickles. Numbers are those of NumPy, of
    their own size. The dtypes of pandas that are named after Arrow's would keep the types of empty columns as well, but
    pandas cannot read its own Parquet files of nested ones.
    """
    frame = table.to_pandas()
    for name in frame.columns:
        kind = table.schema.field(name).type
        if arrow.pyarrow().types.is_list(kind):
            # Cell by cell: of lists of one length pandas would make columns.
            cells = np.empty(len(frame), object)
            for place, cell in enumerate(frame[name]):
                cells[place] = cell if cell is None else list(map(_listed, cell))
            frame[name] = cells
    # With missing values, and of the same type without any.
    return frame.astype({"first_target": "Int32"})


def _listed(cell: Any) -> Any:
    """A cell's nested arrays as lists, down to arrays of numbers."""
    return list(map(_listed, cell)) if isinstance(cell, np.ndarray) and cell.dtype == object else cell


def _is_arrow(batch: TableLike) -> bool:
    pa = arrow.pyarrow()
    return isinstance(batch, pa.Table | pa.RecordBatch)
