"""Tables whose cells are plain values, lists of strings, or arrays of any rank; and back."""

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from jaxflow._untyped import ArrowData, ArrowTable
from jaxflow.store.arrow import Row, nested, pyarrow


def table_of(rows: Sequence[Row], metadata: dict[str, str]) -> ArrowTable:
    """A `pyarrow.Table` of rows that have the same columns.

    NumPy arrays become nested lists (of one rank a column), dictionaries maps of strings to numbers, lists lists of
    strings; None stands for a missing value.
    """
    pa = pyarrow()
    return pa.table({name: _column(pa, [row[name] for row in rows]) for name in rows[0]}, metadata=metadata)


def rows_of_table(table: ArrowTable) -> Iterator[Row]:
    """The rows of such a table, one at a time, arrays as NumPy arrays."""
    pa = pyarrow()
    for index in range(table.num_rows):
        yield {name: _cell(pa, table.column(name)[index]) for name in table.column_names}


def _column(pa: ModuleType, cells: list[Any]) -> ArrowData:
    # The first value decides for the column; a column of nothing but None counts as one of strings.
    known = next((cell for cell in cells if cell is not None), None)
    if isinstance(known, np.ndarray):
        return nested(pa, cells)
    if isinstance(known, dict):
        pairs = [None if cell is None else list(cell.items()) for cell in cells]
        return pa.array(pairs, pa.map_(pa.string(), pa.float64()))
    if isinstance(known, list):
        return pa.array(cells, pa.list_(pa.string()))
    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    return pa.array(cells, kinds.get(type(known), pa.string()))


def _cell(pa: ModuleType, scalar: ArrowData) -> Any:
    if pa.types.is_map(scalar.type):
        return dict(scalar.as_py()) if scalar.is_valid else None
    if not _is_list(pa, scalar.type) or pa.types.is_string(scalar.type.value_type):
        return scalar.as_py()
    # Each level of lists is an axis. All lists of a level have one length, as they come from an array.
    values = scalar.values
    shape = [len(values)]
    while _is_list(pa, values.type):
        inner = values.flatten()
        shape.append(len(inner) // len(values) if len(values) else 0)
        values = inner
    return values.to_numpy(zero_copy_only=False).reshape(shape)


def _is_list(pa: ModuleType, kind: ArrowData) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)
