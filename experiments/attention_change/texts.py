"""Texts some of whose words are marked: by people, or by what happens to them."""

import gzip
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jaxflow import InputError
from jaxflow._checks import shown
from jaxflow.compare import Sentence, read_conllu

Span = tuple[int, int]
TREEBANK = "ud/EWT/dev.conllu.gz"
# Frequency classes of words, by how often they occur in the treebank: rare, less so, common.
OFTEN = (3, 50)


@dataclass(frozen=True)
class Marked:
    """A text and its candidates (words, atoms), some of which the task is about. Lists have one entry a candidate.

    Attributes:
        text: the text.
        spans: characters (start, end).
        labels: whether it is marked.
        kinds: candidates of one kind are alike but for the mark: words as frequent, atoms of an element.
        group: what the text is: its class.
        signs: for marks with a direction, such as a sentiment: -1, 0 or 1; empty where there is none.
    """

    text: str
    spans: tuple[Span, ...]
    labels: tuple[bool, ...]
    kinds: tuple[str, ...]
    group: str = ""
    signs: tuple[int, ...] = ()


def treebank(folder: Path) -> list[Sentence]:
    """The sentences of the English Web Treebank's development part.

    Raises:
        InputError: no such file.
    """
    path = folder / TREEBANK
    if not path.is_file():
        got = f"{shown(str(path))}, which does not exist"
        raise InputError("data", f"name a folder with {TREEBANK}", got)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return list(read_conllu(lines))


def word_counts(sentences: Iterable[Sentence]) -> Counter[str]:
    """How often each word occurs, without capitals."""
    return Counter(word.lower() for sentence in sentences for word in sentence.words)


def frequency(word: str, counts: Counter[str]) -> str:
    """The frequency class of a word."""
    return str(sum(counts[word.lower()] >= least for least in OFTEN))
