"""The tensors of a pickle, an ONNX or a safetensors file."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxflow._checks import InputError, missing_extra

# Names under which trainers put the weights, beside their own things; one wrapper may stand in another.
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "weights", "state", "encoder_state_dict", "net")

# A pattern that matches no name.
KEEP = r"(?!)"


def read_state(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file, by name; of all shards where the file is their index, or one of them.

    Raises:
        InputError: it cannot be read, holds no tensors, or a shard is missing.
    """
    files = shards_of(path)
    state: dict[str, np.ndarray] = {}
    for file in files:
        try:
            state |= _read_one(file)
        except InputError:
            raise
        except Exception as error:  # Torch, onnx and safetensors raise a dozen kinds for files that are not theirs.
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise InputError("weights", "be a whole file of weights", f"{file} ({reason})", "fetch it again") from error
    if not state:
        raise InputError("weights", "hold tensors by name", f"none in {path}", "name the file of the state dictionary")
    return state


def shards_of(path: Path) -> list[Path]:
    """The files that hold a checkpoint's tensors, of which `path` is one, or the index.

    Raises:
        InputError: the index cannot be read, or a shard is missing.
    """
    index = path
    if path.suffix != ".json":
        shard = re.fullmatch(r"(.+)-\d{5}-of-(\d{5})(\.\w+)", path.name)
        if shard is None:
            return [path]
        index = path.with_name(f"{shard[1]}{shard[3]}.index.json")
        if not index.is_file():
            # Shards tell by their names how many there are.
            names = [f"{shard[1]}-{number:05d}-of-{shard[2]}{shard[3]}" for number in range(1, int(shard[2]) + 1)]
            return _present(path, names)
    try:
        names = sorted({str(name) for name in json.loads(index.read_text("utf-8"))["weight_map"].values()})
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError("weights", "be an index of shards", f"{index} ({error})", "fetch it again") from error
    return _present(index, names)


def _present(beside: Path, names: list[str]) -> list[Path]:
    outside = [name for name in names if Path(name).name != name]
    files = [beside.with_name(name) for name in names if name not in outside]
    missing = outside + [file.name for file in files if not file.is_file()]
    if missing or not files:
        what = f"{missing[0]!r} missing" if missing else "none"
        raise InputError("weights", f"have all shards beside {beside.name}", what, "fetch all of them")
    return files


def _read_one(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".onnx":
        return read_onnx(path)
    try:
        import torch
    except ImportError:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        raise missing_extra("torch", "convert", "reading a pickle's weights") from None
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file as load_tensors

        return {key: _as_array(value) for key, value in load_tensors(path).items()}
    state = torch.load(path, map_location="cpu", weights_only=True)
    found = _unwrapped(state)
    return {key: _as_array(value) for key, value in found.items() if isinstance(value, torch.Tensor)}


def _unwrapped(state: Any) -> dict[str, Any]:
    """The dictionary that holds tensors by name, taken out of what trainers put around it."""
    while isinstance(state, Mapping):
        inside = [state[name] for name in WRAPPERS if isinstance(state.get(name), Mapping)]
        if not inside:
            return {str(name): value for name, value in state.items()}
        state = inside[0]
    raise InputError("weights", "hold tensors by name", type(state).__name__, "save the model's state_dict()")


def _as_array(tensor: Any) -> np.ndarray:
    """A tensor for NumPy, which has no bfloat16 nor float8: these become float32, which holds all of their values."""
    if tensor.is_floating_point() and tensor.element_size() < 4 and str(tensor.dtype) != "torch.float16":
        tensor = tensor.float()
    return tensor.detach().numpy()


def read_onnx(path: Path) -> dict[str, np.ndarray]:
    """An ONNX file's weights under the names of the modules that use them.

    Exporters fold the transposition of a linear map into its matrix and drop its name, so a product's matrix is named
    after the product's node, `/encoder/layer.0/attention/self/query/MatMul`, and turned back.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise missing_extra("onnx", "convert", "reading ONNX weights") from None
    graph = onnx.load(path).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    state = {name: tensor for name, tensor in tensors.items() if not name.startswith("onnx::")}
    for node in graph.node:
        anonymous = [name for name in node.input if name.startswith("onnx::") and name in tensors]
        if node.op_type == "MatMul" and anonymous:
            module = node.name.removesuffix("/MatMul").strip("/").replace("/", ".")
            state[f"{module}.weight"] = tensors[anonymous[0]].T
    return state


def joined_onnx(path: Path, parts: Mapping[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Parameters that an exporter took apart, `1 position width`, by the names of their parts, in their order."""
    import onnx
    from onnx import numpy_helper

    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    return {name: np.concatenate([tensors[part] for part in names], axis=1) for name, names in parts.items()}


def renamed(state: dict[str, np.ndarray], strip: str, drop: str) -> dict[str, np.ndarray]:
    """The tensors without those that match `drop`, their names without `strip` in front; floating point only.

    Raises:
        InputError: `drop` is no pattern or matches none, `strip` begins no name, or two tensors would get one name.
    """
    try:
        kept = {name: tensor for name, tensor in state.items() if not re.fullmatch(drop, name)}
    except re.error as error:
        raise InputError("drop", "be a regular expression", f"{drop!r} ({error})") from error
    if drop != KEEP and len(kept) == len(state):
        # The pattern stands for whole names, which is easily forgotten.
        way_out = "write it for whole names, with .* behind it for all that begin so"
        raise InputError("drop", "match some of the names", f"{drop!r}, and none matches", way_out)
    kept = {name: tensor for name, tensor in kept.items() if np.issubdtype(tensor.dtype, np.floating)}
    if not kept:
        raise InputError("drop", "leave some tensors", f"{drop!r}, and none is left")
    if strip and not any(name.startswith(strip) for name in kept):
        raise InputError("strip", "begin some of the names", f"{strip!r}; they are {', '.join(sorted(kept)[:5])}, ...")
    found: dict[str, np.ndarray] = {}
    for name, tensor in kept.items():
        new = name.removeprefix(strip)
        if new in found:
            raise InputError("strip", "leave each tensor a name of its own", f"{strip!r}, and two are {new!r}")
        found[new] = np.ascontiguousarray(tensor)
    return found
