"""The min-sum product: a matrix product with `*` replaced by `min`, with a rounding error that is known."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxflow._target import tpu_chips
from jaxflow._typing import Capacity
from jaxflow.flow.device.compensated import BLOCK, add_exactly, tree_sum

Left = Float[Array, "*batch query middle"]
Right = Float[Array, "*batch middle token"]
Product = Float[Array, "*batch query token"]


@jax.checkpoint
def min_sum(left: Left, right: Right) -> Product:
    """Sum over the middle of the smaller of the two: `out[i, j] = sum_k min(left[i, k], right[k, j])`.

    All entries must be non-negative. The relative error is at most `relative_error(dtype)`, up to 60,000 terms in
    single precision: blocks of 16 are added as a tree, and the blocks' sums with their rounding errors carried along,
    so that bounds made of this stay tight at any length. Concave in its arguments; where two are equal each gets half
    the derivative, which is one supergradient of several.

    Cost: query * middle * token, in memory of query * token; the derivative likewise, as only the arguments are kept.
    A TPU runs it as a kernel of its own (`minsum_kernel`), which gives the same numbers.
    """
    return _min_sum(left, right)


def relative_error(dtype: np.dtype) -> float:
    """Bound on the relative error of `min_sum`: four roundings in a tree of 16, one at the end, and what is left.

    What compensation leaves is at most half the square of the number of blocks times the unit roundoff squared: below
    half of one rounding up to 60,000 terms in single precision.
    """
    return 5.5 * unit_roundoff(dtype)


def unit_roundoff(dtype: np.dtype) -> float:
    """Largest relative error of one correctly rounded operation: 2^-24 in single precision."""
    return float(jnp.finfo(dtype).eps) / 2


def min_sum_up(left: Left, right: Right) -> Product:
    """`min_sum` rounded outward: never below the true product of the arguments."""
    # Two units more than the error: one for this product's own rounding, one to cover that 1 + x is rounded itself.
    return min_sum(left, right) * (1 + relative_error(left.dtype) + 2 * unit_roundoff(left.dtype))


def min_sum_down(left: Left, right: Right) -> Product:
    """`min_sum` rounded inward: never above the true product of the arguments."""
    return min_sum(left, right) * (1 - relative_error(left.dtype) - 2 * unit_roundoff(left.dtype))


def power_of_two(capacity: Capacity) -> Float[Array, "*batch 1 1 1"]:
    """The power of two next above every row's sum, in single precision not below 2^-100: dividing by it is exact."""
    largest = jnp.max(jnp.sum(jax.lax.stop_gradient(capacity), axis=-1, keepdims=True), axis=(-3, -2), keepdims=True)
    _, exponent = jnp.frexp(largest)
    highest = jnp.finfo(capacity.dtype).maxexp - 2
    return jnp.ldexp(jnp.ones_like(largest), jnp.clip(exponent, 26 - highest, highest))


@jax.custom_jvp
def _min_sum(left: Left, right: Right) -> Product:
    if left.dtype == jnp.float32 and _by_kernel():
        # Its import takes time that other devices need not spend.
        from jaxflow.flow.device.minsum_kernel import tiled_min_sum

        return jax.lax.platform_dependent(left, right, tpu=tiled_min_sum, default=_plain)
    return _plain(left, right)


def _by_kernel() -> bool:
    """Whether the program being traced runs on a TPU, and each device on its own part: kernels cannot be parted."""
    chips = tpu_chips()
    return chips == 1 or (chips > 1 and bool(jax.sharding.get_abstract_mesh().manual_axes))


def _plain(left: Left, right: Right) -> Product:
    # Axes: the middle one is cut into blocks, `count block *batch query` and `count block *batch token`. The scan holds
    # one (query, token) array of sums, never the (query, middle, token) of all minima.
    lefts, rights = _blocks(jnp.moveaxis(left, -1, 0)), _blocks(jnp.moveaxis(right, -2, 0))

    def step(carry: tuple[Array, Array], block: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        of_left, of_right = block
        terms = [jnp.minimum(of_left[k][..., :, None], of_right[k][..., None, :]) for k in range(BLOCK)]
        return add_exactly(*carry, tree_sum(terms)), None

    zero = jnp.zeros((*left.shape[:-1], right.shape[-1]), left.dtype)
    (total, lost), _ = jax.lax.scan(step, (zero, zero), (lefts, rights))
    return total + lost


@_min_sum.defjvp
def _min_sum_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    # d min(a, b) = [a < b] da + [b < a] db, and half of each at a tie, which min's superdifferential contains.
    left, right = primals
    d_left, d_right = tangents
    # Axes: `*batch query token middle`.
    row, column = left[..., :, None, :], jnp.swapaxes(right, -1, -2)[..., None, :, :]
    share = jnp.where(row == column, 0.5, (row < column).astype(left.dtype)).astype(left.dtype)
    d_row, d_column = d_left[..., :, None, :], jnp.swapaxes(d_right, -1, -2)[..., None, :, :]
    return _min_sum(left, right), jnp.sum(share * d_row + (1 - share) * d_column, axis=-1)


def _blocks(terms: Float[Array, "middle ..."]) -> Float[Array, "count block ..."]:
    """The middle axis cut into blocks, filled up with zeros, which add nothing."""
    fill = -terms.shape[0] % BLOCK
    filled = jnp.pad(terms, [(0, fill)] + [(0, 0)] * (terms.ndim - 1))
    return filled.reshape(-1, BLOCK, *terms.shape[1:])
