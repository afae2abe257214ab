"""Texts with their tokens and the positions to explain."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Int

from jaxflow._checks import InputError, refuse_table
from jaxflow._typing import Inputs, Pairs
from jaxflow.attribution.question import ANSWER, CLASSIFIER, LAST, SettledQueries
from jaxflow.models import Encoding, Model
from jaxflow.models.generation import settled_tokens
from jaxflow.models.images import ImageEncoding, images_of, pooled_of
from jaxflow.models.two_streams import Writes, encoder_layers_of


@dataclass(frozen=True)
class EncodedText:
    """A text that is tokenised already.

    Attributes:
        text: the text.
        pair: the second text, or None.
        encoding: what `Model.tokenize` made of them.
        place: its place in the input, in words, for messages.
    """

    text: str
    pair: str | None
    encoding: Encoding
    place: str


@dataclass(frozen=True)
class Item:
    """One text, its tokens and the positions to explain.

    Attributes:
        index: its number.
        place: its place in the input, in words.
        text: as it was given.
        pair: the second text, or None.
        encoding: its tokens.
        queries: positions to explain.
        answer: positions of the answer's tokens, each of which a query predicted; None where no answer is explained.
        wanted: id of the token that its last position predicted, for a part of an answer (`attribution.answers`).
    """

    index: int
    place: str
    text: str
    pair: str | None
    encoding: Encoding
    queries: Int[np.ndarray, " query"]
    answer: Int[np.ndarray, " query"] | None = None
    wanted: int | None = None

    @property
    def length(self) -> int:
        """Number of tokens, by which the engine sorts texts."""
        return len(self.encoding)


def as_texts(texts: Inputs, pairs: Pairs, model: Model | None = None) -> tuple[Any, Any]:
    """Texts and second texts as lists, also of a single text; anything else is left to the tokenizer's check.

    Images, for a model of images, are taken as they are: its own reader opens folders and names them.
    """
    if model is not None and images_of(model) is not None:
        if isinstance(texts, list | tuple) and not len(texts):
            raise InputError("texts", "hold at least one image", "none")
        return texts, pairs
    refuse_table("texts", texts)
    refuse_table("pairs", pairs)
    if isinstance(texts, str):
        return [texts], [pairs] if isinstance(pairs, str) else pairs
    # Generators are drained once: the tokenizer and the results both need the texts.
    texts = texts if not isinstance(texts, Iterable) else [_plain(text) for text in texts]
    if isinstance(texts, list) and not texts:
        raise InputError("texts", "hold at least one text", "none")
    return texts, pairs if isinstance(pairs, str) or not isinstance(pairs, Iterable) else [_plain(p) for p in pairs]


def _plain(text: Any) -> Any:
    """A text of Python's own type, as NumPy has one that prints otherwise; anything else as it is."""
    return str(text) if isinstance(text, str) else text


def encoded_texts(model: Model, texts: Any, pairs: Any, **lengths: Any) -> list[EncodedText]:
    """Tokenise texts, as `as_texts` gives them, by `encodings_of`."""
    # All texts in one call: fast tokenizers work on them in parallel.
    encodings = encodings_of(model, texts, pairs, **lengths)
    # Of images the names; of folders they are more than was passed.
    texts = [each.name if isinstance(each, ImageEncoding) else text for each, text in _beside(encodings, texts)]
    both = zip(texts, pairs or [None] * len(texts), encodings, strict=True)
    return [EncodedText(*each, f"text {index}") for index, each in enumerate(both)]


def encodings_of(
    model: Model,
    texts: Any,
    pairs: Any,
    *,
    answers: bool = False,
    max_length: int | None,
    truncate: bool,
    new_tokens: int | None = None,
) -> list[Encoding]:
    """Tokens of texts; an encoder-decoder writes its targets where there are no pairs.

    Args:
        model: that reads the texts.
        texts: as `Model.tokenize` takes them.
        pairs: second texts; None for none.
        answers: whether answers are explained.
        max_length: as `Model.tokenize` takes it, and `truncate`.
        truncate: cut longer texts.
        new_tokens: most targets that an encoder-decoder writes; None for its own number.
    """
    if pairs is None and encoder_layers_of(model):
        most = settled_tokens(model, new_tokens)
        if isinstance(model, Writes):
            return model.write(texts, most, max_length=max_length, truncate=truncate, answers=answers)
    return model.tokenize(texts, pairs, max_length=max_length, truncate=truncate)


def asked_item(index: int, text: EncodedText, model: Model, queries: SettledQueries) -> Item:
    """One text with the positions that a question's `queries` are in it, checked."""
    check_answer(queries, text.encoding, text.place)
    positions = positions_of(queries, model, text.encoding, index)
    item = item_of(index, text.place, text.text, text.pair, text.encoding, positions)
    # Each position of an answer's predicted the token behind it.
    return replace(item, answer=positions + 1) if is_answer(queries) else item


def _beside(encodings: list[Encoding], texts: Any) -> list[tuple[Encoding, Any]]:
    images = bool(encodings) and isinstance(encodings[0], ImageEncoding)
    return list(zip(encodings, [None] * len(encodings) if images else texts, strict=True))


def item_of(
    index: int, place: str, text: str, pair: str | None, encoding: Encoding, queries: Int[np.ndarray, " query"]
) -> Item:
    """One text with the positions to explain, checked."""
    check_positions(queries, encoding.listed, place)
    return Item(index, place, text, encoding.written if pair is None else pair, encoding, queries)


def is_answer(queries: object) -> bool:
    """Whether the tokens of answers are explained."""
    # A question's positions may be an array, which has no one truth.
    return isinstance(queries, str) and queries == ANSWER


def check_answer(queries: SettledQueries, encoding: Encoding, place: str) -> None:
    """Refuse an answer none of whose tokens can be explained.

    Raises:
        InputError: it names the text.
    """
    if is_answer(queries) and 1 not in encoding.source:
        expected = "have an answer with a token that is no special one"
        way_out = "pass an answer of words as `pairs`, or other positions as `queries`"
        raise InputError(None, expected, "none", way_out, place=place)


def check_positions(queries: Int[np.ndarray, " query"], tokens: int, place: str, units: str = "tokens") -> None:
    """Refuse positions that a text does not have.

    Raises:
        InputError: it names the first of them.
    """
    # A question refuses negative positions; a call with positions of its own may still have some.
    wrong = queries[(queries < 0) | (queries >= tokens)]
    if wrong.size:
        expected, way_out = f"be positions of {units}, from 0 to {tokens - 1}", "ask for all of them, or for fewer"
        raise InputError("queries", expected, str(wrong[0]), way_out, place=place)


def check_rows(queries: SettledQueries, texts: int) -> None:
    """Refuse positions by text whose number of rows is not the number of texts.

    Raises:
        InputError: it names the number of texts.
    """
    if is_row_by_row(queries) and len(queries) != texts:
        raise InputError("queries", f"be None, ints, or integers of shape ({texts}, any)", f"{len(queries)} rows")


def is_row_by_row(queries: SettledQueries) -> TypeGuard[tuple[tuple[int, ...], ...]]:
    """Whether positions differ from text to text."""
    # A question settles positions as a tuple of ints, or as a tuple of such tuples.
    return isinstance(queries, tuple) and isinstance(queries[0], tuple)


def positions_of(queries: SettledQueries, model: Model, encoding: Encoding, index: int) -> Int[np.ndarray, " query"]:
    """The positions to explain in one text.

    Args:
        queries: the question's positions.
        model: the model.
        encoding: the text's tokens.
        index: the text's number, which is its row where positions differ from text to text.
    """
    if queries is None:
        return np.arange(encoding.listed)
    if is_answer(queries):
        # The position before a token predicted it.
        return np.flatnonzero(np.array(encoding.source) == 1) - 1
    if isinstance(queries, str):
        pooled = pooled_of(model)
        if queries == CLASSIFIER and pooled is not None:
            return np.flatnonzero(pooled.shares)
        # -1 and the like count from the end of this text, wherever it is.
        return np.array([(-1 if queries == LAST else head_reads_at(model)) % encoding.listed])
    return np.array(queries[index] if is_row_by_row(queries) else queries)


def head_reads_at(model: Model) -> int:
    """The position that the model's head reads; -1 is the last token.

    Raises:
        InputError: it has no head that reads one token.
    """
    if model.reads_at is None:
        got = f"{CLASSIFIER!r}, and {model.name} has no head that reads one token"
        raise InputError("queries", "be positions that the text has", got, "pass ints, or None for all positions")
    return model.reads_at
