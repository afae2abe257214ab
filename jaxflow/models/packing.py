"""Arithmetic on real tokens only.

All of a layer but attention itself treats tokens one by one, so in a padded batch most of it can run on the real
tokens alone, laid out in a row. On a processor, where a product takes time by its operations, that is worth what the
padding was; on an accelerator and over several devices it is not worth the moving about.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxflow._checks import is_traced
from jaxflow._pytree import pytree
from jaxflow.models.batch import TokenBatch

# Sizes are rounded up to eighths of the padded batch: few enough that few programs are compiled.
STEPS = 8
# Above this share of real tokens the moving costs what it saves.
WORTH = 0.8


@pytree
class Packing:
    """Where the rows of a packed batch stand in the padded one.

    Attributes:
        place: flat position of each row; positions beyond the last are fillers.
        row: the row of each flat position; padding's is one beyond the last row.
    """

    place: Int[Array, " row"]
    row: Int[Array, "*batch token"]

    def pack(self, x: Array, rest: int) -> Array:
        """Rows `(row, ...)` of a padded array `(*batch, token, ...)` with `rest` axes behind the tokens."""
        flat = x.reshape(-1, *x.shape[x.ndim - rest :])
        return flat.at[self.place].get(mode="clip")

    def spread(self, x: Array) -> Array:
        """The padded array `(*batch, token, ...)` of rows `(row, ...)`, 0 on padding."""
        return x.at[self.row].get(mode="fill", fill_value=0)


def packing_of(batch: TokenBatch) -> Packing | None:
    """The packing of a batch, where it pays: on a processor, in hand, with enough padding, which is on the right.

    Heads read the first token, so a batch padded on the left keeps its padding.
    """
    if not _in_hand(batch.mask):
        return None
    mask = np.asarray(batch.mask)
    size = math.ceil(STEPS * mask.mean() - 1e-9) * mask.size // STEPS if mask.size else 0
    if not 0 < size <= WORTH * mask.size or not mask[..., 0].all():
        return None
    return pack(mask, size)


def pack(mask: Any, size: int) -> Packing:
    """The packing of a mask into `size` rows, which must be at least its real tokens."""
    mask = np.asarray(mask)
    real = np.flatnonzero(mask)
    place = np.full(size, mask.size, np.int32)
    place[: len(real)] = real
    row = np.full(mask.size, size, np.int32)
    row[real] = np.arange(len(real))
    return Packing(jnp.asarray(place), jnp.asarray(row.reshape(mask.shape)))


def _in_hand(mask: Any) -> bool:
    if is_traced(mask) or not isinstance(mask, jax.Array):
        return False
    return len(mask.sharding.device_set) == 1 and next(iter(mask.sharding.device_set)).platform == "cpu"
