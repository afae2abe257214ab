"""What answers a question first: the words that carry a prediction, and how many tokens a flow tells apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxflow._checks import InputError
from jaxflow._units import in_units
from jaxflow._untyped import JsonValue
from jaxflow.attribution import Flow, Method, Question
from jaxflow.attribution.methods import mixing_of
from jaxflow.evaluation.token_target import Token
from jaxflow.models.images import DISTILLATION, MEAN
from jaxflow.pages.pieces import joined, pieces
from jaxflow.store.arrow import Row, saturation_of

# Most words that are named, and the least share of one behind the first.
NAMED, LEAST = 3, 0.05
# Values tie up to this share of the row's largest: flows that a device's bounds settled are right to no more.
TIED = 1e-6
# Words whose flows lie within this share of the largest look alike in every shade, and their order says little.
ALIKE = 0.05


@dataclass(frozen=True)
class Word:
    """A word that carries a number of the model's.

    Attributes:
        text: as it was written.
        share: of the relevance of all words.
        saturated: whether the flows of all its tokens are.
    """

    text: str
    share: float
    saturated: bool


@dataclass(frozen=True)
class Carried:
    """The words that a class rests on, the largest share first.

    Attributes:
        method: whose relevance it is.
        target: the class that was asked for; None where it is the predicted one.
        words: of the largest shares.
        tied: number of words that have the largest one; 1 where one word leads.
    """

    method: str
    target: str | None
    words: tuple[Word, ...]
    tied: int

    def in_words(self, *, images: bool = False) -> str:
        """As a line says it: "carried by: terrible (41 % of all words), not (20 %)".

        Args:
            images: whether the words are patches, by `of_image`.
        """
        subject, colon = ("carried by", "") if self.target is None else (f"speaks for {self.target}", ":")
        if self.tied > 1:
            none = in_units(f"no one word: {self.tied} words tie", images=images)
            return f"{subject}{colon} {none} in {self.method}"
        # Said of the first word alone: a share of what.
        whole = (in_units(" of all words", images=images), *("" for _ in self.words))
        listed = (
            f"{word.text} ({100 * word.share:.0f} %{of}{', saturated' * word.saturated})"
            for word, of in zip(self.words, whole, strict=False)
        )
        return f"{subject}: {', '.join(listed)}"


def class_method(question: Mapping[str, JsonValue]) -> tuple[str, str | None] | None:
    """The method of a question's JSON whose relevance is of a class, flow first, and the class that was asked for.

    None where no method is of a class, or one cannot be imported.
    """
    try:
        return class_method_of(Question.from_json(question))
    except InputError:
        return None


def class_method_of(asked: Question) -> tuple[str, str | None] | None:
    """The same of a question."""

    def is_of_class(method: Method) -> bool:
        return "gradients" in mixing_of(method, asked.mixing).needs

    of_class = sorted(filter(is_of_class, asked.method_values), key=lambda method: not isinstance(method, Flow))
    return (of_class[0].name, _target_words(asked.target)) if of_class else None


def _target_words(target: JsonValue) -> str | None:
    """What is explained, as a line says it: "good less bad"; None for what the model predicts."""
    if target is None:
        return None
    named = (target.token, target.against) if isinstance(target, Token) else target
    return " less ".join(str(each) for each in (named if isinstance(named, tuple) else (named,)) if each is not None)


def carried_by(row: Row, manifest: Mapping[str, JsonValue]) -> Carried | None:
    """The words that carry a row's prediction, or the class that was asked for, at the last layer.

    Pieces are merged into words. None where nothing that was asked is of a class, where the position that the model's
    head reads was not asked for, and where no word carries anything.
    """
    # Folders up to format 4 don't say where the head reads; most models' heads read the first token.
    return carried_of(row, class_method(manifest["question"]), manifest.get("reads_at", 0))


def carried_of(row: Row, found: tuple[str, str | None] | None, reads_at: int | None) -> Carried | None:
    """The same by the method of a class and its target, and by where the model's head reads."""
    if reads_at is None and str(row["tokens"][-1]).endswith((MEAN, DISTILLATION)):
        # The row of a mean that the head of a vision model reads stands last.
        reads_at = -1
    if found is None or found[0] not in row or row["prediction"] is None or reads_at is None:
        return None
    method, target = found
    return carried_words(row, row["queries"], reads_at, method, target, row[method], saturation_of(row).get(method))


def carried_words(
    row: Row,
    queries: Int[np.ndarray, " query"],
    reads_at: int,
    method: str,
    target: str | None,
    relevance: Float[np.ndarray, "layer query token"],
    saturated: Bool[np.ndarray, "layer query token"] | None,
) -> Carried | None:
    """The same of a method's relevance, and of where its flows are saturated if it has any; `row` holds the text."""
    places = np.flatnonzero(np.asarray(queries) == reads_at % len(row["tokens"]))
    if not len(places):
        return None
    values = relevance[-1, places[0]]
    told = np.ones(len(values), bool) if saturated is None else ~saturated[-1, places[0]]
    words = _words(row, values, told)
    total = sum(value for _, value, _ in words)
    if not total > 0:
        return None
    # The order of the text where words tie.
    words = sorted(words, key=lambda word: -word[1])
    shares = [Word(text, float(value / total), not said) for text, value, said in words]
    tied_words = sum(shares[0].share - word.share <= TIED * shares[0].share for word in shares)
    named = tuple(shares[:1] + [word for word in shares[1:NAMED] if word.share >= LEAST])
    return Carried(method, target, named, tied_words)


def tied(values: Float[np.ndarray, " token"]) -> np.ndarray:
    """Which tokens' values another token has as well, up to what flows are exact to; zeros left out."""
    order = np.argsort(values, kind="stable")
    near = np.diff(values[order]) <= TIED * values.max(initial=0.0)
    has_twin = np.zeros(len(values), bool)
    has_twin[order] = np.append(near, False) | np.append(False, near)
    return has_twin & (values > 0)


def saturation_words(row: Row, layer: int = -1, query: int = 0) -> list[str]:
    """A line for each flow method that does not tell all tokens apart at a place of a row."""
    words = words_of(row["source"], row["queries"][query])
    return apart_words(saturation_of(row), row, layer, query, words, images=of_image(row))


def of_image(row: Row) -> bool:
    """Whether a row's words are the patches of an image."""
    return "image" in row


def words_of(source: Any, position: int | np.integer) -> Bool[np.ndarray, " token"]:
    """Which tokens are words: no special ones, and not the position that is explained."""
    return (np.asarray(source) >= 0) & (np.arange(len(source)) != position)


def alike(values: Float[np.ndarray, " token"]) -> float | None:
    """The share of the largest within which all values lie, where they are nearly alike; else None."""
    top = float(np.max(values, initial=0))
    if len(values) < 2 or top <= 0:
        return None
    spread = 1 - float(values.min()) / top
    # Equal values are said to be tied.
    return spread if TIED < spread <= ALIKE else None


def apart_words(
    saturation: Mapping[str, Bool[np.ndarray, "layer query token"]],
    methods: Mapping[str, JsonValue],
    layer: int,
    query: int,
    words: Bool[np.ndarray, " token"],
    *,
    images: bool = False,
) -> list[str]:
    """The same of saturation by flow method; `methods` are the relevance of all, which may be looked at instead.

    Where a flow tells most tokens apart by little, a line says so: its `words` lie within some percent, or are all 0,
    as those of a class that does not depend on the attention.
    """
    known = {name: values[layer, query] for name, values in saturation.items()}
    lines = []
    for name, here in known.items():
        values = np.asarray(methods[name][layer, query])[words] if name in methods else np.zeros(0)
        if len(values) and not values.any():
            # Zeros are not told apart, saturated or not.
            lines.append(f"{name}: {in_units('nothing flows here from any word', images=images)}")
            continue
        if here.any():
            # Where it says little, what to look at instead: a flow that says more here, or rollout.
            better = min(known, key=lambda other: int(known[other].sum()))
            instead = better if known[better].sum() < here.sum() else "rollout" if "rollout" in methods else None
            see = f"; see {instead}" if instead is not None and 2 * here.sum() > len(here) else ""
            lines.append(f"{name} tells {int((~here).sum())} of {len(here)} tokens apart here{see}")
        if 2 * here.sum() <= len(here):
            spread, see = alike(values), "; see rollout" if "rollout" in methods else ""
            near = None if spread is None else f"all words lie within {100 * spread:.1g} % here"
            lines += [] if near is None else [f"{name}: {in_units(near, images=images)}{see}"]
    return lines


def _words(row: Row, values: np.ndarray, told: np.ndarray) -> list[tuple[str, float, bool]]:
    """Words with the sum of their tokens' values, and whether any of these is told apart; no special tokens."""
    cut = pieces(row)
    words: list[tuple[str, float, bool]] = []
    for place, (carries_on, (_, text)) in enumerate(zip(joined(row, cut), cut, strict=True)):
        if row["source"][place] < 0:
            continue
        value, said = float(values[place]), bool(told[place])
        if carries_on and words:
            text, value, said = words[-1][0] + text, words[-1][1] + value, words[-1][2] or said
            _ = words.pop()
        words.append((text, value, said))
    return words
