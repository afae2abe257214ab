"""The units of a comparison: tokens where models cut texts alike, else words that hold whole tokens of both.

Of images they are patches, with the tokens beside them. Registers, which results leave out, are no units.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from jaxtyping import Float

from jaxflow._checks import InputError
from jaxflow._words import Span, word_spans
from jaxflow.models import Encoding
from jaxflow.models.images import ImageEncoding

# Roles of special units: before the first text, between texts, behind the last.
LEADING, BETWEEN, TRAILING = 0, 1, 2
# The offsets of what is in no text.
NOWHERE: Span = (-1, -1)


@dataclass(frozen=True)
class Units:
    """The units of one text (or pair of texts), in order, and which of them each token belongs to.

    Attributes:
        names: tokens as the tokenizer has them, or words as they stand in the text.
        offsets: characters (start, end) in the text, or in the pair; (-1, -1) for special units, and for patches.
        source: 0 for the text's units, and for patches, 1 for the pair's, -1 for special ones.
        first: for each token of the first model its unit; an image's registers have none.
        second: for each token of the second.
    """

    names: tuple[str, ...]
    offsets: tuple[Span, ...]
    source: tuple[int, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def special(self) -> tuple[bool, ...]:
        """Whether a unit is no part of a text."""
        return tuple(source == -1 for source in self.source)


def same_tokens(first: Encoding, second: Encoding) -> bool:
    """Whether two tokenizers cut a text in the same places, special tokens in the same places too."""
    return (first.offsets, first.source, first.tokens) == (second.offsets, second.source, second.tokens)


def token_units(encoding: Encoding) -> Units:
    """Every token a unit, for models with one tokenizer."""
    listed = encoding.listed
    every = tuple(range(listed))
    return Units(encoding.tokens[:listed], encoding.offsets[:listed], encoding.source[:listed], every, every)


def common_units(text: str, pair: str | None, first: Encoding, second: Encoding) -> Units:
    """Units that hold whole tokens of both models: words of a text, patches of an image.

    Raises:
        InputError: the models cut an image into different patches.
    """
    if isinstance(first, ImageEncoding) and isinstance(second, ImageEncoding):
        return patch_units(first, second)
    return word_units(text, pair, first, second)


def patch_units(first: ImageEncoding, second: ImageEncoding) -> Units:
    """Patches and the tokens beside them, by their names; a token beside them may be of one model alone.

    Raises:
        InputError: the models cut the image into different patches.
    """
    if first.grid != second.grid:
        got = " and ".join(f"{rows} x {columns}" for rows, columns in (first.grid, second.grid))
        way_out = "pass models of one size of patches, with image processors of one size"
        raise InputError(None, "be cut into the same patches by both models", got, way_out, place=first.name)
    named = [tuple(each.tokens[: each.listed]) for each in (first, second)]
    # Of each model the tokens in front of the patches, the patches, and those behind.
    starts = [each.source.index(0) for each in (first, second)]
    ends = [start + first.source.count(0) for start in starts]
    parts = [
        (names[:start], names[start:end], names[end:]) for names, start, end in zip(named, starts, ends, strict=True)
    ]
    ahead, patches, behind = (tuple(dict.fromkeys(one + two)) for one, two in zip(*parts, strict=True))
    names = ahead + patches + behind
    place = {name: number for number, name in enumerate(names)}
    return Units(
        names=names,
        offsets=((-1, -1),) * len(names),
        source=(-1,) * len(ahead) + (0,) * len(patches) + (-1,) * len(behind),
        first=tuple(place[name] for name in named[0]),
        second=tuple(place[name] for name in named[1]),
    )


def word_units(text: str, pair: str | None, first: Encoding, second: Encoding) -> Units:
    """Words that hold whole tokens of both models.

    Words are Unicode's (UAX 29): letters with their marks, numbers, single signs, single ideographs; words that one
    token reaches across are one unit. Special tokens that stand together ahead of the texts, between them or
    behind them are one unit each. A unit may have no token in one of the models.
    """
    # For each text its units as spans of characters, in order.
    spans = [_spans(part, source, (first, second)) for source, part in enumerate((text, pair)) if part is not None]
    # The layout: special units ahead, the first text, those between, the second text, those behind. `places` finds the
    # number of a unit by its text and its number there; special units have -1 for a text and their role for a number.
    layout: list[tuple[int, Span, str]] = []
    places: dict[tuple[int, int], int] = {}
    for source, found in enumerate(spans):
        _add_special(layout, places, (BETWEEN if source else LEADING), (first, second))
        part = text if source == 0 else pair or ""
        for number, span in enumerate(found):
            places[source, number] = len(layout)
            layout.append((source, span, part[slice(*span)]))
    _add_special(layout, places, TRAILING, (first, second))
    texts = text, pair or ""
    members = [_members(encoding, texts, spans, places) for encoding in (first, second)]
    return Units(
        names=tuple(name for _, _, name in layout),
        offsets=tuple(span for _, span, _ in layout),
        source=tuple(source for source, _, _ in layout),
        first=members[0],
        second=members[1],
    )


def words_of(text: str, pair: str | None, units: Units) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The words of a text, and for each unit the number of its word, -1 for special ones; patches are words."""
    if all(span == NOWHERE for span in units.offsets):
        inside = [number for number, source in enumerate(units.source) if source == 0]
        numbers = {unit: number for number, unit in enumerate(inside)}
        return tuple(units.names[unit] for unit in inside), tuple(numbers.get(unit, -1) for unit in range(len(units)))
    spans = [_joined(part, _own(units, source, part)) for source, part in enumerate((text, pair or ""))]
    names = [(text, pair or "")[source][slice(*span)] for source, found in enumerate(spans) for span in found]
    # Words of the pair are numbered on from those of the text.
    start = (0, len(spans[0]))
    numbers = [
        -1
        if source == -1 or not spans[source]
        else start[source] + _place(spans[source], _trimmed(span, (text, pair or "")[source]))
        for source, span in zip(units.source, units.offsets, strict=True)
    ]
    return tuple(names), tuple(numbers)


def membership(groups: Sequence[int], tokens: int, units: int) -> Float[np.ndarray, "token unit"]:
    """The unit of each token, as a one among zeros; padding has none."""
    ones = np.zeros((tokens, units), np.float32)
    ones[np.arange(len(groups)), list(groups)] = 1
    return ones


def _joined(text: str, tokens: Sequence[Span]) -> list[Span]:
    """Words and tokens, joined where they overlap; a word without a token (it was cut off) is left out."""
    # A token that reaches across words joins them, and a word joins its tokens.
    merged = _merged([*word_spans(text), *tokens])
    held = {_place(merged, span) for span in tokens if span[0] < span[1]}
    return [span for number, span in enumerate(merged) if number in held]


def _own(units: Units, source: int, text: str) -> list[Span]:
    return [_trimmed(span, text) for span, own in zip(units.offsets, units.source, strict=True) if own == source]


def _spans(text: str, source: int, encodings: Sequence[Encoding]) -> list[Span]:
    """The units of one text: words, and tokens of all models, joined where they overlap."""
    tokens = [
        _trimmed(span, text)
        for encoding in encodings
        for span, own in zip(encoding.offsets, encoding.source, strict=True)
        if own == source
    ]
    return _joined(text, tokens)


def _trimmed(span: Span, text: str) -> Span:
    """A token without the blanks that some tokenizers count to it."""
    start, end = span
    piece = text[start:end]
    # Byte-level tokenizers count the blank before a word to it.
    start += len(piece) - len(piece.lstrip())
    return start, max(start, start + len(piece.strip()))


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        # Empty tokens, such as a lone space mark, join nothing.
        if start == end:
            continue
        # Spans that only touch stay apart.
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _place(spans: Sequence[Span], span: Span) -> int:
    """The number of the joined span that a token lies in; one without characters goes with what is to its left."""
    # No text is as long as infinity: the first span that begins behind the token's start.
    return max(0, bisect_right(spans, (span[0], inf)) - 1)


def _role(encoding: Encoding, position: int) -> int:
    # Positions of tokens that are of a text.
    texts = [index for index, source in enumerate(encoding.source) if source != -1]
    if position < texts[0]:
        return LEADING
    return TRAILING if position > texts[-1] else BETWEEN


def _add_special(
    layout: list[tuple[int, Span, str]], places: dict[tuple[int, int], int], role: int, encodings: Sequence[Encoding]
) -> None:
    """A unit for the special tokens of one place, if a model has any there, named as the first of them names it."""
    for encoding in encodings:
        for position, token in enumerate(encoding.tokens):
            if encoding.source[position] == -1 and _role(encoding, position) == role:
                places[-1, role] = len(layout)
                layout.append((-1, (-1, -1), token))
                return


def _members(
    encoding: Encoding, texts: tuple[str, str], spans: Sequence[list[Span]], places: dict[tuple[int, int], int]
) -> tuple[int, ...]:
    members = []
    for position, (source, span) in enumerate(zip(encoding.source, encoding.offsets, strict=True)):
        if source == -1:
            members.append(places[-1, _role(encoding, position)])
        else:
            members.append(places[source, _place(spans[source], _trimmed(span, texts[source]))])
    return tuple(members)
