"""Which words gain and which lose a share of the relevance."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.attention_change.statistics import Cell, cells
from experiments.attention_change.texts import Marked
from jaxflow.compare import adjusted

# Texts that a word must be in, and words that are named.
LEAST, MOST = 7, 10


def words_record(
    texts: Sequence[Marked],
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
    rows: Sequence[tuple[str, str]],
    named: Callable[[str], str] = str.lower,
) -> dict[str, Any]:
    """By class of texts and row, words that gained most and lost most, with the share of their text's relevance.

    A word's share is of the relevance of all words of its text, so that what [CLS] or [SEP] gives away or takes is out
    of it. P-values, by swapping models in texts, are corrected for the number of words. Words are
    told apart by what `named` makes of them.
    """
    groups = sorted({text.group for text in texts}) if len({text.group for text in texts}) <= 3 else []
    return {
        group or "all": _of_group(texts, before, after, rows, group, named)
        for group in ["", *(each for each in groups if each)]
    }


def _of_group(
    texts: Any, before: Any, after: Any, rows: Any, group: str, named: Callable[[str], str]
) -> dict[str, Any]:
    found: dict[str, list[np.ndarray]] = {}
    for text, one, two in zip(texts, before, after, strict=True):
        if group and text.group != group:
            continue
        change = two / np.nansum(two, axis=-1, keepdims=True) - one / np.nansum(one, axis=-1, keepdims=True)
        places: dict[str, list[int]] = {}
        for place, (start, end) in enumerate(text.spans):
            places.setdefault(named(text.text[start:end]), []).append(place)
        for word, held in places.items():
            found.setdefault(word, []).append(change[:, held].mean(axis=-1))
    words = sorted(word for word, values in found.items() if len(values) >= LEAST)
    tested = {word: cells(np.stack(found[word]), against=0.0) for word in words}
    record: dict[str, Any] = {}
    for place, (method, layer) in enumerate(rows):
        column = [tested[word][place] for word in words]
        corrected = adjusted(np.array([cell.p for cell in column])) if words else []
        order = sorted(zip(words, column, corrected, strict=True), key=lambda each: -each[1].mean)
        record[f"{method} {layer}"] = {
            "tested": len(words),
            "gained": [_row(*each, len(found[each[0]])) for each in order[:MOST] if each[1].mean > 0],
            "lost": [_row(*each, len(found[each[0]])) for each in order[::-1][:MOST] if each[1].mean < 0],
        }
    return record


def _row(word: str, cell: Cell, p: float, texts: int) -> dict[str, Any]:
    return {"word": word, "texts": texts, **cell.record(), "p": float(p)}
