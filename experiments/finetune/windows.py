"""Pieces of passages that fit a model beside a question: one with the answer to train on, all of them to be asked.

A window begins and ends with whole words, so that its tokens are those of the passage.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments._words import spans_of
from jaxflow.models import Encoding, TextEncoder

Span = tuple[int, int]


@dataclass(frozen=True)
class Passage:
    """A text's words, and how many tokens stand before each word and at the end."""

    text: str
    spans: tuple[Span, ...]
    before: np.ndarray

    def window(self, first: int, end: int) -> Span:
        """Characters from a word up to, not including, word `end`."""
        return self.spans[first][0], self.spans[end - 1][1]


def passage_of(model: TextEncoder, text: str) -> Passage:
    """The words of a text."""
    spans = spans_of(text)
    starts = [start for start, _ in offsets_of(model, text)]
    word = np.searchsorted([start for start, _ in spans], starts, side="right") - 1
    counts = np.bincount(np.maximum(word, 0), minlength=len(spans))
    return Passage(text, tuple(spans), np.concatenate([[0], np.cumsum(counts)]))


def offsets_of(model: TextEncoder, text: str) -> list[Span]:
    """Where each token of a text of any length stands; no special tokens."""
    return model.tokenizer(text, add_special_tokens=False, verbose=False).encodings[0].offsets


def room(model: TextEncoder, question: str, tokens: int) -> int:
    """Tokens that a window has beside the question; a third at least, longer questions are cut."""
    tokens = min(tokens, model.max_length)
    special = model.tokenizer.num_special_tokens_to_add(pair=True)
    return max(tokens - special - len(offsets_of(model, question)), tokens // 3)


def window_around(passage: Passage, answer: Span, size: int, rng: np.random.Generator) -> Span:
    """A window of `size` tokens at most that holds the answer, at a random place of it.

    A word or an answer that is longer than the window is all that the window holds.
    """
    words = np.array(passage.spans)
    first = int(np.flatnonzero(words[:, 1] > answer[0])[0])
    last = int(np.flatnonzero(words[:, 0] < answer[1])[-1])
    before = passage.before
    # From the first word that the answer's last one still fits beside, to the one from which the passage's end fits.
    low = min(first, int(np.searchsorted(before, before[last + 1] - size)))
    high = max(low, min(first, int(np.searchsorted(before, before[-1] - size))))
    start = int(rng.integers(low, high + 1))
    return passage.window(start, max(last + 1, _end(before, start, size)))


def windows_over(passage: Passage, size: int, overlap: int) -> list[Span]:
    """Windows of `size` tokens at most that cover a passage.

    Each has about `overlap` tokens of the one before, no more than half of its own.
    """
    before, words, overlap = passage.before, len(passage.spans), min(overlap, size // 2)
    found, start = [], 0
    while True:
        end = _end(before, start, size)
        found.append(passage.window(start, end))
        if end == words:
            return found
        start = max(start + 1, min(end, int(np.searchsorted(before, before[end] - overlap))))


def encoded(
    model: TextEncoder, questions: Sequence[str], passages: Sequence[Passage], windows: Sequence[Span], tokens: int
) -> list[Encoding]:
    """Tokens of questions with windows of passages."""
    texts = [passage.text[start:end] for passage, (start, end) in zip(passages, windows, strict=True)]
    return model.tokenize(questions, texts, max_length=min(tokens, model.max_length), truncate=True)


def tokens_of(encoding: Encoding, window: Span, answer: Span) -> tuple[int, int] | None:
    """The answer's first and last token in a window, None where it is not all in it."""
    start, end = (place - window[0] for place in answer)
    inside = [
        place
        for place, (source, offset) in enumerate(zip(encoding.source, encoding.offsets, strict=True))
        if source == 1 and offset[1] > start and offset[0] < end
    ]
    if start < 0 or not inside or encoding.offsets[inside[-1]][1] < end:
        return None
    return inside[0], inside[-1]


def _end(before: np.ndarray, start: int, size: int) -> int:
    """One past the last word that still fits after `start`, a word at least."""
    return max(start + 1, int(np.searchsorted(before, before[start] + size, side="right")) - 1)
