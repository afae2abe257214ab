"""The result of a comparison: texts with their changes, and a summary of them all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsIndex, overload

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxflow._untyped import JsonObject
from jaxflow._views import shown_as_html
from jaxflow.compare.paths import ARC_KINDS, Arcs, stronger_in
from jaxflow.compare.units import Units
from jaxflow.evaluation import Interval


@dataclass(frozen=True, eq=False)
class SideOfText:
    """One text in one of the models. Axes `query` and `layer` are those of the comparison, `state` all of the model's.

    Attributes:
        tokens: the model's own.
        relevance: by method, pooled to units: sums over a unit's tokens, means over a query's.
        certified: share of the flows that are proven; None where no flow was asked for.
        saturated: by flow method, the share of the model's tokens whose flow is no more than a trivial cut, at the last
            of the layers, for the first of the queries.
        attention: of each layer, heads fused, between units.
        heads: the attention of every head between units; None unless it was asked to be kept.
        widths: width of the widest path from the query at the top down to each unit, see `path_widths`; the input is
            state 0.
        influence: see `influence`; the input is state 0.
        patterns: of each head, in the order of `PATTERNS`.
        prediction: the model's label, None where it has no classes.
        scores: probability of each class.
    """

    tokens: tuple[str, ...]
    relevance: dict[str, Float[np.ndarray, "layer query unit"]]
    certified: float | None
    saturated: dict[str, float]
    attention: Float[np.ndarray, "layer unit unit"]
    heads: Float[np.ndarray, "layer head unit unit"] | None
    widths: Float[np.ndarray, "state query unit"]
    influence: Float[np.ndarray, "state query unit"]
    patterns: Float[np.ndarray, "layer head pattern"]
    prediction: str | None
    scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class ComparedText:
    """One text in both models.

    Attributes:
        text: as it was given.
        pair: the second text, or None.
        units: what is compared, tokens or words.
        words: the words of the text.
        word: for each unit its word, -1 for special ones.
        queries: units whose make-up was asked for.
        layers: pairs of layers that were compared, counted from 1.
        a: the first model's side.
        b: the second model's.
        arcs: strong arcs of the fused attention.
        shared_widths: as `SideOfText.widths` on arcs that both models have, each worth what the weaker gives it; None
            where the models differ in depth.
        jensen_shannon: distance of each head from its namesake.
        total_variation: likewise.
        layer_jensen_shannon: distance of the fused attention.
        layer_total_variation: likewise.
    """

    text: str
    pair: str | None
    units: Units
    words: tuple[str, ...]
    word: tuple[int, ...]
    queries: Int[np.ndarray, " query"]
    layers: tuple[tuple[int, int], ...]
    a: SideOfText
    b: SideOfText
    arcs: Arcs
    shared_widths: Float[np.ndarray, "state query unit"] | None
    jensen_shannon: Float[np.ndarray, "layer head"]
    total_variation: Float[np.ndarray, "layer head"]
    layer_jensen_shannon: Float[np.ndarray, " layer"]
    layer_total_variation: Float[np.ndarray, " layer"]

    @property
    def change(self) -> dict[str, Float[np.ndarray, "layer query unit"]]:
        """By method, relevance gained (above 0) and lost (below 0): the second model's less the first's."""
        return {name: self.b.relevance[name] - values for name, values in self.a.relevance.items()}

    @property
    def distance(self) -> float:
        """How much the text's attention changed in all: the mean Jensen-Shannon distance of its heads."""
        return float(self.jensen_shannon.mean())

    def path_kinds(self, threshold: float = 0.1, query: int = 0) -> tuple[str, ...]:
        """Which model has the stronger path from each unit to one of the queries at the top, over strong arcs.

        Args:
            threshold: share of its row from which on an arc is strong.
            query: which of `queries`, by its place.

        Returns:
            "stronger_a" or "stronger_b" where a model's path is at least twice as wide as the other's (`stronger_in`);
            else "shared" for a path that the weaker model has at least half as wide, "alike" where each has one of its
            own; "" where neither has a path of strong arcs. Models of different depth share none.
        """
        first, second = self.a.widths[0, query], self.b.widths[0, query]
        widest = np.maximum(first, second)
        shared = np.zeros_like(widest) if self.shared_widths is None else self.shared_widths[0, query]
        alike = np.where(stronger_in(widest, shared) == 0, "shared", "alike")
        stronger = stronger_in(first, second)
        kinds = np.where(stronger == 0, alike, np.array(ARC_KINDS)[stronger])
        return tuple(np.where(widest >= threshold, kinds, "").tolist())

    def word_change(self, layer: int = -1, query: int = 0) -> dict[str, Float[np.ndarray, " word"]]:
        """By method, relevance that each word gained, its pieces' summed, at one of the layers and queries.

        Args:
            layer: which of `layers`, by its place; the last by default.
            query: which of `queries`, by its place.
        """
        numbers = np.asarray(self.word)
        inside = numbers >= 0
        return {
            # A sum over each word's units, of float64 as weights are.
            name: np.bincount(numbers[inside], values[layer, query][inside].astype(np.float64), len(self.words))
            for name, values in self.change.items()
        }


@dataclass(frozen=True, eq=False)
class HeadChange:
    """How much each head changed, over all texts; arrays `layer head`.

    Attributes:
        jensen_shannon: mean distance from its namesake.
        total_variation: likewise.
        p: of the test whether a head's Jensen-Shannon distance differs from the mean of all heads: a text's heads are
            as likely above it as below by chance, so the sign of each text's difference is turned at random.
        adjusted_p: corrected for the number of heads.
        patterns_a: mean of each of `PATTERNS` in the first model, `layer head pattern`.
        patterns_b: in the second.
        pattern_change: the second's less the first's.
        pattern_p: of the test whether it is 0: the two models are swapped in texts at random.
        pattern_adjusted_p: corrected for the number of heads and patterns.
        correlation: of all pairs of heads of a layer, `layer head other`.
        cka: likewise, mean over texts.
        matching: for each head of the first model the one of the second that correlates with it, each used once.
    """

    jensen_shannon: Interval
    total_variation: Interval
    p: Float[np.ndarray, "layer head"]
    adjusted_p: Float[np.ndarray, "layer head"]
    patterns_a: Float[np.ndarray, "layer head pattern"]
    patterns_b: Float[np.ndarray, "layer head pattern"]
    pattern_change: Interval
    pattern_p: Float[np.ndarray, "layer head pattern"]
    pattern_adjusted_p: Float[np.ndarray, "layer head pattern"]
    correlation: Float[np.ndarray, "layer head other"]
    cka: Float[np.ndarray, "layer head other"]
    matching: Int[np.ndarray, "layer head"]

    @property
    def moved(self) -> Bool[np.ndarray, "layer head"]:
        """Whether a head is matched with another number than its own."""
        return self.matching != np.arange(self.matching.shape[-1])


@dataclass(frozen=True, eq=False)
class LayerChange:
    """How much each layer changed, over all texts; arrays `layer`.

    Attributes:
        jensen_shannon: mean distance of the fused attention.
        total_variation: likewise.
        heads: mean over heads of their Jensen-Shannon distances.
        p: of the test whether a layer's mean over heads differs from the mean of all layers, as `HeadChange.p`.
        adjusted_p: corrected for the number of layers.
    """

    jensen_shannon: Interval
    total_variation: Interval
    heads: Interval
    p: Float[np.ndarray, " layer"]
    adjusted_p: Float[np.ndarray, " layer"]


@dataclass(frozen=True)
class WordChange:
    """What a word gained, over all texts that hold it.

    Attributes:
        word: without capitals.
        texts: how many hold it. In each its occurrences are averaged.
        method: of relevance.
        mean: relevance gained, at the last of the layers, to the first of the queries.
        low: lower end of its bootstrap interval; NaN for a word in one text.
        high: upper end.
        p: of the test whether it is 0: the two models are swapped in texts at random.
        adjusted_p: corrected for the number of words that were tested, those in `least` texts or more; NaN for others.
    """

    word: str
    texts: int
    method: str
    mean: float
    low: float
    high: float
    p: float
    adjusted_p: float


@dataclass(frozen=True, eq=False)
class ChangeSummary:
    """What changed over all texts.

    Attributes:
        texts: how many.
        layers: pairs of layers, counted from 1.
        layer: change of layers.
        head: change of heads.
        words: change of words, by method and falling absolute mean; words in fewer texts than `least` behind them.
        arcs: mean number of strong arcs of a text, by kind.
        saturated: by flow method, mean share of tokens whose flow is saturated, see `SideOfText`, in the first model
            and in the second. Where it is near 1 changes of the flow say little.
        confusion: how often the models predicted what: `(first's label, second's label)`; empty without classes.
        settings: thresholds and corrections that it was made with, and whether it is of images.
    """

    texts: int
    layers: tuple[tuple[int, int], ...]
    layer: LayerChange
    head: HeadChange
    words: tuple[WordChange, ...]
    arcs: dict[str, float]
    saturated: dict[str, tuple[float, float]]
    confusion: dict[tuple[str, str], int]
    settings: JsonObject

    def gained(self, method: str, most: int = 10) -> list[WordChange]:
        """Tested words that gained most by a method, the first the most."""
        return self._ordered(method, -1)[:most]

    def lost(self, method: str, most: int = 10) -> list[WordChange]:
        """Tested words that lost most, the first the most."""
        return self._ordered(method, 1)[:most]

    def _ordered(self, method: str, sign: int) -> list[WordChange]:
        # NaN is not equal to itself: words that were not tested.
        tested = [word for word in self.words if word.method == method and word.adjusted_p == word.adjusted_p]
        return sorted((word for word in tested if sign * word.mean < 0), key=lambda word: sign * word.mean)


@dataclass(frozen=True, eq=False)
class Comparison(Sequence[ComparedText]):
    """Two models on the same texts: a sequence of texts, and a summary of them all.

    Attributes:
        texts: in their order.
        summary: what changed over all of them.
        models: the names of both.
    """

    texts: tuple[ComparedText, ...]
    summary: ChangeSummary
    models: tuple[str, str] = ("the first model", "the second model")

    def __repr__(self) -> str:
        """What it is of, without its arrays; `jaxflow.compare.findings` says what changed."""
        depth, heads = self.summary.head.jensen_shannon.mean.shape
        return f"Comparison({len(self.texts)} texts, {depth} layers of {heads} heads)"

    def _repr_html_(self) -> str | None:
        """What changed most, for notebooks; see `jaxflow._views`."""
        return shown_as_html(self)

    @overload
    def __getitem__(self, index: SupportsIndex) -> ComparedText: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[ComparedText, ...]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> ComparedText | tuple[ComparedText, ...]:
        return self.texts[index]

    def __len__(self) -> int:
        return len(self.texts)
