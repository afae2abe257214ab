"""What goes into an encoder and what comes out."""

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
    """What one layer gives.

    Attributes:
        hidden: the layer's output; 0 on padding where the batch was packed.
        attention: what its softmax gave; rows sum to 1, padding's columns are 0.
        values: the vectors that attention averages.
    """

    hidden: Float[Array, "*rows width"]
    attention: Float[Array, "*batch head query key"]
    values: Float[Array, "*batch head token head_width"]


@pytree
class EncoderOutput:
    """What an encoder gives; float32. What was not asked for, or what the model doesn't have, is None.

    Attributes:
        hidden_states: the embeddings, then each layer's output.
        attention: probabilities, layer by layer; padding's rows are no more than what the softmax gave there.
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
