"""From tokens, or an image's patches, to the first layer's input."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from jaxflow.models.batch import TokenBatch
from jaxflow.models.config import EncoderConfig, Patches
from jaxflow.models.encoder.parts import Linear, Table, dropout, norm_of
from jaxflow.models.images import ImageBatch


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


class PatchEmbeddings(nnx.Module):
    """An image's class token and its like, then the affine maps of its patches; with positions, summed.

    Tokens and positions have the shapes of the checkpoints.
    """

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        assert config.patches is not None
        cut, width = config.patches, config.width
        # A convolution whose steps are as wide as its kernel is an affine map of each patch.
        self.patches = Linear((3, cut.height, cut.width), (width,), rngs)
        self.class_token = nnx.Param(jnp.zeros((1, 1, width)))
        self.distillation_token = nnx.Param(jnp.zeros((1, 1, width))) if cut.tokens > 1 else None
        shape = (1, cut.tokens + cut.rows * cut.columns, width)
        self.positions = nnx.Param(0.02 * jax.random.normal(rngs.params(), shape))
        self.config = config

    def __call__(self, batch: ImageBatch, key: Key[Array, ""] | None = None) -> Float[Array, "*batch token width"]:
        """The first layer's input; 0 on padding behind an image's tokens."""
        config = self.config
        assert config.patches is not None
        patches = self.patches.affine(cut_into_patches(batch.pixels, config.patches))
        ahead = [token[...] for token in (self.class_token, self.distillation_token) if token is not None]
        ahead = [jnp.broadcast_to(token[0], (*patches.shape[:-2], 1, config.width)) for token in ahead]
        x = jnp.concatenate([*ahead, patches], axis=-2) + self.positions[...][0].astype(jnp.float32)
        # A batch of fillers alone may be shorter than an image; others may be padded beyond it.
        length = batch.mask.shape[-1]
        x = x[..., :length, :]
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, length - x.shape[-2]), (0, 0)])
        return dropout(x, config.hidden_dropout, key)


def cut_into_patches(
    pixels: Float[Array, "*batch channel height width"], cut: Patches
) -> Float[Array, "*batch patch channel patch_height patch_width"]:
    """The patches of images, row by row."""
    batch = pixels.shape[:-3]
    grid = pixels.reshape(*batch, 3, cut.rows, cut.height, cut.columns, cut.width)
    # Rows and columns of patches in front of what a patch holds.
    grid = jnp.moveaxis(grid, (-4, -2), (-5, -4))
    return grid.reshape(*batch, cut.rows * cut.columns, 3, cut.height, cut.width)


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
