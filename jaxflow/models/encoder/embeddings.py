"""From tokens, or an image's patches, to the first layer's input."""

import jax
import jax.numpy as jnp
import numpy as np
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
        counts: Int[Array, "*batch token"] | None = None,
    ) -> Float[Array, "*batch token width"]:
        """The first layer's input, from word embeddings and the batch they belong to.

        `counts` are a decoder's numbers of the tokens in their texts, where the batch holds new tokens alone.
        """
        config = self.config
        x = words * config.embedding_scale if config.embedding_scale != 1 else words
        # In the reference's order of sums: in float32 it shows in the last digit.
        if self.segments is not None:
            x = x + self.segments(batch.segments)
        if self.positions is not None:
            # Row of the table for each token, `*batch token`.
            counts = counted(batch.mask) if counts is None else counts
            positions = counts if config.causal else position_ids(batch.input_ids, config)
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
        x = dropout(x, config.embedded_dropout, key)
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
        self.registers = nnx.Param(jnp.zeros((1, config.registers, width))) if config.registers else None
        stored = config.stored_positions or cut
        shape = (1, cut.tokens + stored.rows * stored.columns, width)
        self.positions = nnx.Param(0.02 * jax.random.normal(rngs.params(), shape))
        self.config = config

    def __call__(self, batch: ImageBatch, key: Key[Array, ""] | None = None) -> Float[Array, "*batch token width"]:
        """The first layer's input; 0 on padding behind an image's tokens."""
        config = self.config
        assert config.patches is not None
        patches = self.patches.affine(cut_into_patches(batch.pixels, config.patches))
        tokens = [token for token in (self.class_token, self.distillation_token) if token is not None]
        first = [token[...][0].astype(jnp.float32) for token in tokens]
        ahead = [jnp.broadcast_to(token, (*patches.shape[:-2], 1, config.width)) for token in first]
        x = jnp.concatenate([*ahead, patches], axis=-2) + self._positions()
        if self.registers is not None:
            # Behind the patches: attention has no order, so they may stand anywhere.
            registers = self.registers[...][0].astype(jnp.float32)
            x = jnp.concatenate([x, jnp.broadcast_to(registers, (*x.shape[:-2], *registers.shape))], axis=-2)
        # A batch of fillers alone may be shorter than an image; others may be padded beyond it.
        length = batch.mask.shape[-1]
        x = x[..., :length, :]
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, length - x.shape[-2]), (0, 0)])
        return dropout(x, config.embedded_dropout, key)

    def _positions(self) -> Float[Array, "token width"]:
        """Of the class token and its like, and of each patch."""
        config, positions = self.config, self.positions[...][0].astype(jnp.float32)
        cut, stored = config.patches, config.stored_positions
        assert cut is not None
        if stored is None or (stored.rows, stored.columns) == (cut.rows, cut.columns):
            return positions
        # Along each axis a linear map of its own. Letters: r and c rows and columns, s and t the stored ones, w width.
        grid = positions[cut.tokens :].reshape(stored.rows, stored.columns, -1)
        down, across = (
            jnp.asarray(cubic_map(*each, smooth=stored.smooth))
            for each in ((stored.rows, cut.rows), (stored.columns, cut.columns))
        )
        grid = jnp.einsum("rs,ct,stw->rcw", down, across, grid, precision="highest")
        return jnp.concatenate([positions[: cut.tokens], grid.reshape(-1, grid.shape[-1])])


def cubic_map(old: int, new: int, *, smooth: bool) -> Float[np.ndarray, "new old"]:
    """Weights of cubic interpolation from some evenly spread points to others, as torch's `interpolate` has them.

    With `smooth` (its `antialias`) a coarser grid's kernels are as much wider, of Pillow's shape (a = -1/2; else -3/4),
    and weights beyond the ends are left out; otherwise the last point stands for what is beyond it.
    """
    a, stretch = (-0.5, max(1.0, old / new)) if smooth else (-0.75, 1.0)
    centres = (np.arange(new) + 0.5) * old / new - 0.5
    reach = int(np.ceil(2 * stretch)) + 1
    weights = np.zeros((new, old))
    for row, centre in enumerate(centres):
        places = np.arange(int(np.floor(centre)) - reach, int(np.floor(centre)) + reach + 1)
        x = np.abs(places - centre) / stretch
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = a * (((x - 5) * x + 8) * x - 4)
        kernel = np.where(x <= 1, near, np.where(x < 2, far, 0.0))
        inside = (places >= 0) & (places < old)
        kernel = np.where(inside, kernel, 0.0) if smooth else kernel
        np.add.at(weights[row], np.clip(places, 0, old - 1), kernel)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)


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
