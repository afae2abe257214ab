"""Counterfactuals: a text with one word at a time made unknown."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from experiments.attention_change.texts import Span
from jaxflow.models import Encoding, TextEncoder
from jaxflow.running import EngineOptions, Reader, run_readers

# Copies that run together.
ROWS = 64


def blanked(model: TextEncoder, encoding: Encoding, spans: Sequence[Span]) -> list[Encoding]:
    """The text as it is, and for each word a copy that has the unknown token for all of its pieces."""
    starts = np.array([start for start, _ in encoding.offsets])
    blank = model.tokenizer.unk_token_id
    copies = [encoding]
    for start, end in spans:
        held = (starts >= start) & (starts < end)
        ids = tuple(blank if inside else token for token, inside in zip(encoding.input_ids, held, strict=True))
        copies.append(replace(encoding, input_ids=ids))
    return copies


def run(model: TextEncoder, encodings: Sequence[Encoding], reader: Reader) -> np.ndarray:
    """What a reader gives of each text, one row a text."""
    options = EngineOptions(batch_size=ROWS)
    return np.stack([row for (row,) in run_readers(model, encodings, [reader], options=options)])
