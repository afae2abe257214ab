"""The program that runs any number of readers along one forward pass."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxflow._switches import broadcasting
from jaxflow.models import ForwardOptions, LayerOutput, Module
from jaxflow.running._program import Arrays, Inputs
from jaxflow.running._reader import Fusion, GradientReader, LayerView, PassOutputs, Reader, ReaderInputs

Shift = Float[Array, "row layer head token token"]
Carries = tuple[Any, ...]


@dataclass(frozen=True)
class Forward:
    """One forward pass with the readers in its loop over layers, and a backward pass for each that needs a gradient.

    Its inputs: `examples` is a tuple with an entry a reader, `shared` a `Fusion`. It gives a tuple with an entry a
    reader. Cost beyond the model's: what the readers take.

    Attributes:
        readers: that ride along.
        heads: how a layer's heads are fused, by name; `"weights"` for the weights of the `Fusion`.
    """

    readers: tuple[Reader, ...]
    heads: str = "mean"

    @property
    def undefined_as_nan(self) -> bool:
        """Whether a reader gives NaN for what is not defined."""
        return any(getattr(reader, "undefined_as_nan", False) for reader in self.readers)

    @broadcasting
    def __call__(self, module: Module, inputs: Inputs) -> tuple[Arrays, ...]:
        """What each reader gives."""
        own = self._reader_inputs(module, inputs)
        if any(isinstance(reader, GradientReader) for reader in self.readers):
            return self._with_gradients(module, inputs, own)
        logits, (hidden, carries) = self._run(module, inputs, own, None)
        outputs = PassOutputs(hidden, logits)
        return tuple(
            reader.finish(each, carry, outputs) for reader, each, carry in zip(self.readers, own, carries, strict=True)
        )

    def _reader_inputs(self, module: Module, inputs: Inputs) -> list[ReaderInputs]:
        mask, fusion = inputs.batch.mask, inputs.shared
        residual = jnp.broadcast_to(fusion.residual, mask.shape[:-1])
        return [
            ReaderInputs(mask=mask, depth=module.depth, heads=module.heads, residual=residual, examples=examples)
            for examples in inputs.examples
        ]

    def _run(
        self, module: Module, inputs: Inputs, own: list[ReaderInputs], shift: Shift | None
    ) -> tuple[Float[Array, "..."] | None, tuple[Float[Array, "row token width"], Carries]]:
        """The head's numbers, where a reader needs them; the last layer's output, and what each reader carried."""
        # Readers step within the scan over layers, so that no layer outlives its step unless a reader keeps it.
        visit = partial(self._visit, inputs, own, differentiated=shift is not None)
        starts = tuple(reader.start(each) for reader, each in zip(self.readers, own, strict=True))
        options = ForwardOptions(attention_shift=shift, packing=inputs.packing)
        last, carries = module.run(inputs.batch, visit, starts, options)
        needed = shift is not None or any(reader.needs_logits for reader in self.readers)
        return (module.logits(last, inputs.batch) if needed else None), (last, carries)

    def _visit(
        self,
        inputs: Inputs,
        own: list[ReaderInputs],
        carries: Carries,
        output: LayerOutput,
        *,
        differentiated: bool,
    ) -> Carries:
        """One layer: every reader's step."""
        # Readers watch; without this their steps would be differentiated with the model.
        output = jax.lax.stop_gradient(output) if differentiated else output
        layer = LayerView(output.index, inputs.batch.mask, output, self.heads, inputs.shared)
        return tuple(
            reader.step(each, carried, layer) for reader, each, carried in zip(self.readers, own, carries, strict=True)
        )

    def _with_gradients(self, module: Module, inputs: Inputs, own: list[ReaderInputs]) -> tuple[Arrays, ...]:
        """As `__call__`, where readers need gradients: of one forward pass, a backward pass for each of them."""
        rows, tokens = inputs.batch.mask.shape
        zero = jnp.zeros((rows, module.depth, module.heads, tokens, tokens), jnp.float32)
        # d(logits) / d(shift of every head's attention) at 0 is the total derivative in the attention.
        logits, pull, (hidden, carries) = jax.vjp(partial(self._run, module, inputs, own), zero, has_aux=True)
        results = []
        for reader, each, carry in zip(self.readers, own, carries, strict=True):
            outputs = PassOutputs(hidden, logits)
            if isinstance(reader, GradientReader):
                number, back = jax.vjp(partial(reader.explained, each), logits)
                # Rows don't touch each other, so the gradient of their sum holds each row's own.
                (cotangent,) = back(jnp.ones_like(number))
                (gradient,) = pull(cotangent)
                outputs = PassOutputs(hidden, logits, number, gradient)
            results.append(reader.finish(each, carry, outputs))
        return tuple(results)


def plain_fusion(residual: Float[Array, ""] | None = None, weights: Float[Array, "layer head"] | None = None) -> Fusion:
    """A fusion; by default half of each position is the residual's."""
    return Fusion(jnp.asarray(0.5, jnp.float32) if residual is None else residual, weights)
