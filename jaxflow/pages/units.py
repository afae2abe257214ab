"""What the explorer shows of a text in two models: tokens where they cut it alike, else words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxflow.attribution import Example
from jaxflow.compare.units import Units, common_units, membership, same_tokens
from jaxflow.inputs.images import Picture
from jaxflow.models import Encoding


@dataclass(frozen=True, eq=False)
class Pooled:
    """One text in one model, by the units that are shown.

    Attributes:
        text: as it was given.
        pair: the second text, or None.
        tokens: names of the units: the model's tokens, or words.
        offsets: characters (start, end) of each unit.
        source: 0 for the text's units, 1 for the pair's, -1 for special ones.
        relevance: by method, `layer query unit`.
        queries: by method, units that it was asked for.
        certified: share of the flows that are proven, None where no flow was asked for.
        saturated: by flow method, where flows are saturated, `layer query unit`; of a unit, where those of all its
            tokens are.
        prediction: the model's label.
        scores: probability of each class.
        picture: of an image, what the model saw.
    """

    text: str
    pair: str | None
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    source: tuple[int, ...]
    relevance: dict[str, Float[np.ndarray, "layer _ unit"]]
    queries: dict[str, Int[np.ndarray, " _"]]
    certified: float | None
    saturated: dict[str, Bool[np.ndarray, "layer _ unit"]]
    prediction: str | None
    scores: dict[str, float]
    picture: Picture | None = None


# `layer head unit unit`. Texts differ in length and models in depth, so that axes of several have no names in common.
HeadAttention: TypeAlias = Float[np.ndarray, "_ _ _ _"]


def pooled_text(
    examples: Sequence[tuple[Example, Example | None]],
    attention: Sequence[HeadAttention],
    encodings: Sequence[Encoding],
    text: str,
    pair: str | None,
) -> list[tuple[Pooled, HeadAttention]]:
    """For each model a text's relevance and attention, by units that the models have in common.

    Args:
        examples: for each model its attribution at all positions, and that at those that were asked for, or None.
        attention: for each model that of every head, between tokens.
        encodings: for each model its tokens.
        text: the text.
        pair: the second text, or None.
    """
    merged = [_merged(*each) for each in examples]
    if len(encodings) < 2 or same_tokens(*encodings):
        return list(zip(merged, attention, strict=True))
    units = common_units(text, pair, encodings[0], encodings[1])
    # For each token of a model its unit.
    groups = [np.array(units.first), np.array(units.second)]
    asked = _asked(merged, groups, len(units))
    # Only units that were asked for in both models can be set side by side.
    return [
        (_by_units(example, group, units, asked), _attention_by_units(weights, group, len(units)))
        for example, group, weights in zip(merged, groups, attention, strict=True)
    ]


def _merged(every: Example, asked: Example | None) -> Pooled:
    # Methods differ in their positions: some have all, the others those of the question.
    queries = {name: np.asarray(every.queries) for name in every.relevance}
    if asked is not None:
        queries |= {name: np.asarray(asked.queries) for name in asked.relevance}
    return Pooled(
        text=every.text,
        pair=every.pair,
        tokens=every.tokens,
        offsets=every.offsets,
        source=every.source,
        relevance=dict(every.relevance) | (asked.relevance if asked else {}),
        queries=queries,
        certified=None if asked is None or asked.certified is None else float(np.mean(asked.certified)),
        saturated={} if asked is None else dict(asked.saturation),
        prediction=every.prediction,
        scores=dict(every.scores),
        picture=every.picture,
    )


def _asked(examples: Sequence[Pooled], groups: Sequence[np.ndarray], units: int) -> dict[str, np.ndarray]:
    """By method, units that every model was asked for; all of them where every token was."""
    shared = {}
    for name in examples[0].queries:
        asked = [
            # Units that have no token in a model are asked for as well where every token is.
            np.arange(units) if len(example.queries[name]) == len(group) else np.unique(group[example.queries[name]])
            for example, group in zip(examples, groups, strict=True)
        ]
        shared[name] = reduce(np.intersect1d, asked)
    return shared


def _by_units(example: Pooled, group: np.ndarray, units: Units, asked: dict[str, np.ndarray]) -> Pooled:
    """Relevance summed over a unit's tokens, averaged over those of its tokens that were asked for."""
    # token unit
    keys = membership(group.tolist(), len(group), len(units)).astype(np.float64)
    relevance, saturated = {}, {}
    for name, values in example.relevance.items():
        # unit query: ones where a position asked for is of the unit, then means
        rows = (asked[name][:, None] == group[example.queries[name]]).astype(np.float64)
        # A unit without a token in this model asks for nothing.
        rows /= np.maximum(rows.sum(axis=1, keepdims=True), 1)
        relevance[name] = np.einsum("uq,lqt,tk->luk", rows, values.astype(np.float64), keys, optimize=True)
        if name in example.saturated:
            told = np.einsum("uq,lqt,tk->luk", rows, ~example.saturated[name], keys, optimize=True)
            # Units without a token, or that ask for nothing, have no flow.
            saturated[name] = (told == 0) & (rows.sum(1)[:, None] > 0) & (keys.sum(0) > 0)
    return replace(
        example,
        tokens=units.names,
        offsets=units.offsets,
        source=units.source,
        relevance=relevance,
        saturated=saturated,
        queries=asked,
    )


def _attention_by_units(attention: np.ndarray, group: np.ndarray, units: int) -> np.ndarray:
    keys = membership(group.tolist(), len(group), units)
    # Columns of a unit's tokens are summed, rows averaged: `unit token` on the left.
    rows = keys.T / np.maximum(keys.sum(axis=0), 1)[:, None]
    return np.einsum("uq,lhqt,tk->lhuk", rows, attention, keys, optimize=True).astype(np.float32)
