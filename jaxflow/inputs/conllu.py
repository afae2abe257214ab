"""Sentences with heads and relations, from CoNLL-U files."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, as_flag, shown
from jaxflow._paths import local_path
from jaxflow._typing import Given

COLUMNS = 10
# A word's number as annotators write it: in ASCII, and none that would take minutes to read, or gigabytes to count to.
_NUMBER = "[0-9]{1,6}"


@dataclass(frozen=True)
class Sentence:
    """A sentence and its syntax; all tuples have one entry a word.

    Attributes:
        text: the sentence.
        words: their forms.
        offsets: characters (start, end) of each in the text; words that are written as one (a "du" that stands for
            "de le") share theirs.
        heads: number of each word's head, from 0; -1 for the root; None in text that was tagged and not parsed.
        relations: to the head; "_" where it is not known.
        tags: universal part of speech.
    """

    text: str
    words: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    heads: tuple[int | None, ...]
    relations: tuple[str, ...]
    tags: tuple[str, ...]


def read_conllu(
    source: str | Path | Iterable[str], *, subtypes: Given[bool] = False, skipped: Callable[[str], Any] | None = None
) -> Iterator[Sentence]:
    """Sentences of a CoNLL-U file, one at a time (universaldependencies.org/format).

    Empty nodes are left out. The text is that of the `# text` comment, or the words with the spaces that
    `SpaceAfter=No` doesn't forbid.

    Args:
        source: the file's path, or its lines.
        subtypes: keep the part behind the colon of relations such as `nsubj:pass`.
        skipped: called with the reason for each sentence left out: malformed, or its words are not in its text.
            Without it, the first such sentence is an error.

    Raises:
        InputError: a sentence cannot be used, without `skipped`; its line is named. Or the file cannot be read.
    """
    subtypes = as_flag("subtypes", subtypes)
    if isinstance(source, str | Path):
        try:
            with local_path("source", source).open(encoding="utf-8-sig", errors="surrogateescape") as file:
                yield from _sentences(file, str(source), subtypes, skipped)
        except OSError as error:
            got = f"{shown(str(source))} ({error.strerror})"
            raise InputError("source", "be a file that can be read", got) from None
    else:
        yield from _sentences(source, "the lines", subtypes, skipped)


def _sentences(
    lines: Iterable[str], name: str, subtypes: bool, skipped: Callable[[str], Any] | None
) -> Iterator[Sentence]:
    for numbered_lines in _groups(lines):
        try:
            yield _sentence(numbered_lines, name, subtypes)
        except InputError as error:
            if skipped is None:
                raise
            skipped(str(error))


def _groups(lines: Iterable[str]) -> Iterator[list[tuple[int, str]]]:
    """The lines of each sentence with their numbers, comments included."""
    group: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        # A file opened here has lost its byte order mark; lines that a caller passes may still have it.
        line = line.removeprefix("\ufeff") if number == 1 else line
        if line.strip():
            group.append((number, line))
        # A blank line ends a sentence; comments without words belong to the sentence that follows.
        elif any(not line.startswith("#") for _, line in group):
            yield group
            group = []
    # The last sentence may lack its blank line.
    if any(not line.startswith("#") for _, line in group):
        yield group


def _sentence(lines: list[tuple[int, str]], name: str, subtypes: bool) -> Sentence:
    text, numbered_cells = None, list[tuple[int, list[str]]]()
    for number, line in lines:
        place = f"line {number} of {name}"
        try:
            # Bytes that are not UTF-8 were read as surrogates, so that they cost their own sentence alone.
            _ = line.encode()
        except UnicodeEncodeError:
            raise InputError(None, "be UTF-8", "bytes that are not", "save the file as UTF-8", place=place) from None
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            text = value.strip() if key.strip() == "text" else text
            continue
        cells = line.split("\t")
        if len(cells) != COLUMNS:
            raise InputError(None, f"have CoNLL-U's {COLUMNS} columns", str(len(cells)), place=place)
        numbered_cells.append((number, cells))
    # Words have plain numbers; ranges ("1-2") are forms that stand for several, and decimals empty nodes.
    words = [(number, cells) for number, cells in numbered_cells if _is_number(cells[0])]
    surface = list(_surface(numbered_cells, name))
    if text is None:
        # Without a comment, the forms and their spaces are the text.
        text = "".join(form + (" " if space else "") for form, _, space in surface).rstrip()
    spans = _spans(surface, text, numbered_cells[0][0], name)
    for number, cells in words:
        if int(cells[0]) not in spans:
            place = f"the word's number in line {number} of {name}"
            raise InputError(None, "come in order", shown(cells[0]), "number words from 1", place=place)
    return Sentence(
        text=text,
        words=tuple(cells[1] for _, cells in words),
        offsets=tuple(spans[int(cells[0])] for _, cells in words),
        heads=tuple(_head(cells, len(words), number, name) for number, cells in words),
        relations=tuple(cells[7] if subtypes else cells[7].partition(":")[0] for _, cells in words),
        tags=tuple(cells[3] for _, cells in words),
    )


def _spans(surface: list[tuple[str, list[int], bool]], text: str, line: int, name: str) -> dict[int, tuple[int, int]]:
    """Where each word's form stands in the text."""
    spans: dict[int, tuple[int, int]] = {}
    start = 0
    for form, numbers, _ in surface:
        # Forms come in the text's order, so each is searched for behind the one before.
        place = text.find(form, start)
        if place < 0:
            got = f"{shown(form)}, and the text {shown(text[:60])}"
            raise InputError(None, "have its words in its text", got, place=f"the sentence in line {line} of {name}")
        start = place + len(form)
        spans |= dict.fromkeys(numbers, (place, start))
    return spans


def _head(cells: list[str], words: int, number: int, name: str) -> int | None:
    """A word's head, from 0; None where the sentence was tagged and not parsed."""
    if cells[6] == "_":
        return None
    if not _is_number(cells[6]) or int(cells[6]) > words:
        expected, place = "be a word's number, 0 or _", f"the head in line {number} of {name}"
        raise InputError(None, expected, shown(cells[6]), place=place)
    # 0 is the root in the file, and -1 here.
    return int(cells[6]) - 1


def _surface(numbered_cells: list[tuple[int, list[str]]], name: str) -> Iterator[tuple[str, list[int], bool]]:
    """Written forms: each form, the numbers of its words, and whether a space follows."""
    last = 0
    for number, cells in numbered_cells:
        first, dash, end = cells[0].partition("-")
        if dash and _is_number(first) and _is_number(end):
            last = int(end)
            yield cells[1], list(range(int(first), last + 1)), _space(cells)
        elif _is_number(cells[0]):
            # A word within the range before is written by the range's form.
            if int(cells[0]) > last:
                yield cells[1], [int(cells[0])], _space(cells)
        elif not re.fullmatch(rf"{_NUMBER}\.{_NUMBER}", cells[0]):
            place = f"the first column in line {number} of {name}"
            raise InputError(None, "be a word's number", shown(cells[0]), place=place)


def _is_number(cell: str) -> bool:
    return re.fullmatch(_NUMBER, cell) is not None


def _space(cells: list[str]) -> bool:
    return "SpaceAfter=No" not in cells[9].split("|")
