"""Words as two tokenizers cut them: the teacher's tokens and the student's meet at the words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.verb_number.beginnings import Beginning

# What `places` says of padding.
NOWHERE = -1


def tokens_and_places(tokenizer: Any, found: Sequence[Beginning], longest: int) -> list[tuple[list[int], list[int]]]:
    """Ids of each beginning, and for each token its place: 0 for the first special token, words from 1, then the last.

    What is longer than `longest` tokens keeps those next to the verb. A word may have no token (a character that the
    tokenizer leaves out); its place then does not occur.
    """
    backend = tokenizer.backend_tokenizer
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    rows = []
    cut = backend.encode_batch([list(b.words) for b in found], is_pretokenized=True, add_special_tokens=False)
    for b, encoding in zip(found, cut, strict=True):
        ids, words = encoding.ids[-(longest - 2) :], encoding.word_ids[-(longest - 2) :]
        rows.append(([first, *ids, last], [0, *(word + 1 for word in words), len(b.words) + 1]))
    return rows


def padded(rows: Sequence[Sequence[int]], length: int, filling: int) -> np.ndarray:
    """Rows as one array."""
    table = np.full((len(rows), length), filling, np.int32)
    for row, values in zip(table, rows, strict=True):
        row[: len(values)] = values
    return table
