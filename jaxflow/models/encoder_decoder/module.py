"""The module: both sides over sources and targets as one sequence, each layer moving its own stream."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxflow.models.batch import LayerOutput, TokenBatch
from jaxflow.models.encoder.parts import Linear, Norm, Table, around_block, precision
from jaxflow.models.encoder_decoder.config import PairConfig
from jaxflow.models.encoder_decoder.continuing import KeptTargets, kept_sources
from jaxflow.models.encoder_decoder.parts import DecoderLayer, EncoderLayer, Hidden, buckets_of, make_norm
from jaxflow.models.forward import ForwardOptions
from jaxflow.models.model import Visit
from jaxflow.models.two_streams import TARGET

CarryT = TypeVar("CarryT")
# What a block gives beside its update of the states.
RestT = TypeVar("RestT")


class Stack(nnx.Module):
    """The encoder or the decoder: its layers, stacked, and what stands around them."""

    def __init__(self, config: PairConfig, layer: Callable[..., nnx.Module], count: int, rngs: nnx.Rngs):
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
        self.encoder = Stack(config, EncoderLayer, config.encoder_layers, rngs)
        self.decoder = Stack(config, DecoderLayer, config.decoder_layers, rngs)
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
        config = self.config
        targets = batch.mask & (batch.segments == TARGET)
        sources = batch.mask & ~targets
        hidden = self._inputs(batch, sources, targets)
        shift = options.attention_shift
        # Layers in front: layer row head query key.
        shift = None if shift is None else jnp.moveaxis(shift, -4, 0)
        below = None if shift is None else shift[: config.encoder_layers]
        above = None if shift is None else shift[config.encoder_layers :].reshape(-1, 2, *shift.shape[1:])
        hidden, carry = self._encode(hidden, sources, visit, carry, below)
        hidden, carry = self._decode(hidden, sources, targets, visit, carry, above)
        if self.decoder.final_norm is not None:
            hidden = _of(targets, self.decoder.final_norm(hidden), hidden)
        return hidden, carry

    def _inputs(
        self, batch: TokenBatch, sources: Bool[Array, "row token"], targets: Bool[Array, "row token"]
    ) -> Hidden:
        """Each side's first input."""
        tokens = batch.mask.shape[-1]
        # Targets count their places behind the sources.
        places = jnp.arange(tokens)[None, :] - jnp.where(targets, jnp.sum(sources, axis=-1)[:, None], 0)
        # Padding may reach beyond the last position, whose row is no number, and a share of 0 of that is none either.
        places = jnp.where(batch.mask, places, 0)
        words = self.words(batch.input_ids) * self.config.embedding_scale
        return _of(targets, self.decoder.inputs(words, places), self.encoder.inputs(words, places))

    def begin(self, batch: TokenBatch, room: int) -> tuple[Float[Array, "row vocabulary"], KeptTargets]:
        """Scores of the target behind the first one, the batch's last token, and what is kept; see `Continues`."""
        targets = batch.mask & (batch.segments == TARGET)
        sources = batch.mask & ~targets
        hidden, _ = self._encode(self._inputs(batch, sources, targets), sources, lambda carry, _: carry, None, None)
        kept = kept_sources(self.decoder.layers, hidden, sources, room)
        return self.follow(batch.input_ids[:, -1], jnp.ones(len(sources), bool), kept)

    def follow(
        self, ids: Int[Array, " row"], real: Bool[Array, " row"], kept: KeptTargets
    ) -> tuple[Float[Array, "row vocabulary"], KeptTargets]:
        """Scores of the target behind one more; see `Continues`."""
        room = kept.keys.shape[2]
        # A row that is done may go on beyond the last position.
        place = jnp.where(real, kept.place, jnp.zeros_like(kept.place))
        hidden = self.decoder.inputs(self.words(ids[:, None]) * self.config.embedding_scale, place[:, None])
        added = self.decoder.added(room, self.config, both_ways=False)
        added = None if added is None else jax.lax.dynamic_slice_in_dim(added, kept.place, 1, 1)
        allowed = jnp.broadcast_to(jnp.arange(room) <= kept.place, (len(ids), 1, room))

        def step(state: tuple[Hidden, Array, Array], slices: PyTree) -> tuple[tuple[Hidden, Array, Array], None]:
            (hidden, keys, values), (layer, number, cross_key, cross_value) = state, slices

            def own(states: Hidden) -> tuple[Hidden, tuple[Array, Array]]:
                # The one target's key and value into their place among those of all layers.
                where = (number, 0, kept.place, 0, 0)
                room = (
                    jax.lax.dynamic_update_slice(keys, layer.attention.key(states)[None], where),
                    jax.lax.dynamic_update_slice(values, layer.attention.value(states)[None], where),
                )
                return layer.attention.read(states, *(each[number] for each in room), allowed, added)[0], room

            def across(states: Hidden) -> tuple[Hidden, Array]:
                return layer.cross.read(states, cross_key, cross_value, kept.sources[:, None])

            hidden, (keys, values) = self._around(layer.attention_norm, hidden, own)
            hidden, _ = self._around(layer.cross_norm, hidden, across)
            return (self._fed(layer, hidden), keys, values), None

        numbers = jnp.arange(self.config.decoder_layers, dtype=jnp.int32)
        state = hidden, kept.keys, kept.values
        (hidden, keys, values), _ = jax.lax.scan(step, state, (self.decoder.layers, numbers, *kept.cross))
        hidden = hidden if self.decoder.final_norm is None else self.decoder.final_norm(hidden)
        kept = KeptTargets(kept.sources, kept.cross, keys, values, kept.place + 1)
        return self.scores(hidden[:, 0]), kept

    def _encode(
        self,
        hidden: Hidden,
        sources: Bool[Array, "row token"],
        visit: Visit[CarryT],
        carry: CarryT,
        shift: Array | None,
    ) -> tuple[Hidden, CarryT]:
        """The encoder's layers, and its last norm: sources move, and targets stay as they are."""
        added = self.encoder.added(sources.shape[-1], self.config, both_ways=True)
        allowed = sources[:, :, None] & sources[:, None, :]

        def step(state: tuple[Hidden, CarryT], slices: tuple[PyTree, ...]) -> tuple[tuple[Hidden, CarryT], None]:
            (hidden, carry), (layer, index, shift) = state, slices
            moved, attention = self._around(
                layer.attention_norm, hidden, lambda states: layer.attention(states, states, allowed, added, shift)
            )
            hidden = _of(sources, self._fed(layer, moved), hidden)
            return (hidden, visit(carry, LayerOutput(index, hidden, attention, moves=sources))), None

        numbers = jnp.arange(self.config.encoder_layers, dtype=jnp.int32)
        (hidden, carry), _ = jax.lax.scan(step, (hidden, carry), (self.encoder.layers, numbers, shift))
        norm = self.encoder.final_norm
        return (hidden if norm is None else _of(sources, norm(hidden), hidden)), carry

    def _decode(
        self,
        hidden: Hidden,
        sources: Bool[Array, "row token"],
        targets: Bool[Array, "row token"],
        visit: Visit[CarryT],
        carry: CarryT,
        shift: Array | None,
    ) -> tuple[Hidden, CarryT]:
        """The decoder's layers, of which each is two: targets move, and sources stay as the encoder left them."""
        tokens = sources.shape[-1]
        added = self.decoder.added(tokens, self.config, both_ways=False)
        earlier = targets[:, :, None] & targets[:, None, :] & jnp.tri(tokens, dtype=bool)
        across = targets[:, :, None] & sources[:, None, :]

        def step(state: tuple[Hidden, CarryT], slices: tuple[PyTree, ...]) -> tuple[tuple[Hidden, CarryT], None]:
            (hidden, carry), (layer, number, shift) = state, slices
            own_shift, cross_shift = (None, None) if shift is None else shift
            moved, attention = self._around(
                layer.attention_norm, hidden, lambda states: layer.attention(states, states, earlier, added, own_shift)
            )
            hidden = _of(targets, moved, hidden)
            index = self.config.encoder_layers + 2 * number
            carry = visit(carry, LayerOutput(index, hidden, attention, moves=targets))
            # Sources are read as the encoder left them, without the norm that stands before the block.
            read = hidden
            moved, attention = self._around(
                layer.cross_norm, hidden, lambda states: layer.cross(states, read, across, None, cross_shift)
            )
            hidden = _of(targets, self._fed(layer, moved), hidden)
            return (hidden, visit(carry, LayerOutput(index + 1, hidden, attention, moves=targets))), None

        numbers = jnp.arange(self.config.decoder_layers, dtype=jnp.int32)
        state, _ = jax.lax.scan(step, (hidden, carry), (self.decoder.layers, numbers, shift))
        return state

    def _fed(self, layer: Any, hidden: Hidden) -> Hidden:
        """The states behind the feed-forward part."""
        return self._around(layer.output_norm, hidden, lambda states: (layer.feed_forward(states), None))[0]

    def _around(
        self, norm: Norm, hidden: Hidden, block: Callable[[Hidden], tuple[Hidden, RestT]]
    ) -> tuple[Hidden, RestT]:
        """The states behind a block, and what else it gives; the norm stands before the block or behind the sum."""
        before, behind = around_block(self.config.pre_norm)
        update, rest = block(before(norm, hidden))
        return behind(norm, hidden + update), rest

    def logits(self, hidden: Hidden, batch: TokenBatch) -> Float[Array, "row vocabulary"]:
        """What the last target says of the next one."""
        last = jnp.sum(batch.mask, axis=-1, dtype=jnp.int32) - 1
        return self.scores(jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0])

    def scores(self, states: Float[Array, "*place width"]) -> Float[Array, "*place vocabulary"]:
        """What states behind the last norm say of the target behind each."""
        states = states * self.config.output_scale
        if self.head is not None:
            scores = self.head(states)
        else:
            table = self.words.table[...]
            scores = jax.lax.dot_general(
                states.astype(table.dtype),
                table,
                (((states.ndim - 1,), (1,)), ((), ())),
                precision=precision(table.dtype),
                preferred_element_type=jnp.float32,
            )
        return scores if self.bias is None else scores + self.bias[...].astype(jnp.float32)


def _of(chosen: Bool[Array, "row token"], states: Hidden, others: Hidden) -> Hidden:
    """States of the chosen positions, and of the others what they were."""
    return jnp.where(chosen[..., None], states, others)
