"""Weights of a Hugging Face folder into our parameters, totally: every key is used, expected, or an error."""

import warnings
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxflow._typing import DTypeLike
from jaxflow.models.checkpoint.accounting import Origin, check_used, left_over
from jaxflow.models.checkpoint.family import Family, Key
from jaxflow.models.checkpoint.weights import Weights
from jaxflow.models.config import EncoderConfig
from jaxflow.models.encoder.module import Encoder

# Our parameter -> its name in a checkpoint, behind the module's name.
SUFFIXES = {"kernel": "weight", "bias": "bias", "scale": "weight", "table": "weight"}
ParameterPath = tuple[Any, ...]


def load_weights(
    config: EncoderConfig, family: Family, weights: Weights, dtype: DTypeLike, device: Any, *, named_head: bool
) -> Encoder:
    """An encoder with a checkpoint's weights.

    If the user named the head, the checkpoint may have other heads: a warning names what was left out. All keys are
    checked by the files' headers before the first tensor is read.

    Raises:
        InputError: a key is missing, left over, or of another shape or type than the configuration says.
    """
    # Shapes alone: no parameter is made before the checkpoint's own is read.
    module = nnx.eval_shape(lambda: Encoder(config, nnx.Rngs(0)))
    graph, state = nnx.split(module)
    flat = nnx.to_flat_state(state)
    origins: dict[ParameterPath, Origin] = {
        path: _origin(path, value.get_value().shape, config, family) for path, value in flat
    }
    check_used(origins.values(), config, family, weights)
    left_out = left_over(origins.values(), config, family, weights, named_head=named_head)
    loaded = []
    for path, value in flat:
        # One parameter at a time on the host, so that memory holds the model once.
        array = _assemble(origins[path], value.get_value().shape, weights)
        loaded.append((path, value.replace(jax.device_put(array.astype(dtype), device))))
    if left_out:
        message = f"the encoder in {weights.folder} was loaded with the head {config.head.name!r}; left out: {left_out}"
        warnings.warn(message, stacklevel=3)
    return nnx.merge(graph, nnx.from_flat_state(loaded))


def export_weights(module: Encoder, family: Family) -> dict[str, np.ndarray]:
    """The checkpoint's tensors, under the names that transformers gives them; the inverse of `load_weights`."""
    tensors = {}
    for path, value in nnx.to_flat_state(nnx.state(module)):
        array = np.asarray(value.get_value())
        origin = _origin(path, array.shape, module.config, family)
        for row, names in zip(array if origin.stacked else [array], origin.rows, strict=True):
            # Safetensors writes memory as it lies, so a transposed view would come back scrambled.
            parts = map(np.ascontiguousarray, _parts(row, origin) if names else [])
            tensors.update(zip(names, parts, strict=True))
    return tensors


def _origin(path: ParameterPath, shape: tuple[int, ...], config: EncoderConfig, family: Family) -> Origin:
    table: Mapping[str, Key] = family.keys_of(config)
    module, name = ".".join(map(str, path[:-1])), str(path[-1])
    # A family names a module, whose parameters get torch's suffixes, or a parameter by its whole name.
    whole = table.get(f"{module}.{name}")
    named, suffix = (table[module], f".{SUFFIXES[name]}") if whole is None else (whole, "")
    parts = (named,) if isinstance(named, str) else named
    stacked = path[0] == "layers"
    # Keys of each stored layer; where several layers share one, it is read once.
    slots = (config.slots or [(row,) for row in config.rows]) if stacked else [()]
    names = (tuple(part.format(*slot) for part in parts) for slot in slots)
    rows = tuple(tuple(each + suffix for each in row if each not in family.absent) for row in names)
    shape = shape[1:] if stacked else shape
    turned = name == "kernel" and whole is None and not (stacked and family.input_first)
    # Norms, tables and biases have the same shape in both, but that a bias is flat in the checkpoint.
    if name != "kernel" or whole is not None:
        return Origin(rows, _flat_bias(shape, len(parts)) if name == "bias" else shape, turned, stacked)
    # Ours is (inputs..., query/key/value, outputs...), theirs (output, input) or, with the input first, the other way
    # around; only attention's output contracts two axes.
    if path[-2] == "patches":
        # A convolution's kernel, whose output axis comes first.
        return Origin(rows, (shape[-1], *shape[:-1]), turned, stacked)
    inputs = 2 if path[-2] == "output" else 1
    # The axis of query, key and value stands between input and output axes where the three are one.
    flat = int(np.prod(shape[:inputs])), int(np.prod(shape[inputs + (len(parts) > 1) :]))
    return Origin(rows, flat[::-1] if turned else flat, turned, stacked)


def _flat_bias(shape: tuple[int, ...], parts: int) -> tuple[int, ...]:
    return (int(np.prod(shape)) // parts,)


def _assemble(origin: Origin, shape: tuple[int, ...], weights: Weights) -> np.ndarray:
    """One of our parameters, in float32."""
    rows = []
    for names in origin.rows:
        if not names:
            rows.append(np.ones(shape[1:], np.float32))
            continue
        parts = [weights.read(name).astype(np.float32) for name in names]
        if origin.turned:
            parts = [np.moveaxis(part, 0, -1) for part in parts]
        # (input, output) each -> (input, query/key/value, output), then the outputs' own axes (head, head_width).
        joined = parts[0] if len(parts) == 1 else np.stack(parts, axis=-2)
        rows.append(joined.reshape(shape[1:] if origin.stacked else shape))
    return np.stack(rows) if origin.stacked else rows[0]


def _parts(row: np.ndarray, origin: Origin) -> list[np.ndarray]:
    """The inverse of `_assemble`, for one row."""
    number = len(origin.rows[-1])
    if number == 1:
        if not origin.turned:
            return [row.reshape(origin.shape)]
        return [np.moveaxis(row.reshape(*origin.shape[1:], origin.shape[0]), -1, 0)]
    outputs = origin.shape[0]
    # (input, query/key/value, output), from which each part is taken and turned back.
    split = row.reshape(*origin.shape[1:], number, outputs)
    return [split[..., part, :].T for part in range(number)]
