"""Shards: consecutive rows of the input, which are tokenised, attributed and written together."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jaxflow._checks import InputError, one_of
from jaxflow.attribution import EncodedText
from jaxflow.attribution.settings import Settings
from jaxflow.inputs.rows import BadRow, Row, Text
from jaxflow.models import Encoding, Model

# A shard ends at whichever comes first, so that its texts make full batches and its results fit memory. Values are
# relevance values at most, or bytes of text where those are more.
SHARD_ROWS = 1024
SHARD_VALUES = 2**25

ON_ERROR = ("stop", "skip")


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
    ids: tuple[int, ...]
    texts: tuple[EncodedText, ...]
    skipped: tuple[BadRow, ...]


def cuts(rows: Iterable[Row], encoder: Model, settings: Settings) -> Iterator[Cut]:
    """Shards, one after the other.

    Where a shard ends follows from its rows and the settings alone. Nothing is tokenised for it: a text has no more
    tokens than bytes, and special ones. So a process that makes every second shard only reads the others.
    """
    limit = min(encoder.max_length, settings.max_length or encoder.max_length)
    found: list[Row] = []
    index = values = 0
    for row in rows:
        cost = _most_values(row, limit, encoder.layers, settings)
        if found and (len(found) == SHARD_ROWS or values + cost > SHARD_VALUES):
            yield Cut(index, tuple(found), last=False)
            found, index, values = [], index + 1, 0
        found.append(row)
        values += cost
    if found:
        yield Cut(index, tuple(found), last=True)


def encode(encoder: Model, cut: Cut, settings: Settings, on_error: str) -> Shard:
    """Tokenise a shard's texts.

    Raises:
        InputError: a row cannot be used, and `on_error` is "stop"; names its place.
    """
    one_of("on_error", on_error, ON_ERROR)
    encodings = _together(encoder, cut, settings)
    ids, texts, skipped = [], [], []
    for row in cut.rows:
        found = row if isinstance(row, BadRow) else next(encodings, None) or _alone(encoder, row, settings)
        if not isinstance(found, BadRow):
            assert isinstance(row, Text)
            found = _without_query(row, found, settings) or EncodedText(row.text, row.pair, found, row.place)
        if isinstance(found, EncodedText):
            ids.append(row.id)
            texts.append(found)
        elif on_error == "stop":
            raise BadRowError(*found.error.args, place=found.error.place)
        else:
            skipped.append(found)
    return Shard(cut, tuple(ids), tuple(texts), tuple(skipped))


def _most_values(row: Row, limit: int, layers: int, settings: Settings) -> int:
    if isinstance(row, BadRow):
        return 0
    parts = [row.text] if row.pair is None else [row.text, row.pair]
    size = sum(len(part) if part.isascii() else len(part.encode()) for part in parts)
    return max(size, settings.values(min(limit, size + 4), layers))


def _together(encoder: Model, cut: Cut, settings: Settings) -> Iterator[Encoding]:
    """Encodings of all texts at once, which is quick; none where one of them is refused."""
    chosen = [row for row in cut.rows if isinstance(row, Text)]
    pairs = [row.pair for row in chosen] if chosen and chosen[0].pair is not None else None
    try:
        texts = [row.text for row in chosen]
        return iter(encoder.tokenize(texts, pairs, max_length=settings.max_length, truncate=settings.truncate))
    except InputError:
        return iter(())


def _alone(encoder: Model, row: Text, settings: Settings) -> Encoding | BadRow:
    """One text, so that an error can say where it stands."""
    pairs = None if row.pair is None else [row.pair]
    try:
        (encoding,) = encoder.tokenize([row.text], pairs, max_length=settings.max_length, truncate=settings.truncate)
    except InputError as error:
        return BadRow(row.id, error.at(row.place))
    return encoding


def _without_query(row: Text, encoding: Encoding, settings: Settings) -> BadRow | None:
    """What is wrong with a text that has no such position."""
    for query in settings.queries or ():
        if query >= len(encoding):
            expected, way_out = f"be from 0 to {len(encoding) - 1}", "ask for other positions, or for all"
            return BadRow(row.id, InputError("queries", expected, str(query), way_out, place=row.place))
    return None
