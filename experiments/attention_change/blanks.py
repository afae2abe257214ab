"""Counterfactuals: a text with one word at a time made unknown."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from experiments.attention_change.texts import Span
from jaxflow.compare.stream import bucket
from jaxflow.models import Encoding, TextEncoder, TokenBatch

# Copies that run together; always as many, so that there is one program a length.
ROWS = 64


def blanked(encoder: TextEncoder, encoding: Encoding, spans: Sequence[Span]) -> list[Encoding]:
    """The text as it is, and for each word a copy that has the unknown token for all of its pieces."""
    starts = np.array([start for start, _ in encoding.offsets])
    blank = encoder.tokenizer.unk_token_id
    copies = [encoding]
    for start, end in spans:
        held = (starts >= start) & (starts < end)
        ids = tuple(blank if inside else token for token, inside in zip(encoding.input_ids, held, strict=True))
        copies.append(replace(encoding, input_ids=ids))
    return copies


def run(
    encoder: TextEncoder, encodings: Sequence[Encoding], read: Callable[[Any, TokenBatch], np.ndarray]
) -> np.ndarray:
    """What is read off the model's output, one row a text."""
    lengths = np.array([min(bucket(len(encoding)), encoder.max_length) for encoding in encodings])
    found: dict[int, np.ndarray] = {}
    for length in np.unique(lengths):
        places = np.flatnonzero(lengths == length)
        for start in range(0, len(places), ROWS):
            part = places[start : start + ROWS]
            rows = [encodings[place] for place in np.resize(part, ROWS).tolist()]
            batch = encoder.pad(rows, int(length))
            values = read(encoder(batch, return_attention=False), batch)
            found |= dict(zip(part.tolist(), values, strict=False))
    return np.stack([found[place] for place in range(len(encodings))])
