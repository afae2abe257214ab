"""Parts of an encoder-decoder's layers: attention from some positions to others, the feed-forward part, norms."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxflow.models.encoder.parts import ACTIVATIONS, Linear, Norm, root
from jaxflow.models.encoder_decoder.config import PairConfig

Hidden = Float[Array, "row token width"]
Probabilities = Float[Array, "row head token token"]
# Keys or values of attention.
Kept = Float[Array, "row key head head_width"]


def make_norm(config: PairConfig) -> Norm:
    """A norm of the family's kind."""
    return Norm(config.width, config.epsilon, rms=config.root_norm)


class Attention(nnx.Module):
    """Attention of some positions to others."""

    def __init__(self, config: PairConfig, rngs: nnx.Rngs):
        width, heads = (config.width,), (config.heads, config.head_width)
        self.query = Linear(width, heads, rngs, bias=config.bias)
        self.key = Linear(width, heads, rngs, bias=config.bias)
        self.value = Linear(width, heads, rngs, bias=config.bias)
        self.output = Linear(heads, width, rngs, bias=config.bias)
        self.scale = root(config.head_width, 1) if config.scaled else 1.0

    def __call__(
        self,
        hidden: Hidden,
        read: Hidden,
        allowed: Bool[Array, "row token token"],
        added: Float[Array, "head token token"] | None = None,
        shift: Probabilities | None = None,
    ) -> tuple[Hidden, Probabilities]:
        """The block's output, and its probabilities: 0 in rows that may look nowhere.

        Args:
            hidden: states that ask.
            read: states that are read.
            allowed: whether a position may read another.
            added: to the scores.
            shift: added to the probabilities.
        """
        return self.read(hidden, self.key(read), self.value(read), allowed, added, shift)

    def read(
        self,
        hidden: Float[Array, "row query width"],
        key: Kept,
        value: Kept,
        allowed: Bool[Array, "row query key"],
        added: Float[Array, "head query key"] | None = None,
        shift: Probabilities | None = None,
    ) -> tuple[Float[Array, "row query width"], Float[Array, "row head query key"]]:
        """The same of keys and values that are known."""
        query = self.query(hidden)
        product = partial(jnp.einsum, precision="highest")
        scores = product("rqhd,rkhd->rhqk", query * self.scale, key)
        scores = scores if added is None else scores + added
        allowed = allowed[:, None]
        # The least finite number, not -inf: a row that may look nowhere becomes even instead of NaN, and then 0.
        probabilities = jax.nn.softmax(jnp.where(allowed, scores, jnp.finfo(scores.dtype).min), axis=-1)
        probabilities = jnp.where(allowed, probabilities, jnp.zeros_like(probabilities))
        probabilities = probabilities if shift is None else probabilities + shift
        return self.output(product("rhqk,rkhd->rqhd", probabilities, value)), probabilities


class FeedForward(nnx.Module):
    """Two maps with an activation between them, which may gate a third."""

    def __init__(self, config: PairConfig, inner: int, rngs: nnx.Rngs):
        self.up = Linear((config.width,), (inner,), rngs, bias=config.bias)
        self.gate = Linear((config.width,), (inner,), rngs, bias=config.bias) if config.gated else None
        self.down = Linear((inner,), (config.width,), rngs, bias=config.bias)
        self.activation = config.activation

    def __call__(self, x: Hidden) -> Hidden:
        """Float32, of the same shape."""
        activation = ACTIVATIONS[self.activation]
        inner = activation(self.up(x)) if self.gate is None else activation(self.gate(x)) * self.up(x)
        return self.down(inner)


class EncoderLayer(nnx.Module):
    """Attention of sources to sources, then the feed-forward part."""

    def __init__(self, config: PairConfig, rngs: nnx.Rngs):
        self.attention, self.attention_norm = Attention(config, rngs), make_norm(config)
        self.feed_forward, self.output_norm = FeedForward(config, config.feed_forward[0], rngs), make_norm(config)


class DecoderLayer(nnx.Module):
    """Attention of targets to targets, then to sources, then the feed-forward part."""

    def __init__(self, config: PairConfig, rngs: nnx.Rngs):
        self.attention, self.attention_norm = Attention(config, rngs), make_norm(config)
        self.cross, self.cross_norm = Attention(config, rngs), make_norm(config)
        self.feed_forward, self.output_norm = FeedForward(config, config.feed_forward[1], rngs), make_norm(config)


def buckets_of(tokens: int, config: PairConfig, *, both_ways: bool) -> Array:
    """The bucket of each distance, `query key`: near ones apart, farther ones together by their logarithm (T5).

    Args:
        tokens: of a sequence.
        config: its number of buckets, and the distance from which on all share the last.
        both_ways: whether what follows has buckets of its own, half of all.
    """
    distance = jnp.arange(tokens)[None, :] - jnp.arange(tokens)[:, None]
    count = config.buckets // 2 if both_ways else config.buckets
    side = jnp.where(distance > 0, count, 0) if both_ways else jnp.zeros_like(distance)
    distance = jnp.abs(distance) if both_ways else jnp.maximum(-distance, 0)
    exact = count // 2
    # 0 has a bucket of its own, and no logarithm.
    ratio = jnp.log(jnp.maximum(distance, 1).astype(jnp.float32) / exact) / jnp.log(config.farthest / exact)
    far = jnp.minimum(exact + (ratio * (count - exact)).astype(jnp.int32), count - 1)
    return side + jnp.where(distance < exact, distance, far)
