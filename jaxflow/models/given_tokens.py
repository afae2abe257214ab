"""Tokens that a user brings as strings, without their tokenizer: their texts, their places there, special ones."""

import re
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool

from jaxflow._checks import InputError, shown
from jaxflow._typing import AnyArray, ArrayLike, Tokens
from jaxflow._words import byte_letters
from jaxflow.graph.arrays import read_array
from jaxflow.graph.values import check_numbers, check_sums
from jaxflow.models.tokens import Encoding

# An example's tokens; None stands for padding.
Pieces: TypeAlias = list[str | None]
# How a tokenizer marks the beginnings of words: by a blank's byte, by SentencePiece's blank, or by `##` where none is.
Spelling: TypeAlias = Literal["bytes", "sentencepiece", "words"]
OWN_MASK = "pass the tokenizer's attention_mask as `mask`"

# [CLS], [SEP], [unused1]; <s>, </s>, <pad>, <|endoftext|>; not the bytes of SentencePiece, <0x0A>.
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPECIAL = re.compile(r"\[[A-Za-z]+\d*\]|<(?!0x)[^<>\s]+>|<｜[^<>]+｜>")
# Names of padding, whose tokens a model that was trained never reads.
PADDING = ("[PAD]", "<pad>", "<|pad|>", "<PAD>")
# Blanks before a word: of byte-level vocabularies, and of SentencePiece.
_BYTE_BLANK, _BLANK = "Ġ", "▁"


def is_special(token: str) -> bool:
    """Whether a token has the name of one that tokenizers add."""
    return _SPECIAL.fullmatch(token) is not None


def encoding_of(
    tokens: Sequence[str], text: str | None, number: int, spelling: Spelling | None = None
) -> tuple[str, Encoding]:
    """The text of some tokens, and their encoding.

    Args:
        tokens: as a tokenizer names them: pieces of WordPiece (`##s`), of byte-level vocabularies (`Ġkey`) or of
            SentencePiece (`▁key`), or plain words.
        text: that they were cut from; None puts it together from the tokens.
        number: stands in the place of each token's id, as the vocabulary is not known.
        spelling: of the tokenizer; None tells it from these tokens alone, which may hold no beginning of a word.
    """
    surfaces = _surfaces(tokens, spelling_of([tokens]) if spelling is None else spelling)
    if text is None:
        text = "".join(blank + word for blank, word in surfaces if word is not None).strip()
    cursor, offsets = 0, []
    for _, word in surfaces:
        if word is None:
            offsets.append((-1, -1))
            continue
        place = _found(text, word, cursor)
        # A token that the text doesn't hold as it is stands between two characters; so does one that holds a part of
        # a character, all but the last part.
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


def spelling_of(rows: Iterable[Sequence[str | None]]) -> Spelling:
    """How a tokenizer spells, from all the tokens that it gave: one text alone may hold no beginning of a word."""
    words = [token for row in rows for token in row if token is not None and not is_special(token)]
    # Byte-level vocabularies have no SentencePiece blank; their letters are Maltese ones too.
    if any(_BLANK in word for word in words):
        return "sentencepiece"
    return "bytes" if any(_BYTE_BLANK in word for word in words) else "words"


def _surfaces(tokens: Sequence[str], spelling: Spelling) -> list[tuple[str, str | None]]:
    """What stands before each token, and its characters; None for special tokens."""
    read = getincrementaldecoder("utf-8")("replace")
    surfaces: list[tuple[str, str | None]] = []
    for token in tokens:
        if is_special(token):
            _end_character(surfaces, read)
            surfaces.append(("", None))
        elif spelling != "words":
            # A character of several tokens is the last one's.
            word = read.decode(_bytes_of(token, spelling))
            stripped = word.lstrip(" ")
            surfaces.append((word[: len(word) - len(stripped)], stripped))
        elif token.startswith("##") and len(token) > 2:
            surfaces.append(("", token[2:]))
        else:
            surfaces.append((" ", token))
    _end_character(surfaces, read)
    return surfaces


def _end_character(surfaces: list[tuple[str, str | None]], read: IncrementalDecoder) -> None:
    """Show a character whose last parts did not come as one that cannot be read."""
    rest = read.decode(b"", final=True)
    if rest:
        blank, word = surfaces[-1]
        surfaces[-1] = (blank, (word or "") + rest)


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


def _bytes_of(token: str, spelling: Spelling) -> bytes:
    """The bytes of UTF-8 that a token stands for."""
    table, byte = byte_letters(), _BYTE.fullmatch(token)
    if spelling == "sentencepiece":
        return bytes([int(byte[1], 16)]) if byte else token.replace(_BLANK, " ").encode(errors="replace")
    if all(letter in table for letter in token):
        return bytes(table[letter] for letter in token)
    # Added tokens are no bytes, and stay as they are.
    return token.encode(errors="replace")


def as_tokens(tokens: Tokens, examples: int, single: bool) -> list[Pieces]:
    """Take in the tokens of each example, checked; those of a single example also without a list around them."""
    if isinstance(tokens, str) or not hasattr(tokens, "__len__"):
        raise InputError("tokens", "be a list of tokens an example", shown(tokens), "pass the pieces, not the text")
    rows = list(getattr(tokens, "tolist", lambda: tokens)())
    # The tokens of one example, also where attention has an axis of one for the batch.
    if rows and examples == 1 and all(isinstance(each, str) or each is None for each in rows):
        rows = [rows]
    elif single and len(rows) != 1:
        raise InputError("tokens", "be a list of strings for a single example", shown(tokens))
    if len(rows) != examples:
        raise InputError("tokens", f"have one list for each of {examples} examples", f"{len(rows)} entries")
    listed = []
    for index, row in enumerate(rows):
        pieces = getattr(row, "tolist", lambda row=row: row)()
        if isinstance(pieces, str) or not isinstance(pieces, Sequence):
            way_out = "pass tokenizer.convert_ids_to_tokens(ids) of each text"
            raise InputError(f"tokens[{index}]", "be a list of strings", shown(row), way_out)
        wrong = next((piece for piece in pieces if not (isinstance(piece, str) or piece is None)), None)
        if wrong is not None:
            way_out = "turn ids into tokens with tokenizer.convert_ids_to_tokens(ids)"
            raise InputError(f"tokens[{index}]", "hold strings", f"{shown(wrong)} of {type(wrong).__name__}", way_out)
        listed.append(list(pieces))
    return listed


def as_mask(mask: ArrayLike | None, tokens: list[Pieces], attention: AnyArray) -> ArrayLike | None:
    """The mask as it was given, or as the tokens tell it: names of padding, or fewer tokens than positions."""
    length = attention.shape[-1]
    if mask is None and attention.shape[-2] != length:
        # Of no text; what is wrong with it is said where it is taken in.
        return None
    if mask is not None:
        array = read_array("mask", mask)
        return array[None] if array.ndim == 1 and len(attention) == 1 else array
    if all(len(row) == length and not _padding(row) for row in tokens):
        return None
    real = np.zeros((len(tokens), length), bool)
    for index, row in enumerate(tokens):
        if len(row) == length:
            real[index] = [token is not None and token not in PADDING for token in row]
        elif len(row) < length:
            real[index, _place(np.asarray(attention, np.float32), len(row), index)] = True
        else:
            expected = f"have {length} tokens, as attention has positions"
            raise InputError(f"tokens[{index}]", expected, str(len(row)))
    return real


def _padding(row: Pieces) -> bool:
    return any(token is None or token in PADDING for token in row)


def _place(attention: np.ndarray, count: int, index: int) -> slice:
    """Where an example's tokens stand, on the left or on the right: its rows give everything to its own tokens."""
    length = attention.shape[-1]
    sides = (slice(0, count), slice(length - count, length))
    own = attention[index]
    fitting = [side for side in sides if np.allclose(own[:, :, side, side].sum(axis=-1), 1, atol=0.02)]
    if not fitting:
        _refuse_unsound(attention, index, sides)
    if len(fitting) != 1:
        expected = f"have a token for each of {length} positions where no `mask` says which of them are real"
        raise InputError(f"tokens[{index}]", expected, f"{count} tokens", OWN_MASK)
    return fitting[0]


def _refuse_unsound(attention: np.ndarray, index: int, sides: Sequence[slice]) -> None:
    """Refuse attention that is none wherever an example's tokens stand: there it has no sums to tell them by."""
    faults = []
    for side in sides:
        queries = np.zeros((len(attention), attention.shape[-1]), bool)
        queries[index, side] = True
        try:
            check_sums(check_numbers(attention, queries, np.ones_like(queries)), queries, np.ones_like(queries))
        except InputError as error:
            faults.append(error)
    if len(faults) == len(sides):
        raise faults[0]


def real_tokens(tokens: Pieces, mask: Bool[np.ndarray, " token"], index: int) -> list[str]:
    """An example's tokens without padding's."""
    if len(tokens) == len(mask):
        tokens = [token for token, real in zip(tokens, mask, strict=True) if real]
    if len(tokens) != mask.sum():
        expected = f"have {len(mask)} tokens, or the {mask.sum()} real ones"
        raise InputError(f"tokens[{index}]", expected, str(len(tokens)))
    # A place without a name that the mask calls real.
    return ["" if token is None else token for token in tokens]
