"""JSON files of a model's folder, which may be damaged or hostile."""

import json
from collections.abc import Sequence
from pathlib import Path

from jaxflow._checks import InputError
from jaxflow._untyped import JsonValue

# Far deeper than these files nest, far below Python's limit of recursion.
MOST_NESTED = 64


def read_json(path: Path, most_bytes: int) -> JsonValue:
    """The value in a JSON file.

    Raises:
        InputError: the file is too large, malformed or nested too deeply.
    """
    file, folder, way_out = path.name, str(path.parent), "fetch it again"
    try:
        # The size first: a file of gigabytes is never read.
        size = path.stat().st_size
        if size > most_bytes:
            raise InputError(file, f"have at most {most_bytes} bytes", str(size), way_out, place=folder)
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(file, "be readable", str(error.strerror), "check its permissions", place=folder) from error
    # Raised as the same error as a value that is too deep, below.
    except RecursionError:
        pass
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(file, "hold JSON", f"what is not valid JSON ({error})", way_out, place=folder) from error
    else:
        if not _is_nested(value, MOST_NESTED):
            return value
    raise InputError(file, f"be nested at most {MOST_NESTED} deep", "a deeper one", way_out, place=folder)


def _is_nested(value: object, most: int) -> bool:
    """Whether lists and dictionaries are nested more than `most` deep."""
    # Level by level, without recursion, however deep the value is.
    level: Sequence[JsonValue] = [value]
    for _ in range(most):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _within(outer)]
    return any(isinstance(outer, dict | list) for outer in level)


def _within(outer: JsonValue) -> Sequence[JsonValue]:
    return list(outer.values()) if isinstance(outer, dict) else outer
