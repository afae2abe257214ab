"""A data set's summary: mean relevance of tokens and positions, spread of relevance, and agreement of methods."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jaxflow._checks import InputError, shown
from jaxflow._paths import local_path
from jaxflow._untyped import JsonObject, JsonValue
from jaxflow.attribution.registry import SATURATED, is_flow, method_name
from jaxflow.inputs.conllu import Sentence
from jaxflow.store import arrow
from jaxflow.store.arrow import Row, relevance_columns
from jaxflow.store.output import written
from jaxflow.store.results import Store
from jaxflow.store.shards import about_folder, make_about
from jaxflow.summary import gathering as statistics
from jaxflow.summary.gathering import Keyed, Lowest, Means
from jaxflow.summary.tags import Tags

SUMMARY_JSON, SUMMARY_TABLE = "summary.json", "summary.parquet"
# Examples that are named for the disagreement of two methods.
NAMED = 20
MEASURES = ("entropy", "effective_tokens", "effective_rank", "tied_tokens", "certified", "saturated")


@dataclass(frozen=True)
class DataSummary:
    """The results of a data set as a whole; every example counts alike, and NaN is not defined.

    Attributes:
        examples: their number.
        methods: of relevance.
        layers: counted from 1.
        measures: by method, and then by name, the mean of each layer: `entropy` of relevance as shares of its sum, in
            nats; `effective_tokens`, its exponential; `effective_rank` of the matrix query by token, where more than
            one query was asked for; `tied_tokens`, the share of words whose value another one of the text has;
            `certified`, the share of flows that are proven; `saturated`, the share of flows that are no more than one
            of the trivial cuts (`Example.saturation`), where results say it.
        agreement: by two methods, the mean over examples of Spearman's rank correlation over a text's words (special
            tokens left out), of each layer.
        defined: by two methods, the number of examples for which it is defined, of each layer.
        tokens: by method, mean relevance of each token of the vocabulary that occurs: layer by token.
        token_counts: occurrences of each token.
        positions: by method, mean relevance of each position: layer by position.
        position_counts: number of examples that reach each position.
        disagreements: by two methods, the examples whose rankings agree least at the last layer: rank correlation,
            `id` and text, the lowest first.
        tags: by method, mean relevance of each part of speech that occurs: layer by part of speech; of the tokens of
            the texts whose syntax is known.
        tag_counts: tokens of each part of speech.
        tagged_examples: number of the texts whose syntax is known.
        special: the tokens that are no part of a text, such as [CLS]; lists of words leave them out.
    """

    examples: int
    methods: tuple[str, ...]
    layers: tuple[int, ...]
    measures: dict[str, dict[str, list[float]]]
    agreement: dict[tuple[str, str], list[float]]
    defined: dict[tuple[str, str], list[float]]
    tokens: dict[str, np.ndarray]
    token_counts: dict[str, int]
    positions: dict[str, np.ndarray]
    position_counts: list[int]
    disagreements: dict[tuple[str, str], list[tuple[float, int | str, str]]]
    tags: dict[str, np.ndarray] = field(default_factory=dict)
    tag_counts: dict[str, int] = field(default_factory=dict)
    tagged_examples: int = 0
    special: tuple[str, ...] = ()

    def as_json(self, tokens: int = 50) -> JsonObject:
        """All but the tables of positions; of tokens the `tokens` most frequent ones."""
        return {
            "examples": self.examples,
            "methods": list(self.methods),
            "layers": list(self.layers),
            "measures": _plain(self.measures),
            "agreement": [
                {"methods": list(pair), "spearman": _plain(values), "examples": self.defined[pair]}
                for pair, values in self.agreement.items()
            ],
            "tokens": self._most("token", self.token_counts, self.tokens, tokens),
            "special_tokens": list(self.special),
            "tagged_examples": self.tagged_examples,
            "parts_of_speech": self._most("tag", self.tag_counts, self.tags, len(self.tag_counts)),
            "disagreements": [
                {"methods": list(pair), "examples": [{"spearman": v, "id": i, "text": t} for v, i, t in found]}
                for pair, found in self.disagreements.items()
            ],
        }

    def _most(self, name: str, counts: dict[str, int], means: dict[str, np.ndarray], most: int) -> list[JsonObject]:
        """The most frequent keys, each with its count and each method's means by layer."""
        # Means have a column a key, in the order of the counts.
        places = {key: place for place, key in enumerate(counts)}
        return [
            {name: key, "count": counts[key]}
            | {method: _plain(means[method][:, places[key]].tolist()) for method in self.methods}
            for key in sorted(counts, key=lambda key: -counts[key])[:most]
        ]

    def as_rows(self) -> Iterable[JsonObject]:
        """The long table: statistic, method (two with a colon between them), layer, key, mean, count."""
        for method in self.methods:
            for name, values in self.measures[method].items():
                yield from self._of_layers(name, method, values, [float(self.examples)] * len(self.layers))
        for pair, values in self.agreement.items():
            yield from self._of_layers("spearman", ":".join(pair), values, self.defined[pair])
        for method in self.methods:
            for index, (token, count) in enumerate(self.token_counts.items()):
                yield from self._of_key("token", method, token, self.tokens[method][:, index], count)
            for index, (tag, count) in enumerate(self.tag_counts.items()):
                yield from self._of_key("part_of_speech", method, tag, self.tags[method][:, index], count)
            for index, count in enumerate(self.position_counts):
                yield from self._of_key("position", method, str(index), self.positions[method][:, index], count)

    def _of_layers(self, name: str, method: str, values: list[float], counts: list[float]) -> Iterable[JsonObject]:
        for layer, value, count in zip(self.layers, values, counts, strict=True):
            yield _line(name, method, layer, None, value, count)

    def _of_key(self, name: str, method: str, key: str, values: np.ndarray, count: int) -> Iterable[JsonObject]:
        for layer, value in zip(self.layers, values, strict=True):
            yield _line(name, method, layer, key, float(value), float(count))


def summarize(
    results: Store, sentences: Iterable[Sentence] = (), progress: Callable[[int], None] = lambda _: None
) -> DataSummary:
    """Summarise all examples in one pass, with one shard in memory at a time.

    Flows that differ by 1e-9 or less tie; by 1e-6 or less where an accelerator's bounds settled some of them.

    Args:
        results: of the data set.
        sentences: the texts with their syntax, from `jaxflow.compare.read_conllu`, for means by part of speech; of all
            texts or some.
        progress: called with the number of examples of each chunk, when it is done.

    Raises:
        InputError: there is no example, a shard cannot be read, or none of the sentences is a text of the results.
    """
    first = next(results.rows(), None)
    if first is None:
        raise InputError("folder", "hold at least one example", f"{shown(str(results.folder))}, which holds none yet")
    methods = tuple(relevance_columns(first))
    layers = tuple(map(int, first["layers"]))
    tags = Tags(sentences)
    flows = [method_name(each) for each in results.manifest["question"]["methods"] if is_flow(each)]
    # Flows tie up to the exactness with which they were solved; other methods up to rounding.
    exactness = {
        method: statistics.tolerance(results.records) if method in flows else statistics.SOLVED for method in methods
    }
    # One pass: every statistic takes in each chunk before the next is read.
    gathered = _Gathered(exactness, tuple(flows), len(layers), tags)
    for rows, chunk in statistics.chunks(results.rows()):
        gathered.add(rows, chunk)
        progress(len(rows))
    if tags.sentences and not tags.found:
        expected, got = "hold sentences that are texts of the results", f"{tags.sentences}, of which none is"
        way_out = "have the results of the treebank's `# text` comments, letter by letter"
        raise InputError("sentences", expected, got, way_out)
    return gathered.summary(layers)


def write_summary(summary: DataSummary, folder: Path) -> list[Path]:
    """Write `summary.json`, and `summary.parquet`, a long table, beside the manifest.

    Raises:
        InputError: they cannot be written.
    """
    pa = arrow.pyarrow()
    import pyarrow.parquet as pq

    # Types are fixed: a summary whose keys are all None would have a column without one.
    string, number = pa.string(), pa.float64()
    kinds = {"statistic": string, "method": string, "layer": pa.int32(), "key": string, "mean": number, "count": number}
    table = pa.Table.from_pylist(list(summary.as_rows()), pa.schema(list(kinds.items())))
    about = about_folder(local_path("folder", folder))
    make_about(about / SUMMARY_TABLE)
    # An open file: Arrow takes some paths for addresses.
    with written(about / SUMMARY_TABLE) as temporary, temporary.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        # What Python still holds must reach the file before it takes its place.
        file.flush()
    with written(about / SUMMARY_JSON) as temporary:
        text = json.dumps(summary.as_json(), indent=1, ensure_ascii=False, allow_nan=False)
        _ = temporary.write_text(text + "\n", "utf-8")
    return [about / SUMMARY_JSON, about / SUMMARY_TABLE]


class _Gathered:
    """Statistics gathered on the way through the examples."""

    def __init__(self, exactness: dict[str, float], flows: tuple[str, ...], layers: int, tags: Tags):
        """Begin without an example.

        Args:
            exactness: by method, the difference up to which its values tie.
            flows: the methods whose values are certified flows.
            layers: their number.
            tags: of the texts whose syntax is known.
        """
        methods = tuple(exactness)
        self.methods, self.pairs, self.exactness, self.flows = methods, statistics.pairs_of(methods), exactness, flows
        self.examples = 0
        # A dict as an ordered set.
        self.special: dict[str, None] = {}
        self.means = Means(layers)
        self.tokens = {method: Keyed(layers) for method in methods}
        self.positions = {method: Keyed(layers) for method in methods}
        self.tagged, self.tags = {method: Keyed(layers) for method in methods}, tags
        self.lowest = {pair: Lowest(NAMED) for pair in self.pairs}

    def add(self, rows: list[Row], chunk: statistics.Chunk) -> None:
        """Take in a chunk of examples."""
        self.examples += len(rows)
        for row in rows:
            self.special |= dict.fromkeys(
                row["tokens"][place] for place in np.flatnonzero(np.asarray(row["source"]) < 0)
            )
        for method in self.methods:
            entropy, tokens = statistics.distribution(chunk, method)
            for name, values in (
                ("entropy", entropy),
                ("effective_tokens", tokens),
                ("tied_tokens", statistics.ties(chunk, method, self.exactness[method])),
            ):
                self.means.add((method, name), chunk.layer, chunk.weight, values)
        for pair in self.pairs:
            self._agreement(rows, chunk, pair)
        tagged = [self.tags.of(row) for row in rows]
        for method in self.methods:
            self._worth(rows, method, tagged)

    def _agreement(self, rows: list[Row], chunk: statistics.Chunk, pair: tuple[str, str]) -> None:
        # Two methods are no more exact together than the worse of them.
        values = statistics.agreement(chunk, *pair, max(self.exactness[method] for method in pair))
        self.means.add(pair, chunk.layer, chunk.weight, values)
        # Examples that disagree most: by the last layer, a mean over the queries where it is defined.
        last = (chunk.layer == chunk.layer.max()) & np.isfinite(values)
        sums, counts = (
            np.bincount(chunk.example[last], weights, len(rows)) for weights in (values[last], np.ones(last.sum()))
        )
        for index in np.flatnonzero(counts):
            self.lowest[pair].add(float(sums[index] / counts[index]), rows[index]["id"], rows[index]["text"])

    def _worth(self, rows: list[Row], method: str, tagged: list[tuple[np.ndarray, list[str]]]) -> None:
        # Mean relevance of each token over the queries: `layer token` a row, and all rows side by side.
        of_rows = [row[method].mean(axis=1, dtype=np.float64) for row in rows]
        worth = np.concatenate(of_rows, axis=1)
        self.tokens[method].add([token for row in rows for token in row["tokens"]], worth)
        self.positions[method].add([place for row in rows for place in range(len(row["tokens"]))], worth)
        # The same for the tokens whose part of speech is known.
        tagged_worth = [values[:, positions] for values, (positions, _) in zip(of_rows, tagged, strict=True)]
        self.tagged[method].add([tag for _, tags in tagged for tag in tags], np.concatenate(tagged_worth, axis=1))
        for row in rows:
            layers, one = np.arange(len(row["layers"])), np.ones(len(row["layers"]))
            # The rank of one query's row is 1 whatever it holds.
            if len(row["queries"]) > 1:
                self.means.add((method, "effective_rank"), layers, one, statistics.effective_rank(row[method]))
            if method in self.flows:
                self.means.add((method, "certified"), layers, one, row["certified"].mean(axis=(1, 2)))
            if f"{method}{SATURATED}" in row:
                self.means.add((method, "saturated"), layers, one, row[f"{method}{SATURATED}"].mean(axis=(1, 2)))

    def summary(self, layers: tuple[int, ...]) -> DataSummary:
        """The summary of all examples taken in."""
        # Measures that no example has, such as `certified` of raw attention, are left out.
        measures = {
            method: {
                name: values.tolist()
                for name in MEASURES
                for values, count in [self.means.of((method, name))]
                if count.any()
            }
            for method in self.methods
        }
        # Keys come in the same order for every method, so the first one's stand for all.
        names, _, counts = self.tokens[self.methods[0]].means()
        _, _, reached = self.positions[self.methods[0]].means()
        tags, _, tag_counts = self.tagged[self.methods[0]].means()
        return DataSummary(
            examples=self.examples,
            methods=self.methods,
            layers=layers,
            measures=measures,
            agreement={pair: self.means.of(pair)[0].tolist() for pair in self.pairs},
            defined={pair: self.means.of(pair)[1].tolist() for pair in self.pairs},
            tokens={method: self.tokens[method].means()[1] for method in self.methods},
            token_counts=dict(zip(names, counts.tolist(), strict=True)),
            positions={method: self.positions[method].means()[1] for method in self.methods},
            position_counts=reached.tolist(),
            disagreements={pair: lowest.sorted() for pair, lowest in self.lowest.items()},
            tags={method: self.tagged[method].means()[1] for method in self.methods},
            tag_counts=dict(zip(tags, tag_counts.tolist(), strict=True)),
            tagged_examples=self.tags.found,
            special=tuple(self.special),
        )


def _line(statistic: str, method: str, layer: int, key: str | None, mean: float, count: float) -> JsonObject:
    known = None if math.isnan(mean) else mean
    return {"statistic": statistic, "method": method, "layer": layer, "key": key, "mean": known, "count": count}


def _plain(value: object) -> JsonValue:
    """The same with None in the place of NaN, which JSON lacks."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
