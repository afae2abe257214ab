"""Heads on an encoder or a decoder: a few forms serve every head of every family."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from jaxflow.models.config import EncoderConfig
from jaxflow.models.encoder.parts import ACTIVATIONS, Linear, dropout, norm_of, precision, split
from jaxflow.models.rules import Ruled


class FirstTokenHead(Ruled):
    """First token, dense map, activation, linear map: classification of texts, choices and sentence pairs."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        self.dense = Linear((config.width,), (config.width,), rngs, bias=config.head_bias)
        self.norm = norm_of(config, config.width) if config.head.normed else None
        self.out = Linear((config.width,), (config.head.outputs,), rngs)
        self.config = config

    def __call__(
        self, hidden: Float[Array, "*batch token width"], words: Array, key: Key[Array, ""] | None
    ) -> Float[Array, "..."]:
        """`*batch label`, or `*batch` for multiple choice."""
        head = self.config.head
        first_key, last_key = split(key, 2)
        first = dropout(hidden[..., 0, :], head.first_dropout, first_key)
        pooled = self.rules.activation(ACTIVATIONS[head.activation], self.dense(first))
        pooled = pooled if self.norm is None else self.norm(pooled)
        # A multiple choice has one output for each choice; its axis goes, and the batch's last is the choices.
        logits = self.out(dropout(pooled, head.dropout, last_key))
        return logits[..., 0] if head.name == "multiple_choice" else logits


class EachTokenHead(Ruled):
    """A linear map of every token, with a dense map before it where the head is a discriminator or has a norm."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        dense = config.head.name == "discriminator" or config.head.normed
        self.dense = Linear((config.width,), (config.width,), rngs, bias=config.head_bias) if dense else None
        self.norm = norm_of(config, config.width) if config.head.normed else None
        self.out = Linear((config.width,), (config.head.outputs,), rngs)
        self.config = config

    def __call__(
        self, hidden: Float[Array, "*batch token width"], words: Array, key: Key[Array, ""] | None
    ) -> Float[Array, "..."]:
        """`*batch token label`, or `*batch token` for a discriminator."""
        hidden = dropout(hidden, self.config.head.dropout, key)
        if self.dense is None:
            return self.out(hidden)
        dense = self.rules.activation(ACTIVATIONS[self.config.head.activation], self.dense(hidden))
        if self.norm is not None:
            return self.out(self.norm(dense))
        # A discriminator has one number a token.
        return self.out(dense)[..., 0]


class OneTokenHead(Ruled):
    """A linear map of the first of the tokens that it is given: an image's class token, or a decoder's last token."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        self.out = Linear((config.width,), (config.head.outputs,), rngs, bias=not config.causal)

    def __call__(
        self, hidden: Float[Array, "*batch token width"], words: Array | None, key: Key[Array, ""] | None
    ) -> Float[Array, "..."]:
        """`*batch label`."""
        return self.out(hidden[..., 0, :])


class ClassAndMeanHead(Ruled):
    """A linear map of an image's class token, and beside it the mean of its patches."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        self.out = Linear((2 * config.width,), (config.head.outputs,), rngs)
        self.config = config

    def __call__(
        self, hidden: Float[Array, "*batch token width"], words: Array | None, key: Key[Array, ""] | None
    ) -> Float[Array, "..."]:
        """`*batch label`."""
        cut = self.config.patches
        assert cut is not None
        patches = hidden[..., cut.tokens : cut.tokens + cut.rows * cut.columns, :].mean(axis=-2)
        return self.out(jnp.concatenate([hidden[..., 0, :], patches], axis=-1))


class DistilledHead(Ruled):
    """The mean of two linear maps: of an image's class token, and of its distillation token."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        self.first = Linear((config.width,), (config.head.outputs,), rngs)
        self.second = Linear((config.width,), (config.head.outputs,), rngs)

    def __call__(
        self, hidden: Float[Array, "*batch token width"], words: Array | None, key: Key[Array, ""] | None
    ) -> Float[Array, "..."]:
        """`*batch label`."""
        return (self.first(hidden[..., 0, :]) + self.second(hidden[..., 1, :])) / 2


class NextTokenHead(nnx.Module):
    """Scores of the token that it is given, the last, against the word embeddings or, untied, a table of its own."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        self.decoder = None if config.head.tied else Linear((config.width,), (config.vocabulary,), rngs, bias=False)

    def __call__(
        self, hidden: Float[Array, "*batch 1 width"], words: Array, key: Key[Array, ""] | None
    ) -> Float[Array, "..."]:
        """`*batch vocabulary`."""
        hidden = hidden[..., 0, :]
        return _against(words, hidden) if self.decoder is None else self.decoder(hidden)


class MaskedLMHead(Ruled):
    """Dense map, activation, norm, then scores against the word embeddings or, untied, a table of its own."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        width = config.embedding_width
        self.dense = Linear((config.width,), (width,), rngs, bias=config.head_bias)
        self.norm = norm_of(config, width)
        # Tied, the word embeddings are the last map, and only its bias is the head's own.
        self.decoder = None if config.head.tied else Linear((width,), (config.vocabulary,), rngs, bias=False)
        self.bias = nnx.Param(jnp.zeros(config.vocabulary))
        self.activation = config.head.activation

    def __call__(
        self, hidden: Float[Array, "*batch token width"], words: Array, key: Key[Array, ""] | None
    ) -> Float[Array, "..."]:
        """`*batch token vocabulary`."""
        hidden = self.norm(self.rules.activation(ACTIVATIONS[self.activation], self.dense(hidden)))
        if self.decoder is not None:
            return self._with_bias(self.decoder(hidden))
        return self._with_bias(_against(words, hidden))

    def _with_bias(self, scores: Float[Array, "*batch token vocabulary"]) -> Float[Array, "*batch token vocabulary"]:
        bias = self.bias[...].astype(jnp.float32)
        return self.rules.share(scores + bias, bias, lambda: (scores * bias).sum(axis=-1))


def last_tokens(
    hidden: Float[Array, "*batch token width"], mask: Bool[Array, "*batch token"]
) -> Float[Array, "*batch 1 width"]:
    """The states of each text's last real token, padding on either side."""
    place = mask.shape[-1] - 1 - jnp.argmax(mask[..., ::-1], axis=-1)
    return jnp.take_along_axis(hidden, place[..., None, None], axis=-2)


def mean_token(
    hidden: Float[Array, "*batch token width"], mask: Bool[Array, "*batch token"]
) -> Float[Array, "*batch 1 width"]:
    """The mean of each text's real tokens."""
    real = mask[..., None].astype(hidden.dtype)
    return (hidden * real).sum(axis=-2, keepdims=True) / real.sum(axis=-2, keepdims=True)


def _against(words: Array, hidden: Float[Array, "*axes width"]) -> Float[Array, "*axes vocabulary"]:
    """Scores against each word embedding; operands in the table's type, sums in float32."""
    return jnp.einsum(
        "...e,ve->...v",
        hidden.astype(words.dtype),
        words,
        precision=precision(words.dtype),
        preferred_element_type=jnp.float32,
    )


class Pooler(Ruled):
    """The pooler of bare checkpoints: a dense map of the first token and tanh."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        self.dense = Linear((config.width,), (config.width,), rngs)

    def __call__(self, hidden: Float[Array, "*batch token width"]) -> Float[Array, "*batch width"]:
        """One vector a text."""
        return self.rules.activation(jnp.tanh, self.dense(hidden[..., 0, :]))


def make_head(config: EncoderConfig, rngs: nnx.Rngs) -> nnx.Module | None:
    """The head that the configuration names; None for a bare encoder."""
    match config.head.name:
        case "bare":
            return None
        case "masked_lm":
            return MaskedLMHead(config, rngs)
        case "next_token":
            return NextTokenHead(config, rngs)
        case "sequence_classification" if config.head.distilled:
            return DistilledHead(config, rngs)
        case "sequence_classification" if config.head.with_mean:
            return ClassAndMeanHead(config, rngs)
        case "sequence_classification" if config.causal or config.patches:
            return OneTokenHead(config, rngs)
        case "token_classification" | "question_answering" | "discriminator":
            return EachTokenHead(config, rngs)
        case _:
            return FirstTokenHead(config, rngs)
