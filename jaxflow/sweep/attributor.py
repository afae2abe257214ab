"""`Attributor`: relevance as further columns of whatever batches a data engine has."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Unpack

from jaxflow._checks import InputError, as_flag, not_forked, one_of, shown
from jaxflow._typing import Given
from jaxflow._untyped import ArrowData
from jaxflow.attribution import attribute_shards
from jaxflow.attribution.answers import check_answers
from jaxflow.attribution.defaults import default_question
from jaxflow.attribution.question import Asked, GivenQuestion, Question, as_question
from jaxflow.inputs.rows import check_column, row_of
from jaxflow.inputs.source import IterableSource
from jaxflow.models import Model, as_model, load_model
from jaxflow.models.generation import NEW_TOKENS
from jaxflow.store import arrow
from jaxflow.store.manifest import new_manifest
from jaxflow.sweep.batches import ColumnName, TableLike, columns_of, values_of, with_columns
from jaxflow.sweep.checks import check_question
from jaxflow.sweep.shards import ON_ERROR, Cut, Lengths, encode, settled_lengths


class Attributor:
    """A function of batches: the columns of a batch, and beside them what each of its texts' tokens contributed.

    For engines that bring their own workers, storage and retries: Ray Data's `map_batches(jf.Attributor,
    fn_constructor_kwargs=...)`, `map(attributor, batched=True)` of Hugging Face's `datasets`, Spark's
    `mapInPandas(attributor.each, schema)`, or a plain loop. The settings can be pickled; the model is loaded at the
    first call, once a worker.

    Columns are those of `open_sweep` (`tokens`, `offsets`, `source`, `queries`, `layers`, `prediction`,
    `probabilities`, one for each method, `certified`). Arrow tables have them of the same types in every batch, an
    empty one as well, and the schema's metadata say what made them: `open_sweep` reads Parquet files of such tables.
    The columns of a pandas frame become the same types of Arrow where they hold a value, and its `attrs` say what made
    it, which `to_parquet` keeps. A dict has lists of Python's values, whose types each engine chooses (64-bit numbers,
    mostly), and nothing says what made it. `schema` gives the types and the metadata back: pass it to
    Ray Data's `write_parquet(..., schema=...)`, or cast a table to it.
    """

    def __init__(
        self,
        model: Given[str | Path | Model],
        question: GivenQuestion = None,
        *,
        column: Given[str] = "text",
        pair_column: Given[str | None] = None,
        id_column: Given[str] = "id",
        batch_size: int | None = None,
        max_length: int | None = None,
        truncate: Given[bool] = False,
        on_error: str = "stop",
        **changes: Unpack[Asked],
    ) -> None:
        """Settings.

        Args:
            model: what `load_model` takes, or a function without arguments that makes a model; or a model, which then
                travels to the workers.
            question: what is asked about every text; `Question()` by default.
            column: the column of the texts.
            pair_column: the column of second texts, for models that read two.
            id_column: the column that names a row in errors and in `open_sweep`; it need not be there.
            batch_size: texts in a batch of the device, at most; None for as many as fit.
            max_length: most tokens a text may have; the model's limit where that is less.
            truncate: cut longer texts rather than refuse them.
            on_error: `"stop"` at a row that cannot be used, or `"skip"` it: it is then left out of the batch, and
                `skipped` says why.
            changes: fields of the question by name, such as `methods="rollout"`.

        Raises:
            InputError: the question, the name of a column or `on_error` cannot be used.
        """
        one_of("on_error", on_error, ON_ERROR)
        for name, value in (("column", column), ("pair_column", pair_column), ("id_column", id_column)):
            if not isinstance(value, str) and not (name == "pair_column" and value is None):
                got = f"{shown(value)} of type {type(value).__name__}"
                raise InputError(name, "be the name of a column", got, "write it as text, a number as well: '0'")
        # A mistake shows where the settings are made, not on a worker.
        _ = as_question(question, changes)
        self.model, self.question, self.changes = model, question, changes
        self.column, self.pair_column, self.id_column = column, pair_column, id_column
        self.truncate = as_flag("truncate", truncate)
        self.batch_size, self.max_length, self.on_error = batch_size, max_length, on_error
        self.skipped: list[str] = []
        self._loaded: tuple[Model, Question, Lengths, str] | None = None

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_loaded": None, "skipped": []}

    def __call__(self, batch: TableLike) -> TableLike:
        """The batch with the columns of relevance, as the kind that it came as.

        Args:
            batch: a `pyarrow.Table` or `RecordBatch`, a `pandas.DataFrame`, or a mapping of names to arrays or lists.

        Raises:
            InputError: the model cannot be loaded, the batch lacks the column or has one of relevance's already, or a
                row cannot be used.
        """
        not_forked()
        model, question, lengths, about = self._load()
        # By name as text, which Parquet has, the name as the batch has it.
        columns = columns_of(batch)
        self._check_columns(list(map(str, columns)))
        rows = tuple(self._rows(batch, {str(name): name for name in columns}))
        shard = encode(model, Cut(0, rows, last=True), question, lengths, self.on_error)
        self.skipped += [row.reason for row in shard.skipped]
        options = {"batch_size": self.batch_size, "new_tokens": lengths.get("new_tokens", NEW_TOKENS)}
        with closing(attribute_shards(model, [shard.texts], question, **options)) as attributed:
            # Places in the batch stand for ids, which may be of any type.
            results = list(arrow.rows_of(shard.ids, next(attributed))) if shard.texts else []
        places = [int(place) - 1 for place in shard.ids]
        return with_columns(batch, places, arrow.to_result_table(results, question), about)

    def each(self, batches: Iterable[TableLike]) -> Iterator[TableLike]:
        """The batches with their columns, one after the other, as Spark's `mapInPandas` and `mapInArrow` call it."""
        return map(self, batches)

    def schema(self, of: ArrowData) -> ArrowData:
        """The `pyarrow.Schema` of results, with the metadata that say what made them.

        Args:
            of: the `pyarrow.Schema` of the batches that it is called with.
        """
        return self(of.empty_table()).schema

    def _load(self) -> tuple[Model, Question, Lengths, str]:
        if self._loaded is None:
            model: Any = self.model
            if isinstance(model, str) or hasattr(model, "__fspath__"):
                model = load_model(model)
            elif callable(model) and not isinstance(model, Model):
                model = model()
            model = as_model("model", model)
            question, paired = as_question(self.question, self.changes, default_question(model)), bool(self.pair_column)
            check_answers(question, model, given=paired)
            lengths = settled_lengths(model, question, paired, self.max_length, self.truncate, None)
            check_question(question, model, lengths, paired=paired)
            source = IterableSource((), "the batches", self.column, self.pair_column)
            about = new_manifest(model, source, question, lengths) | {"id_column": self.id_column}
            # Every worker has the same.
            del about["sweep"]
            self._loaded = model, question, lengths, json.dumps(about)
        return self._loaded

    def _check_columns(self, columns: Sequence[str]) -> None:
        check_column("column", self.column, columns, "the batch")
        if self.pair_column is not None:
            check_column("pair_column", self.pair_column, columns, "the batch")
        if self.id_column in columns:
            check_column("id_column", self.id_column, columns, "the batch")
        assert self._loaded is not None
        taken = [name for name in arrow.result_schema(self._loaded[1]).names if name in columns]
        if taken:
            expected = "have no column that is called as one of relevance"
            raise InputError(None, expected, shown(taken[0]), "rename it", place="the batch")

    def _rows(self, batch: TableLike, columns: dict[str, ColumnName]) -> Iterator[Any]:
        ids = values_of(batch, columns[self.id_column]) if self.id_column in columns else None
        texts = values_of(batch, columns[self.column])
        pairs = None if self.pair_column is None else values_of(batch, columns[self.pair_column])
        for number, text in enumerate(texts):
            place = f"row {number + 1} of the batch"
            place = place if ids is None else f"the row of {self.id_column} {shown(ids[number])}"
            record = {self.column: text} | ({} if pairs is None else {self.pair_column: pairs[number]})
            yield row_of(number + 1, place, record, self.column, self.pair_column)
