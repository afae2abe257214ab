"""Texts with their tokens and the positions to explain."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxflow._checks import InputError
from jaxflow.attribution.question import CLASSIFIER, LAST
from jaxflow.models import Encoding, Model


@dataclass(frozen=True)
class EncodedText:
    """A text that is tokenised already.

    Attributes:
        text: the text.
        pair: the second text, or None.
        encoding: what `Model.tokenize` made of them.
        place: where it came from, in words, for messages.
    """

    text: str
    pair: str | None
    encoding: Encoding
    place: str


@dataclass(frozen=True)
class Item:
    """One text, its tokens and the positions to explain."""

    index: int
    place: str
    text: str
    pair: str | None
    encoding: Encoding
    queries: Int[np.ndarray, " query"]

    @property
    def length(self) -> int:
        """Its tokens."""
        return len(self.encoding)


def as_texts(texts: Any, pairs: Any) -> tuple[Any, Any]:
    """Texts and second texts as lists, one text alone included; what is neither is left to the tokenizer's check."""
    if isinstance(texts, Mapping) or hasattr(texts, "columns"):
        # A list of it would be one of its columns' names.
        raise InputError("texts", "be a sequence of texts", type(texts).__name__, "pass a column of it")
    if isinstance(texts, str):
        return [texts], [pairs] if isinstance(pairs, str) else pairs
    texts = texts if not isinstance(texts, Iterable) else list(texts)
    if isinstance(texts, list) and not texts:
        raise InputError("texts", "hold at least one text", "none")
    return texts, pairs if isinstance(pairs, str) or not isinstance(pairs, Iterable) else list(pairs)


def items_of(
    model: Model, texts: Any, pairs: Any, queries: Any, *, max_length: int | None, truncate: bool
) -> list[Item]:
    """Tokenise texts (as `as_texts` gives them) and check the positions to explain."""
    encodings = model.tokenize(texts, pairs, max_length=max_length, truncate=truncate)
    check_rows(queries, len(texts))
    return [
        item_of(index, f"text {index}", text, pair, encoding, positions_of(queries, model, encoding, index))
        for index, (text, pair, encoding) in enumerate(zip(texts, pairs or [None] * len(texts), encodings, strict=True))
    ]


def item_of(
    index: int, place: str, text: str, pair: str | None, encoding: Encoding, queries: Int[np.ndarray, " query"]
) -> Item:
    """One text with the positions to explain, checked."""
    check_positions(queries, len(encoding), place)
    return Item(index, place, text, pair, encoding, queries)


def check_positions(queries: Int[np.ndarray, " query"], tokens: int, place: str, units: str = "tokens") -> None:
    """Refuse positions that a text does not have.

    Raises:
        InputError: the first of them is named.
    """
    wrong = queries[(queries < 0) | (queries >= tokens)]
    if wrong.size:
        expected, way_out = f"be positions of {units}, from 0 to {tokens - 1}", "ask for all of them, or for fewer"
        raise InputError("queries", expected, str(wrong[0]), way_out, place=place)


def check_rows(queries: Any, texts: int) -> None:
    """Refuse positions that differ from text to text where they are not of as many texts.

    Raises:
        InputError: how many there must be is named.
    """
    if is_row_by_row(queries) and len(queries) != texts:
        raise InputError("queries", f"be None, ints, or integers of shape ({texts}, any)", f"{len(queries)} rows")


def is_row_by_row(queries: Any) -> bool:
    """Whether positions differ from text to text."""
    return isinstance(queries, tuple) and isinstance(queries[0], tuple)


def positions_of(queries: Any, model: Model, encoding: Encoding, index: int) -> Int[np.ndarray, " query"]:
    """The positions to explain of one text, as a question has them.

    Args:
        queries: of the question.
        model: that reads the text.
        encoding: its tokens.
        index: the text's number, by which its row is found where positions differ from text to text.
    """
    if queries is None:
        return np.arange(len(encoding))
    if isinstance(queries, str):
        return np.array([(-1 if queries == LAST else head_reads_at(model)) % len(encoding)])
    return np.array(queries[index] if is_row_by_row(queries) else queries)


def head_reads_at(model: Model) -> int:
    """Where the model's head reads a text; -1 is its last token.

    Raises:
        InputError: it has no head that reads one token.
    """
    if model.reads_at is None:
        got = f"{CLASSIFIER!r}, and {model.name} has no head that reads one token"
        raise InputError("queries", "be positions that the text has", got, "pass ints, or None for all positions")
    return model.reads_at
