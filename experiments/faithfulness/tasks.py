"""The tasks: a classifier and held-out texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import jaxflow as jf
from experiments.agreement.__main__ import made_texts, texts_of
from experiments.finetune.snli import TEST, read_pairs
from experiments.pronouns.data import read_winogender
from jaxflow import InputError
from jaxflow.evaluation import TokenInputs, token_inputs

TASKS = ("verb-number", "sst2", "snli", "gender")
# Texts that choose layers and mixings, and texts that are reported on: whole pieces, which share compiled programs.
COUNTS = {"verb-number": (24, 64), "sst2": (24, 64), "snli": (24, 64), "gender": (16, 24)}
# One batch: one program of each kind is compiled.
QUICK_COUNTS = (4, 4)
# Words of a text: enough to rank, and few enough for many methods. Tokens at most: texts share compiled programs.
SHORTEST, LONGEST = 8, dict.fromkeys(TASKS, 13) | {"gender": 16}
TOKENS = dict.fromkeys(TASKS, 16) | {"gender": 18}


@dataclass(frozen=True)
class Task:
    """A classifier and texts, the first of which choose.

    Attributes:
        name: of `TASKS`.
        model: the classifier.
        texts: to explain.
        pairs: their second texts, if the model reads two.
        choosing: how many texts choose layers and mixings.
    """

    name: str
    model: jf.models.Model
    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    choosing: int

    def some(self, rows: Sequence[int]) -> "Task":
        """The task with those texts alone."""
        pairs = None if self.pairs is None else tuple(self.pairs[row] for row in rows)
        return Task(self.name, self.model, tuple(self.texts[row] for row in rows), pairs, 0)

    def inputs(self) -> TokenInputs:
        """The texts as the measures read them."""
        return token_inputs(self.model, list(self.texts), None if self.pairs is None else list(self.pairs))


def task_of(name: str, data: Path | None, model: Path | None, quick: bool) -> Task:
    """A task by name.

    Raises:
        InputError: its data or model is not named.
    """
    if model is None and name != "verb-number":
        raise InputError("model", f"name the folder of a classifier for {name}", "nothing")
    loaded = jf.load_model(str(model or name))
    choosing, reported = QUICK_COUNTS if quick else COUNTS[name]
    if quick:
        texts, pairs = made_texts("sst2" if name == "gender" else name), None
        texts = texts[: choosing + reported]
        return Task(name, loaded, tuple(texts), tuple(texts[::-1]) if name == "snli" else pairs, choosing)
    if data is None:
        raise InputError("data", "name the folder of the public data sets", "nothing", "or pass `quick=True`")
    drawn = _drawn(name, data)
    firsts, seconds, kinds = (list(part) for part in zip(*drawn, strict=True))
    encodings = loaded.tokenize(firsts, seconds if name == "snli" else None)
    short = [len(each) <= TOKENS[name] for each in encodings]
    # Of texts of one kind the first one alone, so that what is reported is no other form of what chose.
    own = {k: both for *both, k, fits in reversed(list(zip(firsts, seconds, kinds, short, strict=True))) if fits}
    texts, pairs = zip(*list(reversed(own.values()))[: choosing + reported], strict=True)
    return Task(name, loaded, texts, pairs if pairs[0] else None, choosing)


def _drawn(name: str, data: Path) -> list[tuple[str, str | None, str]]:
    """Held-out texts in an order by a fixed seed, with their second texts, and the kind of each."""
    if name in ("verb-number", "sst2"):
        return [(text, None, text) for text in texts_of(name, data, 2000) if _fits(name, text)]
    if name == "gender":
        # An occupation's sentences differ in a pronoun or a few words.
        found = [each for each in read_winogender(data / "coref") if each.gender != "neutral"]
        every = [(each.text, None, each.occupation) for each in found if _fits(name, each.text)]
    else:
        examples, _ = read_pairs(data / "pairs", TEST)
        assert examples.pairs is not None
        pairs = zip(examples.texts, examples.pairs, strict=True)
        every = [(first, second, first) for first, second in pairs if _fits(name, f"{first} {second}")]
    return [every[row] for row in np.random.default_rng(0).permutation(len(every))[:2000]]


def _fits(name: str, text: str) -> bool:
    return SHORTEST <= len(text.split()) <= LONGEST[name]
