"""Inputs and outputs of an encoder."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxflow._pytree import pytree, static_field
from jaxflow._target import is_cpu
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


def used_length(mask: Bool[Array, "*batch token"]) -> int | Int[Array, ""]:
    """How many first positions a loop over tokens has to visit: behind them there is padding alone.

    On an accelerator it is the padded length: rows may lie on several devices, which would have to ask each other for
    the longest text. On a CPU texts that are much shorter than their batch's length save the rest.
    """
    tokens = mask.shape[-1]
    return jnp.max(jnp.where(mask, jnp.arange(1, tokens + 1), 0)) if is_cpu() else tokens


@pytree
class NormOutput:
    """One norm of a layer: it gave `scale * (state - mean) / deviation + bias`.

    Attributes:
        scale: of each entry.
        bias: of each entry.
        deviation: of each position's state, `sqrt(variance + epsilon)`; 1 on padding where the batch was packed.
        centred: whether the mean is taken off; a norm by the mean square takes none, and has no bias.
    """

    scale: Float[Array, " width"]
    bias: Float[Array, " width"]
    deviation: Float[Array, "*rows"]
    centred: bool = static_field(default=True)


@pytree
class LayerNorms:
    """The two norms of a layer.

    Attributes:
        attention: the norm of the attention block.
        output: the norm of the feed-forward block.
        pre_norm: whether each stands before its block, and reads the block's input; else it stands behind the sum of
            the block's input and output, and reads that.
    """

    attention: NormOutput
    output: NormOutput
    pre_norm: bool = static_field(default=False)


@pytree
class LayerOutput:
    """One layer's arrays for its watchers; those that the model does not give are None.

    Attributes:
        index: the layer's number, from 0.
        hidden: the hidden states after the layer; 0 on padding where the batch was packed.
        attention: the softmax's probabilities; rows sum to 1, padding's columns are 0.
        inputs: the hidden states before the layer.
        values: the vectors that attention averages, their bias included.
        output: the output projection, which takes each head's averaged values back to the hidden states; its bias
            stands outside.
        gradient: derivative of an explained number in the attention; None unless asked for.
        relevance: what reaches the attention of that number by `mixing.CheferRules`; None unless asked for.
        attended: the states after the attention block: its input and output added up, behind its norm where that
            stands behind the sum.
        norms: what the layer's norms did.
        rerun: `rerun(attention=None, values=None)` gives the layer's output from other attention or values, in the
            shapes above; without both, its own output. What an encoder adds to a layer (its last norm) is not in it.
            A callable pytree, such as a `jax.tree_util.Partial`; None outside the loop over layers.
        moves: positions whose stream the layer changes; the others pass it whole, with nothing in `attention`. None
            for all of them.
    """

    index: Int[Array, ""]
    hidden: Float[Array, "*rows width"]
    attention: Float[Array, "*batch head query key"]
    inputs: Float[Array, "*rows width"] | None = None
    values: Float[Array, "*batch head token head_width"] | None = None
    output: Float[Array, "head head_width width"] | None = None
    gradient: Float[Array, "*batch head query key"] | None = None
    relevance: Float[Array, "*batch head query key"] | None = None
    attended: Float[Array, "*rows width"] | None = None
    norms: LayerNorms | None = None
    rerun: Callable[..., Array] | Any = None
    moves: Bool[Array, "*batch token"] | None = None


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
