"""The min-sum product as a Pallas kernel: a tile of sums stays in fast memory while blocks of the middle go by.

The plain version, compiled, holds one (query, token) array of sums in main memory, and reads and writes it for each
block of the middle. A tile here is read and written once for `AT_ONCE` blocks on a TPU, once for all on a GPU. Terms
are added in the plain version's order, so that the two agree in every bit.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Float

from jaxflow.flow.device.compensated import BLOCK, add_exactly, tree_sum

# Rows and columns of a tile: as a TPU's memory is cut; as many as a GPU's program of 4 warps holds in registers.
TILES = {"tpu": (128, 128), "cuda": (32, 64)}
# Blocks of the middle that a TPU reads at once: 128 terms, half a megabyte an operand.
AT_ONCE = 8


def tiled_min_sum(
    left: Float[Array, "*batch query middle"],
    right: Float[Array, "*batch middle token"],
    platform: str = "tpu",
    *,
    interpret: bool = False,
) -> Float[Array, "*batch query token"]:
    """`min_sum` in single precision, tile by tile.

    Args:
        left: non-negative entries.
        right: likewise.
        platform: whose tiles to use, "tpu" or "cuda".
        interpret: run the kernel step by step on any device, to test it.

    Returns:
        The same numbers as the plain version's. Cost: query * middle * token.
    """
    batch, (queries, tokens) = left.shape[:-2], (left.shape[-2], right.shape[-1])
    rows, columns = TILES[platform]
    count = -(-left.shape[-1] // BLOCK)
    # A GPU's programs run in no order, so each of them goes over the whole middle.
    at_once = AT_ONCE if platform == "tpu" else count
    count = -(-count // at_once) * at_once
    # Zeros add nothing: neither those behind the middle, nor rows and columns that are cut off again.
    lefts = _filled(left, {-1: count * BLOCK, -2: -(-queries // rows) * rows})
    rights = _filled(right, {-1: -(-tokens // columns) * columns, -2: count * BLOCK})
    # Blocks in front, so that a block is found by a leading index: `row count query block` and `row count block token`.
    lefts = jnp.moveaxis(lefts.reshape(-1, lefts.shape[-2], count, BLOCK), -2, -3)
    rights = rights.reshape(-1, count, BLOCK, rights.shape[-1])
    shape = (lefts.shape[0], lefts.shape[-2], rights.shape[-1])
    tile = pl.BlockSpec((None, rows, columns), lambda row, i, j, _: (row, i, j))
    total, lost = pl.pallas_call(
        partial(_add_blocks, at_once),
        grid=(shape[0], shape[1] // rows, shape[2] // columns, count // at_once),
        in_specs=[
            pl.BlockSpec((None, at_once, rows, BLOCK), lambda row, i, _, middle: (row, middle, i, 0)),
            pl.BlockSpec((None, at_once, BLOCK, columns), lambda row, _, j, middle: (row, middle, 0, j)),
        ],
        # The same tile for all of the middle, which a TPU takes in order.
        out_specs=[tile, tile],
        out_shape=[jax.ShapeDtypeStruct(shape, left.dtype)] * 2,
        compiler_params=_triton() if platform == "cuda" else None,
        interpret=interpret,
    )(lefts, rights)
    return (total + lost)[:, :queries, :tokens].reshape(*batch, queries, tokens)


def _add_blocks(at_once: int, left: Any, right: Any, total: Any, lost: Any) -> None:
    """Add some blocks of the middle to a tile's sums and to what rounding took from them."""

    @pl.when(pl.program_id(3) == 0)
    def _() -> None:
        total[...] = jnp.zeros_like(total)
        lost[...] = jnp.zeros_like(lost)

    def add(block: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        # A column of the left beside a row of the right: `query 1` and `1 token`.
        terms = [jnp.minimum(left[block, :, pl.ds(k, 1)], right[block, pl.ds(k, 1), :]) for k in range(BLOCK)]
        return add_exactly(*sums, tree_sum(terms))

    total[...], lost[...] = jax.lax.fori_loop(0, at_once, add, (total[...], lost[...]))


def _triton() -> Any:
    from jax.experimental.pallas import triton

    return triton.CompilerParams(num_warps=4, num_stages=1)


def _filled(array: Array, sizes: dict[int, int]) -> Array:
    """An array with zeros behind it, up to the given size of each axis."""
    widths = [(0, 0)] * array.ndim
    for axis, size in sizes.items():
        widths[axis] = (0, size - array.shape[axis])
    return jnp.pad(array, widths)
