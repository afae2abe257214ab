"""The reader's contract: what rides along one forward pass of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._pytree import pytree
from jaxflow._typing import Square
from jaxflow.graph import attention
from jaxflow.graph.graph import with_own, with_residual
from jaxflow.models import LayerOutput
from jaxflow.running._program import Arrays


@pytree
class Fusion:
    """How the heads of a layer become the arcs of the graph, beside the name of the way (`Forward.heads`).

    Attributes:
        residual: share of the residual connection.
        weights: of the heads, if they are fused by weights.
    """

    residual: Float[Array, ""]
    weights: Float[Array, "layer head"] | None


@dataclass(frozen=True, eq=False)
class ReaderInputs:
    """What a reader knows of a batch before the first layer.

    Attributes:
        mask: true on real tokens.
        depth: the model's layers.
        heads: the model's heads in each layer.
        residual: share of the residual connection of each example.
        examples: the reader's own arrays, first axis the batch's examples; None where it has none.
    """

    mask: Bool[Array, "row token"]
    depth: int
    heads: int
    residual: Float[Array, " row"]
    examples: Arrays


class LayerView:
    """One layer as readers see it. All readers of a pass share it, so that its heads are fused once for all of them.

    Attributes:
        index: the layer's number, from 0.
        mask: true on real tokens, `row token`.
        attention: what the softmax gave, `row head query key`; padding's rows hold anything.
        values: the vectors that attention averages, `row head token head_width`.
        hidden: the layer's output, `row token width`; 0 on padding where the batch is packed.
    """

    def __init__(
        self, index: Int[Array, ""], mask: Bool[Array, "row token"], output: LayerOutput, heads: str, fusion: Fusion
    ) -> None:
        self.index, self.mask = index, mask
        self.attention, self.values, self.hidden = output.attention, output.values, output.hidden
        self._heads, self._fusion = heads, fusion

    @cached_property
    def masked(self) -> Float[Array, "row head query key"]:
        """Attention of every head, 0 on padding."""
        return attention.masked(self.attention[..., None, :, :, :], self.mask)[..., 0, :, :, :]

    @cached_property
    def _capacities(self) -> tuple[Square, Float[Array, "row token"]]:
        weights = self._fusion.weights
        heads = self._heads if weights is None else weights[self.index][None, :]
        # The functions of the graph take an axis of layers: here it holds this layer alone.
        fused = attention.fuse_heads(self.attention[..., None, :, :, :], self.mask, heads)[..., 0, :, :]
        return with_residual(fused, jnp.broadcast_to(self._fusion.residual, self.mask.shape[:-1]), self.mask)

    @property
    def weights(self) -> Square:
        """Capacity from each position to each below it, `row token token`; 0 on padding."""
        return self._capacities[0]

    @property
    def own(self) -> Float[Array, "row token"]:
        """Capacity of each position's own stream; 0 on padding."""
        return self._capacities[1]

    @cached_property
    def shares(self) -> Square:
        """The weights as shares: raw attention."""
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
    """What rides along one forward pass: a frozen, hashable value, as programs are compiled for it.

    Between `start` and `finish` it carries what it likes from layer to layer, so that nobody keeps the attention of
    all layers unless a reader does.

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
        """What it carries into the first layer."""
        ...

    def step(self, inputs: ReaderInputs, carry: Any, layer: LayerView) -> Arrays:
        """What it carries out of a layer, of the same shapes."""
        ...

    def finish(self, inputs: ReaderInputs, carry: Any, outputs: PassOutputs) -> Arrays:
        """What it gives: arrays whose first axis is the batch's examples."""
        ...


@runtime_checkable
class GradientReader(Reader, Protocol):
    """A reader that also needs the gradient of a number in the attention of all heads: a backward pass."""

    def explained(self, inputs: ReaderInputs, logits: Float[Array, "row label"]) -> Float[Array, " row"]:
        """The number of each example whose gradient is taken, out of the head's numbers."""
        ...


def layer_room(inputs: ReaderInputs, layers: int, *axes: int, dtype: Any = jnp.float32) -> Array:
    """Room for arrays of some layers, `row layer *axes`, to be carried along and filled by `put_layer`."""
    return jnp.zeros((inputs.mask.shape[0], layers, *axes), dtype)


def put_layer(room: Array, values: Array, place: Int[Array, ""]) -> Array:
    """The room, `row layer *axes`, with a layer's values, `row *axes`, at their place."""
    return jax.lax.dynamic_update_slice_in_dim(room, values[:, None], place, 1)


def layer_places(layers: Sequence[int], depth: int) -> Int[np.ndarray, " layer"]:
    """Where each layer's values are put; those of layers that nobody asked for go to one place that is never read.

    Args:
        layers: that were asked for, counted from 1; in any order, and several times.
        depth: the model's layers.
    """
    chosen = sorted(set(layers))
    places = np.full(depth, len(chosen), np.int32)
    places[np.asarray(chosen, int) - 1] = np.arange(len(chosen))
    return places


def at_layers(room: Float[Array, "row place ..."], order: Int[np.ndarray, " layer"]) -> Float[Array, "..."]:
    """The layers as they were asked for, without a copy where that is how they lie."""
    return room if np.array_equal(order, np.arange(room.shape[1])) else room[:, order]
