"""Attributions as Arrow tables, one row an example, and back as NumPy arrays."""

from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from jaxflow._checks import missing_extra
from jaxflow._untyped import ArrowData, ArrowTable, JsonObject
from jaxflow._without import hidden
from jaxflow.attribution import Attribution, Example, Question
from jaxflow.attribution.flow_methods import JointFlow
from jaxflow.attribution.methods import Flow, storage_of
from jaxflow.attribution.registry import COLUMNS, PROOF, SATURATED
from jaxflow.inputs.images import Picture

# Most values in lists whose ends are 32-bit numbers, as in Arrow's usual lists.
MOST_IN_LISTS = 2**31 - 1

Row = JsonObject


def pyarrow() -> ModuleType:
    """The package, or the error that says how to get it."""
    try:
        import pyarrow as pa
    except ImportError:
        raise missing_extra("pyarrow", "text", "keeping results as Parquet") from None
    with hidden("pandas"):
        # Arrow looks for pandas once, when it makes its first array.
        _ = pa.array(())
    return pa


def relevance_columns(columns: Iterable[str]) -> list[str]:
    """The columns of results that hold a method's relevance, each under the method's name."""
    return [name for name in columns if name not in (*COLUMNS, *PROOF) and not name.endswith(SATURATED)]


def without_saturation(row: Row) -> Row:
    """A row as it was before results said where flows are saturated."""
    return {name: value for name, value in row.items() if not name.endswith(SATURATED)}


def rows_of(ids: Sequence[int | str], attribution: Attribution) -> Iterator[Row]:
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
            # Positions of the answer's tokens, in results of answers alone.
            **({} if example.answer is None else {"answer": np.asarray(example.answer, np.int32)}),
            "prediction": example.prediction,
            "probabilities": dict(example.scores) if example.scores else None,
        }
        if example.first_target is not None:
            row["first_target"] = example.first_target
        if example.picture is not None:
            row |= {"image": example.picture.data, "grid": np.asarray(example.picture.grid, np.int32)}
        # Relevance `layer query token`, and for flows which of these values are saturated, and which proven.
        row |= example.relevance
        row |= {f"{name}{SATURATED}": values for name, values in example.saturation.items()}
        if example.certified is not None:
            row["certified"] = np.asarray(example.certified, np.bool_)
            row["certified_share"] = float(np.mean(row["certified"]))
        yield row


def to_table(rows: Sequence[Row], metadata: dict[str, str], *, maps: bool = False) -> ArrowTable:
    """A `pyarrow.Table` of the rows.

    Args:
        rows: from `rows_of`.
        metadata: of the table.
        maps: probabilities as a map, as the first edition has it, rather than as a list of label and probability.
    """
    pa = pyarrow()
    columns = {name: _column(pa, name, [row[name] for row in rows], maps=maps) for name in rows[0]}
    return pa.table(columns, metadata=metadata)


def result_schema(question: Question) -> ArrowData:
    """The `pyarrow.Schema` of the columns that results add to a text and its pair, whatever the model and the texts."""
    pa = pyarrow()

    def nest(kind: ArrowData, depth: int) -> ArrowData:
        return kind if depth == 0 else pa.list_(nest(kind, depth - 1))

    fields = {
        "tokens": nest(pa.string(), 1),
        "offsets": nest(pa.int32(), 2),
        "source": nest(pa.int32(), 1),
        "queries": nest(pa.int32(), 1),
        "layers": nest(pa.int32(), 1),
        "prediction": pa.string(),
        "probabilities": nest(pa.struct([("label", pa.string()), ("probability", pa.float64())]), 1),
        # Of encoder-decoders and of answers alone; null elsewhere.
        "first_target": pa.int32(),
        "answer": nest(pa.int32(), 1),
    }
    methods = question.method_values
    fields |= {method.name: nest(getattr(pa, storage_of(method))(), 3) for method in methods}
    flows = [method.name for method in methods if isinstance(method, Flow)]
    fields |= {f"{name}{SATURATED}": nest(pa.bool_(), 3) for name in flows}
    if any(isinstance(method, Flow | JointFlow) for method in methods):
        fields |= {"certified": nest(pa.bool_(), 3), "certified_share": pa.float64()}
    return pa.schema(list(fields.items()))


def to_result_table(rows: Sequence[Row], question: Question) -> ArrowTable:
    """A `pyarrow.Table` of what rows of `rows_of` add to a text and its pair; there may be none."""
    pa, schema = pyarrow(), result_schema(question)
    if not rows:
        return schema.empty_table()
    table = to_table(rows, {})
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def write_table(table: ArrowTable, file: ArrowData, row_group: int, *, page_checksum: bool = False) -> None:
    """Write a table to an open file as Parquet.

    A number's last digits are noise to a compressor, its sign and size are not: so the first bytes of all numbers of a
    page are written side by side, then the second ones, and so on. Relevance of all positions of MiniLM takes .60 of
    the place that it takes in a dictionary, and a third of the time to write. Nothing is rounded.
    """
    import pyarrow.parquet as pq

    split: list[str] = []
    others: list[str] = []
    for field in table.schema:
        for name, kind in _leaves(field.name, field.type):
            (split if kind in ("float", "double") else others).append(name)
    # The stubs know no list of columns.
    dictionary: Any = others
    pq.write_table(
        table,
        file,
        compression="zstd",
        row_group_size=row_group,
        use_dictionary=dictionary,
        column_encoding=dict.fromkeys(split, "BYTE_STREAM_SPLIT"),
        write_page_checksum=page_checksum,
    )


def _leaves(path: str, kind: ArrowData) -> Iterator[tuple[str, str]]:
    """The columns that Parquet makes of a field, by their paths, each with the name of its type."""
    types = pyarrow().types
    if types.is_list(kind) or types.is_large_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif types.is_map(kind):
        yield from _leaves(f"{path}.key_value.key", kind.key_type)
        yield from _leaves(f"{path}.key_value.value", kind.item_type)
    elif types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path, str(kind)


def to_rows(table: ArrowTable) -> Iterator[Row]:
    """The rows of a table as `to_table` makes it, one at a time."""
    for index in range(table.num_rows):
        row: Row = {name: _cell(name, table.column(name)[index]) for name in table.column_names}
        # Nested lists come back flat: other columns know the shape, so it need not be read from the lists.
        shape = (len(row["layers"]), len(row["queries"]), len(row["tokens"]))
        for name in _nested_columns(row):
            row[name] = row[name].reshape(shape)
        yield row


def as_example(row: Row, encoder_layers: int = 0) -> Example:
    """A row as `attribute` gives an example; rows do not keep which stage settled a flow.

    `encoder_layers` is told by the manifest, once for all rows.
    """
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
        saturation=saturation_of(row),
        prediction=row["prediction"],
        scores=row["probabilities"] or {},
        answer=row.get("answer"),
        first_target=row.get("first_target"),
        picture=picture_of_row(row),
        encoder_layers=encoder_layers,
    )


def picture_of_row(row: Row) -> Picture | None:
    """The picture of an image's row; None for a text's."""
    return Picture(row["image"], (int(row["grid"][0]), int(row["grid"][1]))) if "image" in row else None


def saturation_of(row: Row) -> dict[str, np.ndarray]:
    """By flow method, where a row's values are saturated; empty in folders that do not say."""
    return {name.removesuffix(SATURATED): row[name] for name in row if name.endswith(SATURATED)}


def _nested_columns(columns: Iterable[str]) -> list[str]:
    """The columns whose cells are arrays `layer query token`."""
    proofs = (name for name in columns if name == "certified" or name.endswith(SATURATED))
    return [*relevance_columns(columns), *proofs]


def _column(pa: ModuleType, name: str, cells: list[Any], *, maps: bool) -> ArrowData:
    if isinstance(cells[0], np.ndarray):
        return nested(pa, cells)
    if name == "probabilities":
        return _probabilities(pa, cells, maps=maps)
    # Types by name: a shard whose cells are all None must have the columns of the others.
    if name == "id" and any(isinstance(cell, str) for cell in cells):
        # Of files the names; images beside them that are no files have numbers.
        return pa.array(list(map(str, cells)))
    kinds = {
        "id": pa.int64(),
        "image": pa.binary(),
        "first_target": pa.int32(),
        "tokens": pa.list_(pa.string()),
        "certified_share": pa.float64(),
    }
    return pa.array(cells, kinds.get(name, pa.string()))


def _probabilities(pa: ModuleType, cells: list[dict[str, float] | None], *, maps: bool) -> ArrowData:
    """Probabilities of labels; as a map only in folders of the first edition, since `datasets` reads no maps."""
    pairs = [None if cell is None else list(cell.items()) for cell in cells]
    if maps:
        return pa.array(pairs, pa.map_(pa.string(), pa.float64()))
    kind = pa.struct([("label", pa.string()), ("probability", pa.float64())])
    lists = [pair and [{"label": label, "probability": value} for label, value in pair] for pair in pairs]
    return pa.array(lists, pa.list_(kind))


def nested(pa: ModuleType, arrays: list[np.ndarray]) -> ArrowData:
    """Arrays of one rank and any shape as nested lists, without a Python object for each number."""
    # From the innermost axis outward: a list is a run of the column below, so its ends alone are stored.
    column = pa.array(np.concatenate([array.ravel() for array in arrays]))
    for axis in reversed(range(arrays[0].ndim)):
        # Each array has one list for each index of the axes before this one.
        lengths = np.concatenate([np.full(int(np.prod(a.shape[:axis])), a.shape[axis], np.int64) for a in arrays])
        ends = np.concatenate([[0], np.cumsum(lengths)])
        lists, kind = (pa.ListArray, np.int32) if ends[-1] <= MOST_IN_LISTS else (pa.LargeListArray, np.int64)
        column = lists.from_arrays(pa.array(ends.astype(kind)), column)
    return column


def _cell(name: str, scalar: ArrowData) -> Any:
    if name == "probabilities":
        # A list of structs, or in folders of the first edition a map, which Arrow gives as a list of tuples.
        pairs = scalar.as_py()
        if pairs is None:
            return None
        return dict(tuple(pair.values()) if isinstance(pair, dict) else pair for pair in pairs)
    if _nested_columns((name,)):
        # Two levels of lists off; the values below are one array, which is not copied where Arrow can lend it.
        return scalar.values.flatten().flatten().to_numpy(zero_copy_only=False)
    if name == "offsets":
        return scalar.values.flatten().to_numpy().reshape(-1, 2)
    if name in ("source", "queries", "layers", "answer", "grid"):
        # Only those of some models may be missing.
        return scalar.values.to_numpy() if scalar.is_valid else None
    return scalar.as_py()
