"""Frozen dataclasses that JAX carries through its transformations."""

from dataclasses import dataclass, fields
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def pytree(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass and a pytree whose leaves are its fields.

    Unlike `jax.tree_util.register_dataclass`, rebuilding one does not call `__init__`: JAX puts axis numbers,
    shapes and placeholders where the arrays were, and shape checks on construction would refuse them.
    """
    made: Any = dataclass(frozen=True)(cls)
    names = tuple(field.name for field in fields(made))

    def flatten_with_keys(value: Any) -> tuple[list[tuple[Any, Any]], None]:
        return [(jax.tree_util.GetAttrKey(name), getattr(value, name)) for name in names], None

    def flatten(value: Any) -> tuple[list[Any], None]:
        return [getattr(value, name) for name in names], None

    def unflatten(_: None, leaves: Any) -> T:
        value = object.__new__(made)
        for name, leaf in zip(names, leaves, strict=True):
            object.__setattr__(value, name, leaf)
        return value

    jax.tree_util.register_pytree_with_keys(made, flatten_with_keys, unflatten, flatten)
    return made
