"""The folder of a comparison: written file by file, and read.

Positions count as in `compare_models`, layers and heads from 1. `layer` is a place in `layers`, `query` a place in
`queries`, `unit` a token, or a word where the tokenizers differ (units). NaN is null.

        texts-00000.parquet             one row a text, 256 a file
        __about__/comparison.json       the summary, written last: a folder with it is whole
        __about__/attention.parquet     the attention of the first texts (as many as `keep_heads`), one row each
        __about__/heads.parquet         one row a layer and head, over all texts
        __about__/words.parquet         one row a word and method, over all texts
        __about__/changes.html          the page of what changed over all texts, which the command line writes
        __about__/explore.html          the explorer's page of the first texts, likewise

Whatever reads Parquet takes the folder for one table, that of the texts, as with a sweep's (`store.shards`).

    comparison.json:
        format            3; in format 1 heads were counted from 0, and `open_comparison` counts them from 1
        models            {a, b}: {name, layers, heads, labels (list or null), head (name of what stands on it)}
        input             {name, column, pair_column}
        question          what was asked about every text: methods, mixing, target, queries, layers, flow, tol, as
                          `Question.from_json` reads them
        lengths           max_length (or null), truncate
        settings          threshold, decay, least, correction, seed, units ("tokens" or "words")
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
        files             {path in the folder: sha256} of each file of Parquet
        check             a checksum of all other fields
        arcs              {alike, stronger_a, stronger_b}: mean number of strong arcs of a text, see `stronger_in`
        saturated         {flow method: {a, b}}: mean share of tokens whose flow is no more than a trivial cut, at the
                          last layer, for the first query; earlier folders lack it
        confusion         [{a: label, b: label, texts: how many}, ...]; empty without classes

    texts-*.parquet, nested lists with the axes in brackets; `_a` and `_b` are the models:
        id                          row or line number, from 1
        text, pair                  strings
        units, offsets, source      [unit], [unit, 2], [unit]: as tokens in `open_sweep`
        words, word                 [word], [unit]: the text's words, and the word of each unit, -1 for special ones
        tokens_a, groups_a, ..._b   [token]: the model's tokens, and the unit of each
        queries                     [query]: units
        layers                      [layer, 2]
        raw_a, rollout_a, flow_a, ..._b             [layer, query, unit]: relevance by each method; gained is b less a
        certified_a, certified_b                    share of proven flows, or null
        influence_a, influence_b                    [state, query, unit]: `influence`; state 0 is the input, the last
                                                    one the model's top
        widths_a, widths_b, shared_widths           [state, query, unit]: `path_widths`; a path of strong arcs leads
                                                    from a query to a unit where they reach the threshold. Shared ones
                                                    are empty where the models differ in depth
        arc_layer, arc_query, arc_key, arc_weight_a, arc_weight_b, arc_kind, arc_path_a, arc_path_b
                                                    [arc]: strong arcs; kind 0 is alike, 1 stronger in a, 2 in b; path
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

Formats 1 and 2 tell arcs apart by the threshold: {shared, only_a, only_b}. Format 1, of the first edition, has
`methods`, `queries`, `heads`, `target` and `flow` among its settings instead of a question, and all files beside one
another.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from jaxflow._checks import InputError, shown
from jaxflow._paths import local_path
from jaxflow._untyped import JsonObject
from jaxflow.store.arrow import Row, pyarrow, write_table
from jaxflow.store.cells import rows_of_table, table_of
from jaxflow.store.parts import DamageError, Parts, first_line
from jaxflow.store.shards import ABOUT, make_about, read_description, replaced

# In the first format heads were counted from 0.
FORMAT, THRESHOLD_FORMAT, FIRST_FORMAT = 3, 2, 1
SUMMARY, FIRST_SUMMARY = f"{ABOUT}/comparison.json", "comparison.json"
ATTENTION, HEADS, WORDS = f"{ABOUT}/attention.parquet", f"{ABOUT}/heads.parquet", f"{ABOUT}/words.parquet"
PAGE, CHANGES = f"{ABOUT}/explore.html", f"{ABOUT}/changes.html"
SHARD = r"texts-[0-9]{5,}\.parquet"
# Values of a column that are written at once, as rows allow it: Parquet keeps the places of all of them in memory.
GROUP_VALUES = 1 << 25


# What a summary holds, and of which types; and columns that every file of texts has.
FIELD_TYPES: dict[str, type] = {
    **dict.fromkeys(("texts", "total", "attention"), int),
    **dict.fromkeys(("shards", "layers", "patterns", "confusion"), list),
    **dict.fromkeys(("layer", "head", "words", "arcs", "settings", "models", "input", "versions"), dict),
}
COLUMNS = {"id", "text", "pair", "units", "offsets", "source", "words", "word", "queries", "layers"}
AGAIN = "put it back from a copy, or compare again into another folder"


@dataclass(frozen=True)
class StoredComparison:
    """A folder of a comparison that can be read.

    Attributes:
        folder: where it is.
        summary: comparison.json; heads counted from 1, whatever its format.
    """

    folder: Path
    summary: JsonObject

    def rows(self) -> Iterator[JsonObject]:
        """Texts in order, one at a time: arrays as NumPy arrays, lists of strings as lists.

        Raises:
            InputError: a file was damaged.
        """
        # A missing shard fails when it is opened; a shorter list of shards only shows here.
        count = 0
        for shard in self.summary["shards"]:
            for row in self._read(shard, COLUMNS):
                yield row
                count += 1
        if count != self.summary.get("texts", count):
            raise _damaged(self.folder, f"it holds {count} texts, and {self.summary['texts']} were compared")

    def attention(self) -> Iterator[JsonObject]:
        """The attention of the first texts, one at a time.

        Raises:
            InputError: the file was damaged.
        """
        if self.summary["attention"]:
            first = self.summary.get("format") == FIRST_FORMAT
            yield from self._read(Path(ATTENTION).name if first else ATTENTION, {"id", "fused_a", "fused_b"})

    def heads(self) -> Iterator[JsonObject]:
        """The rows of heads.parquet: heads counted from 1, whatever the format of the folder.

        Raises:
            InputError: the file was damaged.
        """
        first = self.summary["format"] == FIRST_FORMAT
        for row in self._read(Path(HEADS).name if first else HEADS, {"head", "match"}):
            # The first format counts from 0 and has -1 for a head without a match.
            yield row | ({"head": row["head"] + 1, "match": row["match"] + 1 or None} if first else {})

    @cached_property
    def _parts(self) -> Parts:
        return Parts({str(self.folder / name): sha256 for name, sha256 in self.summary.get("files", {}).items()})

    def _read(self, name: str, columns: set[str]) -> Iterator[JsonObject]:
        pa, path = pyarrow(), self.folder / name
        try:
            with self._parts.opened(path) as file:
                # Folders of the first edition have no checksums; a file of anything else is told by its columns.
                missing = columns - set(file.schema_arrow.names) if "texts" in self.summary else ()
                if missing:
                    raise DamageError(f"it has no column {min(missing)!r}")
                # Few rows at a time: attention of all heads makes rows large.
                for group in range(file.num_row_groups):
                    for batch in file.iter_batches(batch_size=32, row_groups=[group]):
                        yield from rows_of_table(pa.Table.from_batches([batch]))
        except (DamageError, pa.ArrowException, OSError, ValueError, TypeError, AttributeError) as error:
            raise _damaged(path, first_line(error)) from None


def open_comparison(folder: str | Path) -> StoredComparison:
    """The comparison that `jaxflow compare` wrote into a folder.

    Its files are held against their checksums when they are read.

    Raises:
        InputError: there is none, it is of a later version of jaxflow, or its summary was damaged.
    """
    path = local_path("folder", folder)
    # A broken link counts as there, and is then refused by name.
    first = not os.path.lexists(path / SUMMARY) and os.path.lexists(path / FIRST_SUMMARY)
    file, versions = (FIRST_SUMMARY, (FIRST_FORMAT,)) if first else (SUMMARY, (FORMAT, THRESHOLD_FORMAT))
    summary = read_description(path, file, "comparison", versions, has_check=not first)
    wrong = [name for name, kind in FIELD_TYPES.items() if not isinstance(summary.get(name), kind)]
    files, shards = summary.get("files", {}), summary.get("shards")
    if not isinstance(files, dict) or not all(isinstance(each, str) for each in files.values()):
        wrong.append("files")
    # Names of files in this folder, and of none beside it.
    if isinstance(shards, list) and not all(isinstance(name, str) and re.fullmatch(SHARD, name) for name in shards):
        wrong.append("shards")
    if wrong:
        raise _damaged(path / file, f"{wrong[0]!r} is missing or not what it should be")
    if summary["format"] == FIRST_FORMAT and "matching" in summary["head"]:
        matching = [[None if head < 0 else head + 1 for head in row] for row in summary["head"]["matching"]]
        summary["head"] = summary["head"] | {"matching": matching}
    return StoredComparison(path, summary)


def _damaged(path: Path, why: str) -> InputError:
    return InputError("folder", "hold a comparison as it was written", f"{shown(str(path))}: {why}", AGAIN)


def write_rows(path: Path, rows: list[Row], written: list[Path]) -> None:
    """Write a table in one step, and add its path to `written`."""
    table = table_of(rows, {"jaxflow": json.dumps({"comparison": FORMAT})})
    # By the largest cell: rows of a group, times its values, stay within `GROUP_VALUES`.
    largest = max((cell.size for row in rows for cell in row.values() if isinstance(cell, np.ndarray)), default=1)
    rows_of_group = max(1, GROUP_VALUES // max(1, largest))
    make_about(path)
    # An open file: Arrow takes some paths for addresses.
    with replaced(path) as temporary, temporary.open("wb") as file:
        write_table(table, file, rows_of_group)
        file.flush()
    written.append(path)
