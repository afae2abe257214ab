"""Hashes of a model's contents, independent of its name: a sweep recognises its model by them."""

import hashlib
import json
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


def tokenizer_fingerprint(tokenizer: FastTokenizer) -> str:
    """The hash of a tokenizer's own description, without the padding and truncation of its last call."""
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = {name: part for name, part in described.items() if name not in ("padding", "truncation")}
    return text_fingerprint(json.dumps(kept))
