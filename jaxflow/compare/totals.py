"""Changes over a stream of texts: sums that do not grow with it, and their summary."""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float, Int

from jaxflow.compare.paths import ARC_KINDS
from jaxflow.compare.plan import Plan, has_classes
from jaxflow.compare.result import ChangeSummary, ComparedText, HeadChange, LayerChange, WordChange
from jaxflow.heads.similarity import Products, correlation, match_heads
from jaxflow.models.images import images_of
from jaxflow.statistics.blocks import Blocks, NamedBlocks
from jaxflow.statistics.intervals import Interval
from jaxflow.statistics.tests import adjusted, block_interval, named_intervals, sign_flip

# Distances of a text, as `ComparedText` has them.
DISTANCES = ("jensen_shannon", "total_variation", "layer_jensen_shannon", "layer_total_variation")
# Of the arrays of `_numbers_of`: those that get intervals, and those that are tested for being 0 but by chance.
INTERVALS = (*DISTANCES, "layer_heads", "pattern_change")
TESTED = ("head_excess", "layer_excess", "pattern_change")
# Blocks of a word; there are many words.
WORD_BLOCKS = 128
# Words that are tested at once.
TOGETHER = 256


class Totals:
    """Takes in texts one by one, in their order, and keeps sums alone.

    Memory: at most 1,024 rows of numbers a head, and 128 a word; see `Blocks`.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.texts = 0
        self._table = NamedBlocks()
        self._cka, self._products = Blocks(2), None
        self._words: dict[str, Blocks] = {}
        self._arcs: Counter[str] = Counter()
        # By flow method and model, the shares summed and how many texts had one.
        self._saturated: dict[str, np.ndarray] = {}
        self._confusion: Counter[tuple[str, str]] = Counter()

    def add(self, text: ComparedText, products: Products, cka: Float[np.ndarray, "layer head other"]) -> None:
        """Take in a text."""
        self.texts += 1
        self._table.add(_numbers_of(text))
        self._cka.add(cka)
        self._add_products(products)
        self._add_words(text)
        self._arcs.update({kind: text.arcs.count(kind) for kind in ARC_KINDS})
        for which, side in enumerate((text.a, text.b)):
            for name, share in side.saturated.items():
                self._saturated.setdefault(name, np.zeros((2, 2)))[which] += share, 1
        if text.a.prediction is not None and text.b.prediction is not None and self._has_classes:
            self._confusion[text.a.prediction, text.b.prediction] += 1

    @property
    def _has_classes(self) -> bool:
        return all(map(has_classes, self.plan.encoders))

    def _add_products(self, products: Products) -> None:
        parts = [np.asarray(part) for part in (products.cross, products.first, products.second)]
        # The shapes are known with the first text.
        if self._products is None:
            self._products = [np.zeros_like(part) for part in parts]
        for total, part in zip(self._products, parts, strict=True):
            total += part

    def _add_words(self, text: ComparedText) -> None:
        # word method
        change = np.stack(list(text.word_change().values()), axis=-1)
        places: dict[str, list[int]] = {}
        for place, word in enumerate(text.words):
            places.setdefault(word.casefold(), []).append(place)
        for word, occurrences in places.items():
            # The mean over a word's occurrences; most words occur once.
            values = change[occurrences[0]] if len(occurrences) == 1 else change[occurrences].mean(axis=0)
            self._words.setdefault(word, Blocks(WORD_BLOCKS)).add(values)

    def summary(self) -> ChangeSummary:
        """The summary of all texts, at least one."""
        settings = self.plan.settings
        assert self._products is not None
        intervals = named_intervals(self._table.only(INTERVALS), seed=settings.seed)
        # One table for all tests: the same draws turn the same texts round, so that tests of a summary go together.
        tested = self._table.only(TESTED)
        chances = tested.split(sign_flip(tested.blocks, seed=settings.seed))
        return ChangeSummary(
            texts=self.texts,
            layers=self.plan.pairs,
            layer=self._layer_change(intervals, chances),
            head=self._head_change(intervals, chances),
            words=tuple(self._word_changes()),
            arcs={kind: self._arcs[kind] / self.texts for kind in ARC_KINDS},
            saturated={name: _means(sums) for name, sums in self._saturated.items()},
            confusion=dict(self._confusion),
            settings={
                "threshold": float(settings.threshold),
                "decay": float(settings.decay),
                "least": int(settings.least),
                "correction": settings.correction,
                "seed": settings.seed,
                "images": images_of(self.plan.encoders[0]) is not None,
            },
        )

    def _layer_change(self, intervals: Mapping[str, Interval], chances: Mapping[str, np.ndarray]) -> LayerChange:
        p = chances["layer_excess"]
        return LayerChange(
            jensen_shannon=intervals["layer_jensen_shannon"],
            total_variation=intervals["layer_total_variation"],
            heads=intervals["layer_heads"],
            p=p,
            adjusted_p=adjusted(p, self.plan.settings.correction),
        )

    def _head_change(self, intervals: Mapping[str, Interval], chances: Mapping[str, np.ndarray]) -> HeadChange:
        correction = self.plan.settings.correction
        p, pattern_p = chances["head_excess"], chances["pattern_change"]
        # layer head other
        alike = correlation(*(self._products or ()))
        means = self._table.split(self._table.blocks.mean)
        return HeadChange(
            jensen_shannon=intervals["jensen_shannon"],
            total_variation=intervals["total_variation"],
            p=p,
            adjusted_p=adjusted(p, correction),
            patterns_a=means["patterns_a"],
            patterns_b=means["patterns_b"],
            pattern_change=intervals["pattern_change"],
            pattern_p=pattern_p,
            pattern_adjusted_p=adjusted(pattern_p, correction),
            correlation=alike,
            cka=self._cka.mean,
            matching=match_heads(alike),
        )

    def _word_changes(self) -> list[WordChange]:
        settings, names = self.plan.settings, [method.name for method in self.plan.methods]
        words, texts = list(self._words), np.array([blocks.texts for blocks in self._words.values()], int)
        # word method
        means, p, low, high = (np.full((len(words), len(names)), np.nan) for _ in range(4))
        for rows in _alike(np.array([len(blocks) for blocks in self._words.values()], int)):
            # Words of as many blocks side by side are one array: one draw of signs serves them all.
            blocks = Blocks.beside([self._words[words[row]] for row in rows])
            means[rows] = blocks.mean
            # Words in few texts keep NaN: a test of them could not come out small.
            tested = np.flatnonzero(texts[rows] >= settings.least)
            if tested.size:
                blocks, rows = blocks.part(tested), rows[tested]
                interval = block_interval(blocks, seed=settings.seed)
                p[rows], low[rows], high[rows] = sign_flip(blocks, seed=settings.seed), interval.low, interval.high
        changes = []
        # Corrected a method at a time: methods are looked at one by one.
        for column, name in enumerate(names):
            numbers = means[:, column], low[:, column], high[:, column], p[:, column]
            adjusted_p = adjusted(p[:, column], settings.correction)
            # The fields of a change in their order.
            fields = zip(words, texts.tolist(), *(each.tolist() for each in (*numbers, adjusted_p)), strict=True)
            changes_of_method = [WordChange(word, count, name, *values) for word, count, *values in fields]
            # Words that were tested first, the largest changes ahead.
            changes += sorted(changes_of_method, key=lambda word: (np.isnan(word.p), -abs(word.mean), word.word))
        return changes


def _means(sums: np.ndarray) -> tuple[float, float]:
    """Of each model the mean share, given sums and counts; 0 where no text had one."""
    first, second = (sums[:, 0] / np.maximum(sums[:, 1], 1)).tolist()
    return first, second


def _numbers_of(text: ComparedText) -> dict[str, np.ndarray]:
    """One text's numbers for intervals and tests: arrays `layer ...`."""
    distance = np.asarray(text.jensen_shannon, np.float64)
    layers = distance.mean(axis=-1)
    return {
        **{name: np.asarray(getattr(text, name), np.float64) for name in DISTANCES},
        "layer_heads": layers,
        # What a head or layer changed beyond the heads or layers of its text in general.
        "head_excess": distance - distance.mean(),
        "layer_excess": layers - layers.mean(),
        "patterns_a": np.asarray(text.a.patterns, np.float64),
        "patterns_b": np.asarray(text.b.patterns, np.float64),
        "pattern_change": np.asarray(text.b.patterns, np.float64) - text.a.patterns,
    }


def _alike(lengths: Int[np.ndarray, " row"]) -> Iterator[Int[np.ndarray, " row"]]:
    """Rows of one length together, so that they share the draws; at most `TOGETHER` at once."""
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        yield from (rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER))
