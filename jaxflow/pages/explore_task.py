"""The explorer's work on a batch of texts: all that its page shows, by one forward pass of each model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxflow._switches import broadcasting
from jaxflow.attribution import Example, Method, Question, Raw, Rollout, Scores
from jaxflow.attribution.explaining import call_of, results_of
from jaxflow.attribution.items import Item
from jaxflow.attribution.scoring import stored
from jaxflow.attribution.streams import (
    Readers,
    Streams,
    fault_readers,
    graph_readers,
    method_readers,
    refuse_faults,
    rides_along,
)
from jaxflow.attribution.task import begin_methods, examples_of, queries_of
from jaxflow.flow.worker import Worker
from jaxflow.heads.class_attention import ClassGradient, GatedScores
from jaxflow.heads.roles import RoleWords, WatchedRoles
from jaxflow.models import Encoding, Model
from jaxflow.running import Arrays, Call, rows_on_host, token_batch
from jaxflow.running.readers import KeptHeads, Logits
from jaxflow.statistics.distances import jensen_shannon

# They cost little, so that the page has them at every position.
EVERYWHERE = (Raw(), Rollout())


@dataclass(frozen=True, eq=False)
class ExploredModel:
    """One model, and the readers that it needs.

    Attributes:
        model: the model.
        words: of the texts, for the roles of heads; None where roles are not looked for.
        importance: the reader of heads' importance; None where it is not looked for.
    """

    model: Model
    words: RoleWords | None = None
    importance: ClassGradient | None = None

    @property
    def layers(self) -> tuple[int, ...]:
        """All of them, counted from 1."""
        return tuple(range(1, self.model.layers + 1))

    def readers(self, encodings: Sequence[Encoding], asked: Sequence[Method], question: Question) -> Readers:
        """The readers, by the use of their outputs; `asked` are the methods beside raw and rollout."""
        readers: Readers = {
            **fault_readers(question.mixings),
            # Every position and layer of raw attention and rollout.
            "every": Streams(EVERYWHERE, self.layers),
            "heads": KeptHeads(),
            **method_readers(asked, self.layers, question.mixing),
            # As for attribution: a graph only where a method takes it.
            **graph_readers((each for each in asked if not rides_along(each)), question.mixing),
        }
        if any(self.model.speaks(encodings)):
            readers["logits"] = Logits()
        if self.words is not None:
            readers["roles"] = WatchedRoles()
        if self.importance is not None:
            readers["importance"] = self.importance
        return readers


@dataclass(frozen=True)
class ExploredItem:
    """One text as every model reads it.

    Attributes:
        index: its number.
        every: for each model its tokens, every position being a query.
        asked: for each model the same with the positions of the question; None where only raw attention and rollout
            are asked for.
        alike: whether the models cut it into the same tokens.
    """

    index: int
    every: tuple[Item, ...]
    asked: tuple[Item, ...] | None
    alike: bool

    @property
    def place(self) -> str:
        """For messages."""
        return self.every[0].place

    @property
    def length(self) -> int:
        """Tokens in the model that has more."""
        return max(item.length for item in self.every)


@dataclass(frozen=True, eq=False)
class ExploredSide:
    """One text in one model.

    Attributes:
        example: raw attention and rollout to every position.
        asked: relevance by the other methods, to the positions of the question; None without any.
        attention: of every head, `layer head token token`.
        roles: what `WatchedRoles` gives; None where roles are not looked for.
        importance: likewise of heads' importance.
    """

    example: Example
    asked: Example | None
    attention: Float[np.ndarray, "layer head token token"]
    roles: tuple[Any, Any] | None
    importance: GatedScores | None


@dataclass(frozen=True, eq=False)
class ExploredText:
    """One text in every model.

    Attributes:
        sides: one a model.
        change: distance of each head from its namesake, `layer head`; None where it is not defined by tokens.
    """

    sides: tuple[ExploredSide, ...]
    change: Float[np.ndarray, "layer head"] | None


@dataclass(frozen=True, eq=False)
class ExploreTask:
    """Raw attention, rollout, flow, the attention of every head, roles and importance of heads, predictions.

    Attributes:
        models: one, or two.
        question: what is asked about every text.
    """

    models: tuple[ExploredModel, ...]
    question: Question
    memory_advice: str = field(default="pass a smaller `max_length` or fewer `queries`", init=False)

    @property
    def asked(self) -> tuple[Method, ...]:
        """The methods beside raw attention and rollout."""
        return tuple(method for method in self.question.method_values if method not in EVERYWHERE)

    def calls(self, items: list[ExploredItem], rows: int, length: int) -> list[Call]:
        """One forward pass of each model with all readers."""
        return [self._call(which, items, rows, length) for which in range(len(self.models))]

    def begin(
        self, items: list[ExploredItem], outputs: tuple[Arrays, ...], worker: Worker
    ) -> Callable[[], Sequence[ExploredText]]:
        """Begin the methods and distances; the texts wait for them."""
        results = [
            results_of(self.question, self._readers(which, items), outputs[which]) for which in range(len(self.models))
        ]
        for each in results:
            refuse_faults(items, self.question.mixings, each)
        begun = [self._begin_methods(which, items, results[which], worker) for which in range(len(self.models))]
        # Queued on the device now, read when the texts are finished.
        distances = self._distances(items, results)

        def finish() -> Sequence[ExploredText]:
            sides = [self._sides(which, items, results[which], begun[which]) for which in range(len(self.models))]
            change = None if distances is None else np.asarray(distances)
            return [
                ExploredText(
                    # Heads of texts that are cut differently are compared by words, later.
                    tuple(side[row] for side in sides),
                    change[row] if change is not None and item.alike else None,
                )
                for row, item in enumerate(items)
            ]

        return finish

    def _readers(self, which: int, items: Sequence[ExploredItem]) -> Readers:
        encodings = [item.every[which].encoding for item in items]
        return self.models[which].readers(encodings, self.asked, self.question)

    def _call(self, which: int, items: list[ExploredItem], rows: int, length: int) -> Call:
        explored = self.models[which]
        # The other model may take more tokens than this one.
        length = min(length, explored.model.max_length)
        encodings = [item.every[which].encoding for item in items]
        readers = self._readers(which, items)
        # What each reader knows of the rows; those that are not named here know nothing.
        arrays: dict[Any, Arrays] = {"importance": (None, None)}
        if explored.words is not None:
            known = explored.words.arrays([item.index for item in items], rows, length)
            arrays["roles"] = tuple(map(jnp.asarray, known))
        queries = None
        # Raw attention and rollout are of every position; only the other methods have queries.
        if self.asked and self.question.queries is not None:
            queries = queries_of(self._asked_items(which, items), rows, length, everything=False)
            arrays |= dict.fromkeys(method_readers(self.asked, explored.layers, self.question.mixing), queries)
        batch = token_batch(explored.model, encodings, rows, length)
        return call_of(self.question, explored.model, readers, arrays, batch, queries, explored.layers)

    def _asked_items(self, which: int, items: Sequence[ExploredItem]) -> list[Item]:
        return [item.asked[which] for item in items if item.asked is not None]

    def _begin_methods(
        self, which: int, items: list[ExploredItem], results: dict[Any, Arrays], worker: Worker
    ) -> dict[str, Callable[[], Scores]]:
        """Begin the methods beside raw attention and rollout."""
        layers, asked = self.models[which].layers, self._asked_items(which, items)
        return begin_methods(self.asked, results, asked, layers, worker, self.question)

    def _distances(
        self, items: list[ExploredItem], results: list[dict[Any, Arrays]]
    ) -> Float[Array, "row layer head"] | None:
        """Distances of the heads of two models of one shape, where a text of the batch is cut alike by both."""
        heads = [each["heads"] for each in results]
        if len(heads) < 2 or heads[0].shape != heads[1].shape or not any(item.alike for item in items):
            return None
        # Rows that fill up the batch have no positions.
        lengths = np.zeros(len(heads[0]), np.int32)
        lengths[: len(items)] = [item.length for item in items]
        # row token
        mask = np.arange(heads[0].shape[-1]) < lengths[:, None]
        return _head_distances(
            heads[0], heads[1], jax.device_put(mask, results[0]["faults", self.question.mixing].sharding)
        )

    def _sides(
        self,
        which: int,
        items: list[ExploredItem],
        results: dict[Any, Arrays],
        begun: dict[str, Callable[[], Scores]],
    ) -> list[ExploredSide]:
        explored, count = self.models[which], len(items)
        scores = {method.name: stored(method, Scores(results["every"][method.name])) for method in EVERYWHERE}
        every = [item.every[which] for item in items]
        # Logits go with these: predictions are read once a text.
        examples = examples_of(explored.model, every, explored.layers, scores, results.get("logits"))
        asked: list[Example | None] = [None] * count
        if begun:
            scores = {name: wait() for name, wait in begun.items()}
            asked = list(examples_of(explored.model, self._asked_items(which, items), explored.layers, scores, None))
        apart: dict[str, list[Any]] = {
            name: rows_on_host(results[name], count) if name in results else [None] * count
            for name in ("heads", "roles", "importance")
        }
        return [
            ExploredSide(
                example=examples[row],
                asked=asked[row],
                # A copy, as a view would keep the padded batch.
                attention=apart["heads"][row][:, :, : item.encoding.listed, : item.encoding.listed].copy(),
                roles=apart["roles"][row],
                importance=apart["importance"][row],
            )
            for row, item in enumerate(every)
        ]


@jax.jit
@broadcasting
def _head_distances(
    first: Float[Array, "row layer head token token"],
    second: Float[Array, "row layer head token token"],
    mask: Bool[Array, "row token"],
) -> Float[Array, "row layer head"]:
    """Jensen-Shannon distance of each head's rows in two models, mean over real positions; 0 without any."""
    # row layer head query
    apart = jensen_shannon(first, second)
    real = mask[:, None, None, :]
    count = jnp.maximum(jnp.sum(real, axis=-1), 1).astype(apart.dtype)
    return jnp.sum(jnp.where(real, apart, jnp.zeros_like(apart)), axis=-1) / count
