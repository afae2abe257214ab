"""Work in blocks, so that memory stays bounded whatever the number of pairs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

# Numbers that one array of a block may hold; about ten are alive at once.
BLOCK_NUMBERS = 1 << 22


def map_blocks(function: Callable[..., Any], arguments: Any, numbers: int) -> Any:
    """`function` of blocks of the arguments' leading axis, which it keeps; `numbers` is what one entry holds at once.

    In reverse mode a block is computed again, so that only the arguments are kept.
    """
    count = jax.tree.leaves(arguments)[0].shape[0]
    blocks = min(count, -(-count * numbers // BLOCK_NUMBERS))
    if blocks <= 1:
        return function(arguments)
    each = -(-count // blocks)

    def in_blocks(values: Array) -> Array:
        # The last block is filled up with the last entry.
        filled = jnp.concatenate([values, jnp.repeat(values[-1:], blocks * each - count, axis=0)])
        return filled.reshape(blocks, each, *values.shape[1:])

    found = jax.lax.map(jax.checkpoint(function), jax.tree.map(in_blocks, arguments))
    return jax.tree.map(lambda x: x.reshape(blocks * each, *x.shape[2:])[:count], found)
