"""The reader of every head's attention between the units that are compared."""

from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Array, Bool, Float

from jaxflow.heads.pooling import pooled
from jaxflow.running import LayerView, PassOutputs, ReaderInputs, layer_room, put_layer

Members: TypeAlias = Float[Array, "row token unit"]
Heads: TypeAlias = Float[Array, "row layer head unit unit"]


@dataclass(frozen=True)
class UnitHeads:
    """Attention of every head between units, 0 on padding, with the mask of tokens and the members that came in.

    Its arrays: which unit each token belongs to, `row token unit`; None where every token is a unit.
    """

    needs_logits: bool = False

    def start(self, inputs: ReaderInputs) -> Heads:
        """Room for every head."""
        units = inputs.mask.shape[-1] if inputs.examples is None else inputs.examples.shape[-1]
        return layer_room(inputs, inputs.depth, inputs.heads, units, units)

    def step(self, inputs: ReaderInputs, carry: Heads, layer: LayerView) -> Heads:
        """One more layer, pooled to units at once: the attention between tokens of all layers is never held."""
        return put_layer(carry, pooled(layer.masked, inputs.examples), layer.index)

    def finish(
        self, inputs: ReaderInputs, carry: Heads, outputs: PassOutputs
    ) -> tuple[Heads, Bool[Array, "row token"], Members | None]:
        """All layers."""
        return carry, inputs.mask, inputs.examples
