"""Frozen dataclasses that JAX carries through its transformations."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


def static_field(*, default: Any) -> Any:
    """A field that programs are compiled for, such as a flag; hashable."""
    return field(default=default, metadata={"static": True})


@dataclass_transform(frozen_default=True, field_specifiers=(field, static_field))
def pytree(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass and a pytree whose leaves are its fields, but for those that are `static_field`s.

    Unlike `jax.tree_util.register_dataclass`, rebuilding one does not call `__init__`: JAX puts axis numbers,
    shapes and placeholders where the arrays were, and shape checks on construction would refuse them.
    """
    made: Any = dataclass(frozen=True, repr=False)(cls)
    if "__repr__" not in vars(cls):
        # Numbers of whole batches would fill a screen; and none are there while JAX transforms.
        made.__repr__ = _without_numbers
    names = tuple(each.name for each in fields(made) if not each.metadata.get("static"))
    static = tuple(each.name for each in fields(made) if each.metadata.get("static"))

    # Leaves are arrays; static fields go along as the structure, by which programs are told apart.
    def flatten_with_keys(value: T) -> tuple[list[tuple[object, object]], tuple[object, ...]]:
        leaves = [(jax.tree_util.GetAttrKey(name), getattr(value, name)) for name in names]
        return leaves, tuple(getattr(value, name) for name in static)

    def flatten(value: T) -> tuple[list[object], tuple[object, ...]]:
        return [getattr(value, name) for name in names], tuple(getattr(value, name) for name in static)

    def unflatten(constants: Iterable[object], leaves: Iterable[object]) -> T:
        # Past `__init__` and past the frozen class's own refusal.
        value = object.__new__(made)
        for name, constant in zip(static, constants, strict=True):
            object.__setattr__(value, name, constant)
        for name, leaf in zip(names, leaves, strict=True):
            object.__setattr__(value, name, leaf)
        return value

    jax.tree_util.register_pytree_with_keys(made, flatten_with_keys, unflatten, flatten)
    return made


def _without_numbers(value: Any) -> str:
    """What a value is made of, as dataclasses print it, arrays by their type and shape alone."""
    parts = ((each.name, getattr(value, each.name)) for each in fields(value))
    return f"{type(value).__name__}({', '.join(f'{name}={_kind(part)}' for name, part in parts)})"


def _kind(part: Any) -> str:
    if getattr(part, "ndim", 0) == 0 or not hasattr(part, "dtype"):
        return repr(part)
    return f"{part.dtype}[{','.join(map(str, part.shape))}]"
