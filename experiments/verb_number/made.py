"""Sentences made from a grammar: what text has too few of, subjects far from their verbs with nouns between.

The words come from a lexicon, by default a small one of our own, else from what people tagged. The sentences mean
nothing; their number is right by construction.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from experiments.verb_number.beginnings import VBP, VBZ, Beginning
from experiments.verb_number.words import listed

SINGULAR_DETERMINERS = (
    "the",
    "the",
    "the",
    "a",
    "this",
    "that",
    "every",
    "each",
    "his",
    "her",
    "its",
    "one",
    "another",
)
PLURAL_DETERMINERS = ("the", "the", "the", "these", "those", "many", "some", "several", "two", "all", "most", "few", "")
PREPOSITIONS = listed("of of of in in on for with from at by near about to between behind under against within")
RELATIVES = ("that", "which", "who")


@dataclass(frozen=True)
class Lexicon:
    """Words by what they are; verbs as (singular, plural) of one form each.

    Attributes:
        singular: nouns.
        plural: nouns.
        adjectives: before nouns.
        adverbs: before verbs.
        third: present-tense verbs of the singular.
        bare: present-tense verbs of the plural.
        past: past-tense verbs.
        passive: past participles.
        names: of persons and places.
    """

    singular: tuple[str, ...]
    plural: tuple[str, ...]
    adjectives: tuple[str, ...]
    adverbs: tuple[str, ...]
    third: tuple[str, ...]
    bare: tuple[str, ...]
    past: tuple[str, ...]
    passive: tuple[str, ...]
    names: tuple[str, ...]


SMALL = Lexicon(
    singular=listed("key cabinet author senator picture book teacher garden house river letter student doctor idea"),
    plural=listed("keys cabinets authors senators pictures books teachers gardens houses rivers letters ideas"),
    adjectives=listed("old small new famous quiet red"),
    adverbs=listed("often now also usually"),
    third=listed("likes knows sees finds"),
    bare=listed("like know see find"),
    past=listed("liked knew saw found"),
    passive=listed("liked known seen found written"),
    names=listed("mary john sara london"),
)
_KINDS = {
    "singular": ("NN",),
    "plural": ("NNS",),
    "adjectives": ("JJ",),
    "adverbs": ("RB",),
    "third": ("VBZ",),
    "bare": ("VBP",),
    "past": ("VBD",),
    "passive": ("VBN",),
    "names": ("NNP",),
}
_CLOSED = frozenset(
    listed("is are was were has have does do did had been 's 're 've 'm n't am be not so then there here")
)


def lexicon(tagged: Iterable[tuple[str, str]], least: int = 3) -> Lexicon:
    """The words that people tagged at least so often, nine times in ten alike (or as a verb's form)."""
    counts = Counter(tagged)
    totals: Counter[str] = Counter()
    for (word, _), count in counts.items():
        totals[word] += count
    kinds: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for (word, tag), count in sorted(counts.items()):
        if count < least or not word.isalpha() or len(word) < 2 or word in _CLOSED:
            continue
        share = 0.9 if tag in ("NN", "NNS", "JJ", "RB", "NNP") else 0.3
        for kind, tags in _KINDS.items():
            if tag in tags and count >= share * totals[word]:
                kinds[kind].append(word)
    return Lexicon(**{kind: tuple(found) for kind, found in kinds.items()})


class Grammar:
    """Makes beginnings; the same seed makes the same ones."""

    def __init__(self, words: Lexicon, seed: int):
        self.words, self.rng = words, np.random.default_rng(seed)

    def beginnings(self, number: int) -> list[Beginning]:
        """That many, half of them of each number."""
        return [self._beginning(index % 2) for index in range(number)]

    def _beginning(self, number: int) -> Beginning:
        self.nouns: list[int] = []
        subject = self._subject(number)
        attractors = sum(noun != number for noun in self.nouns)
        adverb = [self._of(self.words.adverbs)] if self._chance(0.1) else []
        return Beginning((*self._opening(), *subject, *adverb), number, "made", attractors)

    def _subject(self, number: int) -> list[str]:
        if number == VBP and self._chance(0.1):
            both = [*self._noun_phrase(self._any()), "and", *self._noun_phrase(self._any())]
            return both if self._chance(0.7) else [*both, *self._modifier(VBP, 1)]
        head = self._noun_phrase(number)
        for _ in range(self.rng.choice(4, p=(0.15, 0.45, 0.3, 0.1))):
            head += self._modifier(number, 0)
        if self._chance(0.08):
            verb = self._of(self.words.third if number == VBZ else self.words.bare)
            head += [verb, *self._noted(self._any()), "and"]
        return head

    def _opening(self) -> list[str]:
        """What stands before the subject: nothing, most of the time."""
        match int(self.rng.integers(12)):
            case 0:
                return [self._of(PREPOSITIONS), *self._noun_phrase(self._any()), ","]
            case 1:
                return [self._of(("when", "if", "because", "although")), *self._clause(), ","]
            case 2:
                verb = self._of(("said", "knew", "thought", "found", "believed"))
                return [*self._noun_phrase(self._any()), verb, "that"]
            case 3:
                return [*self._clause(), self._of(("and", "but", ",", ";"))]
            case 4:
                return [*self._of(("however", "today", "in fact", "thus", "for example", "similarly")).split(), ","]
            case _:
                return []

    def _modifier(self, number: int, depth: int) -> list[str]:
        """What follows a noun: a phrase with nouns of its own, nearer to the verb."""
        words = self.words
        match int(self.rng.choice(8, p=(0.46, 0.12, 0.1, 0.08, 0.12, 0.04, 0.04, 0.04))):
            case 1:
                return [self._of(RELATIVES), self._of(words.past), *self._noted(self._any())]
            case 2:
                verb = self._of(words.third if number == VBZ else words.bare)
                return [self._of(RELATIVES), verb, *self._noted(self._any())]
            case 3:
                other = self._any()
                verb = self._of((words.third, words.bare)[other])
                return [self._of(RELATIVES), *self._noted(other), verb]
            case 4:
                that = [self._of(RELATIVES)] if self._chance(0.5) else []
                return [*that, *self._noted(self._any()), self._of(words.past)]
            case 5:
                return [",", *self._noted(self._any()), ","]
            case 6:
                return [",", self._of(RELATIVES), self._of(words.past), *self._noted(self._any()), ","]
            case 7:
                return [self._of(words.passive), self._of(("by", "in", "for", "from")), *self._noted(self._any())]
            case _:
                phrase = [self._of(PREPOSITIONS), *self._noted(self._any())]
                if self._chance(0.12):
                    phrase += ["and", *self._noted(self._any())]
                return phrase

    def _clause(self) -> list[str]:
        return [*self._noun_phrase(self._any()), self._of(self.words.past), *self._noun_phrase(self._any())]

    def _noted(self, number: int) -> list[str]:
        """A noun phrase between subject and verb."""
        self.nouns.append(number)
        return self._noun_phrase(number)

    def _noun_phrase(self, number: int) -> list[str]:
        words = self.words
        if number == VBZ and self._chance(0.08):
            return [self._of(words.names)]
        determiner = self._of(SINGULAR_DETERMINERS if number == VBZ else PLURAL_DETERMINERS)
        adjectives = [self._of(words.adjectives) for _ in range(self.rng.choice(3, p=(0.65, 0.3, 0.05)))]
        compound = [self._of(words.singular)] if self._chance(0.12) else []
        noun = self._of(words.singular if number == VBZ else words.plural)
        return [word for word in (determiner, *adjectives, *compound, noun) if word]

    def _any(self) -> int:
        return int(self.rng.integers(2))

    def _chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _of(self, choices: tuple[str, ...]) -> str:
        return choices[int(self.rng.integers(len(choices)))]
