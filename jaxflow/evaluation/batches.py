"""Examples through the engine: as they stand, or as copies with tokens removed."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxflow._checks import InputError
from jaxflow.evaluation.inputs import TokenInputs
from jaxflow.models import Model, TokenBatch
from jaxflow.running import Arrays, Call, EngineOptions, Forward, Inputs, run_calls
from jaxflow.running.readers import Logits

BATCH_TOKENS = 8192

# A batch's tokens, and the numbers of the copies that are its first rows -> the program and what it is called with.
MakesCall: TypeAlias = Callable[[TokenBatch, Int[np.ndarray, " copy"]], Call]
# Numbers of copies -> the tokens that are removed in these, true where a token goes.
Removed: TypeAlias = Callable[[Int[np.ndarray, " copy"]], Bool[np.ndarray, "copy token"]]


def run_examples(
    model: Model,
    inputs: TokenInputs,
    make: MakesCall,
    batch_tokens: int,
    *,
    copies: Sequence[int] | None = None,
    pair_numbers: int = 0,
) -> list[Arrays]:
    """Run a program over examples, or over copies of them; their results in order.

    Args:
        model: that reads them.
        inputs: the examples.
        make: the call of a batch.
        batch_tokens: rows times padded length of a batch, about, but at least one row.
        copies: which example each row is a copy of; None runs each example once.
        pair_numbers: numbers that the outputs hold for each pair of tokens of a row; bounds memory.

    Raises:
        InputError: `batch_tokens` is no whole number above 0.
    """

    def call(numbers: list[int], batch: TokenBatch, length: int) -> Call:
        return make(batch, np.array(numbers))

    options = EngineOptions(batch_tokens=batch_tokens, pair_numbers=pair_numbers)
    return run_calls(model, inputs.encodings(), call, copies=copies, options=options)


def for_every_row(values: np.ndarray, batch: TokenBatch) -> np.ndarray:
    """Values `copy ...` of a batch's copies, with the first one's for each row that fills the batch up."""
    fillers = batch.mask.shape[0] - len(values)
    return np.concatenate([values, np.repeat(values[:1], fillers, axis=0)])


def at_length(rows: np.ndarray, length: int) -> np.ndarray:
    """Rows `row token` cut or padded with zeros to a length."""
    part = rows[:, :length]
    return np.pad(part, [(0, 0), (0, length - part.shape[1])])


def variant_logits(
    model: Model,
    inputs: TokenInputs,
    examples: Int[np.ndarray, " row"],
    removed: Removed | None,
    *,
    blank: int | None,
    batch_tokens: int,
) -> Float[np.ndarray, "row label"]:
    """Logits of copies of the examples with tokens removed, any number of copies of each.

    Args:
        model: a classifier.
        inputs: the examples.
        examples: which example each row is a copy of.
        removed: which tokens are removed; None removes nothing.
        blank: what a removed token becomes; None hides it from attention instead, positions staying as they are.
        batch_tokens: bounds memory, see `run_examples`.
    """
    program = Forward((Logits(),))

    def make(batch: TokenBatch, copies: np.ndarray) -> Call:
        if removed is not None:
            # What fills the batch up keeps its token.
            gone = np.zeros(batch.mask.shape, bool)
            gone[: len(copies)] = at_length(removed(copies), gone.shape[1])
            batch = _without(batch, gone, blank)
        return Call(program, Inputs(batch, (None,), None))

    results = run_examples(model, inputs, make, batch_tokens, copies=examples.tolist())
    logits = np.stack([row for (row,) in results])
    _check_finite(logits, examples)
    return logits


def whole_logits(model: Model, inputs: TokenInputs, batch_tokens: int) -> Float[np.ndarray, "example label"]:
    """Logits of the examples as they stand."""
    return variant_logits(model, inputs, np.arange(len(inputs)), None, blank=None, batch_tokens=batch_tokens)


def _without(batch: TokenBatch, gone: Bool[np.ndarray, "row token"], blank: int | None) -> TokenBatch:
    """The batch with tokens replaced by a blank or, without one, hidden from attention."""
    if blank is None:
        return TokenBatch(batch.input_ids, jnp.asarray(np.asarray(batch.mask) & ~gone), batch.segments)
    ids = np.where(gone, blank, np.asarray(batch.input_ids))
    return TokenBatch(jnp.asarray(ids, jnp.int32), batch.mask, batch.segments)


def _check_finite(logits: Float[np.ndarray, "row label"], examples: Int[np.ndarray, " row"]) -> None:
    wrong = ~np.isfinite(logits).all(axis=-1)
    if wrong.any():
        example = examples[int(wrong.argmax())]
        place = f"the model's logits for example {example}"
        raise InputError(None, "be finite", "NaN or infinity", "check the model's weights", place=place)
