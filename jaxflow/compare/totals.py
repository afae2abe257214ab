"""What changed over a stream of texts: sums that do not grow with it, and the summary that is made of them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxflow.compare.paths import KINDS
from jaxflow.compare.plan import Plan, has_classes
from jaxflow.compare.result import ChangeSummary, ComparedText, HeadChange, LayerChange, WordChange
from jaxflow.heads.similarity import Products, correlation, match_heads
from jaxflow.statistics.blocks import Blocks
from jaxflow.statistics.tests import adjusted, block_interval, sign_flip

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
        names = ("jensen_shannon", "total_variation", "layer_jensen_shannon", "layer_total_variation")
        self._distances = {name: Blocks() for name in names}
        self._heads, self._above, self._layers_above = Blocks(), Blocks(), Blocks()
        self._patterns, self._pattern_change = (Blocks(), Blocks()), Blocks()
        self._cka, self._products = Blocks(2), None
        self._words: dict[str, Blocks] = {}
        self._arcs: Counter[str] = Counter()
        self._confusion: Counter[tuple[str, str]] = Counter()

    def add(self, text: ComparedText, products: Products, cka: Float[np.ndarray, "layer head other"]) -> None:
        """Take in a text."""
        self.texts += 1
        for name, blocks in self._distances.items():
            blocks.add(getattr(text, name))
        distance = np.asarray(text.jensen_shannon, np.float64)
        layers = distance.mean(axis=-1)
        self._heads.add(layers)
        # What a head changed beyond the heads of its text in general.
        self._above.add(distance - distance.mean())
        self._layers_above.add(layers - layers.mean())
        for blocks, side in zip(self._patterns, (text.a, text.b), strict=True):
            blocks.add(side.patterns)
        self._pattern_change.add(np.asarray(text.b.patterns, np.float64) - text.a.patterns)
        self._cka.add(cka)
        self._add_products(products)
        self._add_words(text)
        self._arcs.update({kind: text.arcs.count(kind) for kind in KINDS})
        if text.a.prediction is not None and text.b.prediction is not None and self._has_classes:
            self._confusion[text.a.prediction, text.b.prediction] += 1

    @property
    def _has_classes(self) -> bool:
        return all(map(has_classes, self.plan.encoders))

    def _add_products(self, products: Products) -> None:
        parts = [np.asarray(part) for part in (products.cross, products.first, products.second)]
        if self._products is None:
            self._products = [np.zeros_like(part) for part in parts]
        for total, part in zip(self._products, parts, strict=True):
            total += part

    def _add_words(self, text: ComparedText) -> None:
        change = np.stack(list(text.word_change().values()), axis=-1)
        places: dict[str, list[int]] = {}
        for place, word in enumerate(text.words):
            places.setdefault(word.casefold(), []).append(place)
        for word, found in places.items():
            self._words.setdefault(word, Blocks(WORD_BLOCKS)).add(change[found].mean(axis=0))

    def summary(self) -> ChangeSummary:
        """What changed over all texts that were taken in; one at least."""
        settings = self.plan.settings
        assert self._products is not None
        return ChangeSummary(
            texts=self.texts,
            layers=self.plan.pairs,
            layer=self._layer_change(),
            head=self._head_change(),
            words=tuple(self._word_changes()),
            arcs={kind: self._arcs[kind] / self.texts for kind in KINDS},
            confusion=dict(self._confusion),
            settings={
                "threshold": float(settings.threshold),
                "decay": float(settings.decay),
                "residual": float(self.plan.settings.residual),
                "least": int(settings.least),
                "correction": settings.correction,
                "seed": settings.seed,
            },
        )

    def _layer_change(self) -> LayerChange:
        p = sign_flip(self._layers_above, seed=self.plan.settings.seed)
        return LayerChange(
            jensen_shannon=self._interval(self._distances["layer_jensen_shannon"]),
            total_variation=self._interval(self._distances["layer_total_variation"]),
            heads=self._interval(self._heads),
            p=p,
            adjusted_p=adjusted(p, self.plan.settings.correction),
        )

    def _head_change(self) -> HeadChange:
        settings = self.plan.settings
        p, pattern_p = (sign_flip(blocks, seed=settings.seed) for blocks in (self._above, self._pattern_change))
        alike = correlation(*(self._products or ()))
        return HeadChange(
            jensen_shannon=self._interval(self._distances["jensen_shannon"]),
            total_variation=self._interval(self._distances["total_variation"]),
            p=p,
            adjusted_p=adjusted(p, settings.correction),
            patterns_a=self._patterns[0].mean,
            patterns_b=self._patterns[1].mean,
            pattern_change=self._interval(self._pattern_change),
            pattern_p=pattern_p,
            pattern_adjusted_p=adjusted(pattern_p, settings.correction),
            correlation=alike,
            cka=self._cka.mean,
            matching=match_heads(alike),
        )

    def _interval(self, blocks: Blocks) -> Any:
        return block_interval(blocks, seed=self.plan.settings.seed)

    def _word_changes(self) -> list[WordChange]:
        settings, names = self.plan.settings, [method.name for method in self.plan.methods]
        words = list(self._words)
        tested = np.array([self._words[word].texts >= settings.least for word in words], bool)
        tests, low, high = (np.full((len(words), len(names)), np.nan) for _ in range(3))
        for rows in _alike([len(self._words[word]) if test else 0 for word, test in zip(words, tested, strict=True)]):
            blocks = Blocks.beside([self._words[words[row]] for row in rows])
            interval = self._interval(blocks)
            tests[rows], low[rows], high[rows] = sign_flip(blocks, seed=settings.seed), interval.low, interval.high
        changes = []
        for column, name in enumerate(names):
            corrected = adjusted(tests[:, column], settings.correction)
            found = [
                WordChange(
                    word=word,
                    texts=self._words[word].texts,
                    method=name,
                    mean=float(self._words[word].mean[column]),
                    low=float(low[row, column]),
                    high=float(high[row, column]),
                    p=float(tests[row, column]),
                    adjusted_p=float(corrected[row]),
                )
                for row, word in enumerate(words)
            ]
            # Words that were tested first, the largest changes ahead.
            changes += sorted(found, key=lambda each: (np.isnan(each.p), -abs(each.mean), each.word))
        return changes


def _alike(lengths: list[int]) -> Iterator[Int[np.ndarray, " row"]]:
    """Rows of one length together, so that they share the draws; at most so many at once; those of length 0 not."""
    array = np.asarray(lengths, np.int64)
    for length in np.unique(array[array > 0]):
        rows = np.flatnonzero(array == length)
        yield from (rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER))
