"""What every data set here is turned into: the words before a verb, and its number."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.verb_number.words import listed

VBZ, VBP = 0, 1
LABELS = ("VBZ", "VBP")
# Beginnings have at least this many words, and of longer ones the words next to the verb are kept.
SHORTEST, LONGEST = 2, 50
PRONOUNS = frozenset(listed("i you he she it we they this that these those who which what there one"))
UNKNOWN = -1


@dataclass(frozen=True)
class Beginning:
    """The words of a sentence before one of its verbs.

    Attributes:
        words: in lower case, as the tokenizer cuts them.
        number: VBZ or VBP.
        source: the data set it is from.
        attractors: nouns of the other number between subject and verb; UNKNOWN where no tree says.
    """

    words: tuple[str, ...]
    number: int
    source: str
    attractors: int = UNKNOWN


def beginning(words: Sequence[str], number: int, source: str, attractors: int = UNKNOWN) -> Beginning:
    """A beginning cut to the longest length."""
    return Beginning(tuple(words[-LONGEST:]), number, source, attractors)


def after_pronoun(words: Sequence[str]) -> bool:
    """Whether the word before the verb is a pronoun: such beginnings are many and teach little."""
    return words[-1] in PRONOUNS
