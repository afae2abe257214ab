"""Arithmetic on real tokens only.

All of a layer but attention treats tokens one by one, so in a padded batch it can run on the real tokens alone, laid
out in a row. On a processor this saves the share of padding; on accelerators and over several devices the moves cost
more than they save.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxflow._checks import is_traced
from jaxflow._pytree import pytree
from jaxflow._typing import ArrayLike
from jaxflow.models.batch import TokenBatch

# Sizes are rounded up to eighths of the padded batch: few enough that few programs are compiled.
STEPS = 8
# Above this share of real tokens the moves cost as much as they save.
WORTH = 0.8


@pytree
class Packing:
    """Positions of a packed batch's rows in the padded batch.

    Attributes:
        place: flat position of each row; positions beyond the last are fillers.
        row: the row of each flat position; padding's is one beyond the last row.
    """

    place: Int[Array, " row"]
    row: Int[Array, "*batch token"]

    def pack(self, x: Array, rest: int) -> Array:
        """Rows `(row, ...)` of a padded array `(*batch, token, ...)` with `rest` axes behind the tokens."""
        flat = x.reshape(-1, *x.shape[x.ndim - rest :])
        # Fillers' positions lie beyond the end; clipped, they repeat the last position, and nothing reads them back.
        return flat.at[self.place].get(mode="clip")

    def spread(self, x: Array) -> Array:
        """The padded array `(*batch, token, ...)` of rows `(row, ...)`, 0 on padding."""
        return x.at[self.row].get(mode="fill", fill_value=0)


def packing_of(batch: TokenBatch) -> Packing | None:
    """The packing of a batch, if it pays: a concrete one on a processor, with enough padding, on the right.

    Heads read the first token, so a batch padded on the left keeps its padding.
    """
    if not _in_hand(batch.mask):
        return None
    mask = np.asarray(batch.mask)
    # The least number of eighths that holds the real tokens; less a little, so that exact eighths stay.
    size = math.ceil(STEPS * mask.mean() - 1e-9) * mask.size // STEPS if mask.size else 0
    if not 0 < size <= WORTH * mask.size or not mask[..., 0].all():
        return None
    return pack(mask, size)


def pack(mask: ArrayLike, size: int) -> Packing:
    """The packing of a mask into `size` rows, which must be at least its real tokens."""
    mask = np.asarray(mask)
    real = np.flatnonzero(mask)
    # Out of range where there is no token, which `pack` and `spread` then clip or fill.
    place = np.full(size, mask.size, np.int32)
    place[: len(real)] = real
    row = np.full(mask.size, size, np.int32)
    row[real] = np.arange(len(real))
    return Packing(jnp.asarray(place), jnp.asarray(row.reshape(mask.shape)))


def _in_hand(mask: object) -> bool:
    if is_traced(mask) or not isinstance(mask, jax.Array):
        return False
    return len(mask.sharding.device_set) == 1 and next(iter(mask.sharding.device_set)).platform == "cpu"
