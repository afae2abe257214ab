"""Attributions as Arrow tables, one row an example, and back as NumPy arrays."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from jaxflow._checks import missing_extra
from jaxflow.attribution import Attribution, Example
from jaxflow.attribution.registry import COLUMNS, PROOF

# Most values of lists whose ends are counted in 32 bits, as Arrow's usual ones are.
MOST_IN_LISTS = 2**31 - 1

Row = dict[str, Any]


def pyarrow() -> Any:
    """The package, or the error that says how to get it."""
    try:
        import pyarrow as pa
    except ImportError:
        raise missing_extra("pyarrow", "text", "keeping results as Parquet") from None
    return pa


def relevance_columns(columns: Iterable[str]) -> list[str]:
    """Of the columns of results those that hold a method's relevance, under its name."""
    return [name for name in columns if name not in (*COLUMNS, *PROOF)]


def rows_of(ids: Sequence[int], attribution: Attribution) -> Iterator[Row]:
    """One row an example: plain values, and NumPy arrays where a cell has axes."""
    for number, example in zip(ids, attribution, strict=True):
        row: Row = {
            "id": number,
            "text": example.text,
            "pair": example.pair,
            "tokens": list(example.tokens),
            "offsets": np.asarray(example.offsets, np.int32).reshape(-1, 2),
            "source": np.asarray(example.source, np.int32),
            "queries": np.asarray(example.queries, np.int32),
            "layers": np.asarray(example.layers, np.int32),
            "prediction": example.prediction,
            "probabilities": dict(example.scores) if example.scores else None,
        }
        for method, values in example.relevance.items():
            row[method] = values
        if example.certified is not None:
            row["certified"] = np.asarray(example.certified, np.bool_)
            row["certified_share"] = float(np.mean(row["certified"]))
        yield row


def to_table(rows: Sequence[Row], metadata: dict[str, str], *, maps: bool = False) -> Any:
    """A `pyarrow.Table` of the rows.

    Args:
        rows: from `rows_of`.
        metadata: of the table.
        maps: probabilities as a map, as the first edition has it, rather than as a list of label and probability.
    """
    pa = pyarrow()
    columns = {name: _column(pa, name, [row[name] for row in rows], maps=maps) for name in rows[0]}
    return pa.table(columns, metadata=metadata)


def to_rows(table: Any) -> Iterator[Row]:
    """The rows of a table as `to_table` makes it, one at a time."""
    for index in range(table.num_rows):
        row: Row = {name: _cell(name, table.column(name)[index]) for name in table.column_names}
        shape = (len(row["layers"]), len(row["queries"]), len(row["tokens"]))
        for name in _nested_columns(row):
            row[name] = row[name].reshape(shape)
        yield row


def as_example(row: Row) -> Example:
    """A row as `attribute` gives an example; by which stage flows were settled is not kept a row."""
    return Example(
        text=row["text"],
        pair=row["pair"],
        tokens=tuple(row["tokens"]),
        offsets=tuple((int(start), int(end)) for start, end in row["offsets"]),
        source=tuple(map(int, row["source"])),
        queries=row["queries"],
        layers=tuple(map(int, row["layers"])),
        relevance={method: row[method] for method in relevance_columns(row)},
        certified=row.get("certified"),
        prediction=row["prediction"],
        scores=row["probabilities"] or {},
    )


def _nested_columns(columns: Iterable[str]) -> list[str]:
    """Of the columns those whose cells are arrays `layer query token`."""
    return [*relevance_columns(columns), *(name for name in columns if name == "certified")]


def _column(pa: Any, name: str, cells: list[Any], *, maps: bool) -> Any:
    if isinstance(cells[0], np.ndarray):
        return nested(pa, cells)
    if name == "probabilities":
        return _probabilities(pa, cells, maps=maps)
    kinds = {"id": pa.int64(), "tokens": pa.list_(pa.string()), "certified_share": pa.float64()}
    return pa.array(cells, kinds.get(name, pa.string()))


def _probabilities(pa: Any, cells: list[dict[str, float] | None], *, maps: bool) -> Any:
    """Probabilities of labels; not as a map unless it must be, for Hugging Face's `datasets` reads none."""
    pairs = [None if cell is None else list(cell.items()) for cell in cells]
    if maps:
        return pa.array(pairs, pa.map_(pa.string(), pa.float64()))
    kind = pa.struct([("label", pa.string()), ("probability", pa.float64())])
    lists = [pair and [{"label": label, "probability": value} for label, value in pair] for pair in pairs]
    return pa.array(lists, pa.list_(kind))


def nested(pa: Any, arrays: list[np.ndarray]) -> Any:
    """Arrays of one rank and any shape as nested lists, without making a Python object a number."""
    column = pa.array(np.concatenate([array.ravel() for array in arrays]))
    for axis in reversed(range(arrays[0].ndim)):
        lengths = np.concatenate([np.full(int(np.prod(a.shape[:axis])), a.shape[axis], np.int64) for a in arrays])
        ends = np.concatenate([[0], np.cumsum(lengths)])
        lists, kind = (pa.ListArray, np.int32) if ends[-1] <= MOST_IN_LISTS else (pa.LargeListArray, np.int64)
        column = lists.from_arrays(pa.array(ends.astype(kind)), column)
    return column


def _cell(name: str, scalar: Any) -> Any:
    if name == "probabilities":
        pairs = scalar.as_py()
        return (
            None if pairs is None else dict(tuple(pair.values()) if isinstance(pair, dict) else pair for pair in pairs)
        )
    if _nested_columns((name,)):
        return scalar.values.flatten().flatten().to_numpy(zero_copy_only=False)
    if name == "offsets":
        return scalar.values.flatten().to_numpy().reshape(-1, 2)
    if name in ("source", "queries", "layers"):
        return scalar.values.to_numpy()
    return scalar.as_py()
