"""Readers that several parts of the library use."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxflow.graph.graph import AttentionGraph
from jaxflow.running._reader import LayerView, PassOutputs, ReaderInputs, layer_room, put_layer


@dataclass(frozen=True)
class Faults:
    """What is wrong with an example's capacities, for `check_faults`: `row fault`, true where there is that fault.

    The faults, in order: numbers that are not finite, negative ones, and any but 0 on padding's rows and columns.
    """

    needs_logits: bool = False

    def start(self, inputs: ReaderInputs) -> Bool[Array, "row fault"]:
        """So far nothing."""
        return jnp.zeros((inputs.mask.shape[0], 3), bool)

    def step(self, inputs: ReaderInputs, carry: Bool[Array, "row fault"], layer: LayerView) -> Bool[Array, "row fault"]:
        """What was wrong before, and what is in this layer."""
        real = inputs.mask
        # The capacities are NaN or infinite wherever attention, or the mixing's use of it, is. They are 0 on padding,
        # so the model's numbers there never count.
        infinite = ~jnp.isfinite(layer.capacity).all((-1, -2))
        # The own streams lie on the diagonal of the capacities, where they could hide a negative weight.
        negative = (layer.weights < 0).any((-1, -2)) | (layer.own < 0).any(-1)
        padded = ((layer.capacity != 0) & ~(real[..., :, None] & real[..., None, :])).any((-1, -2))
        return carry | jnp.stack([infinite, negative, padded], axis=-1)

    def finish(
        self, inputs: ReaderInputs, carry: Bool[Array, "row fault"], outputs: PassOutputs
    ) -> Bool[Array, "row fault"]:
        """Those of all layers."""
        return carry


@dataclass(frozen=True)
class KeptGraph:
    """The graph of all layers, for methods that need it whole, such as flow."""

    needs_logits: bool = False

    def start(self, inputs: ReaderInputs) -> tuple[Array, Array]:
        """Room for every layer's weights and own streams: `row layer token token`, `row layer token`."""
        tokens = inputs.mask.shape[-1]
        # Own streams apart from the weights, as the graph holds them: raw attention is of the weights alone.
        return layer_room(inputs, inputs.depth, tokens, tokens), layer_room(inputs, inputs.depth, tokens)

    def step(self, inputs: ReaderInputs, carry: tuple[Array, Array], layer: LayerView) -> tuple[Array, Array]:
        """One more layer."""
        weights, own = carry
        return put_layer(weights, layer.weights, layer.index), put_layer(own, layer.own, layer.index)

    def finish(self, inputs: ReaderInputs, carry: tuple[Array, Array], outputs: PassOutputs) -> AttentionGraph:
        """The graph of the batch."""
        weights, own = carry
        return AttentionGraph(weights=weights, own=own, mask=inputs.mask)


class CarriesHeads:
    """The carry of readers that need every head of every layer: `row layer head token token`."""

    def start(self, inputs: ReaderInputs) -> Float[Array, "row layer head token token"]:
        """Room for every head."""
        tokens = inputs.mask.shape[-1]
        return layer_room(inputs, inputs.depth, inputs.heads, tokens, tokens)

    def step(
        self, inputs: ReaderInputs, carry: Float[Array, "row layer head token token"], layer: LayerView
    ) -> Float[Array, "row layer head token token"]:
        """One more layer."""
        return put_layer(carry, layer.masked, layer.index)


@dataclass(frozen=True)
class KeptHeads(CarriesHeads):
    """The attention of every head of every layer, 0 on padding: `row layer head token token`."""

    needs_logits: bool = False

    def finish(
        self, inputs: ReaderInputs, carry: Float[Array, "row layer head token token"], outputs: PassOutputs
    ) -> Float[Array, "row layer head token token"]:
        """All of them."""
        return carry


@dataclass(frozen=True)
class Logits:
    """What the model's head says, `row ...`."""

    needs_logits: bool = True

    def start(self, inputs: ReaderInputs) -> None:
        """It watches no layer."""

    def step(self, inputs: ReaderInputs, carry: None, layer: LayerView) -> None:
        """It watches no layer."""

    def finish(self, inputs: ReaderInputs, carry: None, outputs: PassOutputs) -> Float[Array, "row ..."]:
        """The head's numbers."""
        assert outputs.logits is not None
        return outputs.logits
