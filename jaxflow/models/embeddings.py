"""From tokens to the first layer's input."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from jaxflow.models.batch import TokenBatch
from jaxflow.models.config import EncoderConfig
from jaxflow.models.layers import Linear, Table, dropout, norm_of


class Embeddings(nnx.Module):
    """Words, positions and segments, summed, normalised and, where the family does, projected."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        width = config.embedding_width
        self.words = Table(config.vocabulary, width, rngs)
        self.positions = Table(config.positions, width, rngs) if config.positions else None
        self.segments = Table(config.segments, width, rngs) if config.segments else None
        projects = config.projection != "none"
        bias = config.projection_bias
        self.projection = Linear((width,), (config.width,), rngs, bias=bias) if projects else None
        normed = config.width if config.projection == "before" else width
        self.norm = norm_of(config, normed) if config.embedding_norm else None
        self.config = config

    def __call__(
        self,
        words: Float[Array, "*batch token embedding"],
        batch: TokenBatch,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "*batch token width"]:
        """The first layer's input, from word embeddings and the batch they belong to."""
        config = self.config
        x = words * config.embedding_scale if config.embedding_scale != 1 else words
        # In the reference's order of sums: in float32 it shows in the last digit.
        if self.segments is not None:
            x = x + self.segments(batch.segments)
        if self.positions is not None:
            # Row of the table for each token, `*batch token`.
            positions = counted(batch.mask) if config.causal else position_ids(batch.input_ids, config)
            # A batch may be padded beyond the table's end; padding may take any row.
            last = config.positions - 1
            x = x + self.positions(jnp.where(batch.mask, positions, jnp.minimum(positions, last)))
        if self.projection is not None and config.projection == "before":
            x = self.projection(x)
        if self.norm is not None:
            x = self.norm(x)
        # DeBERTa clears padding here, as its reference does.
        if config.masks_padding:
            x = x * batch.mask[..., None].astype(x.dtype)
        x = dropout(x, config.hidden_dropout, key)
        if self.projection is not None and config.projection == "after":
            x = self.projection(x)
        return x


def counted(mask: Bool[Array, "*batch token"]) -> Int[Array, "*batch token"]:
    """Numbers of the real tokens, from 0: padding on the left does not count."""
    return jnp.maximum(jnp.cumsum(mask, axis=-1, dtype=jnp.int32) - 1, 0)


def position_ids(input_ids: Int[Array, "*batch token"], config: EncoderConfig) -> Int[Array, "#*batch token"]:
    """Rows of the position table.

    Either counted from the left, padding included, or, with an offset, over tokens that aren't padding; padding then
    has the row before the first, as RoBERTa was trained.
    """
    if config.position_offset is None:
        return jnp.broadcast_to(jnp.arange(input_ids.shape[-1]), input_ids.shape)
    real = (input_ids != config.pad_id).astype(input_ids.dtype)
    # Real tokens count 1, 2, ... and padding is 0, from the offset less 1.
    return jnp.cumsum(real, axis=-1, dtype=input_ids.dtype) * real + (config.position_offset - 1)
