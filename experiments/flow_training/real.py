"""Sentences that nobody made: beginnings of a treebank, each word by a known word of its kind.

The models know some 60 words. A noun becomes one of theirs of the same number, an adjective an adjective, and so on; a
word of no such kind becomes the blank. What is kept is how people write, and where the deciding noun stands.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from experiments._pieces import Pieces
from experiments.flow_training.data import CODES, LEXICON, LONGEST, TASKS, TRAINED, Sentences, made
from experiments.flow_training.fit import Arm, Size, Trainer
from experiments.flow_training.measure import right
from experiments.flow_training.runs import TRAINING, Measured
from experiments.verb_number.beginnings import UNKNOWN as NOT_KNOWN
from experiments.verb_number.made import PREPOSITIONS
from experiments.verb_number.readers import TAGS, english_web_treebank
from experiments.verb_number.tokenizer import END, PADDING, START, UNKNOWN
from experiments.verb_number.words import words as cut

# Known words that stand for words of a tag of the Penn Treebank.
KINDS = {
    **dict.fromkeys(("NN", "NNP"), LEXICON.singular),
    **dict.fromkeys(("NNS", "NNPS"), LEXICON.plural),
    **dict.fromkeys(("JJ", "JJR", "JJS"), LEXICON.adjectives),
    **dict.fromkeys(("RB", "RBR", "RBS"), LEXICON.adverbs),
    **dict.fromkeys(("VBD", "VBN", "VBG", "VB"), LEXICON.past),
    **dict.fromkeys(("IN", "TO"), tuple(dict.fromkeys(PREPOSITIONS))),
    "DT": ("the",),
    "WRB": ("when",),
    ",": (",",),
}


def treebank(data: Path) -> dict[str, Sentences]:
    """Beginnings of the English Web Treebank whose subject is a noun: those without and those with attractors."""
    found: dict[str, list[tuple[list[int], int]]] = {"real, no attractor": [], "real, attractors": []}
    seen: set[tuple[int, ...]] = set()
    for sentence in english_web_treebank(data):
        for start in sentence.beginnings:
            codes = None if start.attractors == NOT_KNOWN else _codes(sentence.tags, start.words)
            if codes is not None and len(codes) <= LONGEST - 2 and tuple(codes) not in seen:
                seen.add(tuple(codes))
                found["real, attractors" if start.attractors else "real, no attractor"].append((codes, start.number))
    return {name: _sentences(each) for name, each in found.items()}


def _codes(tags: Sequence[tuple[str, str]], before: tuple[str, ...]) -> list[int] | None:
    """The words before the verb as known words; None where the tags do not tell the verb's place."""
    for place, (_, tag) in enumerate(tags):
        if tag in TAGS and tuple(cut(" ".join(word for word, _ in tags[:place]))) == before:
            return [_code(*each) for each in tags[:place]]
    return None


def _code(word: str, tag: str) -> int:
    """The same word becomes the same one everywhere."""
    kind = KINDS.get(tag, ())
    return CODES[kind[crc32(word.encode()) % len(kind)]] if kind else UNKNOWN


def _sentences(found: Sequence[tuple[list[int], int]]) -> Sentences:
    ids = np.full((len(found), LONGEST), PADDING, np.int32)
    for row, (codes, _) in enumerate(found):
        ids[row, : len(codes) + 2] = [START, *codes, END]
    labels = np.array([number for _, number in found], np.int32)
    # Nothing is trained or explained here: no place is asked for.
    return Sentences(ids, labels, np.zeros_like(labels), np.zeros_like(labels))


def measured(
    task: str, arms: Sequence[Arm], seeds: int, size: Size, data: Path, out: Path, report: Callable[[str], None]
) -> dict[str, Measured]:
    """Arms trained anew with the strength that each has, and their accuracy on the treebank."""
    tests, trainer, pieces = treebank(data), Trainer(size), Pieces(out / "pieces" / f"{task}-real-{size.steps}", report)

    def train(arm: Arm, seed: int) -> dict[str, np.ndarray]:
        model, seconds = trainer(arm, made(TASKS[task].trained, size.sentences, TRAINING + seed, TRAINED), seed)
        return {"seconds": np.array(seconds), **{name: right(model, test) for name, test in tests.items()}}

    def runs(arm: Arm) -> Iterator[dict[str, np.ndarray]]:
        for seed in range(seeds):
            title = f"{arm.name} {arm.strength:g} seed {seed}".replace(",", "").replace(" ", "-")
            yield pieces(title, lambda seed=seed: train(arm, seed))

    found: dict[str, Measured] = {}
    for arm in arms:
        each = list(runs(arm))
        correct = {name: np.stack([run[name] for run in each]) for name in tests}
        found[arm.name] = Measured(arm.strength, {}, correct, {}, np.array([float(run["seconds"]) for run in each]))
    return found
