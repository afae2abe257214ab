"""The program that runs any number of readers along one forward pass."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxflow._switches import broadcasting
from jaxflow._typing import Square, TokenMask
from jaxflow.mixing import Attention, Capacities, CheferRules, Mixing, capacities_of, wide_own
from jaxflow.models import FollowsRules, ForwardOptions, LayerOutput, Model, Module, Visit
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
T = TypeVar("T")
Carries: TypeAlias = tuple[Arrays, ...]
LayerWeights: TypeAlias = Float[Array, "layer row query key"]
# Layers, and the gradient and the relevance of their attention, where there are any; stacked, or one of them.
Kept: TypeAlias = tuple[LayerOutput, Array | None, Array | None]
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
        trainable: whether what the readers read has derivatives in the module's parameters; else they only watch.
    """

    readers: tuple[Reader | Mixed, ...]
    mixing: Mixing = PLAIN
    target: Target | None = None
    trainable: bool = False

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
        # Gradients, and how wide wide own streams are, are known only after the last layer: readers that need them step
        # along the kept layers then. All others step within the model's loop, so that no layer outlives its step unless
        # a reader keeps it.
        late = [ride for ride in rides if _needs_gradients(ride.mixing) or _is_wide(ride.mixing)]
        early = [ride for ride in rides if ride not in late]
        # Weights that need no gradients come of the layers as they pass.
        wide = [mixing for mixing in dict.fromkeys(self.mixings) if _is_wide(mixing)]
        passing = [mixing for mixing in wide if not _needs_gradients(mixing)]
        starts = _starts(early), _rooms(module, inputs) if late else None, _weight_rooms(passing, module, mask)

        def visit(carry: Arrays, layer: LayerOutput) -> Arrays:
            carries, rooms, weights = carry
            # Readers watch; without this their steps would be differentiated with the model.
            layer = layer if self.trainable else jax.lax.stop_gradient(layer)
            rooms = None if rooms is None else _keep(rooms, layer)
            return _step(early, carries, layer), rooms, _keep_weights(passing, weights, layer, mask)

        if self.needs_gradients or any(isinstance(ride.reader, GradientReader) for ride in rides):
            logits, pull, (hidden, (carries, layers, weights)) = _with_pull(module, inputs, visit, starts)
        else:
            options = ForwardOptions(packing=inputs.packing)
            hidden, (carries, layers, weights) = module.run(inputs.batch, visit, starts, options)
            needed = any(ride.reader.needs_logits for ride in rides)
            logits, pull = module.logits(hidden, inputs.batch) if needed else None, None
        ends = dict(zip(early, carries, strict=True))
        gradient = relevance = None
        if self.needs_gradients:
            assert self.target is not None, "a mixing that needs gradients explains a target"
            assert logits is not None
            assert pull is not None
            _, gradient = _gradient(partial(self.target.value, given=inputs.examples[-1]), logits, pull)
            # Its layers in front, as the layers were kept: layer row head query key.
            gradient = jnp.moveaxis(gradient, 1, 0)
            relevance = self._relevance(module, inputs)
        if late:
            assert layers is not None
            kept = layers, gradient, relevance
            known = {mixing: _weights_along(mixing, kept, mask) for mixing in wide if mixing not in passing}
            known |= zip(passing, weights, strict=True)
            ends |= zip(late, _along(late, kept, known), strict=True)
        outputs = PassOutputs(hidden, logits)
        return tuple(_finish(ride, ends[ride], outputs, pull) for ride in rides)

    def _relevance(self, module: Module, inputs: Inputs) -> Float[Array, "layer row head token token"] | None:
        """The relevance of the attention of all heads, where a mixing needs it: a pass of its own, under rules."""
        if not any("relevance" in mixing.needs for mixing in self.mixings):
            return None
        assert isinstance(module, FollowsRules)
        assert self.target is not None
        # Nothing is packed: a rule may sum over a text.
        whole = dataclasses.replace(inputs, packing=None)
        logits, pull, _ = _with_pull(module.under(CheferRules()), whole, lambda carry, layer: carry, None)
        _, relevance = _gradient(partial(self.target.value, given=inputs.examples[-1]), logits, pull)
        return jnp.moveaxis(relevance, 1, 0)


@dataclass(frozen=True, eq=False)
class _Ride:
    """A reader in one pass."""

    reader: Reader
    mixing: Mixing
    known: ReaderInputs


def _starts(rides: list[_Ride]) -> Carries:
    return tuple(ride.reader.start(ride.known) for ride in rides)


def _step(
    rides: list[_Ride], carries: Carries, output: LayerOutput, known: Mapping[Mixing, Capacities] | None = None
) -> Carries:
    """One layer: every reader's step; `known` are capacities of the layer that were computed before."""
    known = known or {}
    # Readers of one mixing share their view of the layer, so that capacities are computed once.
    views = {ride.mixing: LayerView(output, ride.known.mask, ride.mixing, known.get(ride.mixing)) for ride in rides}
    return tuple(
        ride.reader.step(ride.known, carried, views[ride.mixing]) for ride, carried in zip(rides, carries, strict=True)
    )


def _along(rides: list[_Ride], layers: Kept, weights: Mapping[Mixing, LayerWeights]) -> Carries:
    """The readers' carries after all kept layers; the weights are those of mixings with wide own streams."""
    own = {mixing: wide_own(jnp.moveaxis(each, 0, -3), rides[0].known.mask) for mixing, each in weights.items()}

    def step(carries: Carries, slices: tuple[Kept, tuple[Square, ...]]) -> tuple[Carries, None]:
        layer, layer_weights = slices
        known = {mixing: (each, own[mixing]) for mixing, each in zip(weights, layer_weights, strict=True)}
        return _step(rides, carries, _with_gradients(layer), known), None

    carries, _ = jax.lax.scan(step, _starts(rides), (layers, tuple(weights.values())))
    return carries


def _weight_rooms(mixings: list[Mixing], module: Module, mask: TokenMask) -> tuple[LayerWeights, ...]:
    """Room for the weights of every layer by each mixing."""
    rows, tokens = mask.shape
    return tuple(jnp.zeros((module.depth, rows, tokens, tokens), jnp.float32) for _ in mixings)


def _keep_weights(
    mixings: list[Mixing], rooms: tuple[LayerWeights, ...], layer: LayerOutput, mask: TokenMask
) -> tuple[LayerWeights, ...]:
    """One more layer's weights into their places."""
    weights = [capacities_of(mixing, layer, mask)[0] for mixing in mixings]
    update = jax.lax.dynamic_update_index_in_dim
    return tuple(update(room, each, layer.index, 0) for room, each in zip(rooms, weights, strict=True))


def _weights_along(mixing: Mixing, layers: Kept, mask: TokenMask) -> LayerWeights:
    """A mixing's weights of all kept layers."""
    # One layer at a time: what a mixing needs on the way may be larger than its weights.
    return jax.lax.map(lambda layer: capacities_of(mixing, _with_gradients(layer), mask)[0], layers)


def _with_gradients(layer: Kept) -> LayerOutput:
    return dataclasses.replace(layer[0], gradient=layer[1], relevance=layer[2])


def _finish(ride: _Ride, carry: Arrays, outputs: PassOutputs, pull: Pull | None) -> Arrays:
    """What a reader gives; one that needs a gradient of its own number gets it by a backward pass."""
    if isinstance(ride.reader, GradientReader):
        assert outputs.logits is not None
        assert pull is not None
        number, gradient = _gradient(partial(ride.reader.explained, ride.known), outputs.logits, pull)
        outputs = PassOutputs(outputs.hidden, outputs.logits, number, gradient)
    return ride.reader.finish(ride.known, carry, outputs)


def pair_numbers(needs: frozenset[str], model: Model) -> int:
    """Numbers that a mixing of these needs keeps for each pair of tokens of a text (`EngineOptions.pair_numbers`)."""
    # The attention of all heads, the shift that it is differentiated in, and the gradient; as much for relevance.
    passes = len(needs & {"gradients", "relevance"}) if "gradients" in needs else 0
    return 3 * passes * model.layers * model.heads


def _is_wide(mixing: Mixing) -> bool:
    """Whether a mixing's own streams must not bind; see `Mixing`."""
    return getattr(mixing, "wide", False)


def _needs_gradients(mixing: Mixing) -> bool:
    return "gradients" in mixing.needs


def _with_pull(
    module: Module, inputs: Inputs, visit: Visit[T], carry: T
) -> tuple[Float[Array, "..."], Pull, tuple[Array, T]]:
    """The head's numbers, the pull back from them, and the last hidden states with the carry."""

    def run(shift: AllHeads) -> tuple[Array, tuple[Array, T]]:
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
    place, layer = layer.index, _lasting(layer)
    return jax.tree.map(lambda room, part: jax.lax.dynamic_update_index_in_dim(room, part, place, 0), rooms, layer)


def _lasting(layer: LayerOutput) -> LayerOutput:
    """What can be kept of a layer: it can be run again only while it is there."""
    return dataclasses.replace(layer, rerun=None)
