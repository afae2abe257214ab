"""Work in blocks, so that memory stays bounded whatever the number of pairs."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxflow._target import is_cpu
from jaxflow._typing import AtLayers, Capacity, Queries

Pairs = tuple[Int[Array, " pair"], Int[Array, " pair"], Int[Array, " pair"]]

# Numbers that one array of a block may hold; about ten are alive at once. On a CPU, what its caches hold: bounds of
# eight examples of 128 tokens then took a third of the time that they take in large blocks. Elsewhere, enough to keep
# the device busy.
BLOCK_NUMBERS, BLOCK_NUMBERS_ON_CPU = 1 << 22, 1 << 18


def block_numbers() -> int:
    """Numbers that one array of a block may hold, on the processor that programs are traced for."""
    return BLOCK_NUMBERS_ON_CPU if is_cpu() else BLOCK_NUMBERS


def map_blocks(function: Callable[..., Any], arguments: Any, numbers: int) -> Any:
    """`function` of blocks of the arguments' leading axis, which it keeps; `numbers` is what one entry holds at once.

    In reverse mode a block is computed again, so that only the arguments are kept.
    """
    # As many blocks as keep one block's array under the limit, of equal length: all run the same program.
    count = jax.tree.leaves(arguments)[0].shape[0]
    blocks = min(count, -(-count * numbers // block_numbers()))
    if blocks <= 1:
        return function(arguments)
    each = -(-count // blocks)

    def in_blocks(values: Array) -> Array:
        # The last block is filled up with the last entry.
        filled = jnp.concatenate([values, jnp.repeat(values[-1:], blocks * each - count, axis=0)])
        return filled.reshape(blocks, each, *values.shape[1:])

    # The map runs one block after the other, so that one block's arrays are alive at a time.
    by_block = jax.lax.map(jax.checkpoint(function), jax.tree.map(in_blocks, arguments))
    return jax.tree.map(lambda x: x.reshape(blocks * each, *x.shape[2:])[:count], by_block)


def block_size(shape: tuple[int, ...], pairs: int) -> int:
    """Number of pairs, each with the arcs of a graph of that shape, to work on at once."""
    return max(1, min(pairs, block_numbers() // (shape[-3] * shape[-1] ** 2)))


def listed_pairs(layers: Sequence[int], queries: Int[Array, " query"], tokens: int) -> Pairs:
    """Layer, query and token of every pair, in the order of `layer query token`."""
    shape = (len(layers), queries.shape[0], tokens)
    axes = (
        jnp.asarray(layers, dtype=jnp.int32)[:, None, None],
        queries[:, None],
        jnp.arange(tokens, dtype=jnp.int32),
    )
    layer, query, token = (jnp.broadcast_to(values, shape).reshape(-1) for values in axes)
    return layer, query, token


def map_pairs(
    function: Callable[[Array, Array, Array, Array], Float[Array, " pair"]],
    capacity: Capacity,
    queries: Queries,
    layers: list[int],
) -> AtLayers:
    """`function(capacity, layer, query, token)` of every pair, many pairs of one example at a time.

    One pair is taken to hold layer * token numbers an example.
    """
    shape = (len(layers), queries.shape[-1], capacity.shape[-1])
    pairs = listed_pairs(layers, jnp.arange(shape[1], dtype=jnp.int32), shape[2])

    def of_pairs(block: tuple[Array, Array, Array]) -> Float[Array, "pair ..."]:
        layer, index, token = block

        def of_example(capacity: Float[Array, "layer token token"], queries: Int[Array, " query"]) -> Array:
            return function(capacity, layer, queries[index], token)

        # Batch axes stay outside the block's: a block holds the same pairs of every example, each with its own queries.
        for _ in capacity.shape[:-3]:
            of_example = jax.vmap(of_example)
        return jnp.moveaxis(of_example(capacity, queries), -1, 0)

    by_pair = map_blocks(of_pairs, pairs, capacity[..., 0].size)
    return jnp.moveaxis(by_pair, 0, -1).reshape(*capacity.shape[:-3], *shape)
