"""Sentences with heads and relations, from CoNLL-U files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError
from jaxflow._paths import local_path

COLUMNS = 10


@dataclass(frozen=True)
class Sentence:
    """A sentence and its syntax; all tuples have one entry a word.

    Attributes:
        text: the sentence.
        words: their forms.
        offsets: characters (start, end) of each in the text; words that are written as one (a "du" that stands for
            "de le") share theirs.
        heads: number of each word's head, from 0; -1 for the root.
        relations: to the head.
        tags: universal part of speech.
    """

    text: str
    words: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    heads: tuple[int, ...]
    relations: tuple[str, ...]
    tags: tuple[str, ...]


def read_conllu(source: str | Path | Iterable[str], *, subtypes: bool = False) -> Iterator[Sentence]:
    """Sentences of a CoNLL-U file, one at a time (universaldependencies.org/format).

    Empty nodes are left out. The text is that of the `# text` comment, or the words with the spaces that
    `SpaceAfter=No` doesn't forbid.

    Args:
        source: the file's path, or its lines.
        subtypes: keep what stands behind the colon in relations such as `nsubj:pass`.

    Raises:
        InputError: a line is malformed; it is named.
    """
    if isinstance(source, str | Path):
        try:
            with local_path("source", source).open(encoding="utf-8") as file:
                yield from _sentences(file, str(source), subtypes)
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error)
            raise InputError(f"cannot read {str(source)!r}: {said}") from None
    else:
        yield from _sentences(source, "the lines", subtypes)


def _sentences(lines: Iterable[str], name: str, subtypes: bool) -> Iterator[Sentence]:
    held: list[tuple[int, list[str]]] = []
    text: str | None = None
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            text = value.strip() if key.strip() == "text" else text
        elif line.strip():
            cells = line.split("\t")
            if len(cells) != COLUMNS:
                raise InputError(f"line {number} of {name} has {len(cells)} columns, and CoNLL-U has {COLUMNS}")
            held.append((number, cells))
        elif held:
            yield _sentence(held, text, name, subtypes)
            held, text = [], None
    if held:
        yield _sentence(held, text, name, subtypes)


def _sentence(held: list[tuple[int, list[str]]], text: str | None, name: str, subtypes: bool) -> Sentence:
    words = [(number, cells) for number, cells in held if cells[0].isdecimal()]
    surface = list(_surface(held, name))
    if text is None:
        text = "".join(form + (" " if space else "") for form, _, space in surface).rstrip()
    spans: dict[int, tuple[int, int]] = {}
    start = 0
    for form, numbers, _ in surface:
        found = text.find(form, start)
        if found < 0:
            raise InputError(f"line {held[0][0]} of {name}: {form!r} is not in the sentence's text {text[:60]!r}")
        start = found + len(form)
        spans |= dict.fromkeys(numbers, (found, start))
    heads, relations = [], []
    for number, cells in words:
        if not cells[6].isdecimal() or int(cells[6]) > len(words):
            raise InputError(f"line {number} of {name}: the head must be a word's number or 0, got {cells[6]!r}")
        heads.append(int(cells[6]) - 1)
        relations.append(cells[7] if subtypes else cells[7].partition(":")[0])
    return Sentence(
        text=text,
        words=tuple(cells[1] for _, cells in words),
        offsets=tuple(spans[int(cells[0])] for _, cells in words),
        heads=tuple(heads),
        relations=tuple(relations),
        tags=tuple(cells[3] for _, cells in words),
    )


def _surface(held: list[tuple[int, list[str]]], name: str) -> Iterator[tuple[str, list[int], bool]]:
    """What is written: each form, the words that it stands for, and whether a space follows."""
    last = 0
    for number, cells in held:
        first, dash, end = cells[0].partition("-")
        if dash and first.isdecimal() and end.isdecimal():
            last = int(end)
            yield cells[1], list(range(int(first), last + 1)), _space(cells)
        elif cells[0].isdecimal():
            # Words of a form that was given already have none of their own.
            if int(cells[0]) > last:
                yield cells[1], [int(cells[0])], _space(cells)
        elif not cells[0].replace(".", "", 1).isdecimal():
            raise InputError(f"line {number} of {name}: {cells[0]!r} is no word's number")


def _space(cells: list[Any]) -> bool:
    return "SpaceAfter=No" not in cells[9].split("|")
