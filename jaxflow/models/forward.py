"""Options of one forward pass: replaced parts, and parts to keep."""

from typing import Any

from jaxtyping import Array, Float, Key

from jaxflow._pytree import pytree, static_field
from jaxflow._typing import Attention
from jaxflow.models.packing import Packing


@pytree
class ForwardOptions:
    """Options of a forward pass; by default the trained model's, without dropout.

    Attributes:
        attention: probabilities in the place of the softmax's. The gradient in them holds every other layer's
            attention fixed.
        attention_shift: added to the probabilities. Zeros change nothing, and the gradient in them is the total
            derivative in the attention: later layers' attention moves along.
        embeddings: word embeddings in the place of `embed(batch.input_ids)`; positions and segments are still
            added.
        inputs: the first layer's input in the place of what the embeddings give.
        key: turns dropout on (training).
        packing: run all but attention on the real tokens alone (`jaxflow.models.packing`); hidden states are then 0 on
            padding.
        checkpoint: recompute each layer in the backward pass instead of storing its intermediate arrays.
        return_attention: whether to store the attention of all layers.
        return_hidden_states: whether to store the hidden states of all layers.
        return_values: whether to store the vectors that attention averages.
    """

    attention: Attention | None = None
    attention_shift: Attention | None = None
    embeddings: Float[Array, "*batch token embedding"] | None = None
    inputs: Float[Array, "*batch token width"] | None = None
    key: Key[Array, ""] | None = None
    packing: Packing | None = None
    checkpoint: bool = static_field(default=False)
    return_attention: bool = static_field(default=True)
    return_hidden_states: bool = static_field(default=True)
    return_values: bool = static_field(default=False)


def forward_options(options: ForwardOptions | None, changes: dict[str, Any]) -> ForwardOptions:
    """Options with some of them changed, by name."""
    given = {} if options is None else vars(options)
    return ForwardOptions(**(given | changes))
