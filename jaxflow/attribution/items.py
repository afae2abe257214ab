"""Texts with their tokens and the positions that are asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxflow._checks import InputError
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
    """One text, its tokens and the positions that are asked for."""

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


def items_of(
    encoder: Model, texts: Any, pairs: Any, queries: Any, *, max_length: int | None, truncate: bool
) -> list[Item]:
    """Tokenise texts and check the positions that are asked for."""
    if isinstance(texts, Mapping) or hasattr(texts, "columns"):
        # A list of it would be one of its columns' names.
        raise InputError(f"`texts` must be a sequence of texts, got {type(texts).__name__}; pass a column of it")
    texts = texts if not isinstance(texts, Iterable) else list(texts)
    pairs = pairs if isinstance(pairs, str) or not isinstance(pairs, Iterable) else list(pairs)
    if isinstance(texts, list) and not texts:
        raise InputError("`texts` must hold at least one text, got none")
    encodings = encoder.tokenize(texts, pairs, max_length=max_length, truncate=truncate)
    rows = as_rows(queries, len(texts))
    items = []
    for index, encoding in enumerate(encodings):
        chosen, pair = None if rows is None else rows[index], None if pairs is None else pairs[index]
        items.append(item_of(index, f"text {index}", texts[index], pair, encoding, chosen))
    return items


def item_of(
    index: int, place: str, text: str, pair: str | None, encoding: Encoding, queries: Int[np.ndarray, " query"] | None
) -> Item:
    """One text; no `queries` are all positions."""
    chosen = np.arange(len(encoding)) if queries is None else queries
    if chosen.min() < 0 or chosen.max() >= len(encoding):
        wrong = chosen[(chosen < 0) | (chosen >= len(encoding))][0]
        raise InputError(f"`queries` must be positions of tokens, got {wrong} for {place} of {len(encoding)}")
    return Item(index, place, text, pair, encoding, chosen)


def as_rows(queries: Any, texts: int) -> Int[np.ndarray, "text query"] | None:
    """Positions asked for as one row a text; None is every one."""
    if queries is None:
        return None
    try:
        array = np.asarray(queries)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iu" or not array.size or array.ndim > 2 or (array.ndim == 2 and len(array) != texts):
        raise InputError(
            f"`queries` must be None, an int, a sequence of ints, or integers of shape ({texts}, any), got {queries!r}"
        )
    return np.broadcast_to(array, (texts, array.shape[-1] if array.ndim else 1))
