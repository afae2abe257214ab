"""A data set's summary as lines for a terminal."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from jaxflow._words import readable
from jaxflow.summary.summary import MEASURES, DataSummary

# Tokens that occur less often say little about a data set.
OFTEN = 5
LABEL, CELL = 28, 8


def summary_table(summary: DataSummary, top: int, width: int = 100) -> Iterator[str]:
    """Lines: a table of layers, the tokens of most relevance, and the examples where methods disagree most.

    Args:
        summary: of the data set.
        top: number of tokens and examples to show.
        width: of the terminal; if not all layers fit, some are shown, the first and the last among them.
    """
    rows = [
        (f"{name.replace('_', ' ')}, {method}", summary.measures[method][name])
        for name in MEASURES
        for method in summary.methods
        if name in summary.measures[method]
    ]
    rows += [(f"agreement, {' and '.join(pair)}", values) for pair, values in summary.agreement.items()]
    label = max(LABEL, *(len(name) for name, _ in rows))
    # Places of the layers that fit beside the labels.
    shown = _spread(len(summary.layers), max(2, (width - label) // CELL))
    yield f"{summary.examples} examples"
    yield ""
    yield _row("layer", [str(summary.layers[place]) for place in shown], label)
    for name, values in rows:
        yield _row(name, [_number(values[place]) for place in shown], label)
    if summary.tag_counts:
        yield from _tags(summary)
    if top:
        yield from _tokens(summary, top)
        for (one, two), examples in summary.disagreements.items():
            yield ""
            yield f"where {one} and {two} disagree most at layer {summary.layers[-1]} (rank correlation, row)"
            yield from (
                f"  {value:6.3f}  {number:>6}  {_cut(text, width - 18)}" for value, number, text in examples[:top]
            )


def _tags(summary: DataSummary) -> Iterator[str]:
    """Parts of speech, those of most tokens first."""
    yield ""
    # Only some of the texts may be parsed.
    known = "" if summary.tagged_examples == summary.examples else f", of {summary.tagged_examples} parsed examples"
    yield f"a token's relevance by part of speech at layer {summary.layers[-1]}, on average{known}"
    # As wide as the longest of the names.
    cell = max(CELL, *(len(method) + 2 for method in summary.methods))
    yield _row("part of speech", ["tokens", *summary.methods], cell=cell)
    places = {tag: place for place, tag in enumerate(summary.tag_counts)}
    for tag, count in sorted(summary.tag_counts.items(), key=lambda item: -item[1]):
        worth = [_number(float(summary.tags[method][-1, places[tag]])) for method in summary.methods]
        yield _row(tag, [str(count), *worth], cell=cell)


def _tokens(summary: DataSummary, top: int) -> Iterator[str]:
    names, counts = list(summary.token_counts), np.array(list(summary.token_counts.values()))
    # In a small data set no token may occur `OFTEN` times; then the most frequent ones are ranked.
    # Special tokens, which would lead every list, are on the page and in its table.
    words = ~np.isin(names, summary.special)
    words = words if words.any() else np.ones(len(names), bool)
    often = words & (counts >= min(OFTEN, counts[words].max()))
    for method in summary.methods:
        worth = np.where(often, summary.tokens[method][-1], -np.inf)
        best = np.argsort(-worth, kind="stable")[: min(top, int(often.sum()))]
        line = ", ".join(f"{readable(names[place])} {worth[place]:.4f}" for place in best)
        yield ""
        yield f"tokens worth most by {method} at layer {summary.layers[-1]}, on average, special ones left out"
        yield f"  {line}"


def _spread(count: int, most: int) -> list[int]:
    """At most `most` places from 0 to `count - 1`, evenly spread, both ends among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


def _row(label: str, cells: Sequence[str], width: int = LABEL, cell: int = CELL) -> str:
    return (f"{label:<{width}}" + "".join(f"{text:>{cell}}" for text in cells)).rstrip()


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _cut(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
