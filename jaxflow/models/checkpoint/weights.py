"""The tensors of a checkpoint's folder: the files' headers first, then one tensor at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from jaxflow._checks import InputError, missing_extra, shown, shown_text
from jaxflow.models.checkpoint.family import Family
from jaxflow.models.checkpoint.json_file import read_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Names from before 2020.
OLD_SUFFIXES = {".gamma": ".weight", ".beta": ".bias"}
# An index of 100,000 tensors takes about 10 MB.
MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Stored:
    """A tensor's entry in the header of its file.

    Attributes:
        file: that holds it.
        key: its name there.
        shape: its shape.
        dtype: its type, as safetensors writes it ("F32", "BF16", "I8").
    """

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: str


class Weights:
    """A folder's tensors, under the names of the family's table, without its prefix.

    The constructor reads the files' headers alone.

    Args:
        folder: with model.safetensors, or shards and their index.
        family: of the names.
        tied: whether the configuration ties a masked LM's last map to the word embeddings.

    Raises:
        InputError: there are no weights, only pickles, or the files are damaged.
    """

    def __init__(self, folder: Path, family: Family, *, tied: bool = True):
        self.folder = folder
        self._family = family
        stored, left_out = _tensors(folder)
        self._names: dict[str, Stored] = {}
        for tensor in stored.values():
            name = _modern(family.canonical(tensor.key))
            if name in self._names:
                both = f"both {self._names[name].key!r} and {tensor.key!r}"
                raise InputError("weights", "hold each tensor once", both, "leave one of them out", place=str(folder))
            self._names[name] = tensor
        # Further names of stored tensors: they can be read, and do not count as tensors of their own.
        self._others = {_modern(family.canonical(key)): stored[kept] for key, kept in left_out.items()}
        # An alias counts only where the tensor has not come under its own name.
        for alias, name in family.aliases.items():
            if alias in self._names and name not in self._names:
                self._names[name] = self._names.pop(alias)
        words, decoder = family.tied_names() or ("", "")
        if tied and words not in self and decoder in self:
            # Writers keep one of two names of the same matrix, whichever comes first.
            self._others[words] = self._stored(decoder)

    def __contains__(self, name: str) -> bool:
        name = self._family.canonical(name)
        return name in self._names or name in self._others

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def key(self, name: str) -> str:
        """The name of a tensor in its file."""
        return self._stored(name).key

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, by its file's header."""
        return self._stored(name).shape

    def dtype(self, name: str) -> str:
        """The type of a tensor, by its file's header: "F32", "BF16", "I8"."""
        return self._stored(name).dtype

    def read(self, name: str) -> np.ndarray:
        """One tensor, in the type in which it is stored."""
        return read_stored(self._stored(name))

    def _stored(self, name: str) -> Stored:
        name = self._family.canonical(name)
        return self._names[name] if name in self._names else self._others[name]


def read_stored(stored: Stored) -> np.ndarray:
    """A tensor, in the type in which it is stored."""
    with _opened(stored.file) as file:
        return np.asarray(file.get_tensor(stored.key))


def stored_tensors(folder: Path) -> dict[str, Stored]:
    """A folder's tensors by the names in its files; those that a writer left out under both names."""
    stored, left_out = _tensors(folder)
    return stored | {key: stored[kept] for key, kept in left_out.items()}


def _modern(key: str) -> str:
    for old, new in OLD_SUFFIXES.items():
        if key.endswith(old):
            return key.removesuffix(old) + new
    return key


def _tensors(folder: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    """The tensors by key, and for each key that a writer left out the one it kept in its place."""
    # In transformers' order: one file before an index, which may be left from an earlier save.
    if (folder / SINGLE).is_file():
        return _header(folder / SINGLE)
    if (folder / INDEX).is_file():
        return _indexed(folder), {}
    raise _no_weights(folder)


def _header(path: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    with _opened(path) as file:
        # Views that know shape and type; no data is read.
        slices = {str(key): file.get_slice(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
    stored = {key: Stored(path, key, tuple(one.get_shape()), str(one.get_dtype())) for key, one in slices.items()}
    # Safetensors' own `save_model` keeps one name of a shared tensor and writes the others into the metadata.
    return stored, {key: kept for key, kept in metadata.items() if key not in stored and kept in stored}


def _indexed(folder: Path) -> dict[str, Stored]:
    index = read_json(folder / INDEX, MOST_BYTES)
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict) or not shards or not all(isinstance(shard, str) for shard in shards.values()):
        got = "an index that does not"
        raise InputError("weight_map", "name the shards' files", got, "fetch it again", place=str(folder / INDEX))
    # Each shard once, in the index's order.
    files: dict[str, Path] = {}
    for shard in dict.fromkeys(shards.values()):
        name = PurePosixPath(shard)
        # An index must not open files outside its folder.
        if name.is_absolute() or ".." in name.parts or "\\" in shard or "\0" in shard:
            expected = "name files within its folder"
            raise InputError("weight_map", expected, shown(shard), "fetch the model again", place=str(folder / INDEX))
        files[shard] = folder / shard
        if not _is_file(files[shard]):
            got = f"{shown(shard)}, which is not in {folder}"
            raise InputError(
                "weight_map", "name files that are there", got, "fetch it again", place=str(folder / INDEX)
            )
    held = {shard: _header(path)[0] for shard, path in files.items()}
    # Headers are read before any tensor, so an index that lies is found here.
    for key, shard in shards.items():
        if key not in held[shard]:
            got = f"{shown(key)} in {shown(shard)}, which has no such tensor"
            expected = "agree with the files that it names"
            raise InputError("weight_map", expected, got, "fetch the model again", place=str(folder / INDEX))
    return {key: held[shard][key] for key, shard in shards.items()}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # Its name is longer than any file's.
        return False


def _opened(path: Path) -> Any:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise missing_extra("safetensors", "text", "loading a model") from error
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError, ValueError) as error:
        got = f"a damaged one ({shown_text(str(error))})"
        raise InputError(None, "be a whole safetensors file", got, "fetch it again", place=str(path)) from error


def _no_weights(folder: Path) -> InputError:
    other = [
        file.name
        for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.onnx", "*.h5", "*.msgpack")
        for file in sorted(folder.glob(pattern))
    ]
    # Say which format was found: most old checkpoints have pickles alone.
    if not other:
        got = "none (pickles are never fetched)"
        way_out = "convert a pickle that you have with scripts/convert_checkpoint.py"
    else:
        got = f"only {other[0]!r}, which is never loaded (a pickle can run code)"
        way_out = "convert it once with scripts/convert_checkpoint.py, or use a revision that has model.safetensors"
    return InputError(None, f"hold model.safetensors, or shards with {INDEX}", got, way_out, place=str(folder))
