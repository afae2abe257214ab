"""Verbs whose number needs no tagger: is and are, was and were, has and have, does and do.

A rule lets a verb through only where its subject very likely stands before it; questions, inversions, imperatives,
subjunctives and infinitives are left out rather than guessed at.
"""

from collections.abc import Iterator, Sequence

from experiments.verb_number.beginnings import SHORTEST, VBP, VBZ
from experiments.verb_number.words import listed

NUMBERS = {
    "is": VBZ,
    "was": VBZ,
    "has": VBZ,
    "does": VBZ,
    "are": VBP,
    "were": VBP,
    "have": VBP,
    "do": VBP,
}
# The subject follows the verb, or there is none yet.
INVERTING = frozenset(
    listed(
        "there here what why how when where nor so as than neither then thus not never only and or but if "
        "because although though while since unless whether please just"
    )
)
PUNCTUATION = frozenset(listed(". : ; ! ? ( [ { - \" ' / * = < > | + # ` ~ ^ & % $ @ \\"))
MODALS = frozenset(
    listed(
        "will would can could shall should may might must do does did to let lets 'll 'd ca wo make makes "
        "made help helps cannot not n't"
    )
)
IRREAL = frozenset(listed("if though wish suppose unless lest would"))
# Prepositions and determiners: a verb behind one of them is no verb, or its subject moved.
OPENERS = frozenset(
    listed(
        "of in on at by for with from to into about the a an this these those my your his her its our their no every"
    )
)
COORDINATED = frozenset(("and", "or", "but"))


def verbs(sentence: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Places of the verbs whose number is known, with that number (VBZ or VBP), in a sentence in lower case."""
    for place, word in enumerate(sentence):
        if word in NUMBERS and place >= SHORTEST and _has_its_subject(sentence, place, word):
            yield place, NUMBERS[word]


def _has_its_subject(sentence: Sequence[str], place: int, verb: str) -> bool:
    before = sentence[place - 1]
    if before in COORDINATED and verb in ("is", "are", "was", "were", "has"):
        # A second predicate: "the key was lost and is".
        return any(word in NUMBERS for word in sentence[: place - 1]) and sentence[place - 2] != ","
    if before in INVERTING or before in PUNCTUATION or before in OPENERS:
        return False
    if before == "," and place < 5:
        return False
    if "i" in sentence[max(0, place - 3) : place]:
        return False
    if verb == "were" and IRREAL & set(sentence[max(0, place - 12) : place]):
        return False
    if verb in ("have", "do"):
        return before != "," and not MODALS & set(sentence[max(0, place - 6) : place])
    return not (verb in ("does", "has") and sentence[0] in INVERTING and place < 2)
