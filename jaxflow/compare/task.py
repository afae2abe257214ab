"""A comparison's work on a batch of texts: both models once, and from their outputs back into texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow.attribution.explaining import forward_of
from jaxflow.attribution.methods import GraphMethod, Scores, begin_scores, stored
from jaxflow.attribution.streams import method_readers, relevance_read, riding_only
from jaxflow.attribution.task import predictions_of
from jaxflow.compare import device
from jaxflow.compare.paths import strong_arcs
from jaxflow.compare.plan import Plan, TextPair, has_classes
from jaxflow.compare.result import ComparedText, SideOfText
from jaxflow.compare.unit_heads import UnitHeads
from jaxflow.compare.units import membership, words_of
from jaxflow.evaluation import Target
from jaxflow.evaluation.target import explained_of
from jaxflow.flow.worker import Worker
from jaxflow.heads.class_attention import ClassGradient
from jaxflow.heads.importance import log_gates
from jaxflow.heads.similarity import Products
from jaxflow.models import Prediction
from jaxflow.running import (
    Arrays,
    Call,
    Inputs,
    Reader,
    at_layers,
    bucket,
    check_finite,
    token_batch,
)
from jaxflow.running.readers import Finite, KeptGraph, Logits


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


@dataclass(frozen=True, eq=False)
class _UnitArrays:
    """A batch's units.

    Attributes:
        mask: units that the first and the second model have tokens of, `row unit` each.
        role: of each unit, see `head_patterns`.
        queries: units that are asked for, `row query`.
    """

    mask: tuple[Bool[Array, "row unit"], Bool[Array, "row unit"]]
    role: Int[Array, "row unit"]
    queries: Int[Array, "row query"]


@dataclass(frozen=True, eq=False)
class CompareTask:
    """Both models over the same texts, and what differs."""

    plan: Plan
    memory_advice: str = field(default="pass a smaller `max_length` or `batch_size`", init=False)

    def calls(self, items: list[PairItem], rows: int, length: int) -> list[Call]:
        """One forward pass of each model; a backward pass for each gradient that is asked for."""
        return [self._call(which, items, rows, length) for which in (0, 1)]

    def begin(
        self, items: list[PairItem], outputs: tuple[Arrays, ...], worker: Worker
    ) -> Callable[[], Sequence[tuple[ComparedText, Similarity]]]:
        """Begin the measures and the methods of relevance; the texts wait for them."""
        plan, pairs = self.plan, [item.read for item in items]
        results = [dict(zip(self._readers(which, items), outputs[which], strict=True)) for which in (0, 1)]
        # A model that computes NaN is refused before anything is compared.
        for each in results:
            check_finite(items, each["finite"])
        sides = [_side(each) for each in results]
        # row layer head unit unit
        rows, length = sides[0].heads.shape[0], sides[0].heads.shape[-1]
        units = _unit_arrays(pairs, rows, length)
        # An array, so that another decay compiles no new program.
        decay = jnp.asarray(float(plan.settings.decay), jnp.float32)
        traced = [device.trace(side, units.queries, decay) for side in sides]
        # Paths through both models exist only where layers answer to each other by number.
        shared = device.shared_widths(sides[0].fused, sides[1].fused, units.queries) if plan.same_depth else None
        # Distances are over units that both models have; correlations over all units of a text.
        both, either = units.mask[0] & units.mask[1], units.mask[0] | units.mask[1]
        measured = device.measure(sides[0], sides[1], both, either, units.role, pairs=plan.pairs)
        # Queued last: flow hands its work to the CPU, and the device has the rest to do meanwhile.
        scores = [_begin_scores(plan, which, pairs, sides[which], results[which], worker) for which in (0, 1)]
        keeps = any(item.keeps_heads for item in items)
        gates = [results[which].get("importance") for which in (0, 1)]

        # Everything below waits for the device; `finish` is called while it works on the next batch.
        def finish() -> Sequence[tuple[ComparedText, Similarity]]:
            solved = [{name: done() for name, done in begun.items()} for begun in scores]
            kept = [_kept(plan, which, side, keeps) for which, side in enumerate(sides)]
            # One transfer for all arrays of the batch.
            host = jax.device_get((measured, traced, shared, kept))
            weighed = [None if each is None else log_gates(*jax.device_get((each.value, each.gates))) for each in gates]
            logits = [None if side.logits is None else np.asarray(side.logits) for side in sides]
            predicted = [_predicted(plan, which, pairs, logits[which]) for which in (0, 1)]
            return [_text(plan, item, row, host, solved, predicted, weighed) for row, item in enumerate(items)]

        return finish

    def _readers(self, which: int, items: Sequence[PairItem]) -> dict[str, Reader]:
        """A model's readers, by the use of their outputs."""
        encoder = self.plan.encoders[which]
        readers: dict[str, Reader] = {"finite": Finite(), "heads": UnitHeads(), "graph": KeptGraph()}
        # The graph is kept in any case, for the arcs: only methods that cannot take it need readers.
        readers |= method_readers(riding_only(self.plan.methods), self.plan.layers(which))
        if any(item.weighs_heads for item in items) and has_classes(encoder):
            number, _ = explained_of(encoder, Target(), len(items))
            readers["importance"] = ClassGradient(number, keeps_weights=False)
        if any(encoder.speaks([item.read.encodings[which] for item in items])):
            readers["logits"] = Logits()
        return readers

    def _call(self, which: int, items: Sequence[PairItem], rows: int, length: int) -> Call:
        plan, encoder = self.plan, self.plan.encoders[which]
        readers, pairs = self._readers(which, items), [item.read for item in items]
        # Units may be more than tokens, and a model takes no more than its positions.
        tokens = min(length, encoder.max_length)
        arrays: dict[str, Arrays] = {
            "heads": _members(pairs, which, rows, tokens, length),
            "importance": (None, None),
        }
        # Readers of methods take the tokens of the units to explain.
        riding = method_readers(riding_only(plan.methods), plan.layers(which))
        if riding:
            arrays |= dict.fromkeys(riding, _token_queries(which, pairs, rows))
        program, explained = forward_of(plan.question, encoder, tuple(readers.values()), rows)
        inputs = Inputs(
            batch=token_batch(encoder, [pair.encodings[which] for pair in pairs], rows, tokens),
            examples=(*map(arrays.get, readers), *explained),
            shared=None,
        )
        return Call(program, inputs)


def _side(results: dict[str, Arrays]) -> device.Side:
    """One model's view of a batch; heads themselves are compared as they are, whatever the mixing."""
    heads, _, members = results["heads"]
    # The graph is between tokens; both models share only the units.
    fused, capacity = device.units_of(results["graph"], members)
    return device.Side(
        heads=heads, fused=fused, capacity=capacity, graph=results["graph"], logits=results.get("logits")
    )


def _unit_arrays(pairs: Sequence[TextPair], rows: int, length: int) -> _UnitArrays:
    mask, role = np.zeros((2, rows, length), bool), np.zeros((rows, length), np.int32)
    queries = np.zeros((rows, max(len(pair.queries) for pair in pairs)), np.int32)
    # As many for all texts of a bucket where every unit is asked for, so that few programs are compiled.
    if len({len(pair.queries) for pair in pairs}) > 1:
        queries = np.zeros((rows, length), np.int32)
    for row, pair in enumerate(pairs):
        # A unit is in a model's mask where one of its tokens is of it.
        for which, groups in enumerate((pair.units.first, pair.units.second)):
            mask[which, row, list(groups)] = True
        role[row, : len(pair.units)] = _roles(pair.units.source)
        queries[row, : len(pair.queries)] = pair.queries
    return _UnitArrays((jnp.asarray(mask[0]), jnp.asarray(mask[1])), jnp.asarray(role), jnp.asarray(queries))


def _members(
    pairs: Sequence[TextPair], which: int, rows: int, tokens: int, length: int
) -> Float[Array, "row token unit"] | None:
    """The unit of each token; None where every token is a unit, in its place."""
    # Most often both models have one tokenizer: pooling by an identity would cost two products a head.
    plain = all(pair.units.first == pair.units.second == tuple(range(len(pair.units))) for pair in pairs)
    if plain and tokens == length:
        return None
    members = np.zeros((rows, tokens, length), np.float32)
    for row, pair in enumerate(pairs):
        members[row] = membership((pair.units.first, pair.units.second)[which], tokens, length)
    return jnp.asarray(members)


def _roles(source: Sequence[int]) -> list[int]:
    """0 for words, 1 for a special unit ahead of them, 2 for the other special ones."""
    first = next(index for index, each in enumerate(source) if each != -1)
    return [0 if each != -1 else (1 if index < first else 2) for index, each in enumerate(source)]


def _predicted(plan: Plan, which: int, items: Sequence[TextPair], logits: np.ndarray | None) -> list[Prediction | None]:
    return predictions_of(plan.encoders[which], [item.encodings[which] for item in items], logits)


def _begin_scores(
    plan: Plan,
    which: int,
    items: Sequence[TextPair],
    side: device.Side,
    results: dict[str, Arrays],
    worker: Worker,
) -> dict[str, Callable[[], Scores]]:
    queries = _token_queries(which, items, side.graph.mask.shape[0])
    read = relevance_read(riding_only(plan.methods), results)
    begun: dict[str, Callable[[], Scores]] = {
        method.name: partial(stored, method, Scores(relevance)) for method, relevance in read
    }
    for method in plan.methods:
        if isinstance(method, GraphMethod):
            begun[method.name] = begin_scores(method, side.graph, queries, plan.layers(which), worker)
    # In the order of the question.
    return {method.name: begun[method.name] for method in plan.methods}


def _token_queries(which: int, items: Sequence[TextPair], size: int) -> Int[Array, "text query"]:
    """The tokens of the units to explain, one after the other."""
    chosen = [_members_of(item, which)[0] for item in items]
    longest = max(1, *map(len, chosen))
    # Ragged positions are padded to a few widths, so that few programs are compiled; padding asks for position 0.
    width = longest if len(set(map(len, chosen))) == 1 else bucket(longest)
    queries = np.zeros((size, width), np.int32)
    for row, positions in enumerate(chosen):
        queries[row, : len(positions)] = positions
    return jnp.asarray(queries)


def _members_of(item: TextPair, which: int) -> tuple[list[int], list[int]]:
    """Tokens of the units to explain, and for each the place of its unit among the queries."""
    groups = (item.units.first, item.units.second)[which]
    # Sorted by the place of the unit; a unit that this model has no token of adds nothing.
    members = [
        (token, place) for place, unit in enumerate(item.queries) for token, own in enumerate(groups) if own == unit
    ]
    return [token for token, _ in members], [place for _, place in members]


def _kept(plan: Plan, which: int, side: device.Side, keeps_heads: bool) -> tuple[Array, Array | None]:
    """The attention that goes to the host: that of the compared layers."""
    layers = np.asarray([pair[which] - 1 for pair in plan.pairs])
    return at_layers(side.fused, layers), at_layers(side.heads, layers) if keeps_heads else None


def _pooled(item: TextPair, which: int, values: np.ndarray) -> Float[np.ndarray, "layer query unit"]:
    """Relevance of units: sums over a unit's tokens, means over the tokens of a query's unit."""
    groups = (item.units.first, item.units.second)[which]
    tokens, places = _members_of(item, which)
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


def _text(
    plan: Plan,
    whole: PairItem,
    row: int,
    host: Any,
    solved: list[dict[str, Scores]],
    predicted: list[list[Prediction | None]],
    weighed: list[np.ndarray | None],
) -> tuple[ComparedText, Similarity]:
    """One text of a finished batch, padding cut away."""
    measured, traced, shared, kept = host
    item, keeps = whole.read, whole.keeps_heads
    units, queries = len(item.units), len(item.queries)
    # Of `row state query unit` this text.
    own = (row, slice(None), slice(queries), slice(units))
    sides = []
    for which in (0, 1):
        prediction = predicted[which][row]
        fused, heads = kept[which]
        sides.append(
            SideOfText(
                tokens=item.encodings[which].tokens,
                relevance={
                    name: _pooled(item, which, np.asarray(scores.relevance)[row])
                    for name, scores in solved[which].items()
                },
                certified=_certified(item, which, row, solved[which]),
                # Copies, as views would keep the whole padded batch.
                attention=fused[row, :, :units, :units].copy(),
                heads=heads[row, :, :, :units, :units].copy() if keeps else None,
                widths=traced[which].widths[own],
                influence=traced[which].influence[own],
                patterns=measured.patterns[which][row],
                prediction=None if prediction is None else prediction.label,
                scores={} if prediction is None else prediction.scores,
            )
        )
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
        shared_widths=None if shared is None else shared[own],
        jensen_shannon=measured.jensen_shannon[row],
        total_variation=measured.total_variation[row],
        layer_jensen_shannon=measured.layer_jensen_shannon[row],
        layer_total_variation=measured.layer_total_variation[row],
    )
    # In double precision: they are summed over all texts.
    products = jax.tree.map(lambda each: np.asarray(each[row], np.float64), measured.products)
    gates = [None if each is None or not whole.weighs_heads else each[row] for each in weighed]
    return text, Similarity(products, measured.cka[row], (gates[0], gates[1]))


def _certified(item: TextPair, which: int, row: int, solved: dict[str, Scores]) -> float | None:
    # Shares are of the model's own tokens, before they are pooled.
    tokens, length = len(_members_of(item, which)[0]), len(item.encodings[which])
    proven = [
        np.asarray(scores.certified)[row, :, :tokens, :length]
        for scores in solved.values()
        if scores.certified is not None
    ]
    return float(np.mean(proven)) if proven and tokens else None
