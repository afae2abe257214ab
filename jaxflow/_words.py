"""Words of a text, cut as Unicode does: annex 29 (UAX 29), "Word Boundaries", without dictionaries."""

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any

from jaxflow._checks import missing_extra

Span = tuple[int, int]
# Blanks and ends of lines, where they are a token of their own.
_SEEN = {" ": "␣", "\n": "↵", "\r": "↵", "\t": "⇥"}
# How SentencePiece writes the blank before a word.
_BLANK = "▁"


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


def readable(token: str) -> str:
    """A token as a person reads it: bytes as the letters they are, without the blank before a word.

    Byte-level vocabularies name `" keys"` `Ġkeys` and `"é"` `Ã©`, SentencePiece names the first `▁keys`. Blanks and
    ends of lines alone become signs; bytes that are no whole letter, and names of all other vocabularies, stay.
    """
    text = token.replace(_BLANK, " ")
    if not text.isascii() and byte_letters().keys() >= set(text):
        try:
            read = bytes(map(byte_letters().__getitem__, text)).decode()
        except UnicodeDecodeError:
            return token
        # Letters of other languages are among the names of bytes, but seldom make letters again.
        text = read if all(sign.isprintable() or sign in _SEEN for sign in read) else text
    return text.strip() or "".join(_SEEN.get(sign, sign) for sign in text)


def readable_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """Probabilities by names that a person reads; tokens that read alike are one."""
    read: dict[str, float] = {}
    for name, score in scores.items():
        read[readable(name)] = read.get(readable(name), 0.0) + score
    return read


@cache
def byte_letters() -> dict[str, int]:
    """The byte that each letter of a byte-level vocabulary stands for (GPT-2's)."""
    # Bytes that are printable letters stand for themselves; the others follow from number 256 on.
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _trimmed(text: str, start: int, end: int) -> Span:
    # A mark behind a blank belongs to the blank; the blank goes, and the mark without a letter stays a sign.
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _regex() -> ModuleType:
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
