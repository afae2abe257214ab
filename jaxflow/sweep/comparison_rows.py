"""A comparison as rows and as JSON; `comparison_folder` says what they hold."""

from collections.abc import Iterator

import numpy as np

from jaxflow._untyped import JsonObject, JsonValue
from jaxflow.compare.paths import ARC_KINDS
from jaxflow.compare.result import ChangeSummary, ComparedText, SideOfText, WordChange
from jaxflow.evaluation import Interval
from jaxflow.heads.patterns import PATTERNS
from jaxflow.heads.roles import role_names
from jaxflow.store.arrow import Row

# Words of each method that the summary names in either direction; all are in words.parquet.
NAMED_WORDS = 50
# Columns that there are for each model beside those of the methods, which may have no such name.
SIDE_COLUMNS = (
    *("tokens", "groups", "certified", "influence", "widths", "patterns", "prediction", "probabilities"),
    *("arc_weight", "arc_path"),
)


def text_row(text: ComparedText) -> Row:
    """A text as a row of texts-*.parquet."""
    row: Row = {
        "text": text.text,
        "pair": text.pair,
        "units": list(text.units.names),
        "offsets": np.asarray(text.units.offsets, np.int32).reshape(-1, 2),
        "source": np.asarray(text.units.source, np.int32),
        "words": list(text.words),
        "word": np.asarray(text.word, np.int32),
        "queries": np.asarray(text.queries, np.int32),
        "layers": np.asarray(text.layers, np.int32).reshape(-1, 2),
        "jensen_shannon": text.jensen_shannon,
        "total_variation": text.total_variation,
        "layer_jensen_shannon": text.layer_jensen_shannon,
        "layer_total_variation": text.layer_total_variation,
        "distance": text.distance,
        # An empty array rather than null keeps the column's type in every file.
        "shared_widths": np.zeros((0, 0, 0), np.float32) if text.shared_widths is None else text.shared_widths,
    }
    row |= {f"arc_{name}": values for name, values in vars(text.arcs).items()}
    for letter, side, groups in (("a", text.a, text.units.first), ("b", text.b, text.units.second)):
        row |= {f"{name}_{letter}": cell for name, cell in _side_cells(side, groups).items()}
    return row


def attention_row(text: ComparedText) -> Row:
    """A text as a row of attention.parquet."""
    row: Row = {}
    for letter, side in (("a", text.a), ("b", text.b)):
        row[f"fused_{letter}"] = np.asarray(side.attention, np.float32)
        if side.heads is not None:
            row[f"heads_{letter}"] = np.asarray(side.heads, np.float16)
    return row


def head_rows(summary: ChangeSummary) -> Iterator[Row]:
    """Rows of heads.parquet: one a layer and head, counted from 1; `match` is null for a head without one."""
    head = summary.head
    for place, (first, second) in enumerate(summary.layers):
        for number in range(head.matching.shape[1]):
            at = place, number
            # -1 for a head without a match.
            other = int(head.matching[at])
            row: Row = {"layer_a": first, "layer_b": second, "head": number + 1}
            for name in ("jensen_shannon", "total_variation"):
                interval: Interval = getattr(head, name)
                row |= {name: float(interval.mean[at])}
                row |= {f"{name}_low": float(interval.low[at]), f"{name}_high": float(interval.high[at])}
            row |= {
                "p": float(head.p[at]),
                "adjusted_p": float(head.adjusted_p[at]),
                "match": other + 1 if other >= 0 else None,
            }
            row |= {
                "match_correlation": float(head.correlation[place, number, other]) if other >= 0 else float("nan"),
                "own_correlation": float(head.correlation[place, number, number]),
                "own_cka": float(head.cka[place, number, number]),
            }
            for index, pattern in enumerate(PATTERNS):
                row[f"{pattern}_a"] = float(head.patterns_a[at][index])
                row[f"{pattern}_b"] = float(head.patterns_b[at][index])
                row[f"{pattern}_adjusted_p"] = float(head.pattern_adjusted_p[at][index])
            yield row


def word_rows(summary: ChangeSummary) -> Iterator[Row]:
    """Rows of words.parquet: one a word and method, those that were tested first."""
    for word in summary.words:
        yield dict(vars(word))


def summary_json(summary: ChangeSummary) -> JsonObject:
    """A summary as comparison.json has it, without what made it."""
    methods = list(dict.fromkeys(word.method for word in summary.words))
    words = {
        method: {
            "gained": [_plain_word(word) for word in summary.gained(method, NAMED_WORDS)],
            "lost": [_plain_word(word) for word in summary.lost(method, NAMED_WORDS)],
        }
        for method in methods
    }
    return {
        "texts": summary.texts,
        "layers": [list(pair) for pair in summary.layers],
        "patterns": list(PATTERNS),
        "layer": {name: _plain(value) for name, value in vars(summary.layer).items()},
        "head": {
            **{name: _plain(value) for name, value in vars(summary.head).items()},
            "matching": [[head + 1 if head >= 0 else None for head in row] for row in summary.head.matching.tolist()],
            "roles_a": role_names(summary.head.patterns_a),
            "roles_b": role_names(summary.head.patterns_b),
        },
        "words": words,
        "arcs": {kind: summary.arcs[kind] for kind in ARC_KINDS},
        "saturated": {method: {"a": a, "b": b} for method, (a, b) in summary.saturated.items()},
        "confusion": [{"a": a, "b": b, "texts": count} for (a, b), count in summary.confusion.items()],
        "settings": dict(summary.settings),
    }


def _plain_word(word: WordChange) -> JsonObject:
    return {name: _plain(value) for name, value in vars(word).items() if name != "method"}


def _plain(value: object) -> JsonValue:
    """Arrays as lists, intervals as their parts, what is not a number as None."""
    if isinstance(value, Interval):
        return {name: _plain(getattr(value, name)) for name in ("mean", "low", "high")}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(each) for each in value]
    # JSON has no NaN.
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _side_cells(side: SideOfText, groups: tuple[int, ...]) -> Row:
    cells: Row = {
        "tokens": list(side.tokens),
        "groups": np.asarray(groups, np.int32),
        "certified": side.certified,
        "influence": np.asarray(side.influence, np.float32),
        "widths": np.asarray(side.widths, np.float32),
        "patterns": np.asarray(side.patterns, np.float32),
        "prediction": side.prediction,
        "probabilities": dict(side.scores) if side.scores else None,
    }
    return cells | side.relevance
