"""Amounts of flow below 1, added up and taken away so that a flow stays feasible in exact arithmetic."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from jaxflow.flow.device.minsum import unit_roundoff


class Sum(NamedTuple):
    """A sum of amounts below 1: multiples of 2^-23, which add up exactly, and the rest."""

    coarse: Array
    rest: Array


def less(capacity: Array, amount: Array) -> Array:
    """What is left of a capacity, rounded down."""
    left = jnp.maximum(capacity - amount, 0)
    # Dekker's fast two-sum: the difference is `left + error` exactly, so it is too much only where that is negative.
    error = (capacity - left) - amount
    return jnp.where(error < 0, left * (1 - 2 * unit_roundoff(capacity.dtype)), left)


def parts(amounts: Array) -> Sum:
    """Amounts cut in two, exactly."""
    grid = 2 * unit_roundoff(amounts.dtype)
    coarse = jnp.floor(amounts / grid) * grid
    return Sum(coarse, amounts - coarse)


def plus(one: Sum, other: Sum) -> Sum:
    """Both together."""
    return Sum(one.coarse + other.coarse, one.rest + other.rest)


def up(total: Sum, terms: int) -> Array:
    """A sum of that many terms, rounded up."""
    unit = unit_roundoff(total.coarse.dtype)
    return (total.coarse + total.rest * (1 + 2 * (terms + 2) * unit)) * (1 + 2 * unit)


def down(total: Sum, terms: int) -> Array:
    """A sum of that many terms, rounded down."""
    return nearly(total, terms) * (1 - 2 * unit_roundoff(total.coarse.dtype))


def nearly(total: Sum, terms: int) -> Array:
    """A sum of that many terms, at most one rounding above it."""
    return total.coarse + total.rest * max(1 - 2 * (terms + 2) * unit_roundoff(total.coarse.dtype), 0)
