"""One text of a finished batch: what the device gave of it, as a compared text."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from jaxflow.attribution.methods import Scores
from jaxflow.compare.paths import strong_arcs
from jaxflow.compare.plan import Plan, TextPair
from jaxflow.compare.result import ComparedText, SideOfText
from jaxflow.compare.units import membership, words_of
from jaxflow.heads.similarity import Products
from jaxflow.models import Prediction
from jaxflow.running import Arrays


@dataclass(frozen=True, eq=False)
class Similarity:
    """One text's share in sums over many texts.

    Attributes:
        products: what the correlation of heads is made of.
        cka: of all pairs of heads.
        gates: for each model the derivative of the predicted class's log-probability in each head's gate, which
            `head_importance` averages; None where it was not asked for.
    """

    products: Products
    cka: Float[np.ndarray, "layer head other"]
    gates: tuple[
        Float[np.ndarray, "first_layer first_head"] | None, Float[np.ndarray, "second_layer second_head"] | None
    ]


@dataclass(frozen=True, eq=False)
class PairItem:
    """One text as both models read it, on its way.

    Attributes:
        index: its number.
        read: the text.
        keeps_heads: whether the attention of every head is kept.
        weighs_heads: whether the importance of heads is looked for.
    """

    index: int
    read: TextPair
    keeps_heads: bool
    weighs_heads: bool

    @property
    def place(self) -> str:
        """For messages."""
        return self.read.place

    @property
    def length(self) -> int:
        """Its tokens in either model, or its units, whichever are most."""
        return max(len(self.read.units), *map(len, self.read.encodings))


def members_of(item: TextPair, which: int) -> tuple[list[int], list[int]]:
    """Tokens of the units to explain, and for each the place of its unit among the queries."""
    groups = (item.units.first, item.units.second)[which]
    # Sorted by the place of the unit; a unit that this model has no token of adds nothing.
    members = [
        (token, place) for place, unit in enumerate(item.queries) for token, own in enumerate(groups) if own == unit
    ]
    return [token for token, _ in members], [place for _, place in members]


def text_of(
    plan: Plan,
    whole: PairItem,
    row: int,
    host: Arrays,
    solved: list[dict[str, Scores]],
    predicted: list[list[Prediction | None]],
    weighed: list[np.ndarray | None],
) -> tuple[ComparedText, Similarity]:
    """One text of a finished batch, padding cut away."""
    measured, _, shared, _ = host
    item = whole.read
    sides = [_side_of(plan, whole, which, row, host, solved[which], predicted[which][row]) for which in (0, 1)]
    # Arcs are judged by paths to the first query: the widths after each compared layer, `layer unit`.
    reach = [side.widths[[pair[which] for pair in plan.pairs], 0] for which, side in enumerate(sides)]
    words, word = words_of(item.text, item.pair, item.units)
    text = ComparedText(
        text=item.text,
        pair=item.pair,
        units=item.units,
        words=words,
        word=word,
        queries=np.asarray(item.queries, np.int64),
        layers=plan.pairs,
        a=sides[0],
        b=sides[1],
        arcs=strong_arcs(sides[0].attention, sides[1].attention, float(plan.settings.threshold), (reach[0], reach[1])),
        shared_widths=None if shared is None else shared[_place(item, row)],
        jensen_shannon=measured.jensen_shannon[row],
        total_variation=measured.total_variation[row],
        layer_jensen_shannon=measured.layer_jensen_shannon[row],
        layer_total_variation=measured.layer_total_variation[row],
    )
    # In double precision: they are summed over all texts.
    products = jax.tree.map(lambda each: np.asarray(each[row], np.float64), measured.products)
    gates = [None if each is None or not whole.weighs_heads else each[row] for each in weighed]
    return text, Similarity(products, measured.cka[row], (gates[0], gates[1]))


def _side_of(
    plan: Plan,
    whole: PairItem,
    which: int,
    row: int,
    host: Arrays,
    solved: dict[str, Scores],
    prediction: Prediction | None,
) -> SideOfText:
    """One text in one of the models."""
    measured, traced, _, kept = host
    item, units, place = whole.read, len(whole.read.units), _place(whole.read, row)
    fused, heads = kept[which]
    return SideOfText(
        tokens=item.encodings[which].tokens[: item.encodings[which].listed],
        relevance={name: _pooled(item, which, np.asarray(scores.relevance)[row]) for name, scores in solved.items()},
        certified=_certified(item, which, row, solved),
        saturated=_saturated(item, which, row, solved),
        # Copies, as views would keep the whole padded batch.
        attention=fused[row, :, :units, :units].copy(),
        heads=heads[row, :, :, :units, :units].copy() if whole.keeps_heads else None,
        widths=traced[which].widths[place],
        influence=traced[which].influence[place],
        patterns=measured.patterns[which][row],
        prediction=None if prediction is None else prediction.label,
        scores={} if prediction is None else prediction.scores,
    )


def _place(item: TextPair, row: int) -> tuple[int, slice, slice, slice]:
    """Where a text stands in the batch's `row state query unit`, padding cut away."""
    return row, slice(None), slice(len(item.queries)), slice(len(item.units))


def _pooled(item: TextPair, which: int, values: np.ndarray) -> Float[np.ndarray, "layer query unit"]:
    """Relevance of units: sums over a unit's tokens, means over the tokens of a query's unit."""
    groups = (item.units.first, item.units.second)[which]
    tokens, places = members_of(item, which)
    # layer query token: positions and tokens that are padding are cut away
    values = values[:, : len(tokens), : len(groups)]
    if groups == tuple(range(len(item.units))) and len(tokens) == len(item.queries):
        return values
    # layer query unit
    summed = values @ membership(groups, len(groups), len(item.units)).astype(values.dtype)
    # query token: which positions are of which unit; a unit without a token has an empty row, and relevance 0
    rows = np.zeros((len(item.queries), len(tokens)), values.dtype)
    rows[places, np.arange(len(tokens))] = 1
    return np.einsum("qt,ltu->lqu", rows / np.maximum(rows.sum(axis=1, keepdims=True), 1), summed)


def _certified(item: TextPair, which: int, row: int, solved: dict[str, Scores]) -> float | None:
    # Shares are of the model's own tokens, before they are pooled.
    tokens, length = len(members_of(item, which)[0]), item.encodings[which].listed
    proven = [
        np.asarray(scores.certified)[row, :, :tokens, :length]
        for scores in solved.values()
        if scores.certified is not None
    ]
    return float(np.mean(proven)) if proven and tokens else None


def _saturated(item: TextPair, which: int, row: int, solved: dict[str, Scores]) -> dict[str, float]:
    # Tokens of the first query's unit; a model that has none of it says nothing.
    first = [number for number, place in enumerate(members_of(item, which)[1]) if place == 0]
    length = item.encodings[which].listed
    return {
        name: float(np.asarray(scores.saturated)[row, -1, first, :length].mean())
        for name, scores in solved.items()
        if scores.saturated is not None and first
    }
