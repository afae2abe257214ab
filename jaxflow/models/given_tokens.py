"""Tokens that a user brings as strings, without their tokenizer: their texts, their places there, special ones."""

import re
from collections.abc import Sequence
from functools import cache

from jaxflow.models.tokens import Encoding

# [CLS], [SEP], [unused1]; <s>, </s>, <pad>, <|endoftext|>; not the bytes of SentencePiece, <0x0A>.
_SPECIAL = re.compile(r"\[[A-Za-z]+\d*\]|<(?!0x)[^<>\s]+>|<｜[^<>]+｜>")
# Names of padding, whose tokens a model that was trained never reads.
PADDING = ("[PAD]", "<pad>", "<|pad|>", "<PAD>")
# Blanks before a word: of byte-level vocabularies, and of SentencePiece.
_BYTE_BLANK, _BLANK = "Ġ", "▁"


def is_special(token: str) -> bool:
    """Whether a token has the name of one that tokenizers add."""
    return _SPECIAL.fullmatch(token) is not None


def encoding_of(tokens: Sequence[str], text: str | None, number: int) -> tuple[str, Encoding]:
    """The text of some tokens, and their encoding.

    Args:
        tokens: as a tokenizer names them: pieces of WordPiece (`##s`), of byte-level vocabularies (`Ġkey`) or of
            SentencePiece (`▁key`), or plain words.
        text: that they were cut from; None puts it together from the tokens.
        number: stands in the place of each token's id, as the vocabulary is not known.
    """
    surfaces = _surfaces(tokens)
    if text is None:
        text = "".join(blank + word for blank, word in surfaces if word is not None).strip()
    cursor, offsets = 0, []
    for _, word in surfaces:
        if word is None:
            offsets.append((-1, -1))
            continue
        place = _found(text, word, cursor)
        # A token that the text doesn't hold as it is, such as a byte of a character, stands between two characters.
        start, end = (cursor, cursor) if place is None else (place, place + len(word))
        offsets.append((start, end))
        cursor = end
    special = tuple(word is None for _, word in surfaces)
    encoding = Encoding(
        input_ids=(number,) * len(tokens),
        segments=(0,) * len(tokens),
        tokens=tuple(tokens),
        offsets=tuple(offsets),
        source=tuple(-1 if each else 0 for each in special),
        special=special,
    )
    return text, encoding


def _surfaces(tokens: Sequence[str]) -> list[tuple[str, str | None]]:
    """What stands before each token, and its characters; None for special tokens."""
    joins = any(mark in token for token in tokens for mark in (_BYTE_BLANK, _BLANK))
    byte_level = any(_BYTE_BLANK in token or "Ċ" in token for token in tokens)
    surfaces: list[tuple[str, str | None]] = []
    for token in tokens:
        if is_special(token):
            surfaces.append(("", None))
        elif joins:
            word = _from_bytes(token) if byte_level else token.replace(_BLANK, " ")
            stripped = word.lstrip(" ")
            surfaces.append((word[: len(word) - len(stripped)], stripped))
        elif token.startswith("##") and len(token) > 2:
            surfaces.append(("", token[2:]))
        else:
            surfaces.append((" ", token))
    return surfaces


def _found(text: str, word: str, cursor: int) -> int | None:
    """Where a token's characters stand in the text from the cursor on, whatever their case."""
    # Only a blank, or a few characters that the tokenizer left out, lie between two tokens.
    window = text[cursor : cursor + len(word) + 64]
    for have, wanted in ((window, word), (window.lower(), word.lower())):
        # Lower case of some letters is longer, and would move those behind.
        place = have.find(wanted) if (len(have), len(wanted)) == (len(window), len(word)) else -1
        if place >= 0:
            return cursor + place
    return None


def _from_bytes(token: str) -> str:
    table = _byte_letters()
    # Added tokens are no bytes, and stay as they are.
    return (
        bytes(table[letter] for letter in token).decode(errors="replace")
        if all(letter in table for letter in token)
        else token
    )


@cache
def _byte_letters() -> dict[str, int]:
    """The byte that each letter of a byte-level vocabulary stands for (GPT-2's)."""
    # Bytes that are printable letters stand for themselves; the others follow from number 256 on.
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}
