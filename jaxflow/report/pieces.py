"""A text cut at its tokens, so that it can be shown as it was written, each token with its own shade."""

from collections.abc import Mapping
from typing import Any

# A text with its tokens: text, pair, tokens, offsets, source.
Row = Mapping[str, Any]


def pieces(row: Row) -> list[list[str]]:
    """For each token what stands between it and the token before, and what of the text it covers.

    Joined, they give the text back (and the pair after it), with special tokens by their names. A token whose
    characters an earlier one covers already (bytes of one character) covers nothing.
    """
    texts = (row["text"], row["pair"] or "")
    ends = _last_tokens(row)
    found, cursors = [], [0, 0]
    for index, (token, source) in enumerate(zip(row["tokens"], row["source"].tolist(), strict=True)):
        if source < 0:
            found.append([_rest(texts, cursors, ends, index), token])
            continue
        start, end = (int(offset) for offset in row["offsets"][index])
        cursor = cursors[source]
        start, end = max(start, cursor), max(end, cursor)
        found.append([texts[source][cursor:start], texts[source][start:end]])
        cursors[source] = end
    return found


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
