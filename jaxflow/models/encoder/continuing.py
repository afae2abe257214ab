"""A decoder that keeps keys and values: each new token runs alone, and looks back at those that are kept."""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxflow._pytree import pytree
from jaxflow.models.batch import TokenBatch
from jaxflow.models.config import EncoderConfig
from jaxflow.models.encoder.embeddings import counted
from jaxflow.models.encoder.layer import FewHeads, KeptHeads
from jaxflow.models.encoder.positions import Reach, places, settings_of

# New tokens' states, and the keys and values of all layers.
States: TypeAlias = tuple[Array, Array, Array]


@pytree
class KeptTokens:
    """Keys and values of the tokens so far, texts ending at the same place; heads that share them hold them once.

    Attributes:
        keys: of each layer, normalised and turned.
        values: of each layer.
        mask: true on real tokens.
        place: of the next token.
    """

    keys: Float[Array, "layer row place few head_width"]
    values: Float[Array, "layer row place few head_width"]
    mask: Bool[Array, "row place"]
    place: Int[Array, ""]


def begin(module: Any, batch: TokenBatch, room: int) -> tuple[Float[Array, "row vocabulary"], KeptTokens]:
    """What a decoder, an `Encoder`, says of the token behind each text, padded on the right, with room for more."""
    ids, mask = _ending_together(batch.input_ids, batch.mask)
    rows, length = mask.shape
    return _said(module, *_extended(module, _nothing(module.config, rows, length + room), ids, mask, length))


def follow(
    module: Any, ids: Int[Array, " row"], real: Bool[Array, " row"], kept: KeptTokens
) -> tuple[Float[Array, "row vocabulary"], KeptTokens]:
    """What it says behind one more token of each text; `real` are the texts that have one."""
    return _said(module, *_extended(module, kept, ids[:, None], real[:, None], kept.mask.shape[-1]))


def _said(
    module: Any, hidden: Float[Array, "row 1 width"], kept: KeptTokens
) -> tuple[Float[Array, "row vocabulary"], KeptTokens]:
    return module.head(hidden, module.embeddings.words.table[...], None), kept


def _nothing(config: EncoderConfig, rows: int, room: int) -> KeptTokens:
    """Room for the keys and values of so many tokens of each text."""
    zeros = jnp.zeros((config.layers, rows, room, config.key_heads, config.head_width), jnp.float32)
    return KeptTokens(zeros, zeros, jnp.zeros((rows, room), bool), jnp.int32(0))


def _ending_together(
    ids: Int[Array, "row token"], mask: Bool[Array, "row token"]
) -> tuple[Int[Array, "row token"], Bool[Array, "row token"]]:
    """Texts padded on the left, from texts padded on the right."""
    length, sizes = mask.shape[-1], jnp.sum(mask, axis=-1, keepdims=True, dtype=jnp.int32)
    turned = (jnp.arange(length, dtype=jnp.int32) + sizes) % length
    return jnp.take_along_axis(ids, turned, axis=-1), jnp.arange(length) >= length - sizes


def _extended(
    module: Any, kept: KeptTokens, ids: Int[Array, "row new"], real: Bool[Array, "row new"], seen: int
) -> tuple[Float[Array, "row 1 width"], KeptTokens]:
    """Run new tokens of each text.

    Args:
        module: the decoder, an `Encoder`.
        kept: of the tokens before them.
        ids: of the new tokens.
        real: which of them are no padding.
        seen: how many places of `kept` they look at, their own included.

    Returns:
        The last new token's state behind the last layer, and what is kept then.
    """
    config, new, start = module.config, ids.shape[-1], kept.place
    mask = jax.lax.dynamic_update_slice_in_dim(kept.mask, real, start, 1)
    counts = jax.lax.dynamic_slice_in_dim(counted(mask), start, new, 1)
    batch = TokenBatch(ids, real, jnp.zeros_like(ids))
    hidden = module.embeddings(module.embed(ids), batch, counts=counts)
    shared = places(config, kept.mask.shape[-1])
    assert shared is not None
    ahead = jax.lax.dynamic_slice_in_dim(shared.ahead, start, new, 0)[:, :seen]
    turns = None if shared.turns is None else jax.lax.dynamic_slice_in_dim(shared.turns, start, new, -2)
    windows, kinds = settings_of(config)

    def step(state: States, slices: tuple[PyTree, ...]) -> tuple[States, None]:
        hidden, keys, values = state
        layer, index, window, kind = slices
        reach = Reach(ahead, window, None if turns is None else turns[kind])
        allowed = mask[:, None, None, :seen] & reach.allowed(config.causal)
        rooms = [keys, values]

        def keep(key: FewHeads, value: FewHeads) -> tuple[KeptHeads, KeptHeads]:
            for number, part in enumerate((key, value)):
                # Written where it lies: one token a layer, not the whole room.
                rooms[number] = jax.lax.dynamic_update_slice(rooms[number], part[None], (index, 0, start, 0, 0))
            kept_keys, kept_values = (jax.lax.dynamic_index_in_dim(room, index, 0, keepdims=False) for room in rooms)
            return kept_keys[:, :seen], kept_values[:, :seen]

        hidden = layer.continued(hidden, keep, allowed, reach.turn)
        return (hidden, rooms[0], rooms[1]), None

    state: States = hidden, kept.keys, kept.values
    numbers = jnp.arange(config.layers, dtype=jnp.int32)
    if isinstance(module.layers, nnx.List):
        for index, row in enumerate(config.rows):
            each = (numbers[index], *(None if all_ is None else all_[index] for all_ in (windows, kinds)))
            state, _ = step(state, (module.layers[row], *each))
    else:
        state, _ = jax.lax.scan(step, state, (module.layers, numbers, windows, kinds))
    hidden, keys, values = state
    hidden = hidden[:, -1:] if module.final_norm is None else module.final_norm(hidden[:, -1:])
    return hidden, KeptTokens(keys, values, mask, start + new)
