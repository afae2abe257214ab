"""Answers out of a model's numbers, and what SQuAD's official script (evaluate-v2.0.py) says of them."""

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxflow.models import Encoding

# Tokens of the longest answer that is considered.
LONGEST_ANSWER = 30
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """In small letters, without punctuation and the articles a, an, the; one blank between words."""
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", answer.lower().translate(_PUNCTUATION)).split())


def exact(answer: str, gold: Sequence[str]) -> float:
    """1 where the answer is one of the gold answers but for case, punctuation and articles."""
    return float(normalised(answer) in map(normalised, gold))


def f1(answer: str, gold: Sequence[str]) -> float:
    """Overlap of words with the gold answer that it has most in common with: harmonic mean of precision and recall."""
    return max(_overlap(normalised(answer).split(), normalised(one).split()) for one in gold)


def _overlap(found: list[str], gold: list[str]) -> float:
    if not found or not gold:
        return float(found == gold)
    # 2 p r / (p + r) with p = common / found and r = common / gold.
    return 2 * (Counter(found) & Counter(gold)).total() / (len(found) + len(gold))


def best_span(logits: Float[np.ndarray, "token 2"], first: int, last: int) -> tuple[int, int, float]:
    """The start and end of the largest sum of logits within `[first, last]`, no longer than an answer is; the sum."""
    sums = logits[first : last + 1, None, 0] + logits[None, first : last + 1, 1]
    allowed = np.triu(np.ones(sums.shape, bool)) & ~np.triu(np.ones(sums.shape, bool), LONGEST_ANSWER)
    sums = np.where(allowed, sums, -np.inf)
    start, end = np.unravel_index(int(sums.argmax()), sums.shape)
    return first + int(start), first + int(end), float(sums[start, end])


def context_of(encoding: Encoding) -> tuple[int, int]:
    """The first and the last token of the second text."""
    places = np.flatnonzero(np.array(encoding.source) == 1)
    return int(places[0]), int(places[-1])
