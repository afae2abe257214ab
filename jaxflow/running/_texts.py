"""The plain task: some readers over the texts of one model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow._checks import InputError
from jaxflow.flow.worker import Worker
from jaxflow.mixing import Mixing, as_mixing
from jaxflow.models import Encoding, Model
from jaxflow.running._engine import Engine, EngineOptions
from jaxflow.running._forward import Forward, pair_numbers
from jaxflow.running._program import Arrays, Call, Inputs, token_batch
from jaxflow.running._reader import Reader, Target
from jaxflow.running.readers import Finite

# Numbers of a batch's texts, its rows and its padded length -> each reader's arrays, first axis the rows.
MakesArrays: TypeAlias = Callable[[list[int], int, int], tuple[Arrays, ...]]


@dataclass(frozen=True)
class TextItem:
    """A text that readers read."""

    index: int
    encoding: Encoding
    length: int

    @property
    def place(self) -> str:
        """For messages."""
        return f"text {self.index}"


@dataclass(frozen=True, eq=False)
class TextTask:
    """Readers over texts; a text's result is its row of what each reader gives, on the host.

    Attributes:
        model: that reads them.
        readers: that ride along.
        arrays: makes the readers' arrays; None where no reader has any.
        mixing: what the layers' capacities are.
        target: the number that is explained, where the mixing needs gradients; its arrays stand behind the readers'.
    """

    model: Model
    readers: tuple[Reader, ...]
    arrays: MakesArrays | None
    mixing: Mixing
    target: Target | None
    memory_advice: str = field(default="pass a smaller `max_length`", init=False)

    def calls(self, items: list[TextItem], rows: int, length: int) -> tuple[Call]:
        """One forward pass with all readers."""
        numbers = [item.index for item in items]
        arrays = (None,) * (len(self.readers) + 1) if self.arrays is None else self.arrays(numbers, rows, length)
        tokens = min(length, self.model.max_length)
        batch = token_batch(self.model, [item.encoding for item in items], rows, tokens)
        examples = jax.tree.map(jnp.asarray, (None, *arrays))
        program = Forward((Finite(), *self.readers), self.mixing, self.target)
        return (Call(program, Inputs(batch, examples, None)),)

    def begin(
        self, items: list[TextItem], outputs: tuple[Any, ...], worker: Worker
    ) -> Callable[[], Sequence[tuple[Any, ...]]]:
        """Fetch what the readers gave."""
        finite, *results = outputs[0]
        check_finite(items, finite)
        return lambda: rows_on_host(tuple(results), len(items))


def run_readers(
    model: Model,
    encodings: Sequence[Encoding],
    readers: Sequence[Reader],
    *,
    arrays: MakesArrays | None = None,
    lengths: Sequence[int] | None = None,
    mixing: Mixing | str = "attention",
    target: Target | None = None,
    options: EngineOptions | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[tuple[Any, ...]]:
    """Run readers over texts, each text once through the model.

        (largest,) = zip(*run_readers(model, model.tokenize(texts), [LargestWeight()]))

    Args:
        model: that reads the texts.
        encodings: its tokens of each text.
        readers: that ride along.
        arrays: makes the readers' arrays, where they have any: (numbers of the batch's texts, rows, padded length) ->
            one pytree a reader, first axis the rows; the texts are the first rows, others fill the batch up.
        lengths: of each text the length that it is padded for, where that may be more than its tokens.
        mixing: what the layers' capacities are, a name or a value.
        target: the number that is explained, for a mixing that needs gradients; its arrays are the last of `arrays`.
        options: of batches and devices.
        progress: called with the number of texts that were just finished.

    Returns:
        For each text what each reader gives, its row on the host; padding along other axes is not cut.

    Raises:
        InputError: the attention of a text is not numbers, or a device has no memory for it.
    """
    known = [len(encoding) for encoding in encodings] if lengths is None else lengths
    items = [
        TextItem(index, encoding, length) for index, (encoding, length) in enumerate(zip(encodings, known, strict=True))
    ]
    # Units may be more than the tokens that the model takes; tokens alone never are.
    options, mixing = options or EngineOptions(), as_mixing(mixing, model)
    numbers = max(options.pair_numbers, pair_numbers(mixing, model))
    options = replace(options, pads_freely=lengths is not None, pair_numbers=numbers)
    engine = Engine((model,), TextTask(model, tuple(readers), arrays, mixing, target), options)
    return engine.run_all(items, None if progress is None else (lambda results: progress(len(results))))


def rows_on_host(outputs: Arrays, count: int) -> list[Any]:
    """The first rows of a batch's outputs on the host: for each a pytree like the batch's."""
    leaves, shape = jax.tree.flatten(jax.device_get(outputs))
    return [jax.tree.unflatten(shape, [leaf[row] for leaf in leaves]) for row in range(count)]


def check_finite(items: Sequence[Any], finite: Any) -> None:
    """Refuse a batch in which the attention of a text is not numbers throughout.

    Args:
        items: the texts.
        finite: what `Finite` gave.

    Raises:
        InputError: naming the text.
    """
    for item, sound in zip(items, np.asarray(finite), strict=False):
        if not sound:
            way_out = "check the model's weights, or load it in float32"
            raise InputError(None, "be finite", "NaN or infinity", way_out, place=f"the attention of {item.place}")
