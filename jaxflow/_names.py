"""Values by name: "package.module:NAME" imported, and frozen values as JSON, by their class and fields."""

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from jaxflow._checks import InputError, shown, shown_text
from jaxflow._untyped import JsonObject, JsonValue


def is_path(value: object) -> bool:
    """Whether a name is one to import, as "package.module:NAME"."""
    return isinstance(value, str) and ":" in value


def imported(argument: str, path: str) -> Any:
    """A module's value by name; for a class an instance, made without arguments.

    Args:
        argument: the argument that holds the path, for errors.
        path: as "package.module:NAME".

    Raises:
        InputError: the module cannot be imported, has no such name, or the class cannot be made.
    """
    module, _, name = path.partition(":")
    expected = "be a known name, or name a value as package.module:NAME"
    # Before anything is imported: "a b:c" or ".x:y" name no module.
    if not (name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise InputError(argument, expected, shown(path))
    try:
        named = getattr(importlib.import_module(module), name, None)
        value = named() if isinstance(named, type) else named
    except Exception as error:  # Whatever the user's module does when it is imported.
        why = shown_text(f"{type(error).__name__}: {error}")
        way_out = "the folder that holds the module must be on PYTHONPATH"
        raise InputError(argument, expected, f"{shown(path)}, which cannot be imported ({why})", way_out) from error
    if value is None:
        raise InputError(argument, expected, f"{shown(path)}, and the module has no value of this name")
    return value


def value_json(argument: str, value: object) -> JsonObject:
    """A value as JSON has it: its class and its fields, so that the same value gives the same JSON.

    Raises:
        InputError: a field is of a kind that has no JSON.
    """
    # A value of another class is described by all its attributes.
    attributes = (
        {each.name: getattr(value, each.name) for each in fields(value)} if is_dataclass(value) else vars(value)
    )
    return {"class": _path(type(value)), "fields": {name: _plain(argument, each) for name, each in attributes.items()}}


def value_of_json(argument: str, description: Mapping[str, JsonValue]) -> Any:
    """The value that `value_json` described, of a frozen dataclass.

    Raises:
        InputError: its class cannot be imported, is no dataclass, or does not take the fields.
    """
    module, _, name = str(description.get("class")).partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
        if not (isinstance(kind, type) and is_dataclass(kind)):
            raise TypeError("it is no dataclass")
        return kind(**{name: _frozen(each) for name, each in description["fields"].items()})
    except Exception as error:  # Whatever the class does with its fields.
        got = f"{shown(description)} ({shown_text(str(error))})"
        raise InputError(argument, "be described by a dataclass that can be imported, and its fields", got) from error


def _path(named: Callable[..., object]) -> str:
    return f"{named.__module__}:{named.__qualname__}"


def _plain(argument: str, value: object) -> JsonValue:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_plain(argument, each) for each in value]
    if isinstance(value, frozenset | set):
        # A set has no order, and the same set must give the same JSON.
        return {"set": sorted((_plain(argument, each) for each in value), key=repr)}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(argument, each) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return value_json(argument, value)
    if hasattr(value, "__array__"):
        # Such as a user's weights: told apart by a hash of their content.
        array = np.ascontiguousarray(value)
        return {"shape": list(array.shape), "sha256": hashlib.sha256(array.tobytes()).hexdigest()}
    if callable(value) and hasattr(value, "__qualname__"):
        return _path(value)
    expected = "have fields that can be described (numbers, strings, lists, sets, arrays, dataclasses, named functions)"
    raise InputError(argument, expected, shown(value), "the description lets a sweep tell its results from others'")


def _frozen(value: JsonValue) -> object:
    """Plain fields as a frozen value has them."""
    # JSON has lists for tuples; frozen values must be hashable, and have none.
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    if isinstance(value, dict) and value.keys() == {"set"}:
        return frozenset(map(_frozen, value["set"]))
    return value_of_json("class", value) if isinstance(value, dict) and value.keys() == {"class", "fields"} else value
