"""A text cut at its tokens, so that it can be shown as it was written, each token with its own shade."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxflow._untyped import JsonObject, JsonValue
from jaxflow._words import word_spans

# How tokenizers write the blank before a word.
MARKS = ("▁", "Ġ")
# A text with its tokens: text, pair, tokens, offsets, source.
Row = Mapping[str, JsonValue]


def row_of(example: Any) -> JsonObject:
    """The text of an example, or of one in the explorer, as a row."""
    return {
        **({} if example.picture is None else {"image": example.picture.data}),
        "text": example.text,
        "pair": example.pair,
        "tokens": list(example.tokens),
        "offsets": np.array(example.offsets),
        "source": np.array(example.source),
    }


def pieces(row: Row) -> list[list[str]]:
    """For each token what stands between it and the token before, and what of the text it covers.

    Joined, they give the text back (and the pair after it), with special tokens by their names. A token whose
    characters an earlier one covers already (bytes of one character) covers nothing, and neither does the mark of a
    word's beginning, to which tokenizers give the letter that the next token stands for.
    """
    if "image" in row:
        # Patches are no parts of a text.
        return [["", token] for token in row["tokens"]]
    texts = (row["text"], row["pair"] or "")
    ends = _last_tokens(row)
    # How far each of the two texts is written out.
    cut, cursors = [], [0, 0]
    for index, (token, source) in enumerate(zip(row["tokens"], row["source"].tolist(), strict=True)):
        if source < 0:
            # A special token behind the last token of a text: what was cut off comes before it.
            cut.append([_rest(texts, cursors, ends, index), token])
            continue
        start, end = (int(offset) for offset in row["offsets"][index])
        cursor = cursors[source]
        if token in MARKS and _covered_next(row, index, start, end):
            end = start
        # Nothing is written twice where tokens overlap.
        start, end = max(start, cursor), max(end, cursor)
        cut.append([texts[source][cursor:start], texts[source][start:end]])
        cursors[source] = end
    return cut


def _covered_next(row: Row, index: int, start: int, end: int) -> bool:
    """Whether the next token of the same text covers all that this one does."""
    source, offsets = row["source"].tolist(), row["offsets"].tolist()
    return (
        index + 1 < len(source)
        and source[index + 1] == source[index]
        and (offsets[index + 1][0] <= start and end <= offsets[index + 1][1])
    )


def joined(row: Row, cut: Sequence[Sequence[str]]) -> list[int]:
    """1 for each token that carries on the word of the token before, 0 for the others.

    Args:
        row: of a store.
        cut: its `pieces`.
    """
    if "image" in row:
        return [0] * len(row["tokens"])
    inside = [_inside_words(text) for text in (row["text"], row["pair"] or "")]
    flags, cursors, before = [], [0, 0], -1
    for source, (gap, surface) in zip(row["source"].tolist(), cut, strict=True):
        if source < 0:
            flags.append(0)
        else:
            # Pieces cover a text without holes, so their lengths give the place of each.
            start = cursors[source] + len(gap)
            # A token that covers nothing is a byte of a character that the token before began.
            flags.append(int(source == before and not gap and (not surface or start in inside[source])))
            cursors[source] = start + len(surface)
        before = source
    return flags


def _inside_words(text: str) -> set[int]:
    """Places in a text that have a part of one word on either side."""
    return {place for start, end in word_spans(text) for place in range(start + 1, end)}


def _last_tokens(row: Row) -> list[int]:
    """Index of the last token of the text, and of the pair; -1 where it has none."""
    sources = row["source"].tolist()
    return [max((index for index, source in enumerate(sources) if source == part), default=-1) for part in (0, 1)]


def _rest(texts: tuple[str, str], cursors: list[int], ends: list[int], index: int) -> str:
    """What of a text is left when its last token has passed: cut off, or not known to the tokenizer."""
    for part in (0, 1):
        if 0 <= ends[part] < index and cursors[part] < len(texts[part]):
            rest = texts[part][cursors[part] :]
            cursors[part] = len(texts[part])
            return rest
    return ""


def second_part(row: Row) -> int | None:
    """Where the second part of a row begins: its targets, or an answer. None of a text in one part."""
    first, answer = row.get("first_target"), row.get("answer")
    if first is not None:
        return int(first)
    return None if answer is None or not len(answer) else int(np.min(answer))


def predicted_at(row: Row, position: int) -> int | None:
    """The token of the second part that a position predicted: the one behind it. None where that is not in it."""
    start, token = second_part(row), position + 1
    if start is None:
        return None
    # The first target was given, not predicted.
    written = start if row.get("first_target") is None else start + 1
    return token if written <= token < len(row["tokens"]) else None
