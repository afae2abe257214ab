"""Runs of the engine over examples, unchanged or as copies with tokens removed."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxflow._checks import InputError
from jaxflow.evaluation.inputs import TokenInputs
from jaxflow.evaluation.removals import Change
from jaxflow.models import Model, TokenBatch
from jaxflow.running import Arrays, Call, EngineOptions, Forward, Inputs, run_calls
from jaxflow.running.readers import Logits

BATCH_TOKENS = 8192

# A batch's tokens, and the numbers of the copies in its first rows -> the program and its inputs.
MakesCall: TypeAlias = Callable[[TokenBatch, Int[np.ndarray, " copy"]], Call]
# Numbers of copies -> the tokens removed in each, true where a token goes.
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
        batch_tokens: rows times padded length of a batch, about; a batch has one row or more.
        copies: which example each row is a copy of; None runs each example once.
        pair_numbers: numbers that the outputs hold for each pair of tokens of a row; bounds memory.

    Raises:
        InputError: `batch_tokens` is not a whole number above 0.
    """

    def call(numbers: list[int], batch: TokenBatch, length: int) -> Call:
        # Units are tokens here, so the batch's own shape says the padded length.
        return make(batch, np.array(numbers))

    options = EngineOptions(batch_tokens=batch_tokens, pair_numbers=pair_numbers)
    return run_calls(model, inputs.encodings(), call, copies=copies, options=options)


def for_every_row(values: np.ndarray, batch: TokenBatch) -> np.ndarray:
    """Values of a batch's copies, `copy ...`, followed by the first one's again for each filler: `row ...`."""
    # Fillers need valid values, such as a class that exists; their results are dropped.
    fillers = batch.mask.shape[0] - len(values)
    return np.concatenate([values, np.repeat(values[:1], fillers, axis=0)])


def at_length(rows: np.ndarray, length: int) -> np.ndarray:
    """Rows `row token` cut or padded with zeros to a length."""
    # A batch may be shorter or longer than the longest example: it is padded to the length of its bucket.
    part = rows[:, :length]
    return np.pad(part, [(0, 0), (0, length - part.shape[1])])


def variant_logits(
    model: Model,
    inputs: TokenInputs,
    examples: Int[np.ndarray, " row"],
    removed: Removed | None,
    *,
    change: Change | None,
    batch_tokens: int,
) -> Float[np.ndarray, "row label"]:
    """Logits of copies of the examples with tokens removed, any number of copies of each.

    Args:
        model: a classifier.
        inputs: the examples.
        examples: which example each row is a copy of.
        removed: which tokens are removed; None removes nothing.
        change: takes removed tokens out of a batch, see `Removal`; None where nothing is removed.
        batch_tokens: bounds memory, see `run_examples`.
    """
    program = Forward((Logits(),))

    def make(batch: TokenBatch, copies: np.ndarray) -> Call:
        if removed is not None:
            assert change is not None
            # Rows that only fill the batch up lose no token.
            gone = np.zeros(batch.mask.shape, bool)
            gone[: len(copies)] = at_length(removed(copies), gone.shape[1])
            batch = change(batch, gone)
        return Call(program, Inputs(batch, (None,), None))

    # One result a copy: a tuple with the logits alone.
    results = run_examples(model, inputs, make, batch_tokens, copies=examples.tolist())
    logits = np.stack([row for (row,) in results])
    check_finite(logits, "the model's logits for example", examples)
    return logits


def whole_logits(model: Model, inputs: TokenInputs, batch_tokens: int) -> Float[np.ndarray, "example label"]:
    """Logits of the examples as they stand."""
    return variant_logits(model, inputs, np.arange(len(inputs)), None, change=None, batch_tokens=batch_tokens)


def check_finite(
    values: Float[np.ndarray, "row ..."], name: str, examples: Int[np.ndarray, " row"] | None = None
) -> None:
    """Refuse NaN and infinity.

    Args:
        values: of the model, one row an example or copy.
        name: of these values in the error.
        examples: the example of each row; None where rows are examples.

    Raises:
        InputError: naming the first example.
    """
    wrong = ~np.isfinite(values).reshape(len(values), -1).all(axis=-1)
    if wrong.any():
        row = int(wrong.argmax())
        place = f"{name} {row if examples is None else examples[row]}"
        raise InputError(None, "be finite", "NaN or infinity", "check the model's weights", place=place)
