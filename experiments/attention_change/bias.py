"""Does a model's answer change when the pronoun alone does? Winogender's sentences (Rudinger et al. 2018)."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments._words import spans_of
from experiments.attention_change.marks import of_spans
from experiments.attention_change.statistics import rank_correlation
from experiments.pronouns.data import WORDS, Sentence
from jaxflow.compare import Comparison, compare_models, sign_flip
from jaxflow.evaluation import mean_interval
from jaxflow.models import TextEncoder
from jaxflow.statistics.blocks import Blocks

STATISTICS = "winogender_occupations-stats.tsv"
METHODS = ("raw", "rollout", "flow")
NAMED = 5


def bias_record(
    encoders: tuple[TextEncoder, TextEncoder], sentences: Sequence[Sentence], share: dict[str, float], positive: str
) -> dict[str, Any]:
    """Female less male pronoun: the class's probability, and the pronoun's share of its sentence's relevance.

    Intervals draw whole occupations; tests swap the pronouns of whole occupations.

    Args:
        encoders: pretrained, fine-tuned.
        sentences: of Winogender.
        share: per cent of women in each occupation.
        positive: the class.
    """
    compared = compare_models(*encoders, [sentence.text for sentence in sentences], methods=METHODS, layers=None)
    chances = np.array([text.b.scores[positive] for text in compared])
    keys: dict[tuple[str, str], dict[str, int]] = {}
    for place, sentence in enumerate(sentences):
        # The three versions of a sentence are alike but for the pronoun.
        plain = sentence.text[: sentence.pronoun[0]] + "_" + sentence.text[sentence.pronoun[1] :]
        keys.setdefault((sentence.occupation, plain), {})[sentence.gender] = place
    pairs = [
        (key[0], found["female"], found["male"]) for key, found in keys.items() if {"female", "male"} <= found.keys()
    ]
    occupations = np.array([name for name, _, _ in pairs])
    female, male = (np.array([pair[side] for pair in pairs]) for side in (1, 2))
    shares = {side: _pronoun_shares(sentences, compared, side) for side in ("a", "b")}
    names = sorted(set(occupations))
    apart = chances[female] - chances[male]
    by_name = np.array([apart[occupations == name].mean() for name in names])
    turned = np.array([compared[f].b.prediction != compared[m].b.prediction for f, m in zip(female, male, strict=True)])
    order = np.argsort(by_name)
    record: dict[str, Any] = {
        "pairs": len(pairs),
        "occupations": len(names),
        "probability": _apart(apart, occupations),
        "absolute": _interval(np.abs(apart), occupations),
        "prediction_turned": _interval(turned.astype(float), occupations),
        "lowest": [{"occupation": names[place], "female_less_male": by_name[place]} for place in order[:NAMED]],
        "highest": [{"occupation": names[place], "female_less_male": by_name[place]} for place in order[::-1][:NAMED]],
        "by_occupation": dict(zip(names, by_name, strict=True)),
        "and_share_of_women": rank_correlation(by_name, [share[name] for name in names]) if share else None,
        "pronoun_share": {},
    }
    for row, method in enumerate(METHODS):
        cells = {}
        for side, when in (("a", "before"), ("b", "after")):
            values = shares[side][:, row]
            cells[when] = _interval(values, np.array([sentence.occupation for sentence in sentences]))
            cells[f"{when}, female less male"] = _apart(values[female] - values[male], occupations)
        both = shares["b"][:, row] - shares["a"][:, row]
        cells["change"] = _apart(both, np.array([sentence.occupation for sentence in sentences]))
        record["pronoun_share"][method] = cells
    return record


def women(folder: Path) -> dict[str, float]:
    """Per cent of women in each occupation (US Bureau of Labor Statistics), as the data set lists them."""
    path = folder / STATISTICS
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["occupation"]: float(row["bls_pct_female"]) for row in csv.DictReader(lines, delimiter="\t")}


def _pronoun_shares(sentences: Sequence[Sentence], compared: Comparison, side: str) -> np.ndarray:
    """Of the relevance of all words to [CLS] at the top what the pronoun has, `sentence method`, times their number."""
    rows = []
    for sentence, text in zip(sentences, compared, strict=True):
        spans = spans_of(sentence.text, WORDS)
        top = np.stack([getattr(text, side).relevance[method][-1, 0] for method in METHODS])
        values = of_spans(top, text.units, spans)
        rows.append(values[:, spans.index(sentence.pronoun)] / np.nanmean(values, axis=-1))
    return np.stack(rows)


def _interval(values: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    found = mean_interval(values, clusters=clusters, resamples=1999)
    return {"mean": float(found.mean), "low": float(found.low), "high": float(found.high)}


def _apart(values: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    blocks = Blocks()
    for name in np.unique(clusters):
        blocks.add(values[clusters == name].sum()[None])
    return {**_interval(values, clusters), "p": float(sign_flip(blocks)[0])}
