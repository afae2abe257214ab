"""All sources put together: without repetitions, without what the test sets have, held-out documents apart."""

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from experiments.verb_number import made, prose, readers, testsets
from experiments.verb_number.beginnings import VBP, VBZ, Beginning, after_pronoun
from experiments.verb_number.readers import Sentence
from experiments.verb_number.tokenizer import vocabulary
from experiments.verb_number.words import words

# Shares of the documents that are held out.
VALIDATION, TEST = 0.04, 0.06
# Of beginnings that end in a pronoun, what is kept.
PRONOUNS_KEPT = 0.1
# Of the vocabulary, what are pieces of rare words.
PIECES = 2000
# A sentence that shares so many words in a row with a test sentence is left out.
OVERLAP = 8
# When the vocabulary is chosen, words of manuals and dictionaries count less than those of general prose.
SPECIAL = frozenset(
    ("linux-doc-6.1", "postgresql-doc-15", "python3.11-doc", "debian-handbook", "debian-reference-en", "gimp-help-en",
     "dict-gcide", "dict-foldoc", "dict-jargon")
)  # fmt: skip


@dataclass(frozen=True)
class Corpus:
    """What a model is trained and chosen on.

    Attributes:
        splits: "train", "validation" and "test" (held-out documents of the same sources).
        vocabulary: the tokenizer's words, special ones first.
        singular: nouns of the lexicon.
        plural: nouns of the lexicon.
        counts: beginnings by source, split and number, and what was left out.
    """

    splits: dict[str, list[Beginning]]
    vocabulary: list[str]
    singular: list[str]
    plural: list[str]
    counts: dict[str, Any]


def build(data: Path, packages: Path | None, out: Path, *, size: int, made_up: int, seed: int = 0) -> Corpus:
    """Read every source and write corpus.json.gz, and training's sentences (for word vectors) beside it.

    Args:
        data: the folder of data sets.
        packages: unpacked Debian packages, if they are to be used.
        out: where to write.
        size: of the vocabulary.
        made_up: how many beginnings to make from the grammar.
        seed: of what is drawn.
    """
    out.mkdir(parents=True, exist_ok=True)
    builder = _Builder(forbidden(data), np.random.default_rng(seed))
    with gzip.open(out / "sentences.txt.gz", "wt", encoding="utf-8", compresslevel=4) as sentences:
        for sentence in _all_sources(data, packages):
            if builder.add(sentence) == "train":
                _ = sentences.write(" ".join(sentence.words) + "\n")
    builder.add_pairs(readers.marvin_linzen(data, testsets.TRAINED_TEMPLATES))
    lexicon = made.lexicon(builder.tagged)
    known = vocabulary(builder.words, size, PIECES)
    whole = frozenset(known)
    lexicon = made.Lexicon(
        **{
            kind: tuple(w for w in found if w in whole) or getattr(made.SMALL, kind)
            for kind, found in vars(lexicon).items()
        }
    )
    builder.splits["train"] += made.Grammar(lexicon, seed).beginnings(made_up)
    corpus = Corpus(builder.splits, known, list(lexicon.singular), list(lexicon.plural), builder.report())
    _write(corpus, out / "corpus.json.gz")
    return corpus


def load(out: Path) -> Corpus:
    """The corpus that `build` wrote."""
    with gzip.open(out / "corpus.json.gz", "rt", encoding="utf-8") as file:
        stored = json.load(file)
    splits = {
        name: [Beginning(tuple(text.split(" ")), *rest) for text, *rest in rows]
        for name, rows in stored.pop("splits").items()
    }
    return Corpus(splits, **stored)


def _write(corpus: Corpus, path: Path) -> None:
    rows = {
        name: [(" ".join(b.words), b.number, b.source, b.attractors) for b in found]
        for name, found in corpus.splits.items()
    }
    partial = path.with_suffix(".partial")
    with gzip.open(partial, "wt", encoding="utf-8", compresslevel=4) as file:
        json.dump({**vars(corpus), "splits": rows}, file, ensure_ascii=False)
    _ = partial.replace(path)


def _all_sources(data: Path, packages: Path | None) -> Iterator[Sentence]:
    yield from readers.masc(data)
    yield from readers.english_web_treebank(data)
    yield from readers.squad(data)
    yield from readers.gap(data)
    yield from readers.snli(data)
    if packages is not None:
        yield from prose.prose(packages)


def forbidden(data: Path) -> frozenset[int]:
    """Hashes of all runs of `OVERLAP` words in the sentences of Linzen's and Gulordava's test sets."""
    place = data / "agreement"
    texts = (place / "linzen_filtered_testset" / "subj_agr_filtered.text").read_text("utf-8").splitlines()
    texts += (place / "gulordava_english" / "generated.text").read_text("utf-8").splitlines()
    return frozenset(run for text in texts for run in _runs(words(text.removesuffix("<eos>"))))


def _runs(text: Iterable[str]) -> Iterator[int]:
    text = tuple(text)
    return (hash(text[i : i + OVERLAP]) for i in range(len(text) - OVERLAP + 1))


class _Builder:
    """What has been gathered so far."""

    def __init__(self, forbidden: frozenset[int], rng: np.random.Generator):
        self.splits: dict[str, list[Beginning]] = {"train": [], "validation": [], "test": []}
        self.words: Counter[str] = Counter()
        self.tagged: list[tuple[str, str]] = []
        self.left_out: Counter[str] = Counter()
        self._forbidden, self._rng = forbidden, rng
        self._seen: set[tuple[str, ...]] = set()
        self._beginnings: set[tuple[str, ...]] = set()

    def add(self, sentence: Sentence) -> str:
        """Put a sentence's beginnings where its document belongs; the split, or "" if it was left out."""
        if sentence.words in self._seen:
            self.left_out["repeated sentences"] += 1
            return ""
        self._seen.add(sentence.words)
        if not self._forbidden.isdisjoint(_runs(sentence.words)):
            self.left_out["sentences that overlap test sets"] += 1
            return ""
        share = crc32(sentence.document.encode()) / 2**32
        split = "validation" if share < VALIDATION else "test" if share < VALIDATION + TEST else "train"
        if split == "train":
            source = sentence.document.split(" ")[0]
            weight = 1 if source in SPECIAL else 4
            for word in sentence.words:
                self.words[word] += weight
            self.tagged += sentence.tags
        for found in sentence.beginnings:
            self._keep(found, split)
        return split

    def _keep(self, found: Beginning, split: str) -> None:
        # Held-out sets have none; a few stay in training, so that the model knows them.
        if after_pronoun(found.words) and (split != "train" or self._rng.random() > PRONOUNS_KEPT):
            self.left_out["beginnings that end in a pronoun"] += 1
            return
        if found.words in self._beginnings:
            self.left_out["repeated beginnings"] += 1
            return
        self._beginnings.add(found.words)
        self.splits[split].append(found)

    def add_pairs(self, pairs: Iterable[Beginning]) -> None:
        """Beginnings of templates, for training."""
        for found in pairs:
            self._keep(replace(found, source="Marvin & Linzen"), "train")

    def report(self) -> dict[str, Any]:
        """How many beginnings of which number each source gave to each split."""
        table = {
            split: {
                source: {label: by[source, number] for label, number in (("VBZ", VBZ), ("VBP", VBP))}
                for source in sorted({source for source, _ in by})
            }
            for split, by in ((s, Counter((b.source, b.number) for b in found)) for s, found in self.splits.items())
        }
        return {"beginnings": table, "left out": dict(self.left_out)}
