"""Words of a text, cut as Unicode does: annex 29 (UAX 29), "Word Boundaries", without dictionaries."""

from functools import cache
from itertools import pairwise
from typing import Any

from jaxflow._checks import missing_extra

Span = tuple[int, int]


def word_spans(text: str) -> list[Span]:
    """Characters (start, end) of each word and each sign of a text, in order; blanks between them are in none.

    A letter keeps its combining marks, an emoji its joiners and tints; apostrophes, points and commas inside words and
    numbers stay inside. Ideographs and hiragana are words of their own, katakana stands together. The annex leaves
    Thai, Lao, Khmer, Burmese and other writing without spaces to dictionaries, of which there is none here: what
    stands between two blanks (or zero-width spaces) is one word there, rather than each letter.

    Raises:
        InputError: the package `regex` is not installed.
    """
    # Within a run of letters that only a dictionary could cut, no boundary counts.
    inner = {place for run in _uncut().finditer(text) for place in range(run.start() + 1, run.end())}
    cuts = [0, *(match.start() for match in _boundary().finditer(text) if match.start() not in inner), len(text)]
    spans = (_trimmed(text, start, end) for start, end in pairwise(cuts))
    return [(start, end) for start, end in spans if start < end]


def _trimmed(text: str, start: int, end: int) -> Span:
    # A mark behind a blank belongs to the blank; the blank goes, and the mark without a letter stays a sign.
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _regex() -> Any:
    try:
        import regex
    except ImportError as error:
        raise missing_extra("regex", "text", "cutting texts into words") from error
    return regex


@cache
def _uncut() -> Any:
    # Unicode's line breaking calls these letters and their marks "complex context" (class SA).
    return _regex().compile(r"\p{Line_Break=Complex_Context}[\p{Line_Break=Complex_Context}\p{M}]*")


@cache
def _boundary() -> Any:
    regex = _regex()
    # With the flag WORD, `\b` is UAX 29's default boundary instead of the edge of `\w`.
    return regex.compile(r"\b", regex.WORD | regex.VERSION1)
