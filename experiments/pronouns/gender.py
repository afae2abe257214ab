"""How often the pronoun is the word that a method ranks first."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from experiments._pieces import Pieces, Report, pieces_of
from experiments._record import provenance, write_record
from experiments._words import spans_of, to_words, words_of_tokens
from experiments.pronouns.data import WORDS, WORDS_AND_SIGNS, Sentence
from jaxflow import attribute
from jaxflow.evaluation import (
    GradientNorm,
    GradientTimesInput,
    gradient_scores,
    mean_interval,
    occlusion_scores,
    padded,
    token_inputs,
)
from jaxflow.models import TextEncoder

METHODS = ("raw", "rollout", "flow")
GRADIENTS = {"gradient norm": GradientNorm(), "gradient x input": GradientTimesInput(True)}
LABELS = {"male": "male", "female": "female", "neutral": "unknown"}
# What competes with the pronoun, and how sub-words' numbers become words'.
CANDIDATES = {"words": (WORDS, "sum"), "words_max": (WORDS, "max"), "words_and_signs": (WORDS_AND_SIGNS, "sum")}
RESAMPLES = 4999


def gender(
    encoder: TextEncoder, sentences: Sequence[Sentence], out: Path, report: Report, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Measure and write `out/gender.json`.

    A method's hit is a sentence whose pronoun has the largest relevance of all words; of `k` words that tie for the
    first place each is worth `1 / k`. Sub-words' numbers are added up or, under `words_max`, the largest taken;
    special tokens are no words. Intervals draw whole occupations, whose sentences are alike.
    """
    texts = [sentence.text for sentence in sentences]
    pieces = pieces_of(encoder, texts, out, report)
    numbers, names, attributed = _numbers(encoder, texts, pieces)
    predicted = attributed["labels"]
    right = predicted == np.array([LABELS[sentence.gender] for sentence in sentences])
    gendered = np.array([sentence.gender != "neutral" for sentence in sentences])
    groups = {"gendered": gendered, "gendered_and_right": gendered & right, "neutral": ~gendered}
    record: dict[str, Any] = {
        **provenance(model=encoder.name, sentences=len(sentences), resamples=resamples, flow="exact", seed=0),
        "accuracy": {"gendered": right[gendered].mean(), "neutral": right[~gendered].mean(), "all": right.mean()},
        "confusion": dict(Counter(f"{s.gender} -> {label}" for s, label in zip(sentences, predicted, strict=True))),
        "certified": attributed["certified"].mean(),
    }
    occupations = np.unique([sentence.occupation for sentence in sentences], return_inverse=True)[1]
    for candidates, (pattern, how) in CANDIDATES.items():
        values, mask, place = _of_words(encoder, sentences, numbers, pattern, how)
        hits, reciprocal = hits_and_ranks(values, mask, place)
        words = mask.sum(axis=-1)
        # Of a random order: one over the number of words, and the mean of one over each rank.
        chance = [1 / words, np.cumsum(1 / np.arange(1, words.max() + 1))[words - 1] / words]
        columns = np.column_stack([hits, reciprocal, *chance, position_hits(place, occupations)])
        record[candidates] = {}
        for group, members in groups.items():
            if members.sum() < 2:
                continue
            interval = mean_interval(columns[members], clusters=occupations[members], resamples=resamples)
            cells = np.stack([interval.mean, interval.low, interval.high], axis=-1)
            found = [{"mean": mean, "low": low, "high": high} for mean, low, high in cells]
            record[candidates][group] = {
                "sentences": members.sum(),
                "hits": _nested(names, found[: len(names)]),
                "reciprocal_rank": _nested(names, found[len(names) : 2 * len(names)]),
                "chance": found[-3],
                "chance_reciprocal_rank": found[-2],
                "position": found[-1],
            }
    write_record(out / "gender.json", record)
    return record


def hits_and_ranks(
    values: Float[np.ndarray, "sentence row word"],
    mask: Bool[np.ndarray, "sentence word"],
    place: Int[np.ndarray, " sentence"],
    tol: float = 1e-9,
) -> tuple[Float[np.ndarray, "sentence row"], Float[np.ndarray, "sentence row"]]:
    """Whether the word at `place` comes first, and one over its rank; ties share places."""
    own = np.take_along_axis(values, np.broadcast_to(place[:, None, None], (*values.shape[:2], 1)), axis=-1)
    above = ((values > own + tol) & mask[:, None]).sum(axis=-1)
    equal = ((np.abs(values - own) <= tol) & mask[:, None]).sum(axis=-1)
    return np.where(above == 0, 1 / equal, 0.0), 1 / (1 + above + (equal - 1) / 2)


def position_hits(place: Int[np.ndarray, " sentence"], groups: np.ndarray) -> Float[np.ndarray, " sentence"]:
    """Hits of naming, whatever the words, the place where most pronouns of the other groups' sentences stand."""
    hits = np.zeros(len(place))
    for group in np.unique(groups):
        others = place[groups != group]
        best = np.bincount(others).argmax() if len(others) else -1
        hits[groups == group] = place[groups == group] == best
    return hits


def _numbers(
    encoder: TextEncoder, texts: list[str], pieces: Pieces
) -> tuple[list[Float[np.ndarray, "row token"]], list[tuple[str, str]], dict[str, np.ndarray]]:
    """Every method's and measure's number of each token, what the rows are (name, layer), and the attribution."""
    layers = tuple(range(1, encoder.layers + 1))
    inputs = token_inputs(encoder, texts)

    def relevance() -> dict[str, np.ndarray]:
        result = attribute(encoder, texts, methods=METHODS, queries=0, flow="exact")
        rows = [np.concatenate([example.relevance[method][:, 0] for method in METHODS]) for example in result]
        certified = np.array([np.asarray(example.certified).mean() for example in result])
        return {"values": padded(rows)[0], "certified": certified, "labels": np.array(result.prediction)}

    attributed = pieces("relevance", relevance)
    parts = [attributed["values"]]
    for name, method in GRADIENTS.items():
        found = pieces(name.replace(" ", "-"), lambda m=method: {"values": gradient_scores(encoder, inputs, m).values})
        parts.append(found["values"][:, None])
    blank = pieces("blank-out", lambda: {"values": occlusion_scores(encoder, inputs, positions="words").values})
    parts.append(blank["values"][:, None])
    names = [(method, str(layer)) for method in METHODS for layer in layers]
    names += [(name, "") for name in (*GRADIENTS, "blank-out")]
    whole = np.concatenate([np.asarray(part, np.float64) for part in parts], axis=1)
    return [rows[:, :length] for rows, length in zip(whole, inputs.lengths, strict=True)], names, attributed


def _of_words(
    encoder: TextEncoder, sentences: Sequence[Sentence], numbers: list[np.ndarray], pattern: str, how: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of words `sentence row word`, the mask of words, and the pronoun's place among them."""
    rows, places = [], []
    encodings = encoder.tokenize([sentence.text for sentence in sentences])
    for sentence, encoding, values in zip(sentences, encodings, numbers, strict=True):
        spans = spans_of(sentence.text, pattern)
        rows.append(to_words(values, words_of_tokens(encoding, spans), len(spans), how))
        places.append(spans.index(sentence.pronoun))
    values, mask = padded(rows)
    return np.nan_to_num(values, nan=-1.0), mask, np.array(places)


def _nested(names: list[tuple[str, str]], cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Cells by method and layer; measures have no layer."""
    found: dict[str, Any] = {}
    for (name, layer), cell in zip(names, cells, strict=True):
        if layer:
            found.setdefault(name, {})[layer] = cell
        else:
            found[name] = cell
    return found
