"""Attribution of a batch of texts, and the examples it gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxflow._typing import AnyArray, Queries
from jaxflow.attribution import scoring
from jaxflow.attribution.explaining import call_of, results_of
from jaxflow.attribution.items import Item, is_answer
from jaxflow.attribution.methods import Method, Scores
from jaxflow.attribution.pictures import in_the_mean, picture_of
from jaxflow.attribution.question import CLASSIFIER, Question
from jaxflow.attribution.result import Example
from jaxflow.attribution.streams import (
    Readers,
    fault_readers,
    graph_readers,
    method_readers,
    refuse_faults,
    rides_along,
)
from jaxflow.flow.solution import count_stages
from jaxflow.flow.worker import Worker
from jaxflow.graph.graph import AttentionGraph
from jaxflow.models import Encoding, Model, Prediction
from jaxflow.models.images import pooled_of
from jaxflow.models.two_streams import encoder_layers_of, first_target
from jaxflow.running import Arrays, Call, bucket, token_batch
from jaxflow.running.readers import Logits


@dataclass(frozen=True)
class AttributionTask:
    """Relevance of every text's tokens by methods that run on the model's batch, or on the whole graph.

    Attributes:
        model: the model.
        question: the question to every text.
        methods: of relevance.
        layers: layers to explain, counted from 1.
    """

    model: Model
    question: Question
    methods: tuple[Method, ...]
    layers: tuple[int, ...]
    memory_advice: str = field(
        default="pass a smaller `max_length`, fewer `queries`, or devices that share the model by `mesh`", init=False
    )

    def calls(self, items: list[Item], rows: int, length: int) -> tuple[Call]:
        """One forward pass with the readers that these texts need."""
        readers = self._readers(items)
        # Where every position is asked for readers need no list of them.
        queries = None if self._everything else queries_of(items, rows, length, everything=False)
        riding = method_readers(self.methods, self.layers, self.question.mixing)
        batch = token_batch(self.model, [item.encoding for item in items], rows, length)
        arrays = dict.fromkeys(riding, queries)
        # Parts of answers are explained each by its own token; rows that fill the batch up by any.
        wanted = [item.wanted for item in items if item.wanted is not None]
        wanted = tuple(wanted + [0] * (rows - len(wanted))) if wanted else None
        return (call_of(self.question, self.model, readers, arrays, batch, queries, self.layers, wanted),)

    def begin(self, items: list[Item], outputs: tuple[Arrays, ...], worker: Worker) -> Callable[[], Sequence[Example]]:
        """Begin the methods; the examples wait for them."""
        # The readers depend on the texts alone, so that these are those of `calls`.
        results = results_of(self.question, self._readers(items), outputs[0])
        refuse_faults(items, self.question.mixings, results)
        waiting = begin_methods(self.methods, results, items, self.layers, worker, self.question)

        def finish() -> Sequence[Example]:
            scores = {name: wait() for name, wait in waiting.items()}
            examples = examples_of(self.model, items, self.layers, scores, results.get("logits"))
            pooled = pooled_of(self.model) if self.question.queries == CLASSIFIER else None
            return examples if pooled is None else [in_the_mean(each, pooled) for each in examples]

        return finish

    @property
    def _everything(self) -> bool:
        return self.question.queries is None

    def _readers(self, items: list[Item]) -> Readers:
        """The readers, by the use of their outputs."""
        mixing = self.question.mixing
        readers = fault_readers(self.question.mixings) | method_readers(self.methods, self.layers, mixing)
        # Graphs are the largest outputs by far; one is kept only where a method takes it.
        readers |= graph_readers((each for each in self.methods if not rides_along(each)), mixing)
        # What follows an answer says nothing of it.
        asked = not is_answer(self.question.queries)
        if asked and any(self.model.speaks([item.encoding for item in items])):
            readers["logits"] = Logits()
        return readers


def begin_methods(
    methods: Sequence[Method],
    results: Mapping[Any, Arrays],
    items: Sequence[Item],
    layers: tuple[int, ...],
    worker: Worker,
    question: Question,
) -> dict[str, Callable[[], Scores]]:
    """Begin the methods on a batch; by their names, in order, functions that wait for their scores.

    Args:
        methods: of relevance.
        results: the readers' outputs, among them those of `graph_readers` for methods that take a graph.
        items: the batch's texts.
        layers: of the relevance, counted from 1.
        worker: for the CPU's share.
        question: to every text.
    """
    everything = question.queries is None

    def queries(graph: AttentionGraph) -> Queries:
        # They lie on the devices as the graph does, so that no program moves the graph.
        return jax.device_put(queries_of(items, *graph.mask.shape, everything=everything), graph.mask.sharding)

    return scoring.begin_all(
        methods, results, layers, question.mixing, worker, queries=queries, by_graph=lambda each: not rides_along(each)
    )


def predictions_of(model: Model, encodings: Sequence[Encoding], logits: AnyArray | None) -> list[Prediction | None]:
    """The head's prediction for each text of a batch; None for texts that it says nothing of."""
    if logits is None:
        return [None] * len(encodings)
    # Rows that fill up the batch say nothing.
    predictions = model.predict(np.asarray(logits)[: len(encodings)], encodings)
    return [each if said else None for each, said in zip(predictions, model.speaks(encodings), strict=True)]


def examples_of(
    model: Model, items: Sequence[Item], layers: tuple[int, ...], scores: dict[str, Scores], logits: AnyArray | None
) -> list[Example]:
    """Examples of a batch, padding cut away.

    Args:
        model: that read the texts.
        items: the batch's texts.
        layers: of the relevance, counted from 1.
        scores: by the methods' names.
        logits: the head's numbers, or None.
    """
    # Each array crosses to the host once, not once a text.
    relevance = {name: np.asarray(score.relevance) for name, score in scores.items()}
    certified = [np.asarray(score.certified) for score in scores.values() if score.certified is not None]
    saturated = {name: np.asarray(score.saturated) for name, score in scores.items() if score.saturated is not None}
    settled = [np.asarray(score.settled) for score in scores.values() if score.settled is not None]
    predictions = predictions_of(model, [item.encoding for item in items], logits)
    examples = []
    for row, (item, prediction) in enumerate(zip(items, predictions, strict=True)):
        # All layers, this text's queries and its tokens.
        listed = item.encoding.listed
        part = (row, slice(None), slice(len(item.queries)), slice(listed))
        examples.append(
            Example(
                text=item.text,
                pair=item.pair,
                tokens=item.encoding.tokens[:listed],
                offsets=item.encoding.offsets[:listed],
                source=item.encoding.source[:listed],
                queries=item.queries,
                layers=layers,
                relevance={name: values[part] for name, values in relevance.items()},
                # Of several flow methods an entry counts as certified where all are.
                certified=np.logical_and.reduce([values[part] for values in certified]) if certified else None,
                prediction=None if prediction is None else prediction.label,
                scores={} if prediction is None else prediction.scores,
                saturation={name: values[part] for name, values in saturated.items()},
                stages=count_stages(np.stack([values[part] for values in settled])) if settled else None,
                picture=picture_of(item.encoding),
                answer=item.answer,
                first_target=first_target(model, item.encoding),
                encoder_layers=encoder_layers_of(model),
            )
        )
    return examples


def queries_of(items: Sequence[Item], rows: int, length: int, *, everything: bool) -> Int[Array, "row query"]:
    """The positions to explain in each row of a batch; 0 in rows that fill it up.

    Args:
        items: the batch's texts.
        rows: of the batch.
        length: that texts are padded to.
        everything: whether every position is to be explained, padding's too, so that all batches of a shape are alike.
    """
    if everything:
        return jnp.broadcast_to(jnp.arange(length, dtype=jnp.int32), (rows, length))
    # Texts have as many positions to explain, but for answers. These are filled up by the first position, so that few
    # programs are compiled; a decoder's first position sees itself alone, which costs a flow nothing.
    most = max(len(item.queries) for item in items)
    most = bucket(most) if any(item.answer is not None and item.wanted is None for item in items) else most
    queries = np.zeros((rows, most), np.int32)
    for row, item in enumerate(items):
        queries[row, : len(item.queries)] = item.queries
    return jnp.asarray(queries)
