"""From texts to what a program takes, and from what it gives to examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxflow._typing import Queries
from jaxflow.attribution.items import Item
from jaxflow.attribution.methods import Method, Scores, Streaming
from jaxflow.attribution.program import Inputs, Job
from jaxflow.attribution.result import Example
from jaxflow.attribution.sizes import Sizes
from jaxflow.flow.solution import count_stages
from jaxflow.models import Encoding, Prediction, TextEncoder
from jaxflow.models.packing import pack


@dataclass(frozen=True)
class Request:
    """What is asked about every text.

    Attributes:
        encoder: the model.
        methods: of relevance.
        everything: whether the relevance to every position is.
        layers: counted from 1.
        heads: how they are fused, by name or by weights.
        residual: share of the residual connection.
    """

    encoder: TextEncoder
    methods: tuple[Method, ...]
    everything: bool
    layers: tuple[int, ...]
    heads: str | Float[Array, "layer head"]
    residual: Float[Array, ""]

    @property
    def streaming(self) -> tuple[Streaming, ...]:
        """The methods that go along with the encoder's layers."""
        return tuple(method for method in self.methods if isinstance(method, Streaming))

    def job(self, items: list[Item]) -> Job:
        """What a program does with a batch of these texts."""
        return Job(
            streaming=self.streaming,
            # Layers are of no matter where nothing streams, so that one program serves for all.
            layers=self.layers if self.streaming else (),
            heads=self.heads if isinstance(self.heads, str) else "weights",
            keeps_graph=len(self.streaming) < len(self.methods),
            predicts=any(self.encoder.speaks([item.encoding for item in items])),
        )

    def queries(self, items: list[Item], rows: int, length: int) -> Queries:
        """The positions that are asked for in each row of a batch."""
        if self.everything:
            return jnp.broadcast_to(jnp.arange(length, dtype=jnp.int32), (rows, length))
        queries = np.zeros((rows, len(items[0].queries)), np.int32)
        queries[: len(items)] = [item.queries for item in items]
        return jnp.asarray(queries)

    def inputs(self, items: list[Item], sizes: Sizes) -> Inputs:
        """Texts as one batch, filled up, padded and packed as it should be."""
        encodings = [item.encoding for item in items]
        length = sizes.length(encodings)
        rows = sizes.rows(length, len(items))
        # What fills the batch up is one token long: little to compute, and yet a text like any other.
        encodings += [_first_token(encodings[0])] * (rows - len(items))
        batch = self.encoder.pad(encodings, length)
        packed = sizes.packed(rows, length, sum(map(len, encodings)))
        return Inputs(
            batch=batch,
            queries=self.queries(items, rows, length) if self.streaming and not self.everything else None,
            residual=self.residual,
            weights=None if isinstance(self.heads, str) else self.heads,
            packing=None if packed is None else pack(batch.mask, packed),
        )


def _first_token(encoding: Encoding) -> Encoding:
    parts = ("input_ids", "segments", "tokens", "offsets", "source", "special")
    return Encoding(*(getattr(encoding, part)[:1] for part in parts))


def predictions_of(encoder: TextEncoder, encodings: Sequence[Encoding], logits: Any) -> list[Prediction | None]:
    """What the head says of each text of a batch; None where it says nothing, whatever other texts are in the batch."""
    if logits is None:
        return [None] * len(encodings)
    found = encoder.predict(np.asarray(logits)[: len(encodings)], encodings)
    return [each if said else None for each, said in zip(found, encoder.speaks(encodings), strict=True)]


def examples_of(request: Request, items: list[Item], scores: dict[str, Scores], logits: Any) -> dict[int, Example]:
    """Examples of a batch by their text's index, padding cut away."""
    relevance = {name: np.asarray(score.relevance) for name, score in scores.items()}
    proven = [np.asarray(score.certified) for score in scores.values() if score.certified is not None]
    settled = [np.asarray(score.settled) for score in scores.values() if score.settled is not None]
    predictions = predictions_of(request.encoder, [item.encoding for item in items], logits)
    examples = {}
    for row, (item, prediction) in enumerate(zip(items, predictions, strict=True)):
        own = (row, slice(None), slice(len(item.queries)), slice(len(item.encoding)))
        examples[item.index] = Example(
            text=item.text,
            pair=item.pair,
            tokens=item.encoding.tokens,
            offsets=item.encoding.offsets,
            source=item.encoding.source,
            queries=item.queries,
            layers=request.layers,
            relevance={name: values[own] for name, values in relevance.items()},
            certified=np.logical_and.reduce([values[own] for values in proven]) if proven else None,
            prediction=None if prediction is None else prediction.label,
            scores={} if prediction is None else prediction.scores,
            stages=count_stages(np.stack([values[own] for values in settled])) if settled else None,
        )
    return examples
