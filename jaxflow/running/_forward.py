"""The program that runs any number of readers along one forward pass."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxflow._switches import broadcasting
from jaxflow.mixing import Attention, Mixing
from jaxflow.models import ForwardOptions, LayerOutput, Model, Module, Visit
from jaxflow.running._program import Arrays, Inputs
from jaxflow.running._reader import (
    GradientReader,
    LayerView,
    PassOutputs,
    Reader,
    ReaderInputs,
    Target,
)

# The mixing of passes whose readers do not look at capacities.
PLAIN = Attention()
# Attention of all heads, or its gradient.
AllHeads: TypeAlias = Float[Array, "row layer head token token"]
Carries: TypeAlias = tuple[Any, ...]
# From the gradient in the head's numbers to that in the attention of all heads.
Pull: TypeAlias = Callable[[Array], tuple[AllHeads]]


@dataclass(frozen=True)
class Forward:
    """One forward pass with the readers in its loop over layers, and a backward pass for each gradient.

    Its inputs: `examples` is a tuple with an entry a reader, and one more for the target where there is one. It gives
    a tuple with an entry a reader. Cost beyond the model's: that of the readers; a mixing that needs gradients
    takes a backward pass, and memory of three times the attention of all layers and heads.

    Attributes:
        readers: that ride along.
        mixing: gives the layers' capacities.
        target: the number that is explained; None where the mixing needs no gradient.
    """

    readers: tuple[Reader, ...]
    mixing: Mixing = PLAIN
    target: Target | None = None

    @property
    def undefined_as_nan(self) -> bool:
        """Whether a reader gives NaN for undefined numbers."""
        return any(getattr(reader, "undefined_as_nan", False) for reader in self.readers)

    @broadcasting
    def __call__(self, module: Module, inputs: Inputs) -> tuple[Arrays, ...]:
        """What each reader gives."""
        mask = inputs.batch.mask
        # The target's arrays, if any, stand behind the readers'.
        known = [
            ReaderInputs(mask=mask, depth=module.depth, heads=module.heads, examples=examples)
            for examples in inputs.examples[: len(self.readers)]
        ]
        if _needs_gradients(self.mixing):
            return self._along_finished_layers(module, inputs, known)
        starts = self._starts(known)
        visit = partial(self._step, known, mask)
        if any(isinstance(reader, GradientReader) for reader in self.readers):
            logits, pull, (hidden, carries) = _with_pull(module, inputs, visit, starts)
            return self._finish(known, carries, PassOutputs(hidden, logits), pull)
        # Readers step within the model's loop over layers, so that no layer outlives its step unless a reader keeps it.
        options = ForwardOptions(packing=inputs.packing)
        hidden, carries = module.run(inputs.batch, visit, starts, options)
        needed = any(reader.needs_logits for reader in self.readers)
        logits = module.logits(hidden, inputs.batch) if needed else None
        return self._finish(known, carries, PassOutputs(hidden, logits), None)

    def _along_finished_layers(self, module: Module, inputs: Inputs, known: list[ReaderInputs]) -> tuple[Arrays, ...]:
        """As `__call__`, for a mixing that needs gradients, which are known only after the last layer.

        All layers are kept, and the readers step along them, each with its gradient.
        """
        assert self.target is not None, "a mixing that needs gradients explains a target"
        logits, pull, (hidden, layers) = _with_pull(module, inputs, _keep, _rooms(module, inputs))
        _, gradient = _gradient(partial(self.target.value, given=inputs.examples[-1]), logits, pull)

        def step(carries: Carries, slices: tuple[LayerOutput, Array]) -> tuple[Carries, None]:
            layer = dataclasses.replace(slices[0], gradient=slices[1])
            return self._step(known, inputs.batch.mask, carries, layer), None

        # The gradient's layers in front, as the layers were kept: layer row head query key.
        carries, _ = jax.lax.scan(step, self._starts(known), (layers, jnp.moveaxis(gradient, 1, 0)))
        return self._finish(known, carries, PassOutputs(hidden, logits), pull)

    def _starts(self, known: list[ReaderInputs]) -> Carries:
        return tuple(reader.start(each) for reader, each in zip(self.readers, known, strict=True))

    def _step(self, known: list[ReaderInputs], mask: Any, carries: Carries, output: LayerOutput) -> Carries:
        """One layer: every reader's step."""
        # Readers watch; without this their steps would be differentiated with the model.
        layer = LayerView(jax.lax.stop_gradient(output), mask, self.mixing)
        return tuple(
            reader.step(each, carried, layer)
            for reader, each, carried in zip(self.readers, known, carries, strict=True)
        )

    def _finish(
        self, known: list[ReaderInputs], carries: Carries, outputs: PassOutputs, pull: Pull | None
    ) -> tuple[Arrays, ...]:
        """What each reader gives; those that need a gradient get their own, a backward pass each."""
        results = []
        for reader, each, carry in zip(self.readers, known, carries, strict=True):
            # Each gradient reader explains a number of its own, so each pulls back on its own.
            seen = outputs
            if isinstance(reader, GradientReader):
                assert outputs.logits is not None
                assert pull is not None
                number, gradient = _gradient(partial(reader.explained, each), outputs.logits, pull)
                seen = PassOutputs(outputs.hidden, outputs.logits, number, gradient)
            results.append(reader.finish(each, carry, seen))
        return tuple(results)


def pair_numbers(needs: frozenset[str], model: Model) -> int:
    """Numbers that a mixing of these needs keeps for each pair of tokens of a text (`EngineOptions.pair_numbers`)."""
    # The attention of all heads, the shift that it is differentiated in, and the gradient.
    return 3 * model.layers * model.heads if "gradients" in needs else 0


def _needs_gradients(mixing: Mixing) -> bool:
    return "gradients" in mixing.needs


def _with_pull(
    module: Module, inputs: Inputs, visit: Visit[Any], carry: Any
) -> tuple[Float[Array, "..."], Pull, tuple[Array, Any]]:
    """The head's numbers, the pull back from them, and the last hidden states with the carry."""

    def run(shift: AllHeads) -> tuple[Array, tuple[Array, Any]]:
        options = ForwardOptions(attention_shift=shift, packing=inputs.packing)
        last, carried = module.run(inputs.batch, visit, carry, options)
        return module.logits(last, inputs.batch), (last, carried)

    rows, tokens = inputs.batch.mask.shape
    # d(logits) / d(shift of every head's attention) at 0 is the total derivative in the attention.
    zero = jnp.zeros((rows, module.depth, module.heads, tokens, tokens), jnp.float32)
    return jax.vjp(run, zero, has_aux=True)


def _gradient(
    number: Callable[[Array], Array], logits: Float[Array, "..."], pull: Pull
) -> tuple[Float[Array, " row"], AllHeads]:
    """A number of each row out of the head's numbers, and its derivative in the attention of all heads."""
    value, back = jax.vjp(number, logits)
    # Rows don't touch each other, so the gradient of their sum holds each row's own.
    (cotangent,) = back(jnp.ones_like(value))
    (gradient,) = pull(cotangent)
    return value, gradient


def _rooms(module: Module, inputs: Inputs) -> LayerOutput:
    """Room for every layer's output, `layer ...`; the compiler drops the parts that no reader reads."""
    shapes: list[LayerOutput] = []

    def look(carry: None, layer: LayerOutput) -> None:
        shapes.append(jax.tree.map(lambda part: jax.ShapeDtypeStruct(part.shape, part.dtype), _lasting(layer)))

    # Nothing is computed: the shapes of one layer are looked at.
    options = ForwardOptions(packing=inputs.packing)
    _ = jax.eval_shape(lambda batch: module.run(batch, look, None, options)[0], inputs.batch)
    return jax.tree.map(lambda part: jnp.zeros((module.depth, *part.shape), part.dtype), shapes[0])


def _keep(rooms: LayerOutput, layer: LayerOutput) -> LayerOutput:
    """One more layer into its place."""
    # Kept layers are data for the readers: the model's derivative does not go through them.
    place, layer = layer.index, jax.lax.stop_gradient(_lasting(layer))
    return jax.tree.map(lambda room, part: jax.lax.dynamic_update_index_in_dim(room, part, place, 0), rooms, layer)


def _lasting(layer: LayerOutput) -> LayerOutput:
    """What can be kept of a layer: it can be run again only while it is there."""
    return dataclasses.replace(layer, rerun=None)
