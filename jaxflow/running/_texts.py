"""The plain tasks: a program, or some readers, over the texts of one model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from jaxflow._checks import InputError
from jaxflow._typing import AnyArray
from jaxflow.flow.worker import Worker
from jaxflow.mixing import MIXINGS, Mixing, as_mixing
from jaxflow.models import Encoding, Model, TokenBatch
from jaxflow.running._engine import Engine, EngineOptions
from jaxflow.running._forward import Forward, pair_numbers
from jaxflow.running._item import Item
from jaxflow.running._program import Arrays, Call, Inputs, token_batch
from jaxflow.running._reader import Mixed, Reader, Target
from jaxflow.running.readers import Faults

# Numbers of a batch's texts, its rows and its padded length -> each reader's arrays, first axis the rows.
MakesArrays: TypeAlias = Callable[[list[int], int, int], tuple[Arrays, ...]]
# Numbers of a batch's texts, its tokens and its padded length -> the program and its inputs.
MakesCall: TypeAlias = Callable[[list[int], TokenBatch, int], Call]


@dataclass(frozen=True)
class TextItem:
    """A text, or one of several copies of it.

    Attributes:
        index: the item's number.
        text: the text's number.
        encoding: its tokens.
        length: its tokens, or its units where these are more.
    """

    index: int
    text: int
    encoding: Encoding
    length: int

    @property
    def place(self) -> str:
        """For messages."""
        return f"text {self.text}"


@dataclass(frozen=True, eq=False)
class TextTask:
    """A program over texts; a text's result is its row of the program's outputs, on the host.

    Attributes:
        model: that reads them.
        make: the call of each batch.
        check: raises where a batch's outputs are wrong.
    """

    model: Model
    make: MakesCall
    check: Callable[[list[TextItem], Arrays], None] | None = None
    memory_advice: str = field(default="pass a smaller `max_length`, or smaller batches", init=False)

    def calls(self, items: list[TextItem], rows: int, length: int) -> tuple[Call]:
        """The program on the texts of one batch."""
        # Units may be more than the tokens that the model takes.
        tokens = min(length, self.model.max_length)
        batch = token_batch(self.model, [item.encoding for item in items], rows, tokens)
        return (self.make([item.index for item in items], batch, length),)

    def begin(
        self, items: list[TextItem], outputs: tuple[Arrays, ...], worker: Worker
    ) -> Callable[[], Sequence[Arrays]]:
        """Fetch the program's outputs."""
        if self.check is not None:
            self.check(items, outputs[0])
        return lambda: rows_on_host(outputs[0], len(items))


def run_calls(
    model: Model,
    encodings: Sequence[Encoding],
    make: MakesCall,
    *,
    copies: Sequence[int] | None = None,
    lengths: Sequence[int] | None = None,
    check: Callable[[list[TextItem], Arrays], None] | None = None,
    options: EngineOptions | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Arrays]:
    """Run a program over texts, or over copies of them that the call changes.

    Args:
        model: that reads the texts.
        encodings: its tokens of each text.
        make: the call of a batch, given the numbers of its texts (or copies), its tokens and its padded length.
        copies: the number of the text that each row is a copy of; None runs each text once.
        lengths: the length that each text is padded for, where that may be more than its tokens.
        check: called with the outputs of each batch as soon as they are there; raises where they are wrong.
        options: of batches and devices.
        progress: called with the number of texts that were just finished.

    Returns:
        For each text (or copy) its row of the program's arrays, on the host; padding along other axes is not cut.

    Raises:
        InputError: a device has no memory for a text.
    """
    texts = range(len(encodings)) if copies is None else map(int, copies)
    text_lengths = [len(encoding) for encoding in encodings] if lengths is None else lengths
    items = [TextItem(index, text, encodings[text], text_lengths[text]) for index, text in enumerate(texts)]
    # Tokens alone are never more than the model takes; units may be.
    options = replace(options or EngineOptions(), pads_freely=lengths is not None)
    engine = Engine((model,), TextTask(model, make, check), options)
    return engine.run_all(items, None if progress is None else (lambda results: progress(len(results))))


def run_readers(
    model: Model,
    encodings: Sequence[Encoding],
    readers: Sequence[Reader | Mixed],
    *,
    arrays: MakesArrays | None = None,
    lengths: Sequence[int] | None = None,
    mixing: Mixing | str = "attention",
    target: Target | None = None,
    options: EngineOptions | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[tuple[Arrays, ...]]:
    """Run readers over texts, each text once through the model.

        (largest,) = zip(*run_readers(model, model.tokenize(texts), [LargestWeight()]))

    Args:
        model: that reads the texts.
        encodings: its tokens of each text.
        readers: that ride along, with mixings of their own where they are `Mixed`.
        arrays: makes the readers' arrays, where they have any: (numbers of the batch's texts, rows, padded length) ->
            one pytree a reader, first axis the rows; the texts are the first rows, others fill the batch up.
        lengths: the length that each text is padded for, where that may be more than its tokens.
        mixing: gives the layers' capacities to the other readers; a name or a value.
        target: the number to explain, for mixings that need gradients; its arrays are the last of `arrays`.
        options: of batches and devices.
        progress: called with the number of texts that were just finished.

    Returns:
        For each text its row of each reader's arrays, on the host; padding along other axes is not cut.

    Raises:
        InputError: the capacities of a text are not finite, negative, or not 0 on padding; or a device has no memory
            for it.
    """
    own = (each.mixing for each in readers if isinstance(each, Mixed))
    mixings = tuple(as_mixing(each, model) for each in dict.fromkeys((as_mixing(mixing), *own)))
    program = Forward((*(Mixed(Faults(), each) for each in mixings), *readers), mixings[0], target)
    if program.needs_gradients and target is None:
        named = ", ".join(repr(each.name) for each in mixings if "gradients" in each.needs)
        way_out = "pass what `jaxflow.evaluation.target.explained_of` gives, and its arrays as the last of `arrays`"
        raise InputError("target", f"say what is explained, for the mixing {named}", "None", way_out)

    def make(texts: list[int], batch: TokenBatch, length: int) -> Call:
        # Each mixing's `Faults` come first and have no arrays; the target's, if any, come last.
        reader_arrays = (None,) * (len(readers) + 1) if arrays is None else arrays(texts, len(batch.mask), length)
        reader_arrays = (*(None for _ in mixings), *reader_arrays)
        return Call(program, Inputs(batch, jax.tree.map(jnp.asarray, reader_arrays), None))

    def check(items: list[TextItem], outputs: Arrays) -> None:
        for each, faults in zip(mixings, outputs, strict=False):
            check_faults(items, faults, each)

    options = options or EngineOptions()
    held = max(pair_numbers(each.needs, model) for each in mixings)
    options = replace(options, pair_numbers=max(options.pair_numbers, held))
    results = run_calls(model, encodings, make, lengths=lengths, check=check, options=options, progress=progress)
    # Without what `Faults` gave.
    return [row[len(mixings) :] for row in results]


def rows_on_host(outputs: Arrays, count: int) -> list[Arrays]:
    """The first rows of a batch's outputs on the host: for each a pytree like the batch's."""
    # One transfer for all arrays; then views of their rows.
    leaves, shape = jax.tree.flatten(jax.device_get(outputs))
    return [jax.tree.unflatten(shape, [leaf[row] for leaf in leaves]) for row in range(count)]


def check_faults(items: Sequence[Item], faults: Bool[AnyArray, "row fault"], mixing: Mixing) -> None:
    """Refuse a batch in which a text's capacities are not finite, negative, or not 0 on padding.

    Args:
        items: the texts.
        faults: the output of the reader `Faults`.
        mixing: that gave the capacities.

    Raises:
        InputError: naming the text, and a mixing of the user's own.
    """
    ours = type(mixing) in MIXINGS.values()
    # Rows beyond the items only fill the batch up.
    for item, (infinite, negative, padded) in zip(items, np.asarray(faults), strict=False):
        if infinite:
            place = f"the attention of {item.place}" if ours else f"what {mixing.name!r} makes of {item.place}"
            way_out = "check the model's weights, or load it in float32" + ("" if ours else "; or check the mixing")
            raise InputError(None, "be finite", "NaN or infinity", way_out, place=place)
        if negative or padded:
            expected = "give capacities that are " + ("not negative" if negative else "0 on padding's rows and columns")
            got = f"{'negative ones' if negative else 'others'} from {mixing.name!r} for {item.place}"
            way_out = "take their absolute values, say" if negative else "put 0 where the mask is not true"
            raise InputError("mixing", expected, got, way_out)
