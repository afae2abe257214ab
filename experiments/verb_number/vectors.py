"""Word vectors from the training text alone: where the word embeddings start.

Positive pointwise mutual information of each word with its left and right neighbours and with its last letters,
factored by a truncated singular value decomposition. A few hundred thousand beginnings are too few to learn each
word's number from; its neighbours and its ending give it away.
"""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.verb_number.tokenizer import INSIDE, SPECIALS, coded, make_tokenizer

# Neighbours are counted among this many of the most frequent words, on each side, at these distances.
CONTEXTS, DISTANCES = 1500, (1, 2)
ENDINGS = (1, 2, 3)


def word_vectors(text: Path, known: Sequence[str], width: int, *, seed: int = 0) -> np.ndarray:
    """Vectors `(word, width)` of unit variance; rows of special tokens are random. Takes about a minute."""
    rng = np.random.default_rng(seed)
    tokenizer = make_tokenizer(known, 10**6)
    special = len(SPECIALS)
    contexts = min(CONTEXTS, len(known) - special)
    counts = [np.zeros((len(known), contexts), np.float32) for _ in range(2 * len(DISTANCES))]
    for ids in _chunks(text, tokenizer):
        for column, (distance, side) in enumerate((d, s) for d in DISTANCES for s in (1, -1)):
            word, other = (ids[:-distance], ids[distance:])[::side]
            keep = (other >= special) & (other < special + contexts) & (word >= special)
            flat = word[keep].astype(np.int64) * contexts + (other[keep] - special)
            counts[column] += np.bincount(flat, minlength=counts[column].size).reshape(-1, contexts)
    weights = [1.0 if distance == 1 else 0.5 for distance in DISTANCES for _ in (1, -1)]
    features = np.concatenate(
        [w * _information(c) for w, c in zip(weights, counts, strict=True)] + [2.0 * _endings(known)], axis=1
    )
    features[:special] = 0
    vectors = _factored(features, width, rng)
    # What all words share says nothing.
    vectors[special:] -= vectors[special:].mean(0)
    vectors[special:] /= vectors[special:].std()
    vectors[:special] = rng.normal(size=(special, width))
    return vectors.astype(np.float32)


def _chunks(text: Path, tokenizer: Any) -> Iterator[np.ndarray]:
    """Ids of many sentences in a row, with markers between them that count as no word."""
    ids: list[int] = []
    with gzip.open(text, "rt", encoding="utf-8") as file:
        for row in coded(tokenizer, (line.split() for line in file)):
            ids += [*row, 0, 0]
            if len(ids) > 2_000_000:
                yield np.array(ids, np.int32)
                ids = []
    if ids:
        yield np.array(ids, np.int32)


def _information(counts: np.ndarray) -> np.ndarray:
    """Positive pointwise mutual information; contexts' frequencies smoothed by the power 0.75."""
    rows = counts.sum(1, keepdims=True)
    columns = counts.sum(0, keepdims=True) ** 0.75
    expected = rows * columns / max(columns.sum(), 1e-9)
    # Half a count less, so that single meetings of rare words are worth little.
    return np.log(np.maximum(np.maximum(counts - 0.5, 0) / np.maximum(expected, 1e-9), 1)).astype(np.float32)


def _endings(known: Sequence[str]) -> np.ndarray:
    """Indicators of last letters that at least ten words share."""
    endings: dict[str, list[int]] = {}
    for i, word in enumerate(known):
        # A piece inside a word has a word before it.
        word = word.replace(INSIDE, "a", 1) if word.startswith(INSIDE) else word
        for length in ENDINGS:
            if len(word) > length + 1 and word.isalpha():
                endings.setdefault(word[-length:], []).append(i)
    shared = [rows for rows in endings.values() if len(rows) >= 10]
    table = np.zeros((len(known), len(shared)), np.float32)
    for column, rows in enumerate(shared):
        table[rows, column] = 1
    return table


def _factored(features: np.ndarray, width: int, rng: np.random.Generator) -> np.ndarray:
    """Left singular vectors times the root of their values, by a randomised range finder with two power steps."""
    basis = features @ rng.normal(size=(features.shape[1], width + 30)).astype(np.float32)
    for _ in range(2):
        basis = features @ (features.T @ np.linalg.qr(basis)[0])
    basis = np.linalg.qr(basis)[0]
    left, values, _ = np.linalg.svd(basis.T @ features, full_matrices=False)
    return (basis @ left[:, :width]) * np.sqrt(values[:width])
