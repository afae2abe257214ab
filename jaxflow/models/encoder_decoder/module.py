"""The module: both sides over sources and targets as one sequence, each layer moving its own stream."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from jaxflow.models.batch import LayerOutput, TokenBatch
from jaxflow.models.encoder.parts import Linear, Table, precision
from jaxflow.models.encoder_decoder.config import PairConfig
from jaxflow.models.encoder_decoder.parts import DecoderLayer, EncoderLayer, Hidden, buckets_of, make_norm
from jaxflow.models.forward import ForwardOptions
from jaxflow.models.model import Visit
from jaxflow.models.two_streams import TARGET

CarryT = TypeVar("CarryT")


class Side(nnx.Module):
    """The encoder or the decoder: its layers, stacked, and what stands around them."""

    def __init__(self, config: PairConfig, layer: Any, count: int, rngs: nnx.Rngs):
        keys = jax.random.split(rngs.params(), count)
        self.layers = nnx.vmap(lambda key: layer(config, nnx.Rngs(params=key)), in_axes=0, out_axes=0)(keys)
        self.positions = Table(config.positions, config.width, rngs) if config.positions else None
        self.distances = Table(config.buckets, config.heads, rngs) if config.buckets else None
        self.embedding_norm = make_norm(config) if config.embedding_norm else None
        self.final_norm = make_norm(config) if config.pre_norm else None
        self.offset = config.position_offset

    def inputs(self, words: Hidden, places: Int[Array, "row token"]) -> Hidden:
        """The first layer's input."""
        states = words if self.positions is None else words + self.positions(places + self.offset)
        return states if self.embedding_norm is None else self.embedding_norm(states)

    def added(self, tokens: int, config: PairConfig, *, both_ways: bool) -> Float[Array, "head token token"] | None:
        """What every layer adds to its scores for the distance of two positions."""
        if self.distances is None:
            return None
        return jnp.moveaxis(self.distances(buckets_of(tokens, config, both_ways=both_ways)), -1, 0)


class PairModule(nnx.Module):
    """An encoder-decoder: a pytree, as `Module` says.

    A row of a batch holds sources, then targets, then padding. Cost: in each layer that of attention among all of them.
    """

    def __init__(self, config: PairConfig, rngs: nnx.Rngs):
        self.config = config
        self.words = Table(config.vocabulary, config.width, rngs)
        self.encoder = Side(config, EncoderLayer, config.encoder_layers, rngs)
        self.decoder = Side(config, DecoderLayer, config.decoder_layers, rngs)
        self.head = None if config.tied else Linear((config.width,), (config.vocabulary,), rngs, bias=False)
        self.bias = nnx.Param(jnp.zeros(config.vocabulary)) if config.output_bias else None

    @property
    def depth(self) -> int:
        """Layers of the graph: the encoder's, and two for each of the decoder's."""
        return self.config.layers

    @property
    def heads(self) -> int:
        """How many attention heads each layer has."""
        return self.config.heads

    def run(
        self, batch: TokenBatch, visit: Visit[CarryT], carry: CarryT, options: ForwardOptions
    ) -> tuple[Hidden, CarryT]:
        """Run the layers, each handed to `visit` as it comes."""
        config, tokens = self.config, batch.mask.shape[-1]
        targets = batch.mask & (batch.segments == TARGET)
        sources = batch.mask & ~targets
        # Targets count their places behind the sources.
        places = jnp.arange(tokens)[None, :] - jnp.where(targets, jnp.sum(sources, axis=-1)[:, None], 0)
        # Padding may reach beyond the last position, whose row is no number, and a share of 0 of that is none either.
        places = jnp.where(batch.mask, places, 0)
        words = self.words(batch.input_ids) * config.embedding_scale
        hidden = _of(targets, self.decoder.inputs(words, places), self.encoder.inputs(words, places))
        shift = options.attention_shift
        # Layers in front: layer row head query key.
        shift = None if shift is None else jnp.moveaxis(shift, -4, 0)
        below = None if shift is None else shift[: config.encoder_layers]
        above = None if shift is None else shift[config.encoder_layers :].reshape(-1, 2, *shift.shape[1:])
        hidden, carry = self._encode(hidden, sources, visit, carry, below)
        if self.encoder.final_norm is not None:
            hidden = _of(sources, self.encoder.final_norm(hidden), hidden)
        hidden, carry = self._decode(hidden, sources, targets, visit, carry, above)
        if self.decoder.final_norm is not None:
            hidden = _of(targets, self.decoder.final_norm(hidden), hidden)
        return hidden, carry

    def _encode(
        self, hidden: Hidden, sources: Bool[Array, "row token"], visit: Visit[Any], carry: Any, shift: Array | None
    ) -> tuple[Hidden, Any]:
        """The encoder's layers: sources move, and targets stay as they are."""
        added = self.encoder.added(sources.shape[-1], self.config, both_ways=True)
        allowed = sources[:, :, None] & sources[:, None, :]

        def step(state: tuple[Hidden, Any], slices: tuple[Any, ...]) -> tuple[tuple[Hidden, Any], None]:
            (hidden, carry), (layer, index, shift) = state, slices
            before, behind = _norms(self.config)
            norm = layer.attention_norm
            states = before(norm, hidden)
            update, attention = layer.attention(states, states, allowed, added, shift)
            moved = self._fed(layer, behind(norm, hidden + update))
            hidden = _of(sources, moved, hidden)
            return (hidden, visit(carry, LayerOutput(index, hidden, attention, moves=sources))), None

        numbers = jnp.arange(self.config.encoder_layers, dtype=jnp.int32)
        state, _ = jax.lax.scan(step, (hidden, carry), (self.encoder.layers, numbers, shift))
        return state

    def _decode(
        self,
        hidden: Hidden,
        sources: Bool[Array, "row token"],
        targets: Bool[Array, "row token"],
        visit: Visit[Any],
        carry: Any,
        shift: Array | None,
    ) -> tuple[Hidden, Any]:
        """The decoder's layers, of which each is two: targets move, and sources stay as the encoder left them."""
        tokens = sources.shape[-1]
        added = self.decoder.added(tokens, self.config, both_ways=False)
        earlier = targets[:, :, None] & targets[:, None, :] & jnp.tri(tokens, dtype=bool)
        across = targets[:, :, None] & sources[:, None, :]

        def step(state: tuple[Hidden, Any], slices: tuple[Any, ...]) -> tuple[tuple[Hidden, Any], None]:
            (hidden, carry), (layer, number, shift) = state, slices
            before, behind = _norms(self.config)
            states = before(layer.attention_norm, hidden)
            update, attention = layer.attention(states, states, earlier, added, None if shift is None else shift[0])
            hidden = _of(targets, behind(layer.attention_norm, hidden + update), hidden)
            index = self.config.encoder_layers + 2 * number
            carry = visit(carry, LayerOutput(index, hidden, attention, moves=targets))
            asking = before(layer.cross_norm, hidden)
            update, attention = layer.cross(asking, hidden, across, None, None if shift is None else shift[1])
            moved = self._fed(layer, behind(layer.cross_norm, hidden + update))
            hidden = _of(targets, moved, hidden)
            return (hidden, visit(carry, LayerOutput(index + 1, hidden, attention, moves=targets))), None

        numbers = jnp.arange(self.config.decoder_layers, dtype=jnp.int32)
        state, _ = jax.lax.scan(step, (hidden, carry), (self.decoder.layers, numbers, shift))
        return state

    def _fed(self, layer: Any, hidden: Hidden) -> Hidden:
        """The states behind the feed-forward part."""
        before, behind = _norms(self.config)
        return behind(layer.output_norm, hidden + layer.feed_forward(before(layer.output_norm, hidden)))

    def logits(self, hidden: Hidden, batch: TokenBatch) -> Float[Array, "row vocabulary"]:
        """What the last target says of the next one."""
        last = jnp.sum(batch.mask, axis=-1, dtype=jnp.int32) - 1
        states = jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0] * self.config.output_scale
        if self.head is not None:
            scores = self.head(states)
        else:
            table = self.words.table[...]
            scores = jax.lax.dot_general(
                states.astype(table.dtype),
                table,
                (((1,), (1,)), ((), ())),
                precision=precision(table.dtype),
                preferred_element_type=jnp.float32,
            )
        return scores if self.bias is None else scores + self.bias[...].astype(jnp.float32)


def _of(chosen: Bool[Array, "row token"], states: Hidden, others: Hidden) -> Hidden:
    """States of the chosen positions, and of the others what they were."""
    return jnp.where(chosen[..., None], states, others)


def _norms(config: PairConfig) -> tuple[Any, Any]:
    """A norm's function before its block and behind the sum: it is applied at one, skipped at the other."""
    apply, skip = (lambda norm, x: norm(x)), (lambda norm, x: x)
    return (apply, skip) if config.pre_norm else (skip, apply)
