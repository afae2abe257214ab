"""Similarity of all pairs of heads of a layer, and the pairing of two models' heads."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._checks import InputError
from jaxflow._pytree import pytree
from jaxflow._switches import broadcasting, undefined_as_nan
from jaxflow._typing import AnyArray, ArrayLike

Heads = Float[Array, "*batch head token token"]
Others = Float[Array, "*batch other token token"]
RealTokens = Bool[Array, "*batch token"]


@pytree
class Products:
    """Sums that give the correlation of heads; those of several texts add up.

    Attributes:
        cross: sum over rows and keys of the product of two heads' weights, `*batch head other`.
        first: the same for each head of the first model with itself.
        second: and for each of the second model.
    """

    cross: Float[Array, "*batch head other"]
    first: Float[Array, "*batch head"]
    second: Float[Array, "*batch other"]


@jax.jit
@broadcasting
def head_products(first: Heads, second: Others, mask: RealTokens) -> Products:
    """Sums of products of heads' weights less the even share, `A - 1/n`, over real rows and keys.

    Rows sum to 1, so the mean weight of a text is 1/n for every head: over one text this gives Pearson's correlation
    of all weights, and over several texts their lengths have no effect.
    """
    one, two = (_centred(weights, mask, keys=True) for weights in (first, second))
    return Products(_dot("hqk,gqk->hg", one, two), _square(one), _square(two))


def correlation(cross: AnyArray, first: AnyArray, second: AnyArray) -> Float[np.ndarray, "*layer head other"]:
    """Correlation of heads from the (summed) fields of `Products`; NaN where a head is even everywhere."""
    cross, first, second = (np.asarray(part, np.float64) for part in (cross, first, second))
    scale = np.sqrt(first[..., :, None] * second[..., None, :])
    return cross / np.where(scale > 0, scale, np.nan)


@undefined_as_nan
@jax.jit
@broadcasting
def linear_cka(first: Heads, second: Others, mask: RealTokens) -> Float[Array, "*batch head other"]:
    """Linear CKA of heads (Kornblith et al. 2019), a text's rows being the examples and its keys the features.

    `|X'Y|^2 / (|X'X| |Y'Y|)` with the columns of X and Y centred over rows: 1 where two heads tell positions apart in
    the same way, whichever keys they use for it. Taken within one text, so short texts give high values by chance;
    compare with those of other pairs of heads, not with 0.

    Returns:
        From 0 to 1; NaN where a head attends from all rows alike. Cost: head * token^3 + head^2 * token^2.
    """
    # <X'Y, X'Y> = <XX', YY'>: one Gram matrix a head instead of a product for each pair of heads.
    one, two = (_gram(_centred(weights, mask, keys=False)) for weights in (first, second))
    cross = _dot("hqk,gqk->hg", one, two)
    scale = jnp.sqrt(_square(one)[..., :, None] * _square(two)[..., None, :])
    return cross / jnp.where(scale > 0, scale, jnp.full_like(scale, jnp.nan))


def match_heads(similarity: ArrayLike) -> Int[np.ndarray, "layer head"]:
    """Pair each head of the first model with one of the second, each used once, for the largest sum of similarity.

    Args:
        similarity: `layer head other`, such as `correlation` or CKA; NaN counts as less than any other.

    Returns:
        Numbers of heads of the second model; -1 for a head that is left over where the second model has fewer.

    Raises:
        InputError: `similarity` has another shape.
    """
    # SciPy's solvers take a while to import.
    from scipy.optimize import linear_sum_assignment

    array = np.asarray(similarity, np.float64)
    if array.ndim != 3:
        raise InputError("similarity", "have shape (layer, head, other)", str(array.shape))
    # The solver takes no NaN: these entries get a value below all others.
    known = array[np.isfinite(array)]
    array = np.where(np.isfinite(array), array, (known.min() if known.size else 0.0) - 1.0)
    matched = np.full(array.shape[:2], -1, np.int64)
    for layer, weights in enumerate(array):
        # The pairing of largest sum (Hungarian method); with fewer others some rows are left out.
        rows, columns = linear_sum_assignment(weights, maximize=True)
        matched[layer, rows] = columns
    return matched


def _centred(
    weights: Float[Array, "*batch head token token"], mask: RealTokens, *, keys: bool
) -> Float[Array, "*batch head token token"]:
    """Weights less their mean, over a row's keys or over a key's rows, 0 on padding."""
    real = (mask[..., None, :, None] & mask[..., None, None, :]).astype(weights.dtype)
    count = jnp.maximum(jnp.sum(mask, axis=-1), 1).astype(weights.dtype)[..., None, None, None]
    weights = weights * real
    # The mean over real entries alone: padding is 0 and not counted.
    mean = jnp.sum(weights, axis=-1 if keys else -2, keepdims=True) / count
    return (weights - mean) * real


def _gram(rows: Float[Array, "*batch head token token"]) -> Float[Array, "*batch head token token"]:
    return jnp.einsum("...qk,...pk->...qp", rows, rows, precision=jax.lax.Precision.HIGHEST)


def _dot(letters: str, first: Array, second: Array) -> Array:
    left, right = letters.split("->")
    one, two = left.split(",")
    return jnp.einsum(f"...{one},...{two}->...{right}", first, second, precision=jax.lax.Precision.HIGHEST)


def _square(weights: Float[Array, "*batch head token token"]) -> Float[Array, "*batch head"]:
    return jnp.sum(weights * weights, axis=(-2, -1))
