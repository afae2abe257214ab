"""How far two distributions of attention are apart, and how spread out one is."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Rows = Float[Array, "*row key"]


@jax.jit
def jensen_shannon(first: Rows, second: Rows) -> Float[Array, "*row"]:
    """Jensen-Shannon distance of two distributions: the root of the divergence in bits, so from 0 to 1.

    `scipy.spatial.distance.jensenshannon(p, q, base=2)`, whole batches at once, under jit, vmap and grad.

    Args:
        first: rows that sum to 1; keys that are 0 in both (padding) add nothing.
        second: likewise, of the same shape.

    Returns:
        One distance a row; exactly 0 where the rows are equal.
    """
    # With m = (p + q) / 2 and x = (q - p) / (p + q) the divergence is 1/2 sum m g(x), where
    # g(x) = (1 - x) log(1 - x) + (1 + x) log(1 + x). Written as below g loses no digits for small x, where these two
    # terms cancel: the root would make a distance of 3e-4 out of float32's rounding.
    total = first + second
    x = (second - first) / jnp.where(total > 0, total, jnp.ones_like(total))
    inside = jnp.abs(x) < 1
    x = jnp.where(inside, x, jnp.zeros_like(x))
    g = jnp.where(inside, 2 * x * jnp.arctanh(x) + jnp.log1p(-x * x), jnp.full_like(x, 2 * math.log(2)))
    divergence = jnp.sum(total * g, axis=-1) / (4 * math.log(2))
    # The root's derivative is infinite at 0, and the distance's is 0 on the side of equal rows.
    positive = divergence > 0
    root = jnp.sqrt(jnp.where(positive, divergence, jnp.ones_like(divergence)))
    return jnp.where(positive, jnp.minimum(root, jnp.ones_like(root)), jnp.zeros_like(root))


@jax.jit
def total_variation(first: Rows, second: Rows) -> Float[Array, "*row"]:
    """Total variation of two distributions: the share of weight that would have to move, from 0 to 1."""
    return jnp.sum(jnp.abs(second - first), axis=-1) / 2


@jax.jit
def entropy(weights: Rows) -> Float[Array, "*row"]:
    """Entropy of each row in bits: 0 where all weight is on one key, `log2(n)` where it is even over n keys."""
    # 0 log 0 is 0, and its derivative no NaN.
    logs = jnp.log2(jnp.where(weights > 0, weights, jnp.ones_like(weights)))
    return -jnp.sum(weights * logs, axis=-1)


def mean_over_rows(values: Float[Array, "*some row"], rows: Bool[Array, "*#some row"]) -> Float[Array, "*some"]:
    """Mean over chosen rows; NaN where none is chosen."""
    # By a selection, as rows that are not chosen may hold NaN.
    count = jnp.sum(rows, axis=-1).astype(values.dtype)
    total = jnp.sum(jnp.where(rows, values, jnp.zeros_like(values)), axis=-1)
    return total / jnp.where(count > 0, count, jnp.full_like(count, jnp.nan))
