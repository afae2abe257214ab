"""Token rows through the engine: examples as they stand, or copies of them with tokens removed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxflow._checks import InputError, shown
from jaxflow.evaluation.inputs import TokenInputs
from jaxflow.flow.worker import Worker
from jaxflow.models import Model, TokenBatch
from jaxflow.running import Arrays, Call, Engine, EngineOptions, Forward, Inputs, Program, rows_on_host
from jaxflow.running.readers import Logits

BATCH_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One row that goes through the model.

    Attributes:
        index: the row's number.
        example: which example it is, or is a copy of.
        length: real tokens of the example.
    """

    index: int
    example: int
    length: int

    @property
    def place(self) -> str:
        """For messages."""
        return f"example {self.example}"


@runtime_checkable
class MakesCall(Protocol):
    """What is run on a batch of rows, given its tokens and the rows' numbers."""

    def __call__(self, batch: TokenBatch, rows: Int[np.ndarray, " row"]) -> tuple[Program, Arrays, Arrays]:
        """The program, its examples' arrays and its shared ones."""
        ...


# Ids and mask of the rows of a batch -> the same with tokens removed.
Edit = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class RowTask:
    """Runs a program over token rows; a row's result is its slice of the program's arrays, on the host.

    Attributes:
        encoder: the model.
        inputs: the examples.
        program: what is run.
        edit: removes tokens: (row numbers, ids `row token`, mask `row token`) -> ids and mask; None removes none.
    """

    encoder: Model
    inputs: TokenInputs
    program: MakesCall
    edit: Edit | None = None
    memory_advice: str = field(default="pass smaller `batch_tokens`, or shorter texts", init=False)

    def calls(self, items: list[TokenRow], rows: int, length: int) -> tuple[Call]:
        """The rows of a batch, filled up by rows of one token."""
        numbers = np.array([item.index for item in items])
        batch = self._token_batch(items, numbers, rows, length)
        # Rows that fill the batch up go by the first row's number.
        everywhere = np.concatenate([numbers, np.full(rows - len(numbers), numbers[0])])
        program, examples, shared = self.program(batch, everywhere)
        return (Call(program, Inputs(batch, examples, shared)),)

    def begin(self, items: list[TokenRow], outputs: tuple[Any, ...], worker: Worker) -> Callable[[], Sequence[Any]]:
        """Fetch what the program gave."""
        return lambda: rows_on_host(outputs[0], len(items))

    def _token_batch(self, items: list[TokenRow], numbers: np.ndarray, rows: int, length: int) -> TokenBatch:
        examples = np.array([item.example for item in items])
        ids, mask, segments = (
            at_length(whole[examples], length)
            for whole in (self.inputs.input_ids, self.inputs.mask, self.inputs.segments)
        )
        if self.edit is not None:
            ids, mask = self.edit(numbers, ids, mask)
        fill = [(0, rows - len(items)), (0, 0)]
        ids, mask, segments = (np.pad(part, fill) for part in (ids, mask, segments))
        # As everywhere in the engine, what fills a batch up is one token long.
        ids[len(items) :, 0], mask[len(items) :, 0] = ids[0, 0], True
        ids = np.where(mask, ids, self.encoder.config.pad_id)
        return TokenBatch(jnp.asarray(ids, jnp.int32), jnp.asarray(mask), jnp.asarray(segments, jnp.int32))


def run_rows(
    task: RowTask, examples: Int[np.ndarray, " row"], batch_tokens: Any, *, pair_numbers: int = 0
) -> list[Any]:
    """Run rows through the engine, each the copy of an example; their results in order.

    Args:
        task: what is run.
        examples: which example each row is a copy of.
        batch_tokens: rows times padded length of a batch, about, but at least one row.
        pair_numbers: numbers that the outputs hold for each pair of tokens of a row; bounds memory.

    Raises:
        InputError: `batch_tokens` is no whole number above 0.
    """
    if isinstance(batch_tokens, bool) or not isinstance(batch_tokens, int | np.integer) or batch_tokens < 1:
        raise InputError("batch_tokens", "be a whole number, 1 or more", shown(batch_tokens))
    lengths = task.inputs.lengths
    items = [TokenRow(row, int(example), int(lengths[example])) for row, example in enumerate(examples)]
    options = EngineOptions(batch_tokens=int(batch_tokens), pair_numbers=pair_numbers)
    return Engine((task.encoder,), task, options).run_all(items)


def at_length(rows: np.ndarray, length: int) -> np.ndarray:
    """Rows `row token` cut or padded with zeros to a length."""
    part = rows[:, :length]
    return np.pad(part, [(0, 0), (0, length - part.shape[1])])


def variant_logits(
    encoder: Model,
    inputs: TokenInputs,
    examples: Int[np.ndarray, " row"],
    removed: Callable[[np.ndarray], Bool[np.ndarray, "row token"]] | None,
    *,
    blank: int | None,
    batch_tokens: int,
) -> Float[np.ndarray, "row label"]:
    """Logits of copies of the examples with tokens removed, any number of copies of each.

    Args:
        encoder: a classifier.
        inputs: the examples.
        examples: which example each row is a copy of.
        removed: given row numbers, the tokens that are removed in these; None removes nothing.
        blank: what a removed token becomes; None hides it from attention instead, positions staying as they are.
        batch_tokens: memory's bound, see `run_rows`.
    """

    def edit(rows: np.ndarray, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert removed is not None
        gone = at_length(removed(rows), ids.shape[1])
        return (ids, mask & ~gone) if blank is None else (np.where(gone, blank, ids), mask)

    task = RowTask(encoder, inputs, _logits_call, None if removed is None else edit)
    logits = np.stack([row for (row,) in run_rows(task, examples, batch_tokens)])
    _check_finite(logits, examples)
    return logits


def _logits_call(batch: TokenBatch, rows: np.ndarray) -> tuple[Program, Arrays, Arrays]:
    return Forward((Logits(),)), (None,), None


def _check_finite(logits: np.ndarray, examples: np.ndarray) -> None:
    wrong = ~np.isfinite(logits).all(axis=-1)
    if wrong.any():
        example = examples[int(wrong.argmax())]
        place = f"the model's logits for example {example}"
        raise InputError(None, "be finite", "NaN or infinity", "check the model's weights", place=place)
