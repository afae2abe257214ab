"""`place_of`: where a user says that results are."""

import os
from typing import Any

from jaxflow._paths import is_address, is_local, local_path
from jaxflow.store.place import Place
from jaxflow.store.stored import StoredPlace


def place_of(argument: str, value: Any) -> Place:
    """Take in where results are: a path, or the address of a folder in a store that `fsspec` knows.

    Args:
        argument: the argument that holds it, for errors.
        value: a string, a path, or a place.

    Raises:
        InputError: it is none of these, or a package for its store is missing.
    """
    if isinstance(value, Place):
        return value
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if isinstance(text, str) and is_address(text) and not is_local(text):
        return StoredPlace(text)
    return Place(local_path(argument, value))
