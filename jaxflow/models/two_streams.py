"""Models with an encoder and a decoder: sources and targets as one sequence, sources first."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from jaxflow._typing import Inputs
from jaxflow.graph.encoder_decoder import moving
from jaxflow.models.batch import TokenBatch
from jaxflow.models.tokens import Encoding

# Segments of an encoding that has both.
SOURCE, TARGET = 0, 1


@runtime_checkable
class EncoderDecoder(Protocol):
    """A model whose first layers are an encoder's, which move sources alone; two layers each are its decoder's.

    A text's encoding holds sources, then targets, whose segment is 1 (`with_targets`).
    """

    @property
    def encoder_layers(self) -> int:
        """How many layers its encoder has; 0 for a model of one sequence."""
        ...


@runtime_checkable
class Writes(EncoderDecoder, Protocol):
    """One that writes targets itself."""

    @property
    def new_tokens(self) -> int:
        """Most targets that it writes, where nothing else is said."""
        ...

    def write(
        self,
        texts: Inputs,
        tokens: int,
        *,
        max_length: int | None = None,
        truncate: bool = False,
        answers: bool = False,
    ) -> list[Encoding]:
        """Each text with the targets that it writes, always the likeliest next one, without the end.

        Args:
            texts: the sources.
            tokens: most targets of each.
            max_length: as `tokenize` takes it, and `truncate`.
            truncate: cut longer sources.
            answers: whether targets are explained: where no word is among them, their one answer is the token that
                ended them.
        """
        ...


def encoder_layers_of(model: object) -> int:
    """How many of a model's layers are an encoder's below a decoder; 0 for a model of one sequence."""
    return model.encoder_layers if isinstance(model, EncoderDecoder) else 0


def with_targets(sources: Encoding, targets: Encoding, written: str | None = None) -> Encoding:
    """One encoding of sources and targets.

    Args:
        sources: of the text.
        targets: of the pair, as the decoder reads them.
        written: the targets' text, where the user gave none.
    """
    return Encoding(
        input_ids=sources.input_ids + targets.input_ids,
        segments=(SOURCE,) * len(sources) + (TARGET,) * len(targets),
        tokens=sources.tokens + targets.tokens,
        offsets=sources.offsets + targets.offsets,
        source=sources.source + tuple(-1 if each else 1 for each in targets.special),
        special=sources.special + targets.special,
        written=written,
    )


def first_target(model: object, encoding: Encoding) -> int | None:
    """The position of a text's first target; None for a model of one sequence."""
    return encoding.segments.index(TARGET) if encoder_layers_of(model) else None


def moves_of(model: object, batch: TokenBatch, layers: int) -> Bool[np.ndarray, "row layer token"] | None:
    """The positions of a batch that each layer moves; None where each layer moves all."""
    below = encoder_layers_of(model)
    return moving(np.asarray(batch.segments) == TARGET, below, (layers - below) // 2) if below else None
