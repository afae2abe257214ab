"""The reader's contract: a value that rides along one forward pass of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._typing import DTypeLike, Square
from jaxflow.graph import attention
from jaxflow.graph.graph import with_own
from jaxflow.mixing import Capacities, Mixing, capacities_of
from jaxflow.models import LayerOutput
from jaxflow.running._program import Arrays


@dataclass(frozen=True, eq=False)
class ReaderInputs:
    """What a reader knows of a batch before the first layer.

    Attributes:
        mask: true on real tokens.
        depth: the model's layers.
        heads: the model's heads in each layer.
        examples: the reader's own arrays, first axis the batch's examples; None where it has none.
    """

    mask: Bool[Array, "row token"]
    depth: int
    heads: int
    examples: Arrays


class LayerView:
    """One layer as readers see it, shared by all readers of a pass.

    Attributes:
        mask: true on real tokens, `row token`.
        output: all that the model gave of the layer.
    """

    def __init__(
        self,
        output: LayerOutput,
        mask: Bool[Array, "row token"],
        mixing: Mixing,
        capacities: Capacities | None = None,
    ) -> None:
        self.output, self.mask, self._mixing, self._known = output, mask, mixing, capacities

    @property
    def index(self) -> Int[Array, ""]:
        """The layer's number, from 0."""
        return self.output.index

    @property
    def attention(self) -> Float[Array, "row head query key"]:
        """What the softmax gave; padding's rows hold anything."""
        return self.output.attention

    @property
    def hidden(self) -> Float[Array, "row token width"]:
        """The hidden states after the layer; 0 on padding where the batch is packed."""
        return self.output.hidden

    # Each derived array is made when the first reader asks for it, while the pass is traced: a program holds none that
    # no reader asks for, and none twice.
    @cached_property
    def masked(self) -> Float[Array, "row head query key"]:
        """Attention of every head, 0 on padding."""
        # The functions of the graph take an axis of layers: here it holds this layer alone.
        return attention.masked(self.attention[..., None, :, :, :], self.mask)[..., 0, :, :, :]

    @cached_property
    def _capacities(self) -> tuple[Square, Float[Array, "row token"]]:
        return capacities_of(self._mixing, self.output, self.mask) if self._known is None else self._known

    @property
    def weights(self) -> Square:
        """The mixing's capacity from each position to each below it, `row token token`; 0 on padding."""
        return self._capacities[0]

    @property
    def own(self) -> Float[Array, "row token"]:
        """The mixing's capacity of each position's own stream; 0 on padding."""
        return self._capacities[1]

    @cached_property
    def shares(self) -> Square:
        """The weights as shares, each row summing to 1: raw attention."""
        return attention.row_shares(self.weights)

    @cached_property
    def capacity(self) -> Square:
        """Weights with own streams: the layer's arcs in the graph."""
        return with_own(self.weights, self.own)


@dataclass(frozen=True, eq=False)
class PassOutputs:
    """What a reader is given after the last layer.

    Attributes:
        hidden: the last layer's output; 0 on padding where the batch is packed.
        logits: the head's numbers; None where no reader needs them.
        explained: the reader's own explained number; None unless it is a `GradientReader`.
        gradient: its derivative in the attention of all heads, later layers' attention moving along; None likewise.
    """

    hidden: Float[Array, "row token width"]
    logits: Float[Array, "..."] | None
    explained: Float[Array, " row"] | None = None
    gradient: Float[Array, "row layer head query key"] | None = None


@runtime_checkable
class Reader(Protocol):
    """A watcher of one forward pass: a frozen, hashable value, since programs are compiled for it.

    Its carry goes from layer to layer, so the attention of all layers is kept only where a reader keeps it.

        @dataclass(frozen=True)
        class LargestWeight:
            needs_logits: bool = False

            def start(self, inputs):
                return jnp.zeros(inputs.mask.shape[0])

            def step(self, inputs, carry, layer):
                return jnp.maximum(carry, layer.masked.max((-3, -2, -1)))

            def finish(self, inputs, carry, outputs):
                return carry
    """

    @property
    def needs_logits(self) -> bool:
        """Whether the model's head must run."""
        ...

    def start(self, inputs: ReaderInputs) -> Arrays:
        """The carry into the first layer."""
        ...

    def step(self, inputs: ReaderInputs, carry: Arrays, layer: LayerView) -> Arrays:
        """The carry out of a layer, of the same shapes."""
        ...

    def finish(self, inputs: ReaderInputs, carry: Arrays, outputs: PassOutputs) -> Arrays:
        """The reader's arrays, first axis the batch's examples."""
        ...


@runtime_checkable
class GradientReader(Reader, Protocol):
    """A reader that also needs the gradient of a number in the attention of all heads: a backward pass."""

    def explained(self, inputs: ReaderInputs, logits: Float[Array, "row label"]) -> Float[Array, " row"]:
        """The number of each example whose gradient is taken, out of the head's numbers."""
        ...


@dataclass(frozen=True)
class Mixed:
    """A reader with a mixing of its own, in a pass whose other readers have another.

    Attributes:
        reader: that rides along.
        mixing: gives the capacities of the layers that it sees.
    """

    reader: Reader
    mixing: Mixing


@runtime_checkable
class Target(Protocol):
    """The number that a mixing or method explains, from the head's numbers: a frozen, hashable value."""

    def value(self, logits: Float[Array, "row label"], given: Arrays) -> Float[Array, " row"]:
        """The number of each example; `given` are arrays that are known of the examples beforehand."""
        ...

    def settle(self, logits: Float[Array, "row label"], given: Arrays) -> tuple["Target", Arrays]:
        """The target and its arrays for changed texts: what depends on the prediction is that of these logits."""
        ...


def layer_room(inputs: ReaderInputs, layers: int, *axes: int, dtype: DTypeLike = jnp.float32) -> Array:
    """Room for arrays of some layers, `row layer *axes`, to be carried along and filled by `put_layer`."""
    return jnp.zeros((inputs.mask.shape[0], layers, *axes), dtype)


def put_layer(room: Array, values: Array, place: Int[Array, ""]) -> Array:
    """The room, `row layer *axes`, with a layer's values, `row *axes`, at their place."""
    # The place is traced, as the layers are a loop; written so, the room is changed where it lies, without a copy.
    return jax.lax.dynamic_update_slice_in_dim(room, values[:, None], place, 1)


def layer_places(layers: Sequence[int], depth: int) -> Int[np.ndarray, " layer"]:
    """Each layer's place in a room for the chosen layers; all others share one place that is never read.

    Args:
        layers: the chosen ones, counted from 1, in any order; one may come several times.
        depth: the model's layers.
    """
    # Each chosen layer has one place, however often it was asked for; the last place, behind them, is for all others,
    # so that a loop over layers writes at every step and branches nowhere.
    chosen = sorted(set(layers))
    places = np.full(depth, len(chosen), np.int32)
    places[np.asarray(chosen, int) - 1] = np.arange(len(chosen))
    return places


def at_layers(room: Float[Array, "row place ..."], order: Int[np.ndarray, " layer"]) -> Float[Array, "..."]:
    """The layers in the order asked for; not copied where they already lie so."""
    return room if np.array_equal(order, np.arange(room.shape[1])) else room[:, order]
