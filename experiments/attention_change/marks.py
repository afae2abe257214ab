"""How much of the relevance falls on marked words, before and after fine-tuning, against chance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float

from experiments.attention_change.statistics import Cell, cells, family, paired
from experiments.attention_change.texts import Marked, Span
from jaxflow.compare import Units

Values = Float[np.ndarray, "row candidate"]


def of_spans(values: Float[np.ndarray, "... unit"], units: Units, spans: Sequence[Span]) -> np.ndarray:
    """Numbers of words from those of their tokens, the largest; NaN for a word in which no token begins.

    The largest and not the sum, which would favour words of many pieces.
    """
    starts = np.array([start for start, _ in units.offsets])
    own = np.array(units.source) == 0
    found = [np.flatnonzero(own & (starts >= start) & (starts < end)) for start, end in spans]
    columns = [values[..., held].max(axis=-1) if len(held) else np.full(values.shape[:-1], np.nan) for held in found]
    return np.stack(columns, axis=-1).astype(np.float64)


def lift(values: Values, labels: Bool[np.ndarray, " candidate"]) -> Float[np.ndarray, " row"]:
    """Mean relevance of a marked candidate over that of all: 1 where the marks make no difference."""
    known = ~np.isnan(values[0])
    values, labels = values[:, known], labels[known]
    if not labels.any() or labels.all():
        return np.full(len(values), np.nan)
    return values[:, labels].mean(axis=-1) / values.mean(axis=-1)


def ahead(values: Values, labels: Bool[np.ndarray, " candidate"]) -> Float[np.ndarray, " row"]:
    """How often a marked candidate has more relevance than one that is not (the area under the ROC curve)."""
    known = ~np.isnan(values[0])
    values, labels = values[:, known], labels[known]
    marked = int(labels.sum())
    if not 0 < marked < len(labels):
        return np.full(len(values), np.nan)
    ranks = scipy.stats.rankdata(np.round(values, 12), axis=-1)[:, labels].sum(axis=-1)
    return (ranks - marked * (marked + 1) / 2) / (marked * (len(labels) - marked))


def shuffled(
    labels: Bool[np.ndarray, " candidate"], kinds: Sequence[str], draws: np.random.Generator, number: int
) -> Bool[np.ndarray, "draw candidate"]:
    """The marks handed out anew at random, among candidates of one kind."""
    found = np.empty((number, len(labels)), bool)
    names = np.array(kinds)
    for kind in np.unique(names):
        held = np.flatnonzero(names == kind)
        found[:, held] = labels[held][np.argsort(draws.random((number, len(held))), axis=-1)]
    return found


def marks_record(
    texts: Sequence[Marked],
    before: Sequence[Values],
    after: Sequence[Values],
    rows: Sequence[tuple[str, str]],
    resamples: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Lift of marked words and how often they are ahead, by what the rows are: (method, layer).

    `chance` is the lift of marks handed out at random in each text, `alike` of marks handed out among candidates of
    one kind (as frequent words, the same element); their p-values are two-sided. `change` is tested by swapping the
    models in texts at random, and against both kinds of random marks. P-values are corrected for the number of rows.
    """
    labels = [np.array(text.labels) for text in texts]
    lifts = [np.stack([lift(v, m) for v, m in zip(side, labels, strict=True)]) for side in (before, after)]
    rates = [np.stack([ahead(v, m) for v, m in zip(side, labels, strict=True)]) for side in (before, after)]
    drawn = {
        "chance": _drawn(texts, before, after, resamples, seed, alike=False),
        "alike": _drawn(texts, before, after, resamples, seed, alike=True),
    }
    columns: dict[str, list[Cell]] = {}
    for name, (first, second) in (("lift", lifts), ("ahead", rates)):
        for when, found in (("before", cells(first)), ("after", cells(second)), ("change", paired(first, second))):
            columns[f"{name} {when}"] = found
    observed = [np.nanmean(side, axis=0) for side in lifts]
    for kind, null in drawn.items():
        for place, when in enumerate(("before", "after")):
            columns[f"{kind} {when}"] = _beside(observed[place], null[place])
        columns[f"{kind} change"] = _beside(observed[1] - observed[0], null[1] - null[0])
    return {
        "texts": int((~np.isnan(lifts[0][:, 0])).sum()),
        "marked": float(np.mean([mark.mean() for mark in labels])),
        **_nested(rows, {name: family(found) for name, found in columns.items()}),
    }


def lift_table(texts: Sequence[Marked], values: Sequence[Values]) -> Float[np.ndarray, "text row"]:
    """The lift in each text."""
    return np.stack([lift(v, np.array(text.labels)) for v, text in zip(values, texts, strict=True)])


def _drawn(
    texts: Any, before: Any, after: Any, number: int, seed: int, *, alike: bool
) -> Float[np.ndarray, "2 draw row"]:
    """Mean lift over texts of marks at random, in both models, the same marks."""
    draws = np.random.default_rng(seed)
    total, count = np.zeros((2, number, len(before[0]))), 0
    for text, *sides in zip(texts, before, after, strict=True):
        known = ~np.isnan(sides[0][0])
        labels = np.array(text.labels)[known]
        if not labels.any() or labels.all():
            continue
        count += 1
        kinds = [kind if alike else "" for kind, real in zip(text.kinds, known, strict=True) if real]
        marks = shuffled(labels, kinds, draws, number) / labels.sum()
        for place, values in enumerate(sides):
            shares = values[:, known] / values[:, known].mean(axis=-1, keepdims=True)
            total[place] += marks @ shares.T
    return total / max(1, count)


def _beside(observed: Float[np.ndarray, " row"], null: Float[np.ndarray, "draw row"]) -> list[Cell]:
    """What chance gives, and how often chance is as far out, on either side."""
    above = (null >= observed - 1e-12).sum(axis=0)
    below = (null <= observed + 1e-12).sum(axis=0)
    p = np.minimum(1.0, 2 * (np.minimum(above, below) + 1) / (len(null) + 1))
    return [Cell(mean, low, high, each) for mean, low, high, each in zip(
        null.mean(axis=0), *np.quantile(null, [0.025, 0.975], axis=0), p, strict=True
    )]  # fmt: skip


def _nested(rows: Sequence[tuple[str, str]], columns: dict[str, list[Cell]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for place, (method, layer) in enumerate(rows):
        found.setdefault(method, {})[layer] = {name: column[place].record() for name, column in columns.items()}
    return found
