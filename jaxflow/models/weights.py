"""The tensors of a checkpoint's folder, read one at a time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxflow._checks import InputError, missing_extra
from jaxflow.models.family import Family

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Names from before 2020.
OLD_SUFFIXES = {".gamma": ".weight", ".beta": ".bias"}


class Weights:
    """A folder's tensors, under the names that the family's table uses, without its prefix.

    Args:
        folder: with model.safetensors, or shards and their index.
        family: whose names they have.

    Raises:
        InputError: there are no weights, only pickles, or the files are broken.
    """

    def __init__(self, folder: Path, family: Family):
        self.folder = folder
        self._family = family
        self._files = _files_of_keys(folder)
        self._names = {_modern(family.canonical(key)): key for key in self._files}
        for alias, name in family.aliases.items():
            if alias in self._names and name not in self._names:
                self._names[name] = self._names.pop(alias)

    def __contains__(self, name: str) -> bool:
        return self._family.canonical(name) in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def read(self, name: str) -> np.ndarray:
        """One tensor, in the type in which it is stored."""
        key = self._names[self._family.canonical(name)]
        with _opened(self._files[key]) as file:
            return np.asarray(file.get_tensor(key))


def _modern(key: str) -> str:
    for old, new in OLD_SUFFIXES.items():
        if key.endswith(old):
            return key.removesuffix(old) + new
    return key


def _files_of_keys(folder: Path) -> dict[str, Path]:
    if (folder / INDEX).is_file():
        return _indexed(folder)
    if (folder / SINGLE).is_file():
        with _opened(folder / SINGLE) as file:
            return dict.fromkeys(file.keys(), folder / SINGLE)
    raise InputError(_why_no_weights(folder))


def _indexed(folder: Path) -> dict[str, Path]:
    try:
        shards = json.loads((folder / INDEX).read_text())["weight_map"]
        files = {str(key): folder / str(shard) for key, shard in shards.items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{folder / INDEX} is not an index of shards ({error}); fetch it again") from error
    absent = sorted({str(path.name) for path in files.values() if not path.is_file()})
    if absent:
        raise InputError(f"{folder} lacks the weight file {absent[0]!r} that its index names; fetch it again")
    return files


def _opened(path: Path) -> Any:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise missing_extra("safetensors", "text", "loading a model") from error
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); fetch it again") from error


def _why_no_weights(folder: Path) -> str:
    other = [
        file.name
        for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.onnx", "*.h5", "*.msgpack")
        for file in sorted(folder.glob(pattern))
    ]
    if not other:
        return (
            f"{folder} has no weights: expected model.safetensors, or shards with {INDEX} (pickles are never fetched; "
            "scripts/convert_checkpoint.py converts one that you have)"
        )
    return (
        f"{folder} has its weights only as {other[0]!r}, which is never loaded (a pickle can run code); convert it "
        "once with scripts/convert_checkpoint.py, or use a revision that has model.safetensors"
    )
