"""The tensors of a pickle, an ONNX or a safetensors file."""

import re
from pathlib import Path

import numpy as np

from jaxflow._checks import missing_extra


def read_state(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file, by name."""
    if path.suffix == ".onnx":
        return read_onnx(path)
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return load_file(path)
    try:
        import torch
    except ImportError:
        raise missing_extra("torch", "convert", "Reading a pickle's weights") from None
    state = torch.load(path, map_location="cpu", weights_only=True)
    # Trainers put the weights under a name, beside their own things.
    state = state.get("state_dict", state.get("model_state_dict", state))
    return {key: value.detach().numpy() for key, value in state.items() if isinstance(value, torch.Tensor)}


def read_onnx(path: Path) -> dict[str, np.ndarray]:
    """An ONNX file's weights under the names of the modules that use them.

    Exporters fold the transposition of a linear map into its matrix and drop its name, so a product's matrix is named
    after the product's node, `/encoder/layer.0/attention/self/query/MatMul`, and turned back.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise missing_extra("onnx", "convert", "Reading ONNX weights") from None
    graph = onnx.load(path).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    state = {name: tensor for name, tensor in tensors.items() if not name.startswith("onnx::")}
    for node in graph.node:
        anonymous = [name for name in node.input if name.startswith("onnx::") and name in tensors]
        if node.op_type == "MatMul" and anonymous:
            module = node.name.removesuffix("/MatMul").strip("/").replace("/", ".")
            state[f"{module}.weight"] = tensors[anonymous[0]].T
    return state


def renamed(state: dict[str, np.ndarray], strip: str, drop: str) -> dict[str, np.ndarray]:
    """The tensors without those that match `drop`, their names without `strip` in front; floating point only."""
    kept = {name: tensor for name, tensor in state.items() if not re.fullmatch(drop, name)}
    return {
        name.removeprefix(strip): np.ascontiguousarray(tensor)
        for name, tensor in kept.items()
        if np.issubdtype(tensor.dtype, np.floating)
    }
