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
    Mixed,
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
    a tuple with an entry a reader. Cost beyond the model's: that of the readers, and of each mixing once; mixings
    that need gradients take one backward pass together, and memory of three times the attention of all layers and
    heads. Readers of other mixings step within the forward pass all the same, and keep nothing for it.

    Attributes:
        readers: that ride along, with mixings of their own where they are `Mixed`.
        mixing: gives the layers' capacities to the other readers.
        target: the number that is explained; None where no mixing needs gradients.
    """

    readers: tuple[Reader | Mixed, ...]
    mixing: Mixing = PLAIN
    target: Target | None = None

    @property
    def mixings(self) -> tuple[Mixing, ...]:
        """Each reader's."""
        return tuple(each.mixing if isinstance(each, Mixed) else self.mixing for each in self.readers)

    @property
    def needs_gradients(self) -> bool:
        """Whether a mixing needs them: then there must be a target."""
        return any(map(_needs_gradients, self.mixings))

    @property
    def undefined_as_nan(self) -> bool:
        """Whether a reader gives NaN for undefined numbers."""
        return any(getattr(reader, "undefined_as_nan", False) for reader in self._plain)

    @property
    def _plain(self) -> tuple[Reader, ...]:
        """The readers without their mixings."""
        return tuple(each.reader if isinstance(each, Mixed) else each for each in self.readers)

    @broadcasting
    def __call__(self, module: Module, inputs: Inputs) -> tuple[Arrays, ...]:
        """What each reader gives."""
        mask = inputs.batch.mask
        # The target's arrays, if any, stand behind the readers'.
        rides = [
            _Ride(reader, mixing, ReaderInputs(mask=mask, depth=module.depth, heads=module.heads, examples=examples))
            for reader, mixing, examples in zip(
                self._plain, self.mixings, inputs.examples[: len(self.readers)], strict=True
            )
        ]
        # Gradients are known only after the last layer: readers that need them step along the kept layers then. All
        # others step within the model's loop, so that no layer outlives its step unless a reader keeps it.
        early = [ride for ride in rides if not _needs_gradients(ride.mixing)]
        late = [ride for ride in rides if _needs_gradients(ride.mixing)]
        starts = _starts(early), _rooms(module, inputs) if late else None

        def visit(carry: tuple[Carries, LayerOutput | None], layer: LayerOutput) -> tuple[Carries, LayerOutput | None]:
            carries, rooms = carry
            return _step(early, carries, layer), None if rooms is None else _keep(rooms, layer)

        if late or any(isinstance(ride.reader, GradientReader) for ride in rides):
            logits, pull, (hidden, (carries, layers)) = _with_pull(module, inputs, visit, starts)
        else:
            options = ForwardOptions(packing=inputs.packing)
            hidden, (carries, layers) = module.run(inputs.batch, visit, starts, options)
            needed = any(ride.reader.needs_logits for ride in rides)
            logits, pull = module.logits(hidden, inputs.batch) if needed else None, None
        ends = dict(zip(early, carries, strict=True))
        if late:
            assert self.target is not None, "a mixing that needs gradients explains a target"
            assert logits is not None
            assert pull is not None
            assert layers is not None
            _, gradient = _gradient(partial(self.target.value, given=inputs.examples[-1]), logits, pull)
            ends |= zip(late, _along(late, layers, gradient), strict=True)
        outputs = PassOutputs(hidden, logits)
        return tuple(_finish(ride, ends[ride], outputs, pull) for ride in rides)


@dataclass(frozen=True, eq=False)
class _Ride:
    """A reader in one pass."""

    reader: Reader
    mixing: Mixing
    known: ReaderInputs


def _starts(rides: list[_Ride]) -> Carries:
    return tuple(ride.reader.start(ride.known) for ride in rides)


def _step(rides: list[_Ride], carries: Carries, output: LayerOutput) -> Carries:
    """One layer: every reader's step."""
    # Readers watch; without this their steps would be differentiated with the model.
    output = jax.lax.stop_gradient(output)
    # Readers of one mixing share their view of the layer, so that capacities are computed once.
    views = {ride.mixing: LayerView(output, ride.known.mask, ride.mixing) for ride in rides}
    return tuple(
        ride.reader.step(ride.known, carried, views[ride.mixing]) for ride, carried in zip(rides, carries, strict=True)
    )


def _along(rides: list[_Ride], layers: LayerOutput, gradient: AllHeads) -> Carries:
    """The readers' carries after all kept layers, each with its gradient."""

    def step(carries: Carries, slices: tuple[LayerOutput, Array]) -> tuple[Carries, None]:
        return _step(rides, carries, dataclasses.replace(slices[0], gradient=slices[1])), None

    # The gradient's layers in front, as the layers were kept: layer row head query key.
    carries, _ = jax.lax.scan(step, _starts(rides), (layers, jnp.moveaxis(gradient, 1, 0)))
    return carries


def _finish(ride: _Ride, carry: Any, outputs: PassOutputs, pull: Pull | None) -> Arrays:
    """What a reader gives; one that needs a gradient of its own number gets it by a backward pass."""
    if isinstance(ride.reader, GradientReader):
        assert outputs.logits is not None
        assert pull is not None
        number, gradient = _gradient(partial(ride.reader.explained, ride.known), outputs.logits, pull)
        outputs = PassOutputs(outputs.hidden, outputs.logits, number, gradient)
    return ride.reader.finish(ride.known, carry, outputs)


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
