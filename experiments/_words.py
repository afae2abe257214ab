"""Tokens to words: which word each token is a part of, and numbers of tokens as numbers of words."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxflow.models import Encoding

Span = tuple[int, int]
HOW = {"sum": np.add, "max": np.maximum}


def spans_of(text: str, pattern: str = r"\S+") -> list[Span]:
    """Where the words of a text stand, by default what stands between blanks."""
    return [match.span() for match in re.finditer(pattern, text)]


def words_of_tokens(encoding: Encoding, spans: Sequence[Span]) -> np.ndarray:
    """For each token the word that it begins in, -1 for special tokens and for what is in no word."""
    starts = np.array([start for start, _ in spans])
    ends = np.array([end for _, end in spans])
    places = np.array([start for start, _ in encoding.offsets])
    word = np.searchsorted(starts, places, side="right") - 1
    inside = (word >= 0) & (places < ends[np.maximum(word, 0)]) & ~np.array(encoding.special)
    return np.where(inside, word, -1)


def to_words(
    values: Float[np.ndarray, "*rest token"], word: np.ndarray, words: int, how: str = "sum"
) -> Float[np.ndarray, "*rest word"]:
    """Numbers of words from numbers of their tokens, added up or the largest; NaN for words without a token."""
    values = np.asarray(values, np.float64)
    start = 0.0 if how == "sum" else -np.inf
    found = np.full((*values.shape[:-1], words), start)
    for token in np.flatnonzero(word >= 0):
        found[..., word[token]] = HOW[how](found[..., word[token]], values[..., token])
    found[..., ~np.isin(np.arange(words), word)] = np.nan
    return found
