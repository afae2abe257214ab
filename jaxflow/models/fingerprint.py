"""Hashes of a model's contents, independent of its name: a sweep recognises its model by them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Protocol, runtime_checkable

import jax
import numpy as np


@runtime_checkable
class TokenizerBackend(Protocol):
    """A tokenizer of the package `tokenizers`."""

    def to_str(self) -> str:
        """The whole tokenizer as JSON."""
        ...


@runtime_checkable
class FastTokenizer(Protocol):
    """A fast tokenizer of Hugging Face's, which can be written down whole."""

    @property
    def backend_tokenizer(self) -> TokenizerBackend:
        """The tokenizer underneath."""
        ...


@runtime_checkable
class SlowTokenizer(Protocol):
    """A tokenizer of Hugging Face's that is written in Python, such as ByT5's."""

    @property
    def special_tokens_map(self) -> Mapping[str, object]:
        """The special tokens by what they are for."""
        ...

    def get_vocab(self) -> dict[str, int]:
        """The number of each token."""
        ...


def array_fingerprint(tree: object) -> str:
    """The hash of a pytree of arrays: path, type, shape and bytes of each."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        # Path and shape come first: the same bytes under other names or shapes are another model.
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def text_fingerprint(text: str) -> str:
    """The hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


# Fields of configurations that fingerprints have had from the beginning, whatever their value.
FIRST_FIELDS = frozenset(
    [
        "family",
        "vocabulary",
        "width",
        "heads",
        "feed_forward",
        "rows",
        "activation",
        "epsilon",
        "positions",
        "max_length",
        "slots",
        "position_offset",
        "segments",
        "embedding_width",
        "projection",
        "projection_bias",
        "pad_id",
        "masks_padding",
        "hidden_dropout",
        "attention_dropout",
        "pre_norm",
        "relative",
        "convolution",
        "head",
        "name",
        "outputs",
        "labels",
        "problem",
        "tied",
        "dropout",
        "first_dropout",
        "pooled",
    ]
)


def config_text(config: object) -> str:
    """A configuration as text, the same in every process and version.

    Fields that came later are left out where they have their default, which computes what was computed before.
    """
    if not is_dataclass(config):
        # The order of a set differs from process to process.
        return repr(sorted(config)) if isinstance(config, frozenset) else repr(config)
    # Parts of a configuration, such as its relative positions, are written out whole.
    is_whole = type(config).__name__ not in ("EncoderConfig", "HeadConfig")
    values = {
        each.name: getattr(config, each.name)
        for each in fields(config)
        if is_whole or each.name in FIRST_FIELDS or getattr(config, each.name) != each.default
    }
    return f"{type(config).__qualname__}({', '.join(f'{name}={config_text(value)}' for name, value in values.items())})"


def tokenizer_fingerprint(tokenizer: FastTokenizer | SlowTokenizer) -> str:
    """The hash of a tokenizer's own description, without the padding and truncation of its last call.

    A slow tokenizer has none: its class, vocabulary and special tokens stand for it.
    """
    if not isinstance(tokenizer, FastTokenizer):
        special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
        return text_fingerprint(json.dumps([type(tokenizer).__name__, tokenizer.get_vocab(), special], sort_keys=True))
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = {name: part for name, part in described.items() if name not in ("padding", "truncation")}
    return text_fingerprint(json.dumps(kept))
