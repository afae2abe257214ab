"""Two models over a file of texts: compared text by text, and kept in a folder."""

import json
import platform
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np

from jaxflow._checks import InputError, not_forked
from jaxflow.compare.plan import CLASS, Plan, Settings, TextPair, make_plan, read_together, settled_units, text_pair
from jaxflow.compare.result import ChangeSummary
from jaxflow.compare.run import compare_stream
from jaxflow.compare.totals import Totals
from jaxflow.compare.units import same_tokens
from jaxflow.inputs.rows import Text
from jaxflow.inputs.source import Source
from jaxflow.models import Encoding, Model
from jaxflow.statistics.blocks import Blocks
from jaxflow.store import arrow
from jaxflow.store.record import checked
from jaxflow.store.shards import checksum, replaced
from jaxflow.sweep.checks import check_folder
from jaxflow.sweep.comparison_folder import FORMAT, SUMMARY, write_rows
from jaxflow.sweep.comparison_rows import attention_row, head_rows, summary_json, text_row, word_rows

# Texts of a shard, and those that are tokenised at once.
SHARD = 256
# Texts whose tokens are kept from when they are checked to when they are compared.
KEPT = 4096
PACKAGES = ("jaxflow", "jax", "numpy", "transformers", "pyarrow")


# A text, and its tokens in both models.
TokenisedText: TypeAlias = tuple[Text, tuple[Encoding, Encoding]]


@dataclass(frozen=True)
class Limits:
    """How long texts may be.

    Attributes:
        max_length: most tokens of a text; None is what the models take.
        truncate: cut longer texts rather than refuse them.
    """

    max_length: int | None = None
    truncate: bool = False


@dataclass(frozen=True)
class Prepared:
    """A comparison that was checked and can run. Make it by `prepare`.

    Attributes:
        plan: what is compared.
        source: the texts.
        folder: where results go.
        limits: how long texts may be.
        units: `"tokens"` or `"words"`.
        texts: how many there are.
        tokenised: the first of them with their tokens in both models, so that these are not made twice.
    """

    plan: Plan
    source: Source
    folder: Path
    limits: Limits
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
        made = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {str(self.folder)!r}: {error.strerror}; name another") from None
        written: list[Path] = []
        try:
            return self._run(written, progress)
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            if made and not any(self.folder.iterdir()):
                self.folder.rmdir()
            raise

    def _run(self, written: list[Path], progress: Callable[[int], None]) -> ChangeSummary:
        totals, number = Totals(self.plan), 0
        shards: list[str] = []
        attention: list[arrow.Row] = []
        ids: deque[int] = deque()
        # For each model the mean over texts of what each head matters to the predicted class.
        importance = (Blocks(2), Blocks(2))

        def read() -> Iterator[TextPair]:
            rest = _tokenised(self.plan, self.source, self.limits, start=len(self.tokenised))
            for row, encodings in chain(self.tokenised, rest):
                ids.append(row.id)
                yield text_pair(self.plan, self.units, row.place, row.text, row.pair, encodings)

        stream = compare_stream(self.plan, read(), progress, importance_texts=SHARD)
        with closing(stream) as compared:
            while chosen := _next(compared, shards):
                rows = []
                for text, similarity in chosen:
                    totals.add(text, similarity.products, similarity.cka)
                    for mean, gates in zip(importance, similarity.gates, strict=True):
                        if gates is not None:
                            mean.add(np.abs(gates))
                    row = {"id": ids.popleft()}
                    rows.append(row | text_row(text))
                    if self.plan.keeps_heads(number):
                        attention.append(row | attention_row(text))
                    number += 1
                shards.append(f"texts-{len(shards):05d}.parquet")
                write_rows(self.folder / shards[-1], rows, written)
        summary = totals.summary()
        if attention:
            write_rows(self.folder / "attention.parquet", attention, written)
        write_rows(self.folder / "heads.parquet", list(head_rows(summary)), written)
        write_rows(self.folder / "words.parquet", list(word_rows(summary)), written)
        about = {"format": FORMAT, "total": self.texts, "shards": shards, "attention": len(attention)}
        about["input"] = self._input()
        about["importance"] = {
            letter: mean.mean.tolist() if len(mean) else None for letter, mean in zip("ab", importance, strict=True)
        }
        about["files"] = {path.name: checksum(path) for path in written}
        # Last: a folder with a summary is whole.
        with replaced(self.folder / SUMMARY) as temporary:
            fields = checked(summary_json(summary) | about | _about(self.plan, self.units))
            text = json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False)
            _ = temporary.write_text(text + "\n", "utf-8")
        return summary

    def _input(self) -> dict[str, Any]:
        source = self.source
        return {"name": source.name, "column": source.column, "pair_column": source.pair_column, **source.reading}


def prepare(
    encoder_a: Model,
    encoder_b: Model,
    source: Source,
    folder: Path,
    settings: Settings,
    limits: Limits = Limits(),
) -> Prepared:
    """Check the folder, the models and every text; writes nothing.

    `Prepared.run` then writes a folder. Positions count as in `compare_models`, heads from 1. `layer` is a place in
    `layers`, `query` a place in `queries`, `unit` a token, or a word where the tokenizers differ (units). NaN is null.

        comparison.json       the summary, written last: a folder with it is whole
        texts-00000.parquet   one row a text, 256 a file
        attention.parquet     the attention of the first texts (as many as `keep_heads`), one row each
        heads.parquet         one row a layer and head, over all texts
        words.parquet         one row a word and method, over all texts

    comparison.json:
        format            2; in 1 heads were counted from 0, and `open_comparison` counts them anew
        models            {a, b}: {name, layers, heads, labels (list or null), head (name of what stands on it)}
        input             {name, column, pair_column}
        settings          threshold, decay, residual, least, correction, seed, units ("tokens" or "words"), methods,
                          queries (list, or "all"), heads, target (with heads "class"; else null), flow
        versions          {python, device, jaxflow, ...}
        texts             how many were compared
        total             how many there are; more than `texts` where the comparison was interrupted
        shards            names of the files of texts, in order
        attention         how many texts attention.parquet holds: the first ones
        layers            [[layer of a, layer of b], ...], counted from 1
        patterns          names of the patterns of heads, in the order of their axis
        layer             {jensen_shannon, total_variation, heads}: each {mean, low, high} with lists `layer`; and
                          p, adjusted_p: lists `layer`. See `LayerChange`
        head              {jensen_shannon, total_variation}: each {mean, low, high} `layer head`; p, adjusted_p `layer
                          head`; patterns_a, patterns_b, pattern_p, pattern_adjusted_p `layer head pattern`;
                          pattern_change {mean, low, high}; correlation, cka `layer head other`; matching `layer head`
                          (the number of the head of b that answers to each of a); roles_a, roles_b `layer head`:
                          names of patterns that a head has for half the words or more, or "". See `HeadChange`
        words             {method: {gained: [...], lost: [...]}}, at most 50 each, the largest first, each
                          {word, texts, mean, low, high, p, adjusted_p}. See `WordChange`
        importance        {a, b}: `layer head`, all layers of each model: `head_importance` by gradient to the predicted
                          class over the first 256 texts; null for a model without classes
        files             {name: sha256} of each file of Parquet
        check             a checksum of all other fields
        arcs              {shared, only_a, only_b}: mean number of strong arcs of a text
        confusion         [{a: label, b: label, texts: how many}, ...]; empty without classes

    texts-*.parquet, nested lists with the axes in brackets; `_a` and `_b` are the models:
        id                          row or line number, from 1
        text, pair                  strings
        units, offsets, source      [unit], [unit, 2], [unit]: as tokens in `open_sweep`
        words, word                 [word], [unit]: the text's words, and the word of each unit, -1 for special ones
        tokens_a, groups_a, ..._b   [token]: the model's tokens, and the unit of each
        queries                     [query]: units
        layers                      [layer, 2]
        raw_a, rollout_a, flow_a, ..._b             [layer, query, unit]: relevance; gained is b less a
        certified_a, certified_b                    share of proven flows, or null
        influence_a, influence_b                    [state, query, unit]: `influence`; state 0 is the input, the last
                                                    one the model's top
        widths_a, widths_b, shared_widths           [state, query, unit]: `path_widths`; a path of strong arcs leads
                                                    from a query to a unit where they reach the threshold. Shared ones
                                                    are empty where the models differ in depth
        arc_layer, arc_query, arc_key, arc_weight_a, arc_weight_b, arc_kind, arc_path_a, arc_path_b
                                                    [arc]: strong arcs; kind 0 is shared, 1 only in a, 2 only in b; path
                                                    says whether it is on a path of strong arcs to the first query
        jensen_shannon, total_variation             [layer, head]
        layer_jensen_shannon, layer_total_variation [layer]
        patterns_a, patterns_b                      [layer, head, pattern]
        distance                                    mean of jensen_shannon, to sort texts by
        prediction_a, probabilities_a, ..._b        label and map of labels, or null

    attention.parquet:
        id                          as in the texts
        fused_a, fused_b            [layer, unit, unit] float32: heads fused, no residual
        heads_a, heads_b            [layer, head, unit, unit] float16

    Args:
        encoder_a: the first model.
        encoder_b: the second.
        source: the texts.
        folder: where results will go; new, or empty.
        settings: how they are compared.
        limits: how long texts may be.

    Raises:
        InputError: the models, the settings, the folder or a text cannot be used; its line or row is named.
    """
    not_forked()
    _ = arrow.pyarrow()
    check_folder(folder, None)
    plan = make_plan(encoder_a, encoder_b, settings)
    alike: list[bool] = []
    # The first text that has too few words for the positions that are asked for, though tokens enough.
    too_short: InputError | None = None
    asks_further = plan.queries is not None and max(plan.queries) > 0
    # Every text is looked at before any is compared.
    kept: list[TokenisedText] = []
    for row, encodings in _tokenised(plan, source, limits):
        kept.extend([(row, encodings)] if len(kept) < KEPT else [])
        alike.append(same_tokens(*encodings))
        units = "tokens" if alike[-1] and settings.units != "words" else "words"
        _ = text_pair(plan, units, row.place, row.text, row.pair, encodings)
        if units == "tokens" and asks_further and too_short is None:
            try:
                _ = text_pair(plan, "words", row.place, row.text, row.pair, encodings)
            except InputError as error:
                too_short = error
    if not alike:
        raise InputError(f"{source.name} holds no text")
    units = settled_units(settings.units, alike)
    if units == "words" and too_short is not None:
        raise too_short
    return Prepared(plan, source, folder, limits, units, len(alike), tuple(kept))


def _next(compared: Iterator[Any], shards: Sequence[str]) -> list[Any]:
    """The texts of the next shard; none where an interruption ends a comparison of which there is a shard already."""
    try:
        return list(islice(compared, SHARD))
    except KeyboardInterrupt:
        if not shards:
            raise
        return []


def _about(plan: Plan, units: str) -> dict[str, Any]:
    models = {
        letter: {
            "name": encoder.name,
            "layers": encoder.layers,
            "heads": encoder.heads,
            "labels": None if encoder.labels is None else list(encoder.labels),
            "head": encoder.head.name,
        }
        for letter, encoder in zip("ab", plan.encoders, strict=True)
    }
    settings = plan.settings
    by_class = isinstance(settings.heads, str) and settings.heads == CLASS
    return {
        "models": models,
        "settings": {
            "threshold": float(settings.threshold),
            "decay": float(settings.decay),
            "residual": float(settings.residual),
            "least": int(settings.least),
            "correction": settings.correction,
            "seed": settings.seed,
            "units": units,
            "methods": [method.name for method in plan.methods],
            "queries": "all" if plan.queries is None else list(plan.queries),
            "heads": settings.heads if isinstance(settings.heads, str) else "weights",
            "target": str(settings.target) if by_class else None,
            "flow": str(settings.flow),
        },
        "versions": {
            "python": platform.python_version(),
            "device": jax.devices()[0].device_kind,
            **{package: metadata.version(package) for package in PACKAGES},
        },
    }


def _texts(source: Source) -> Iterator[Text]:
    """The texts of a source; the first that cannot be used ends it with an error."""
    for row in source.rows():
        if not isinstance(row, Text):
            raise row.error
        yield row


def _tokenised(plan: Plan, source: Source, limits: Limits, *, start: int = 0) -> Iterator[TokenisedText]:
    """The texts of a source from the one numbered `start`, with their tokens in both models."""
    rows = islice(_texts(source), start, None)
    while chosen := list(islice(rows, SHARD)):
        for row in chosen:
            pairs = None if row.pair is None else [row.pair]
            try:
                first, second = read_together(
                    plan, [row.text], pairs, max_length=limits.max_length, truncate=limits.truncate
                )
            except InputError as error:
                raise error.at(row.place) from None
            yield row, (first[0], second[0])
