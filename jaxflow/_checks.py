"""Errors for users, raised on the host: one line that names what was wrong and the way out.

Values are looked at only where they are in hand. Under `jax.jit`, `vmap` or `grad` an array has a shape and no
values yet, so shapes are checked there and values are taken as given.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.core
import numpy as np


class InputError(ValueError):
    """What the caller passed cannot be used; the message says what, and what to do instead."""


def is_traced(*values: Any) -> bool:
    """Whether any of the values stands for an array inside a JAX transformation, so that it cannot be read."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def one_of(name: str, value: Any, options: Sequence[str]) -> None:
    """Refuse a value that is not among the options."""
    if not isinstance(value, str) or value not in options:
        raise InputError(f"`{name}` must be one of {', '.join(map(repr, options))}, got {value!r}")


def first_index(where: np.ndarray) -> tuple[int, ...]:
    """Index of the first true entry, as plain integers."""
    return tuple(int(i) for i in np.argwhere(where)[0])


def index_words(index: Sequence[int], axes: Sequence[str]) -> str:
    """An index in words: `example 3, layer 1, head 0`. What stands before the named axes is the example's index.

    Layers are counted from 1, as everywhere in the interface.
    """
    batch, named = index[: len(index) - len(axes)], index[len(index) - len(axes) :]
    words = [f"example {', '.join(map(str, batch))}"] if batch else []
    words += [f"{axis} {i + 1 if axis == 'layer' else i}" for axis, i in zip(axes, named, strict=True)]
    return ", ".join(words)


def missing_extra(package: str, extra: str, purpose: str) -> InputError:
    """The error for an optional package that is not installed."""
    return InputError(f"{purpose} needs the package {package!r}; install it with: pip install 'jaxflow[{extra}]'")
