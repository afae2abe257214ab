"""Winogender's sentences: one pronoun each, which alone says a gender (Rudinger et al. 2018)."""

from dataclasses import dataclass
from pathlib import Path

from experiments._words import Span, spans_of
from jaxflow import InputError
from jaxflow._checks import shown

FILE = "winogender_all_sentences.tsv"
PRONOUNS = {
    "male": ("he", "him", "his"),
    "female": ("she", "her"),
    "neutral": ("they", "them", "their"),
}
# Words, hyphens and apostrophes within; each other sign stands alone.
WORDS_AND_SIGNS = r"\w+(?:['’-]\w+)*|[^\w\s]"
WORDS = r"\w+(?:['’-]\w+)*"


@dataclass(frozen=True)
class Sentence:
    """A sentence with its pronoun.

    Attributes:
        text: as published.
        gender: the pronoun's: "male", "female" or "neutral".
        occupation: whom it is about; sentences of one occupation are alike.
        pronoun: characters (start, end) of the pronoun.
    """

    text: str
    gender: str
    occupation: str
    pronoun: Span


def read_winogender(folder: Path) -> list[Sentence]:
    """All 720 sentences.

    Raises:
        InputError: the file is not there, or a sentence has not just one pronoun.
    """
    path = folder / FILE
    if not path.is_file():
        got = f"{shown(str(path))}, which does not exist"
        raise InputError("data", "name the folder of Winogender's files", got)
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return [_sentence(name, text) for name, text in rows]


def _sentence(name: str, text: str) -> Sentence:
    occupation, _, _, gender, _ = name.split(".")
    found = [(a, b) for a, b in spans_of(text, WORDS) if text[a:b].lower() in PRONOUNS[gender]]
    if len(found) != 1:
        got = f"{len(found)} in {shown(text)}"
        raise InputError(None, "have one pronoun of its gender", got, place=name)
    return Sentence(text, gender, occupation, found[0])
