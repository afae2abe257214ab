"""Transformers that were compiled from programs: the tokens that each answer depends on are known by construction."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# The token in front of every text, and one that stands for no token of a text; longest text without the first.
BEGIN, BLANK, LENGTH = "[BOS]", "[BLANK]", 8
WEIGHTS = Path(__file__).with_name("programs.npz")

Text = tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """A program's tokens, texts and evidence.

    Attributes:
        vocabulary: the tokens that it knows.
        evidence: for a text and a place the places that the answer there depends on: some other token in one of these
            places, the text still being legal, changes it. None where the program has no answer.
        draw: a text of so many tokens.
        legal: whether a text is one that the program is for.
    """

    vocabulary: Text
    evidence: Callable[[Text, int], set[int] | None]
    draw: Callable[["Program", np.random.Generator, int], Text]
    legal: Callable[[Text], bool] = lambda text: True


def _any_text(program: Program, rng: np.random.Generator, length: int) -> Text:
    return tuple(rng.choice(program.vocabulary, length).tolist())


def _few_x(program: Program, rng: np.random.Generator, length: int) -> Text:
    """A text with one x, or now and then none or two."""
    text = rng.choice(program.vocabulary[:-1], length)
    text[rng.choice(length, int(rng.choice([0, 1, 1, 1, 2])), replace=False)] = "x"
    return tuple(text.tolist())


def _pairs(program: Program, rng: np.random.Generator, length: int) -> Text:
    """Keys, each with its value, then the key that is asked for; of one length."""
    keys, values = rng.permutation(list(KEYS))[:3], rng.permutation(["1", "2", "3", "4"])[:3]
    pairs = [token for pair in zip(keys, values, strict=True) for token in pair]
    return (*map(str, pairs), str(rng.choice(keys)))


def _back(steps: int) -> Callable[[Text, int], set[int] | None]:
    return lambda text, place: {place - steps} if place >= steps else None


def _neighbours(text: Text, place: int) -> set[int] | None:
    return {place - 1, place + 1} if 0 < place < len(text) - 1 else None


def _seen(text: Text, place: int) -> set[int]:
    found = [index for index in range(place + 1) if text[index] == "x"]
    # Without an x any token could become one; of two, either may go.
    return set(range(place + 1)) if not found else set(found) if len(found) == 1 else set()


def _key(text: Text, place: int) -> set[int] | None:
    # Only the last token is a question.
    if place < len(text) - 1:
        return None
    key = text.index(text[place])
    return {key, key + 1, place}


def _legal_pairs(text: Text) -> bool:
    keys, values = text[:-1:2], text[1::2]
    return {*keys, text[-1]} <= set(KEYS) and len(set(keys)) == len(keys) and not set(values) & set(KEYS)


KEYS = ("a", "b", "c", "d")
LETTERS = ("a", "b", "c", "d")
PROGRAMS = {
    "two before": Program(LETTERS, _back(2), _any_text),
    "three before, in two steps": Program(LETTERS, _back(3), _any_text),
    "reversed": Program(LETTERS, lambda text, place: {len(text) - 1 - place}, _any_text),
    "neighbours are equal": Program(LETTERS, _neighbours, _any_text),
    "first is last": Program(LETTERS, lambda text, place: {0, len(text) - 1}, _any_text),
    "share of x up to here": Program(("a", "b", "x"), lambda text, place: set(range(place + 1)), _few_x),
    "x was seen": Program(("a", "b", "x"), _seen, _few_x),
    "value of this key": Program((*KEYS, "1", "2", "3", "4"), _key, _pairs, _legal_pairs),
}


def texts_of(name: str, count: int, seed: int) -> list[str]:
    """Texts of a program, tokens between blanks, of 6 to 8 tokens."""
    rng, program = np.random.default_rng(seed), PROGRAMS[name]
    return [" ".join(program.draw(program, rng, int(rng.integers(6, LENGTH + 1)))) for _ in range(count)]
