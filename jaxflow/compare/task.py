"""A comparison's work on a batch of texts: both models once, and from their outputs back into texts."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow.attribution.explaining import call_of, results_of
from jaxflow.attribution.methods import Scores
from jaxflow.attribution.scoring import begin_all
from jaxflow.attribution.streams import (
    Readers,
    fault_readers,
    graph_readers,
    method_readers,
    refuse_faults,
    riding_only,
    takes_graph,
)
from jaxflow.attribution.task import predictions_of
from jaxflow.compare import device
from jaxflow.compare.one_text import PairItem, Similarity, members_of, text_of
from jaxflow.compare.plan import Plan, TextPair, has_classes
from jaxflow.compare.result import ComparedText
from jaxflow.compare.unit_heads import UnitHeads
from jaxflow.compare.units import membership
from jaxflow.evaluation import Target
from jaxflow.evaluation.target import explained_of
from jaxflow.flow.worker import Worker
from jaxflow.heads.class_attention import ClassGradient
from jaxflow.heads.importance import log_gates
from jaxflow.mixing import Mixing
from jaxflow.models import Prediction
from jaxflow.running import (
    Arrays,
    Call,
    at_layers,
    bucket,
    token_batch,
)
from jaxflow.running.readers import KeptGraph, Logits


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
        results = [results_of(plan.question, self._readers(which, items), outputs[which]) for which in (0, 1)]
        # A model that computes NaN is refused before anything is compared.
        for each in results:
            refuse_faults(items, plan.question.mixings, each)
        sides = [_side(each, plan.question.mixing) for each in results]
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
            return [text_of(plan, item, row, host, solved, predicted, weighed) for row, item in enumerate(items)]

        return finish

    def _readers(self, which: int, items: Sequence[PairItem]) -> Readers:
        """A model's readers, by the use of their outputs."""
        encoder, question = self.plan.encoders[which], self.plan.question
        readers = fault_readers(question.mixings) | {"heads": UnitHeads(), ("graph", question.mixing): KeptGraph()}
        # The graph is kept in any case, for the arcs: only methods that cannot take it need readers.
        readers |= graph_readers(filter(takes_graph, self.plan.methods), question.mixing)
        readers |= method_readers(riding_only(self.plan.methods), self.plan.layers(which), question.mixing)
        # Left out where the model gives no gradients, as it is where it has no classes.
        gradients = has_classes(encoder) and "gradients" in encoder.gives
        if gradients and any(item.weighs_heads for item in items):
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
        arrays: dict[Hashable, Arrays] = {
            "heads": _members(pairs, which, rows, tokens, length),
            "importance": (None, None),
        }
        # Readers of methods take the tokens of the units to explain.
        riding = method_readers(riding_only(plan.methods), plan.layers(which), plan.question.mixing)
        queries = _token_queries(which, pairs, rows)
        arrays |= dict.fromkeys(riding, queries)
        batch = token_batch(encoder, [pair.encodings[which] for pair in pairs], rows, tokens)
        return call_of(plan.question, encoder, readers, arrays, batch, queries, plan.layers(which))


def _side(results: Mapping[Any, Arrays], mixing: Mixing) -> device.BatchSide:
    """One model's view of a batch; heads themselves are compared as they are, whatever the mixing."""
    heads, _, members = results["heads"]
    # The graph is between tokens; both models share only the units.
    graph = results["graph", mixing]
    fused, capacity = device.units_of(graph, members)
    return device.BatchSide(heads=heads, fused=fused, capacity=capacity, graph=graph, logits=results.get("logits"))


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
    side: device.BatchSide,
    results: Mapping[Any, Arrays],
    worker: Worker,
) -> dict[str, Callable[[], Scores]]:
    queries = _token_queries(which, items, side.graph.mask.shape[0])
    # The graph is kept in any case, so that every method that can takes it.
    return begin_all(
        plan.methods,
        results,
        plan.layers(which),
        plan.question.mixing,
        worker,
        queries=lambda _: queries,
        by_graph=takes_graph,
    )


def _token_queries(which: int, items: Sequence[TextPair], size: int) -> Int[Array, "text query"]:
    """The tokens of the units to explain, one after the other."""
    chosen = [members_of(item, which)[0] for item in items]
    longest = max(1, *map(len, chosen))
    # Ragged positions are padded to a few widths, so that few programs are compiled; padding asks for position 0.
    width = longest if len(set(map(len, chosen))) == 1 else bucket(longest)
    queries = np.zeros((size, width), np.int32)
    for row, positions in enumerate(chosen):
        queries[row, : len(positions)] = positions
    return jnp.asarray(queries)


def _kept(plan: Plan, which: int, side: device.BatchSide, keeps_heads: bool) -> tuple[Array, Array | None]:
    """The attention that goes to the host: that of the compared layers."""
    layers = np.asarray([pair[which] - 1 for pair in plan.pairs])
    return at_layers(side.fused, layers), at_layers(side.heads, layers) if keeps_heads else None
