"""Weights of a Hugging Face folder into our parameters, totally: every key is used, expected, or an error."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxflow._checks import InputError
from jaxflow.models.config import EncoderConfig
from jaxflow.models.encoder import Encoder
from jaxflow.models.family import Family, Key
from jaxflow.models.weights import Weights

# What a module's parameters are called in a checkpoint, behind the module's name.
SUFFIXES = {"kernel": "weight", "bias": "bias", "scale": "weight", "table": "weight"}
ParameterPath = tuple[Any, ...]


@dataclass(frozen=True)
class Source:
    """Where one of our parameters stands in a checkpoint.

    Attributes:
        rows: the checkpoint's keys, one row for each stored layer (one in all where nothing is stacked); three keys
            in a row where query, key and value are one parameter of ours.
        shape: what each of them must have.
        turned: whether they stand there output first, as torch's linear maps do.
        stacked: whether ours has a leading layer axis.
    """

    rows: tuple[tuple[str, ...], ...]
    shape: tuple[int, ...]
    turned: bool
    stacked: bool


def load_weights(
    config: EncoderConfig, family: Family, weights: Weights, dtype: Any, device: Any, *, other_heads: bool
) -> Encoder:
    """An encoder with a checkpoint's weights; `other_heads` allows the checkpoint to have another head too.

    Raises:
        InputError: a key is missing, left over, or of another shape than the configuration says.
    """
    module = nnx.eval_shape(lambda: Encoder(config, nnx.Rngs(0)))
    graph, state = nnx.split(module)
    flat = nnx.to_flat_state(state)
    sources: dict[ParameterPath, Source] = {
        path: _source(path, value.get_value().shape, config, family) for path, value in flat
    }
    _account_for_keys(sources, config, family, weights, other_heads)
    loaded = []
    for path, value in flat:
        array = _assemble(sources[path], value.get_value().shape, weights)
        loaded.append((path, value.replace(jax.device_put(array.astype(dtype), device))))
    return nnx.merge(graph, nnx.from_flat_state(loaded))


def export_weights(module: Encoder, family: Family) -> dict[str, np.ndarray]:
    """The checkpoint's tensors, under the names that transformers gives them; the inverse of `load_weights`."""
    tensors = {}
    for path, value in nnx.to_flat_state(nnx.state(module)):
        array = np.asarray(value.get_value())
        source = _source(path, array.shape, module.config, family)
        for row, names in zip(array if source.stacked else [array], source.rows, strict=True):
            # Safetensors writes memory as it lies, so a transposed view would come back scrambled.
            parts = map(np.ascontiguousarray, _parts(row, source))
            tensors.update(zip(names, parts, strict=True))
    return tensors


def _source(path: ParameterPath, shape: tuple[int, ...], config: EncoderConfig, family: Family) -> Source:
    table: Mapping[str, Key] = {**family.keys, **family.heads[config.head.name].keys}
    module, name = ".".join(map(str, path[:-1])), str(path[-1])
    whole = table.get(f"{module}.{name}")
    named, suffix = (table[module], f".{SUFFIXES[name]}") if whole is None else (whole, "")
    parts = (named,) if isinstance(named, str) else named
    stacked = path[0] == "layers"
    slots = (config.slots or [(row,) for row in config.rows]) if stacked else [()]
    rows = tuple(tuple(part.format(*slot) + suffix for part in parts) for slot in slots)
    shape = shape[1:] if stacked else shape
    turned = name == "kernel" and whole is None
    if not turned:
        return Source(rows, _flat_bias(shape, len(parts)) if name == "bias" else shape, turned, stacked)
    # Ours is (inputs..., query/key/value, outputs...), theirs (output, input); only attention's output contracts two.
    inputs = 2 if path[-2] == "output" else 1
    outputs = shape[inputs + (len(parts) > 1) :]
    return Source(rows, (int(np.prod(outputs)), int(np.prod(shape[:inputs]))), turned, stacked)


def _flat_bias(shape: tuple[int, ...], parts: int) -> tuple[int, ...]:
    return (int(np.prod(shape)) // parts,)


def _assemble(source: Source, shape: tuple[int, ...], weights: Weights) -> np.ndarray:
    """One of our parameters, in float32."""
    rows = []
    for names in source.rows:
        parts = [_checked(name, source.shape, weights) for name in names]
        if source.turned:
            parts = [part.T for part in parts]
        joined = parts[0] if len(parts) == 1 else np.stack(parts, axis=-2)
        rows.append(joined.reshape(shape[1:] if source.stacked else shape))
    return np.stack(rows) if source.stacked else rows[0]


def _parts(row: np.ndarray, source: Source) -> list[np.ndarray]:
    """The inverse of `_assemble`, for one row."""
    number = len(source.rows[0])
    if number == 1:
        return [row.reshape(source.shape[::-1]).T if source.turned else row.reshape(source.shape)]
    outputs = source.shape[0]
    split = row.reshape(*source.shape[1:], number, outputs)
    return [split[..., part, :].T for part in range(number)]


def _checked(name: str, shape: tuple[int, ...], weights: Weights) -> np.ndarray:
    tensor = weights.read(name)
    if tensor.shape != shape:
        raise InputError(
            f"the weight {name!r} in {weights.folder} has shape {tensor.shape}, but config.json makes it {shape}; "
            "use the config.json that belongs to these weights"
        )
    if not jnp.issubdtype(tensor.dtype, jnp.floating):
        raise InputError(
            f"the weight {name!r} in {weights.folder} holds {tensor.dtype}, not floating-point numbers; "
            "quantised checkpoints cannot be loaded"
        )
    return tensor.astype(np.float32)


def _account_for_keys(
    sources: Mapping[ParameterPath, Source],
    config: EncoderConfig,
    family: Family,
    weights: Weights,
    other_heads: bool,
) -> None:
    used = {family.canonical(name) for source in sources.values() for row in source.rows for name in row}
    missing = sorted(name for name in used if name not in weights)
    if missing:
        raise InputError(
            f"the checkpoint in {weights.folder} lacks {_listed(missing)}, which a {family.title} encoder with the "
            f"head {config.head.name!r} needs; use weights that belong to this config.json or, in Python, another "
            "`head`"
        )
    expected = re.compile("|".join(_expected(config, family, other_heads)))
    unused = sorted(name for name in weights if name not in used and not expected.fullmatch(name))
    if unused:
        raise InputError(
            f"the checkpoint in {weights.folder} has {_listed(unused)}, which a {family.title} encoder with the head "
            f"{config.head.name!r} does not use; use weights that belong to this config.json or, in Python, the `head` "
            "that they were trained with"
        )


def _expected(config: EncoderConfig, family: Family, other_heads: bool) -> tuple[str, ...]:
    """Patterns of keys that may be left over."""
    heads = family.heads.values() if other_heads else [family.heads[config.head.name]]
    # Of the head itself only tied weights and the second of two names can be left over: the rest is used.
    keys = [key for head in heads for key in head.keys.values() if isinstance(key, str)]
    return (
        *family.leftovers,
        *map(re.escape, family.aliases),
        *(rf"{re.escape(family.canonical(key))}(\..*)?" for key in keys),
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:3]))
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
