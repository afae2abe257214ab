"""Attention between units of several tokens, such as words."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Members = Float[Array, "text token unit"]


def pooled(
    weights: Float[Array, "text *matrix token token"], members: Members | None
) -> Float[Array, "text *matrix unit unit"]:
    """Attention between units: weights to a unit's tokens are summed, weights from its tokens averaged."""
    if members is None:
        return weights
    # Tokens of each unit; units without a token get rows of 0 instead of 0 / 0.
    count = jnp.sum(members, axis=-2, keepdims=True)
    rows = members / jnp.where(count > 0, count, jnp.ones_like(count))
    highest = jax.lax.Precision.HIGHEST
    # Columns first, then rows: each row keeps its sum.
    to_units = jnp.einsum("t...qk,tkv->t...qv", weights, members, precision=highest)
    return jnp.einsum("t...qv,tqu->t...uv", to_units, rows, precision=highest)
