"""Shards: consecutive rows of the input, which are tokenised, attributed and written together."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np

from jaxflow._checks import InputError, one_of
from jaxflow._untyped import JsonObject
from jaxflow.attribution import EncodedText
from jaxflow.attribution.items import check_answer, check_positions, encodings_of, is_answer
from jaxflow.attribution.question import Question
from jaxflow.inputs.rows import BadRow, Row, Text
from jaxflow.models import Encoding, Model
from jaxflow.models.generation import prompt_length, settled_tokens
from jaxflow.models.images import images_of
from jaxflow.models.two_streams import Writes, encoder_layers_of

# A shard ends at whichever comes first, so that its texts make full batches and its results fit memory. Values are
# relevance values at most, or bytes of text where those are more.
SHARD_ROWS = 1024
SHARD_VALUES = 2**25

ON_ERROR = ("stop", "skip")


class Lengths(TypedDict):
    """How long texts may be, as `Model.tokenize` has it: most tokens, and whether longer texts are cut.

    And where answers or targets are written most tokens of one; `max_length` is then the prompts', or the sources'.
    """

    max_length: int | None
    truncate: bool
    new_tokens: NotRequired[int]


def settled_lengths(
    model: Model, question: Question, paired: bool, max_length: int | None, truncate: bool, new_tokens: int | None
) -> Lengths:
    """How long texts may be, with room for answers where these are generated."""
    targets = bool(encoder_layers_of(model))
    if paired or not (is_answer(question.queries) or targets):
        return Lengths(max_length=max_length, truncate=truncate)
    tokens = settled_tokens(model, new_tokens)
    if targets and not isinstance(model, Writes):
        # It writes its targets as it tokenises, as many as it will.
        return Lengths(max_length=max_length, truncate=truncate)
    # Targets take no room of the sources'.
    most = max_length if targets else prompt_length(model, max_length, tokens, truncate=truncate)
    return Lengths(max_length=most, truncate=truncate, new_tokens=tokens)


def cut_by(lengths: Lengths) -> JsonObject:
    """The lengths as `Model.tokenize` takes them."""
    return {"max_length": lengths["max_length"], "truncate": lengths["truncate"]}


class BadRowError(InputError):
    """A row cannot be used, and rows are not to be skipped."""


@dataclass(frozen=True)
class Cut:
    """Rows of one shard, as read.

    Attributes:
        index: which shard, from 0.
        rows: its rows.
        last: whether the input ends with them.
    """

    index: int
    rows: tuple[Row, ...]
    last: bool

    def sha256(self) -> str:
        """A hash of the rows."""
        # A shard that ends the input differs from the same rows with more behind them.
        digest = hashlib.sha256(b"last" if self.last else b"")
        for row in self.rows:
            digest.update(row.content.encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Shard:
    """Rows of one shard, tokenised.

    Attributes:
        cut: the rows.
        ids: row or line numbers of the texts.
        texts: those that can be attributed.
        skipped: the rows that cannot.
    """

    cut: Cut
    ids: tuple[int | str, ...]
    texts: tuple[EncodedText, ...]
    skipped: tuple[BadRow, ...]


def cuts(rows: Iterable[Row], model: Model, question: Question, max_length: int | None = None) -> Iterator[Cut]:
    """Shards, one after the other.

    Where a shard ends follows from its rows, the question and the length alone. Nothing is tokenised for it: a text has
    no more tokens than bytes, and special ones. So a process that makes every second shard only reads the others.
    """
    limit = min(model.max_length, max_length or model.max_length)
    shard_rows: list[Row] = []
    # Pixels are in memory with a shard's texts, and are more than an image's values.
    reader = images_of(model)
    pixels = 0 if reader is None else reader.numbers
    index = values = 0
    for row in rows:
        # Bad rows cost nothing, but count as rows.
        cost = _most_values(row, limit, model.layers, question) + pixels
        if shard_rows and (len(shard_rows) == SHARD_ROWS or values + cost > SHARD_VALUES):
            yield Cut(index, tuple(shard_rows), last=False)
            shard_rows, index, values = [], index + 1, 0
        shard_rows.append(row)
        values += cost
    if shard_rows:
        yield Cut(index, tuple(shard_rows), last=True)


def encode(model: Model, cut: Cut, question: Question, lengths: Lengths, on_error: str) -> Shard:
    """Tokenise a shard's texts.

    Raises:
        InputError: a row cannot be used, and `on_error` is "stop"; names its place.
    """
    one_of("on_error", on_error, ON_ERROR)
    # One call for all texts; text by text only where one of them is refused, to find out which.
    answers = is_answer(question.queries)
    encodings = _together(model, cut, lengths, answers)
    ids, texts, skipped = [], [], []
    for row in cut.rows:
        # Encodings come in the order of the texts; once they are refused there are none, and each is tokenised alone.
        outcome = row if isinstance(row, BadRow) else next(encodings, None) or _alone(model, row, lengths, answers)
        if not isinstance(outcome, BadRow):
            assert isinstance(row, Text)
            outcome = _without_query(row, outcome, question) or EncodedText(row.text, row.pair, outcome, row.place)
        if isinstance(outcome, EncodedText):
            ids.append(row.id)
            texts.append(outcome)
        elif on_error == "stop":
            raise BadRowError(*outcome.error.args, place=outcome.error.place)
        else:
            skipped.append(outcome)
    return Shard(cut, tuple(ids), tuple(texts), tuple(skipped))


def _most_values(row: Row, limit: int, layers: int, question: Question) -> int:
    if isinstance(row, BadRow):
        return 0
    if not isinstance(row.given, str):
        # An image has as many tokens as any other.
        return question.values(limit, layers)
    parts = [row.text] if row.pair is None else [row.text, row.pair]
    # Bytes of UTF-8, without encoding what needs none.
    size = sum(len(part) if part.isascii() else len(part.encode()) for part in parts)
    # With 4 special tokens, as many as RoBERTa adds to a pair.
    return max(size, question.values(min(limit, size + 4), layers))


def _together(model: Model, cut: Cut, lengths: Lengths, answers: bool) -> Iterator[Encoding]:
    """Encodings of all texts at once, which is quick; none where one of them is refused."""
    chosen = [row for row in cut.rows if isinstance(row, Text)]
    pairs = [str(row.pair) for row in chosen] if chosen and chosen[0].pair is not None else None
    try:
        texts = [row.given for row in chosen]
        return iter(encodings_of(model, texts, pairs, answers=answers, **lengths))
    except InputError:
        return iter(())


def _alone(model: Model, row: Text, lengths: Lengths, answers: bool) -> Encoding | BadRow:
    """One text, so that an error can say where it stands."""
    pairs = None if row.pair is None else [row.pair]
    try:
        (encoding,) = encodings_of(model, [row.given], pairs, answers=answers, **lengths)
    except InputError as error:
        return BadRow(row.id, error.at(row.place))
    return encoding


def _without_query(row: Text, encoding: Encoding, question: Question) -> BadRow | None:
    """What is wrong with a text that has no such position."""
    # The other ways to ask for positions fit every text, and answers that are still to be generated are not yet there.
    try:
        if isinstance(question.queries, tuple):
            check_positions(np.array(question.queries), encoding.listed, row.place)
        elif row.pair is not None or encoding.written is not None:
            check_answer(question.queries, encoding, row.place)
    except InputError as error:
        return BadRow(row.id, error)
    return None
