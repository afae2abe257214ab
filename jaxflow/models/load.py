"""Models by name: `load_model`."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow._cache import keep_programs
from jaxflow._checks import InputError, as_flag, not_forked, one_of, shown
from jaxflow._names import imported, is_path
from jaxflow._typing import DTypeLike, Given
from jaxflow._untyped import HubConfig
from jaxflow.devices import Device
from jaxflow.models import builtin
from jaxflow.models.checkpoint.config_file import IN_PYTORCH, WAY_OUT, check_sizes, read_raw_config
from jaxflow.models.checkpoint.family import Family
from jaxflow.models.checkpoint.huggingface import hub_folder, read_config, read_processor, read_tokenizer, token_limit
from jaxflow.models.checkpoint.restore import load_weights
from jaxflow.models.checkpoint.weights import Weights
from jaxflow.models.config import EncoderConfig, HeadConfig, HeadName, Problem
from jaxflow.models.encoder.images import ImageEncoder
from jaxflow.models.encoder.parts import ACTIVATIONS
from jaxflow.models.encoder.texts import TextEncoder
from jaxflow.models.encoder_decoder.load import is_pair_folder, load_pair_model
from jaxflow.models.families import FAMILIES
from jaxflow.models.model import as_model
from jaxflow.models.tokens import check_template

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def load_model(
    name_or_path: Given[str | os.PathLike[str]],
    *,
    head: str | None = None,
    dtype: DTypeLike = "float32",
    revision: str | None = None,
    local_files_only: Given[bool] = False,
    tokenizer: Given[bool] = True,
    device: Given[Device | jax.sharding.Sharding | None] = None,
) -> Any:
    """A pretrained model that runs in JAX, with its head and its tokenizer or image processor.

    It is an encoder of texts or images, a decoder, or T5 or BART.

    Args:
        name_or_path: a built-in name ("verb-number", "minilm"), a folder in Hugging Face's layout, a model's name on
            the hub, or a model of your own as package.module:NAME, which is taken as it is.
        head: the head to load; None takes the one of the configuration's `architectures`, "bare" none.
        dtype: "float32", or "bfloat16" for the operands of matrix products (softmax, attention and norms stay
            float32).
        revision: branch, tag or commit of a hub model.
        local_files_only: use the hub's cache alone.
        tokenizer: False leaves the tokenizer (or image processor) out, for work from token ids (or pixels).
        device: a `jax.Device` or `jax.sharding.Sharding` to put the weights on; None is JAX's default.

    Returns:
        The model, a `TextEncoder`, an `ImageEncoder` or a `PairModel`, with every key of the checkpoint accounted for.

    Raises:
        InputError: the model is not found or not supported, or its files do not fit together.
    """
    not_forked()
    # Before anything is compiled.
    keep_programs()
    if is_path(name_or_path) and not Path(str(name_or_path)).exists():
        return as_model("name_or_path", imported("name_or_path", str(name_or_path)))
    tokenizer = as_flag("tokenizer", tokenizer)
    local_files_only = as_flag("local_files_only", local_files_only)
    one_of("dtype", dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype)), tuple(DTYPES))
    folder = _folder(name_or_path, revision, local_files_only)
    if is_pair_folder(folder):
        for argument, given in (("head", head), ("tokenizer", None if tokenizer else False)):
            if given is not None:
                raise InputError(argument, "be left out for an encoder-decoder", shown(given))
        return load_pair_model(str(name_or_path), folder, jnp.dtype(dtype), device)
    # Checked as plain values first: transformers acts on a configuration as soon as it reads it.
    raw = read_raw_config(folder, FAMILIES)
    family = FAMILIES[raw["model_type"]]
    weights = Weights(folder, family, tied=raw.get("tie_word_embeddings", True))
    # Against the weights' headers, before anything is made in the sizes that config.json gives.
    check_sizes(raw, family, weights, str(folder / "config.json"))
    source = read_config(folder, raw)
    config = configure(source, family, head, str(folder / "config.json"))
    if config.head.name in ("masked_lm", "next_token"):
        # The file may disagree with its flag.
        config = _with_tying(config, family, weights)
    processor = None
    if config.patches is not None and tokenizer:
        # A model whose positions are interpolated has the patches of the size that its processor gives.
        processor, size = read_processor(folder, None if config.stored_positions else config.patches.size)
        config = with_image_size(config, size, str(folder))
    if config.head.name == "bare":
        # A bare checkpoint may come with its pooler or without.
        pooler = f"{family.heads['bare'].keys.get('pooler.dense')}.weight"
        config = dataclasses.replace(config, head=dataclasses.replace(config.head, pooled=pooler in weights))
    # The weights come last but for the tokenizer: everything cheaper was checked by now.
    module = load_weights(config, family, weights, jnp.dtype(dtype), device, named_head=head is not None)
    if config.patches is not None:
        return ImageEncoder(str(name_or_path), config, module, None, config.max_length, source, processor)
    words = read_tokenizer(folder, config, source) if tokenizer else None
    limit = token_limit(words, config.max_length, str(folder)) if tokenizer else config.max_length
    if words is not None:
        check_template(words, config, str(folder))
    return TextEncoder(str(name_or_path), config, module, words, limit, source)


def _folder(name_or_path: Given[str | os.PathLike[str]], revision: str | None, local_files_only: bool) -> Path:
    if not isinstance(name_or_path, (str, Path)) or not str(name_or_path):
        raise InputError("name_or_path", "be a model's name or folder", shown(name_or_path))
    name = str(name_or_path)
    # Built-in names go before folders of the same name; such a folder can be named as ./minilm.
    if name in builtin.names():
        return builtin.folder(name)
    try:
        path = Path(name).expanduser()
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        # A path that is too long, holds a NUL, or names the home folder of an unknown user.
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError("name_or_path", "be a model's name or folder", f"{shown(name)} ({reason})") from None
    if is_folder:
        return path
    if exists:
        expected = "be a folder with config.json and model.safetensors"
        raise InputError("name_or_path", expected, f"the file {shown(name)}")
    # The hub is not asked for anything that looks like a path: a mistyped folder must not be fetched.
    if isinstance(name_or_path, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        got = f"{shown(name)}, which does not exist"
        raise InputError("name_or_path", "be a folder", got, "check the path, or name a hub model as owner/model")
    return hub_folder(name, revision, local_files_only)


def configure(source: HubConfig, family: Family, head: str | None, where: str) -> EncoderConfig:
    """The encoder's configuration from transformers'; `where` names it in errors.

    Raises:
        InputError: the configuration is not supported.
    """
    if getattr(source, "is_decoder", False) or getattr(source, "add_cross_attention", False):
        raise InputError(None, "be for an encoder", "one for a decoder", place=where)
    config = family.read(source)
    if config.activation not in ACTIVATIONS:
        expected = f"be one of {', '.join(map(repr, ACTIVATIONS))}"
        raise InputError("hidden_act", expected, shown(config.activation), place=where)
    if config.heads < 1 or (not config.head_size and config.width % config.heads):
        expected = f"be a multiple of its {config.heads} attention heads"
        raise InputError("hidden_size", expected, str(config.width), WAY_OUT, place=where)
    if config.heads % config.key_heads:
        expected = f"divide the {config.heads} attention heads"
        raise InputError("num_key_value_heads", expected, str(config.key_heads), WAY_OUT, place=where)
    if config.rotary and config.head_width % 2:
        expected = "be even, as rotary positions turn pairs of entries"
        raise InputError("head_dim", expected, str(config.head_width), WAY_OUT, place=where)
    if not 0 <= config.pad_id < config.vocabulary:
        expected = f"be one of the model's {config.vocabulary} tokens"
        raise InputError("pad_token_id", expected, str(config.pad_id), WAY_OUT, place=where)
    if config.max_length < 1:
        # Positions count from one past the padding token's number in some families.
        expected = "leave room for at least one token"
        raise InputError("max_position_embeddings", expected, str(source.max_position_embeddings), WAY_OUT, place=where)
    name = _head_name(source, family, head, where)
    return dataclasses.replace(config, head=_head_config(name, source, family, config.activation))


def _head_name(source: HubConfig, family: Family, head: str | None, where: str) -> HeadName:
    if head is not None:
        one_of("head", head, tuple(family.heads))
        return next(name for name in family.heads if name == head)
    architectures = getattr(source, "architectures", None) or []
    # The first head that one of the architectures belongs to.
    for name, known in family.heads.items():
        names = {known.architecture, known.distilled, *known.also} - {""}
        if any(architecture in names for architecture in architectures):
            return name
    if not architectures:
        return "bare"
    known = ", ".join(map(repr, family.heads))
    raise InputError(
        "architectures",
        "name an architecture that is supported",
        shown(architectures[0]),
        f"{IN_PYTORCH}, or pass `head`, one of {known}, to read the encoder with another head",
        place=where,
    )


def _head_config(name: HeadName, source: HubConfig, family: Family, activation: str) -> HeadConfig:
    head = family.heads[name]
    labelled = name in ("sequence_classification", "token_classification")
    # Start and end; next or not; one number a choice; one a token.
    count = {"question_answering": 2, "next_sentence": 2, "multiple_choice": 1, "discriminator": 1}
    count["next_token"] = getattr(source, "vocab_size", 0)
    outputs = source.num_labels if labelled else count.get(name, 0)
    return HeadConfig(
        name=name,
        outputs=outputs,
        activation=activation if head.activation is None else head.activation,
        labels=_labels(name, source, outputs),
        problem=_problem(source, outputs) if name == "sequence_classification" else "single_label",
        tied=bool(getattr(source, "tie_word_embeddings", True)),
        dropout=_rate(source, head.dropout),
        first_dropout=_rate(source, head.first_dropout),
        normed=head.normed,
        with_mean=head.with_mean,
        distilled=bool(head.distilled) and head.distilled in (getattr(source, "architectures", None) or []),
        mean=name == "sequence_classification" and getattr(source, "classifier_pooling", "cls") == "mean",
    )


def _rate(source: HubConfig, names: tuple[str, ...]) -> float:
    """The first of these rates that the configuration sets; 0 if it sets none."""
    rates = (getattr(source, name, None) for name in names)
    return float(next((rate for rate in rates if rate is not None), 0.0))


def _labels(name: HeadName, source: HubConfig, outputs: int) -> tuple[str, ...] | None:
    if name == "next_sentence":
        return ("is next", "is not next")
    if name not in ("sequence_classification", "token_classification"):
        return None
    return tuple(str(source.id2label.get(i, f"LABEL_{i}")) for i in range(outputs))


def _problem(source: HubConfig, outputs: int) -> Problem:
    named: dict[str, Problem] = {"regression": "regression", "multi_label_classification": "multi_label"}
    # As transformers takes one output without a problem type.
    if source.problem_type is None:
        return "regression" if outputs == 1 else "single_label"
    return named.get(source.problem_type, "single_label")


def with_image_size(config: EncoderConfig, size: tuple[int, int], where: str) -> EncoderConfig:
    """The configuration for images of another size, where positions are interpolated.

    Raises:
        InputError: the size is no multiple of the patches'.
    """
    cut = config.patches
    assert cut is not None
    if cut.size == size:
        return config
    if size[0] % cut.height or size[1] % cut.width:
        expected, got = f"be a multiple of the patches' {cut.height} x {cut.width}", f"{size[0]} x {size[1]}"
        raise InputError("size", expected, got, "set it in the image processor's file", place=where)
    cut = dataclasses.replace(cut, rows=size[0] // cut.height, columns=size[1] // cut.width)
    length = cut.tokens + cut.rows * cut.columns + config.registers
    return dataclasses.replace(config, patches=cut, max_length=length)


def _with_tying(config: EncoderConfig, family: Family, weights: Weights) -> EncoderConfig:
    """Tied unless the checkpoint has a decoder of its own, as transformers decides."""
    names = family.tied_names()
    assert names is not None
    words, decoder = names
    tied = config.head.tied
    if tied and decoder in weights and words in weights and weights.key(decoder) != weights.key(words):
        tied = np.array_equal(weights.read(decoder), weights.read(words))
    return dataclasses.replace(config, head=dataclasses.replace(config.head, tied=tied))
