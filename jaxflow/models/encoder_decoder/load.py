"""An encoder-decoder from a folder: every key of the checkpoint is used, expected, or an error."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxflow._checks import InputError, shown
from jaxflow._typing import DTypeLike
from jaxflow.models.checkpoint.config_file import IN_PYTORCH, MOST_BYTES
from jaxflow.models.checkpoint.huggingface import read_config, read_tokenizer, token_limit
from jaxflow.models.checkpoint.json_file import read_json
from jaxflow.models.checkpoint.restore import ParameterPath
from jaxflow.models.checkpoint.weights import Stored, read_stored, stored_tensors
from jaxflow.models.config import HeadConfig
from jaxflow.models.encoder.parts import ACTIVATIONS
from jaxflow.models.encoder_decoder.config import PairConfig
from jaxflow.models.encoder_decoder.families import FAMILIES, PairFamily
from jaxflow.models.encoder_decoder.model import PairModel
from jaxflow.models.encoder_decoder.module import PairModule
from jaxflow.models.prediction import pieces_of

# Our parameter -> its name in a checkpoint, behind the module's name.
SUFFIXES = {"kernel": "weight", "bias": "bias", "scale": "weight", "table": "weight"}
HEAD = "lm_head.weight"


def is_pair_folder(folder: Path) -> bool:
    """Whether a folder holds an encoder-decoder of a family that runs in JAX."""
    path = folder / "config.json"
    raw = read_json(path, MOST_BYTES) if path.is_file() else None
    named = raw.get("model_type") if isinstance(raw, dict) else None
    return isinstance(named, str) and named in FAMILIES


def load_pair_model(name: str, folder: Path, dtype: DTypeLike, device: Any) -> PairModel:
    """An encoder-decoder with its tokenizer.

    Raises:
        InputError: its files do not fit together, or it has a head of another kind.
    """
    place = str(folder / "config.json")
    raw = read_json(folder / "config.json", MOST_BYTES)
    family = FAMILIES[raw["model_type"]]
    source = read_config(folder, raw)
    config = family.read(source)
    if config.activation not in ACTIVATIONS:
        raise InputError("activation", f"be one of {', '.join(ACTIVATIONS)}", shown(config.activation), place=place)
    known = (family.architecture, family.bare)
    (architecture,) = (source.architectures or [family.bare])[:1]
    if architecture not in known:
        expected = f"name {' or '.join(known)}"
        raise InputError("architectures", expected, shown(architecture), IN_PYTORCH, place=place)
    stored = {key.removeprefix("model."): each for key, each in stored_tensors(folder).items()}
    # A head of its own, unless it is the word embeddings once more.
    writes = architecture == family.architecture
    config = dataclasses.replace(config, tied=not (writes and HEAD in stored and not _repeats(stored)))
    config = dataclasses.replace(config, output_bias=config.output_bias and writes)
    tokenizer = read_tokenizer(folder, config, source)
    if writes:
        labels = pieces_of(tokenizer, config.vocabulary)
        head = HeadConfig("next_token", outputs=config.vocabulary, labels=labels)
        config = dataclasses.replace(config, head=head)
    module = _with_weights(config, family, stored, folder, dtype, device)
    limit = token_limit(tokenizer, config.max_length, str(folder))
    return PairModel(name, config, module, tokenizer, limit)


def _repeats(stored: dict[str, Stored]) -> bool:
    """Whether the stored head is the word embeddings."""
    return np.array_equal(read_stored(stored[HEAD]), read_stored(stored["shared.weight"]))


def _with_weights(
    config: PairConfig, family: PairFamily, stored: dict[str, Stored], folder: Path, dtype: DTypeLike, device: Any
) -> PairModule:
    # Shapes alone: no parameter is made before the checkpoint's own is read.
    graph, state = nnx.split(nnx.eval_shape(lambda: PairModule(config, nnx.Rngs(0))))
    used: set[str] = set()
    loaded = []
    for path, value in nnx.to_flat_state(state):
        shape = value.get_value().shape
        names = names_of(tuple(map(str, path)), shape, config, family)
        missing = [name for name in names if name not in stored]
        if missing and path[0] != "bias":
            got = f"no {missing[0]!r}"
            raise InputError("weights", "hold every parameter", got, "fetch the model again", place=str(folder))
        used.update(names)
        array = np.zeros(shape, np.float32) if missing else _assembled(names, stored, path, shape, folder)
        loaded.append((path, value.replace(jax.device_put(array.astype(dtype), device))))
    allowed = re.compile("|".join((*family.leftovers, re.escape(HEAD), "final_logits_bias")))
    left = sorted(key for key in stored if key not in used and not allowed.fullmatch(key))
    if left:
        got = f"{len(left)} more, such as {left[0]!r}"
        raise InputError("weights", f"be those of a {family.title}", got, IN_PYTORCH, place=str(folder))
    return nnx.merge(graph, nnx.from_flat_state(loaded))


def names_of(path: tuple[str, ...], shape: tuple[int, ...], config: PairConfig, family: PairFamily) -> list[str]:
    """The checkpoint's names of a parameter, one a layer where layers are stacked."""
    if path == ("bias",):
        return ["final_logits_bias"]
    if path[0] == "head":
        return [HEAD]
    module = ".".join(path[:-1])
    if config.gated and module.endswith("feed_forward.up"):
        module = module.replace("feed_forward.up", "feed_forward.gated_up")
    key = family.keys[module].removeprefix("model.") + f".{SUFFIXES[path[-1]]}"
    return [key.format(layer) for layer in range(shape[0])] if "layers" in path else [key]


def _assembled(
    names: list[str], stored: dict[str, Stored], path: ParameterPath, shape: tuple[int, ...], folder: Path
) -> np.ndarray:
    """One of our parameters, in float32."""
    # Of one layer, where layers are stacked.
    size = int(np.prod(shape[1:] if "layers" in path else shape))
    rows = []
    for name in names:
        array = read_stored(stored[name]).astype(np.float32)
        if array.size != size:
            expected, got = f"hold {name!r} of {size} numbers", f"shape {array.shape}"
            raise InputError("weights", expected, got, "fetch the model again", place=str(folder))
        # Theirs is (output, input).
        rows.append(array.T if path[-1] == "kernel" else array)
    return (np.stack(rows) if "layers" in path else rows[0]).reshape(shape)
