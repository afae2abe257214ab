"""One batch of texts through both models: onto the device, and from there back into texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxflow._checks import InputError
from jaxflow.attribution.methods import Scores, begin_scores
from jaxflow.attribution.task import predictions_of
from jaxflow.compare import device
from jaxflow.compare.class_attention import class_graph
from jaxflow.compare.paths import strong_arcs
from jaxflow.compare.plan import CLASS, Plan, TextPair
from jaxflow.compare.result import ComparedText, SideOfText
from jaxflow.compare.similarity import Products
from jaxflow.compare.stream import filled, fitting
from jaxflow.compare.units import membership, words_of
from jaxflow.flow.worker import Worker
from jaxflow.models import Prediction
from jaxflow.running import bucket


@dataclass(frozen=True, eq=False)
class Similarity:
    """What the similarity of heads over many texts is summed up from: one text's share."""

    products: Products
    cka: Float[np.ndarray, "layer head other"]


# What waits for a batch: by the text's place in its window what differs in it.
Finish = Callable[[], dict[int, tuple[ComparedText, Similarity]]]


def padded_length(item: TextPair) -> int:
    """What a text is padded to, in tokens of either model and in units."""
    return bucket(max(len(item.units), *map(len, item.encodings)))


@dataclass(frozen=True, eq=False)
class _Rows:
    """A batch's units as arrays, filled up to the size of a program."""

    mask: Any  # units that the first and the second model have tokens of: two arrays `text unit`
    role: Any
    queries: Any
    members: Any  # for each model `text token unit`, or None where every token is a unit


def begin(plan: Plan, items: list[TextPair], places: list[int], keeps: list[bool], worker: Worker) -> Finish:
    """Begin a batch; gives what waits for it. Of some texts the attention of every head is kept."""
    length = padded_length(items[0])
    size = filled(len(items), fitting(plan.encoders, length, int(plan.settings.batch_size)))
    rows = _rows(items, size, length)
    sides = [_attend(plan, which, items, size, length, rows) for which in (0, 1)]
    for side in sides:
        _check_finite(side, items)
    decay = jnp.asarray(float(plan.settings.decay), jnp.float32)
    traced = [
        device.trace(side.fused, plan.residual, mask, rows.queries, decay)
        for side, mask in zip(sides, rows.mask, strict=True)
    ]
    shared = device.shared_widths(sides[0].fused, sides[1].fused, rows.queries) if plan.same_depth else None
    either = rows.mask[0] | rows.mask[1]
    measured = device.measure(*sides, rows.mask[0] & rows.mask[1], either, rows.role, pairs=plan.pairs)
    scores = [_begin_scores(plan, which, items, sides[which], worker) for which in (0, 1)]

    def finish() -> dict[int, tuple[ComparedText, Similarity]]:
        found = [{name: done() for name, done in begun.items()} for begun in scores]
        kept = [_kept(plan, which, side, any(keeps)) for which, side in enumerate(sides)]
        host = jax.device_get((measured, traced, shared, kept))
        logits = [None if side.logits is None else np.asarray(side.logits) for side in sides]
        predicted = [_predicted(plan, which, items, logits[which]) for which in (0, 1)]
        return {
            place: _text(plan, items[row], row, keeps[row], host, found, predicted) for row, place in enumerate(places)
        }

    return finish


def _rows(items: Sequence[TextPair], size: int, length: int) -> _Rows:
    mask, role = np.zeros((2, size, length), bool), np.zeros((size, length), np.int32)
    queries = np.zeros((size, max(len(item.queries) for item in items)), np.int32)
    # As many for all texts of a bucket where every unit is asked for, so that few programs are compiled.
    if len({len(item.queries) for item in items}) > 1:
        queries = np.zeros((size, length), np.int32)
    plain = all(item.units.first == item.units.second == tuple(range(len(item.units))) for item in items)
    members = np.zeros((2, size, length, length), np.float32) if not plain else None
    for row, item in enumerate(items):
        units = item.units
        for which, groups in enumerate((units.first, units.second)):
            mask[which, row, list(groups)] = True
            if members is not None:
                members[which, row] = membership(groups, length, length)
        role[row, : len(units)] = _roles(units.source)
        queries[row, : len(item.queries)] = item.queries
    return _Rows((jnp.asarray(mask[0]), jnp.asarray(mask[1])), jnp.asarray(role), jnp.asarray(queries), members)


def _roles(source: Sequence[int]) -> list[int]:
    """0 for words, 1 for a special unit ahead of them, 2 for the other special ones."""
    first = next(index for index, each in enumerate(source) if each != -1)
    return [0 if each != -1 else (1 if index < first else 2) for index, each in enumerate(source)]


def _attend(plan: Plan, which: int, items: Sequence[TextPair], size: int, length: int, rows: _Rows) -> device.Side:
    encoder, heads = plan.encoders[which], plan.heads[which]
    encodings = [item.encodings[which] for item in items]
    tokens = min(length, encoder.max_length)
    fill = size - len(items)
    batch = jax.tree.map(lambda each: jnp.pad(each, [(0, fill), (0, 0)]), encoder.pad(encodings, tokens))
    members = None if rows.members is None else jnp.asarray(rows.members[which][:, :tokens])
    if members is None and tokens < length:
        # A model's limit may be below the bucket's length; units are as many as the bucket says.
        members = jnp.broadcast_to(jnp.eye(tokens, length, dtype=jnp.float32), (size, tokens, length))
    named, weights = (heads, None) if isinstance(heads, str) else ("weights", heads)
    by_class = named == CLASS
    side = device.attend(
        encoder.module,
        batch,
        members,
        plan.residual,
        weights,
        named="mean" if by_class else named,
        predicts=any(encoder.speaks(encodings)),
    )
    if not by_class:
        return side
    # Heads themselves are compared as they are; what is fused of them is what the class rests on.
    graph = class_graph(encoder, batch, side.logits, plan.target, plan.residual)
    return replace(side, graph=graph, fused=device.pooled(graph.attention, members))


def _predicted(plan: Plan, which: int, items: Sequence[TextPair], logits: Any) -> list[Prediction | None]:
    return predictions_of(plan.encoders[which], [item.encodings[which] for item in items], logits)


def _check_finite(side: device.Side, items: Sequence[TextPair]) -> None:
    finite = np.asarray(np.isfinite(np.asarray(side.graph.attention)).all(axis=(1, 2, 3)))
    for row, item in enumerate(items):
        if not finite[row]:
            raise InputError(f"a model's attention is not a number for {item.place}; check its weights")


def _begin_scores(
    plan: Plan, which: int, items: Sequence[TextPair], side: device.Side, worker: Worker
) -> dict[str, Callable[[], Scores]]:
    layers = tuple(pair[which] for pair in plan.pairs)
    queries = _token_queries(which, items, side.graph.mask.shape[0])
    return {method.name: begin_scores(method, side.graph, queries, layers, worker) for method in plan.methods}


def _token_queries(which: int, items: Sequence[TextPair], size: int) -> Int[Array, "text query"]:
    """The tokens of the units that are asked for, one after the other."""
    chosen = [_members_of(item, which)[0] for item in items]
    longest = max(1, *map(len, chosen))
    width = longest if len(set(map(len, chosen))) == 1 else bucket(longest)
    queries = np.zeros((size, width), np.int32)
    for row, positions in enumerate(chosen):
        queries[row, : len(positions)] = positions
    return jnp.asarray(queries)


def _members_of(item: TextPair, which: int) -> tuple[list[int], list[int]]:
    """Tokens of the units that are asked for, and for each the place of its unit among the queries."""
    groups = (item.units.first, item.units.second)[which]
    found = [
        (token, place) for place, unit in enumerate(item.queries) for token, own in enumerate(groups) if own == unit
    ]
    return [token for token, _ in found], [place for _, place in found]


def _kept(plan: Plan, which: int, side: device.Side, keeps_heads: bool) -> tuple[Any, Any]:
    """What goes to the host of a model's attention: that of the layers that are compared."""
    layers = np.asarray([pair[which] - 1 for pair in plan.pairs])
    return side.fused[:, layers], side.heads[:, layers] if keeps_heads else None


def _pooled(item: TextPair, which: int, values: np.ndarray) -> Float[np.ndarray, "layer query unit"]:
    """Relevance of units: sums over a unit's tokens, means over the tokens of a query's unit."""
    groups = (item.units.first, item.units.second)[which]
    tokens, places = _members_of(item, which)
    values = values[:, : len(tokens), : len(groups)]
    if groups == tuple(range(len(item.units))) and len(tokens) == len(item.queries):
        return values
    summed = values @ membership(groups, len(groups), len(item.units)).astype(values.dtype)
    rows = np.zeros((len(item.queries), len(tokens)), values.dtype)
    rows[places, np.arange(len(tokens))] = 1
    return np.einsum("qt,ltu->lqu", rows / np.maximum(rows.sum(axis=1, keepdims=True), 1), summed)


def _text(
    plan: Plan,
    item: TextPair,
    row: int,
    keeps: bool,
    host: Any,
    found: list[dict[str, Scores]],
    predicted: list[list[Any]],
) -> tuple[ComparedText, Similarity]:
    """One text of a finished batch, padding cut away."""
    measured, traced, shared, kept = host
    units, queries = len(item.units), len(item.queries)
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
                    for name, scores in found[which].items()
                },
                certified=_certified(item, which, row, found[which]),
                attention=fused[row, :, :units, :units].copy(),
                heads=heads[row, :, :, :units, :units].copy() if keeps else None,
                widths=traced[which].widths[own],
                influence=traced[which].influence[own],
                patterns=measured.patterns[which][row],
                prediction=None if prediction is None else prediction.label,
                scores={} if prediction is None else prediction.scores,
            )
        )
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
    products = jax.tree.map(lambda each: np.asarray(each[row], np.float64), measured.products)
    return text, Similarity(products, measured.cka[row])


def _certified(item: TextPair, which: int, row: int, found: dict[str, Scores]) -> float | None:
    tokens, length = len(_members_of(item, which)[0]), len(item.encodings[which])
    proven = [
        np.asarray(scores.certified)[row, :, :tokens, :length]
        for scores in found.values()
        if scores.certified is not None
    ]
    return float(np.mean(proven)) if proven and tokens else None
