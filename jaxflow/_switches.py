"""JAX's debugging switches, which look for mistakes, turned off for what the library does on purpose.

Broadcasting over leading axes, NaN for undefined values, and infinities for missing bounds are not mistakes here.
Elsewhere, and in the user's own programs, the switches stay as they are.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
T = TypeVar("T")


def broadcasting(function: Callable[P, T]) -> Callable[P, T]:
    """A function that broadcasts over leading axes, also under `jax_numpy_rank_promotion`. Stands inside `jax.jit`."""

    # Shapes are known while a function is traced, so the switch is set within.
    @wraps(function)
    def allowed(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.numpy_rank_promotion("allow"):
            return function(*args, **kwargs)

    return allowed


def undefined_as_nan(function: Callable[P, T]) -> Callable[P, T]:
    """A compiled function whose NaN says "not defined", also under `jax_debug_nans`. Stands outside `jax.jit`."""

    # Values are known when a program has run, so the switch is set around it.
    @wraps(function)
    def allowed(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.debug_nans(False):
            return function(*args, **kwargs)

    return allowed


def unbounded_as_infinite(function: Callable[P, T]) -> Callable[P, T]:
    """A compiled function that uses infinities within, also under `jax_debug_infs`. Stands outside `jax.jit`."""

    @wraps(function)
    def allowed(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.debug_infs(False):
            return function(*args, **kwargs)

    return allowed
