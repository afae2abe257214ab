"""Two models over a file of texts: compared text by text, and kept in a folder (`comparison_folder` has its layout)."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias

import jax
import numpy as np

from jaxflow._checks import InputError, as_flag, not_forked, shown
from jaxflow._typing import Given
from jaxflow._untyped import JsonObject
from jaxflow._versions import result_versions
from jaxflow.attribution.question import Question
from jaxflow.compare.one_text import Similarity
from jaxflow.compare.plan import CompareOptions, Plan, TextPair, make_plan, read_together, settled_units, text_pair
from jaxflow.compare.result import ChangeSummary, ComparedText
from jaxflow.compare.run import compare_stream
from jaxflow.compare.totals import Totals
from jaxflow.compare.units import same_tokens
from jaxflow.inputs.rows import Text
from jaxflow.inputs.source import Source
from jaxflow.models import Encoding, Model
from jaxflow.models.images import images_of
from jaxflow.statistics.blocks import Blocks
from jaxflow.store import arrow
from jaxflow.store.record import checked
from jaxflow.store.shards import ABOUT, checksum, replaced
from jaxflow.sweep.checks import check_folder, check_images, not_writable
from jaxflow.sweep.comparison_folder import ATTENTION, FORMAT, HEADS, SUMMARY, WORDS, write_rows
from jaxflow.sweep.comparison_rows import (
    SIDE_COLUMNS,
    attention_row,
    head_rows,
    summary_json,
    text_row,
    word_rows,
)
from jaxflow.sweep.shards import Lengths

# Texts of a shard, and those that are tokenised at once.
SHARD = 256
# Texts whose tokens are kept from when they are checked to when they are compared; images are larger.
KEPT, KEPT_IMAGES = 4096, 64


# A text, and its tokens in both models.
TokenisedText: TypeAlias = tuple[Text, tuple[Encoding, Encoding]]


@dataclass(frozen=True)
class Prepared:
    """A comparison that was checked and can run. Make it by `prepare`.

    Attributes:
        plan: what is compared.
        source: the texts.
        folder: where results go.
        lengths: how long texts may be.
        units: `"tokens"` or `"words"`.
        texts: how many there are.
        tokenised: the first of them with their tokens in both models, so that these are not made twice.
    """

    plan: Plan
    source: Source
    folder: Path
    lengths: Lengths
    units: str
    texts: int
    tokenised: tuple[TokenisedText, ...]

    def run(self, progress: Callable[[int], None] = lambda _: None) -> ChangeSummary:
        """Compare, write, and say what changed.

        When it is interrupted between batches, the texts of the shards that are finished are summed up and kept
        (`ChangeSummary.texts` says how many). What is stopped before the first shard, or in any other way, leaves no
        files behind.

        Raises:
            KeyboardInterrupt: it was interrupted before the first shard, or while it wrote.
            InputError: the folder cannot be written.
        """
        _ = arrow.pyarrow()
        # What was there before is left there, the empty folder too.
        made = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise not_writable(self.folder, str(error.strerror)) from None
        work = _Run(self)
        try:
            return work(progress)
        except BaseException:
            # Half a comparison cannot be gone on with.
            for path in work.written:
                path.unlink(missing_ok=True)
            with suppress(OSError):
                (self.folder / ABOUT).rmdir()
            if made and not any(self.folder.iterdir()):
                self.folder.rmdir()
            raise


class _Run:
    """One run of a comparison, while it lasts."""

    def __init__(self, prepared: Prepared):
        self.prepared = prepared
        self.totals = Totals(prepared.plan)
        self.written: list[Path] = []
        self.shards: list[str] = []
        self.attention: list[arrow.Row] = []
        # Row or line numbers of the texts that are on their way.
        self.ids: deque[int | str] = deque()
        self.number = 0
        # For each model the mean over texts of what each head matters to the predicted class.
        self.importance = (Blocks(2), Blocks(2))

    def __call__(self, progress: Callable[[int], None]) -> ChangeSummary:
        stream = compare_stream(self.prepared.plan, self._read(), progress, importance_texts=SHARD)
        with closing(stream) as compared:
            # A shard is written as soon as its texts are compared: memory holds one.
            while chosen := _next(compared, self.shards):
                name = f"texts-{len(self.shards):05d}.parquet"
                rows = [self._row(*each) for each in chosen]
                self.shards.append(name)
                self._write(name, rows)
        summary = self.totals.summary()
        if self.attention:
            self._write(ATTENTION, self.attention)
        self._write(HEADS, list(head_rows(summary)))
        self._write(WORDS, list(word_rows(summary)))
        self._describe(summary)
        return summary

    def _read(self) -> Iterator[TextPair]:
        """The texts, those first that are tokenised already."""
        prepared = self.prepared
        rest = _tokenised(prepared.plan, prepared.source, prepared.lengths, start=len(prepared.tokenised))
        for row, encodings in chain(prepared.tokenised, rest):
            # Texts come out in the order they go in.
            self.ids.append(row.id)
            yield text_pair(prepared.plan, prepared.units, row.place, row.text, row.pair, encodings)

    def _row(self, text: ComparedText, similarity: Similarity) -> arrow.Row:
        """A text as a row, once it is summed up."""
        self.totals.add(text, similarity.products, similarity.cka)
        # Sizes, not signs: a head may matter either way.
        for mean, gates in zip(self.importance, similarity.gates, strict=True):
            if gates is not None:
                mean.add(np.abs(gates))
        row: arrow.Row = {"id": self.ids.popleft()}
        if self.prepared.plan.keeps_heads(self.number):
            self.attention.append(row | attention_row(text))
        self.number += 1
        return row | text_row(text)

    def _write(self, name: str, rows: list[arrow.Row]) -> None:
        write_rows(self.prepared.folder / name, rows, self.written)

    def _describe(self, summary: ChangeSummary) -> None:
        """Write the summary, last of all: a folder with one is whole."""
        prepared = self.prepared
        importance = zip("ab", self.importance, strict=True)
        about = {
            "format": FORMAT,
            "total": prepared.texts,
            "shards": self.shards,
            "attention": len(self.attention),
            "importance": {letter: mean.mean.tolist() if len(mean) else None for letter, mean in importance},
            "files": {path.relative_to(prepared.folder).as_posix(): checksum(path) for path in self.written},
        }
        fields = summary_json(summary)
        fields["settings"] |= {"units": prepared.units}
        fields = checked(fields | about | _about(prepared))
        # Files have their checksums in it, and it has its own.
        with replaced(prepared.folder / SUMMARY) as temporary:
            text = json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False)
            _ = temporary.write_text(text + "\n", "utf-8")


def prepare(
    model_a: Model,
    model_b: Model,
    source: Source,
    folder: Path,
    question: Question,
    options: CompareOptions | None = None,
    *,
    max_length: int | None = None,
    truncate: Given[bool] = False,
) -> Prepared:
    """Check the folder, the models and every text; writes nothing. `Prepared.run` then writes the folder.

    Args:
        model_a: the first model.
        model_b: the second.
        source: the texts.
        folder: where results will go; new, or empty.
        question: the question to every text.
        options: how the models are compared; None for `CompareOptions()`.
        max_length: most tokens of a text; None is what the models take.
        truncate: cut longer texts rather than refuse them.

    Raises:
        InputError: the models, the question, the folder or a text cannot be used; its line or row is named.
    """
    not_forked()
    truncate = as_flag("truncate", truncate)
    _ = arrow.pyarrow()
    check_folder(folder, None)
    plan = make_plan(model_a, model_b, question, options)
    check_images(plan.encoders[0], source)
    for method in plan.methods:
        if method.name in SIDE_COLUMNS:
            expected = "have a `name` that is no other column of a comparison"
            raise InputError("methods", expected, shown(method.name), "rename it")
    lengths = Lengths(max_length=max_length, truncate=truncate)
    units, texts, tokenised = _looked_through(plan, source, lengths)
    return Prepared(plan, source, folder, lengths, units, texts, tokenised)


def _looked_through(plan: Plan, source: Source, lengths: Lengths) -> tuple[str, int, tuple[TokenisedText, ...]]:
    """The units, the number of texts, and the first of them tokenised; every text is checked before any is compared.

    Raises:
        InputError: a text cannot be used, or there is none.
    """
    # Units are settled by all texts: words as soon as one is cut differently. Each text is checked for what it would be
    # compared by; whether "too few words" counts is known at the end.
    alike: list[bool] = []
    # The first text that has too few words for the positions to explain, though tokens enough.
    too_short: InputError | None = None
    queries = plan.question.queries
    asks_further = isinstance(queries, tuple) and max(queries) > 0
    kept: list[TokenisedText] = []
    most = KEPT if images_of(plan.encoders[0]) is None else KEPT_IMAGES
    for row, encodings in _tokenised(plan, source, lengths):
        # Small inputs are tokenised once; of large ones the rest is tokenised again.
        kept.extend([(row, encodings)] if len(kept) < most else [])
        alike.append(same_tokens(*encodings))
        units = "tokens" if alike[-1] and plan.settings.units != "words" else "words"
        _ = text_pair(plan, units, row.place, row.text, row.pair, encodings)
        if units == "tokens" and asks_further and too_short is None:
            try:
                _ = text_pair(plan, "words", row.place, row.text, row.pair, encodings)
            except InputError as error:
                too_short = error
    if not alike:
        raise InputError(None, "hold a text", "none", place=source.name)
    units = settled_units(plan.settings.units, alike)
    if units == "words" and too_short is not None:
        raise too_short
    return units, len(alike), tuple(kept)


def _next(
    compared: Iterator[tuple[ComparedText, Similarity]], shards: Sequence[str]
) -> list[tuple[ComparedText, Similarity]]:
    """The texts of the next shard; none where an interruption ends a comparison of which there is a shard already."""
    try:
        return list(islice(compared, SHARD))
    except KeyboardInterrupt:
        if not shards:
            raise
        return []


def _about(prepared: Prepared) -> JsonObject:
    """The origin of a comparison: models, input, question, versions."""
    plan, source = prepared.plan, prepared.source
    models = {
        letter: {
            "name": model.name,
            "layers": model.layers,
            "heads": model.heads,
            "labels": None if model.labels is None else list(model.labels),
            "head": model.head.name,
        }
        for letter, model in zip("ab", plan.encoders, strict=True)
    }
    return {
        "models": models,
        "input": {"name": source.name, "column": source.column, "pair_column": source.pair_column, **source.reading},
        "question": plan.question.as_json(),
        "lengths": dict(prepared.lengths),
        "versions": {**result_versions(), "device": jax.devices()[0].device_kind},
    }


def _texts(source: Source) -> Iterator[Text]:
    """The texts of a source; the first that cannot be used ends it with an error."""
    for row in source.rows():
        if not isinstance(row, Text):
            raise row.error
        yield row


def _tokenised(plan: Plan, source: Source, lengths: Lengths, *, start: int = 0) -> Iterator[TokenisedText]:
    """The texts of a source from the one numbered `start`, with their tokens in both models."""
    rows = islice(_texts(source), start, None)
    while chosen := list(islice(rows, SHARD)):
        for row in chosen:
            pairs = None if row.pair is None else [row.pair]
            try:
                # One text at a time, so that an error names its row.
                first, second = read_together(plan, [row.given], pairs, **lengths)
            except InputError as error:
                raise error.at(row.place) from None
            yield row, (first[0], second[0])
