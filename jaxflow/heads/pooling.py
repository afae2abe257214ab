"""Attention between units of several tokens, such as words."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Members = Float[Array, "text token unit"]


def pooled(
    weights: Float[Array, "text *matrix token token"], members: Members | None
) -> Float[Array, "text *matrix unit unit"]:
    """Attention between units: what goes to a unit's tokens is summed, what its tokens attend to is averaged."""
    if members is None:
        return weights
    count = jnp.sum(members, axis=-2, keepdims=True)
    rows = members / jnp.where(count > 0, count, jnp.ones_like(count))
    highest = jax.lax.Precision.HIGHEST
    to_units = jnp.einsum("t...qk,tkv->t...qv", weights, members, precision=highest)
    return jnp.einsum("t...qv,tqu->t...uv", to_units, rows, precision=highest)
