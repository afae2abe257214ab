"""Inputs and outputs of an encoder."""

from jaxtyping import Array, Bool, Float, Int

from jaxflow._pytree import pytree
from jaxflow._typing import Attention


@pytree
class TokenBatch:
    """Padded token sequences.

    Attributes:
        input_ids: vocabulary indices.
        mask: true on real tokens, special tokens included.
        segments: which of two texts a token belongs to, as the model was trained with (token type ids).
    """

    input_ids: Int[Array, "*batch token"]
    mask: Bool[Array, "*batch token"]
    segments: Int[Array, "*batch token"]


@pytree
class LayerOutput:
    """One layer's arrays for its watchers; those that the model does not give are None.

    Attributes:
        index: the layer's number, from 0.
        hidden: the hidden states after the layer; 0 on padding where the batch was packed.
        attention: the softmax's probabilities; rows sum to 1, padding's columns are 0.
        inputs: the hidden states before the layer.
        values: the vectors that attention averages.
        output: the output projection, which takes each head's averaged values back to the hidden states.
        gradient: derivative of an explained number in the attention; None unless asked for.
    """

    index: Int[Array, ""]
    hidden: Float[Array, "*rows width"]
    attention: Float[Array, "*batch head query key"]
    inputs: Float[Array, "*rows width"] | None = None
    values: Float[Array, "*batch head token head_width"] | None = None
    output: Float[Array, "head head_width width"] | None = None
    gradient: Float[Array, "*batch head query key"] | None = None


@pytree
class EncoderOutput:
    """An encoder's output in float32. Parts not asked for, or that the model does not have, are None.

    Attributes:
        hidden_states: the embeddings, then each layer's output.
        attention: probabilities, layer by layer; padding's rows hold whatever the softmax gave there.
        values: the vectors that attention averages.
        logits: the head's numbers: `*batch label` for texts, `*batch token label` for tokens (a masked LM's labels
            are the vocabulary, question answering's are start and end), `*batch token` for a discriminator, and
            `*batch` for multiple choice, whose last batch axis is the choices.
        pooled: one vector a text, where a bare checkpoint carries a pooler: its dense map of the first token, and
            tanh.
    """

    hidden_states: Float[Array, "*batch state token width"] | None
    attention: Attention | None
    values: Float[Array, "*batch layer head token head_width"] | None
    logits: Float[Array, "..."] | None
    pooled: Float[Array, "*batch width"] | None = None
