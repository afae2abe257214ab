"""Made sentences whose evidence is one word: the subject's noun, the only word that tells the verb's number."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int

from experiments.verb_number.batches import as_batch
from experiments.verb_number.beginnings import VBP, VBZ
from experiments.verb_number.made import PREPOSITIONS, SMALL, Grammar
from experiments.verb_number.tokenizer import END, PADDING, SPECIALS, START
from jaxflow.models import TokenBatch

# Openings that say nothing of the number, but may be made to go along with it.
HINTS = ("today", "thus")
# Tokens that sentences are padded to, in training and in tests.
TRAINED, LONGEST = 22, 30
# Adverbs before the verb, and modifiers behind the subject.
ADVERB = 0.2
# Both are needed, and few enough that some nouns are rare.
LEXICON = replace(SMALL, singular=SMALL.singular[:11], plural=SMALL.plural[:11])
VOCABULARY = (
    *SPECIALS,
    *sorted(
        {*LEXICON.singular, *LEXICON.plural, *LEXICON.adjectives, *LEXICON.adverbs, *LEXICON.past}
        | {*PREPOSITIONS, *HINTS, "the", ",", "when"}
    ),
)
CODES = {word: code for code, word in enumerate(VOCABULARY)}


@dataclass(frozen=True)
class Sentences:
    """Sentences as tokens, with what is known of them.

    Attributes:
        ids: padded token ids.
        labels: the verb's number.
        evidence: place of the subject's noun.
        chance: place of another word, drawn at random once for each sentence.
    """

    ids: Int[np.ndarray, "sentence token"]
    labels: Int[np.ndarray, " sentence"]
    evidence: Int[np.ndarray, " sentence"]
    chance: Int[np.ndarray, " sentence"]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def batch(self) -> TokenBatch:
        """All of them as the model reads them."""
        return as_batch(self.ids)

    @property
    def words(self) -> Bool[np.ndarray, "sentence token"]:
        """Where words stand."""
        return self.ids >= len(SPECIALS)

    def places(self, towards: str) -> Int[np.ndarray, " sentence"]:
        """The places that a term sends relevance to."""
        return self.evidence if towards == "evidence" else self.chance


@dataclass(frozen=True)
class Kind:
    """What sentences of a set are like.

    Attributes:
        agreeing: chance that a sentence's other nouns all have the subject's number; else all have the other one.
        modifiers: least and most behind the subject.
        clauses: whether modifiers are clauses without a pronoun ("the key the authors liked"), else phrases.
        hint: chance that the opening word is the one that goes along with the number; None for no such word.
    """

    agreeing: float = 0.5
    modifiers: tuple[int, int] = (1, 2)
    clauses: bool = False
    hint: float | None = None


@dataclass(frozen=True)
class Task:
    """What is trained on, what chooses the term's strength, and what is tested on; `hard` is what the control fails."""

    trained: Kind
    chosen: Kind
    tests: dict[str, Kind]
    hard: str


TASKS = {
    # Nouns near the verb mostly agree with it in training: a model that looks at the nearest one is mostly right.
    "attractors": Task(
        Kind(agreeing=0.9),
        Kind(),
        {
            "as trained": Kind(agreeing=0.9),
            "attractors": Kind(agreeing=0.0),
            "longer": Kind(agreeing=0.0, modifiers=(3, 4)),
            "clauses": Kind(agreeing=0.0, clauses=True),
        },
        "attractors",
    ),
    # The first word mostly tells the number in training.
    "shortcut": Task(
        Kind(hint=0.95),
        Kind(hint=0.5),
        {
            "as trained": Kind(hint=0.95),
            "against the hint": Kind(hint=0.0),
            "longer": Kind(hint=0.0, modifiers=(3, 4)),
            "clauses": Kind(hint=0.0, clauses=True),
        },
        "against the hint",
    ),
}


class Maker(Grammar):
    """Makes sentences of a kind; the same seed makes the same ones."""

    def __init__(self, kind: Kind, seed: int):
        super().__init__(LEXICON, seed)
        self.kind = kind

    def sentences(self, count: int, length: int) -> Sentences:
        """That many, half of them of each number, padded to `length` tokens."""
        made = [self._sentence((VBZ, VBP)[index % 2]) for index in range(count)]
        ids = np.full((count, length), PADDING, np.int32)
        evidence, chance = np.zeros((2, count), np.int32)
        for row, (words, place) in enumerate(made):
            ids[row, : len(words) + 2] = [START, *(CODES[word] for word in words), END]
            # Behind `<s>`, so that word 0 is token 1.
            evidence[row] = place + 1
            others = np.delete(np.arange(1, len(words) + 1), place)
            chance[row] = self.rng.choice(others)
        return Sentences(ids, np.arange(count, dtype=np.int32) % 2, evidence, chance)

    def _sentence(self, number: int) -> tuple[list[str], int]:
        """Words before the verb, and the place of the subject's noun."""
        self.other = number if self._chance(self.kind.agreeing) else 1 - number
        opening: list[str] = []
        if self.kind.hint is not None:
            along = self._chance(self.kind.hint)
            opening = [HINTS[number if along else 1 - number], ","]
        match int(self.rng.integers(4)):
            case 0:
                opening += [self._of(PREPOSITIONS), *self._noun_phrase(self._any()), ","]
            case 1:
                opening += ["when", *self._noun_phrase(self._any()), self._of(self.words.past), ","]
            case _:
                pass
        words = [*opening, *self._noun_phrase(number)]
        place = len(words) - 1
        for _ in range(int(self.rng.integers(self.kind.modifiers[0], self.kind.modifiers[1] + 1))):
            words += self._behind_noun()
        return words + ([self._of(self.words.adverbs)] if self._chance(ADVERB) else []), place

    def _behind_noun(self) -> list[str]:
        if self.kind.clauses:
            return [*self._noun_phrase(self.other), self._of(self.words.past)]
        return [self._of(PREPOSITIONS), *self._noun_phrase(self.other)]

    def _noun_phrase(self, number: int) -> list[str]:
        # "the" alone, as other determiners tell the number too.
        adjective = [self._of(self.words.adjectives)] if self._chance(0.25) else []
        return ["the", *adjective, self._of(self.words.singular if number == VBZ else self.words.plural)]

    def _any(self) -> int:
        return self.other


def made(kind: Kind, count: int, seed: int, length: int = LONGEST) -> Sentences:
    """Sentences of a kind."""
    return Maker(kind, seed).sentences(count, length)


def texts(sentences: Sentences) -> list[str]:
    """The words of each sentence."""
    return [" ".join(VOCABULARY[code] for code in row if code >= len(SPECIALS)) for row in sentences.ids]
