"""Hashes of what a model is, whatever it is called: by them a sweep knows its model again."""

import hashlib
import json
from typing import Protocol, runtime_checkable

import jax
import numpy as np


@runtime_checkable
class TokenizerBackend(Protocol):
    """A tokenizer of the package `tokenizers`."""

    def to_str(self) -> str:
        """All of it, as JSON."""
        ...


@runtime_checkable
class FastTokenizer(Protocol):
    """A fast tokenizer of Hugging Face's, which can be written down whole."""

    @property
    def backend_tokenizer(self) -> TokenizerBackend:
        """What does the work."""
        ...


def array_fingerprint(tree: object) -> str:
    """The hash of a pytree of arrays: of each its path, type, shape and bytes."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def text_fingerprint(text: str) -> str:
    """The hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def tokenizer_fingerprint(tokenizer: FastTokenizer) -> str:
    """The hash of a tokenizer's own description, less the padding and cutting that the last call asked for."""
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = {name: part for name, part in described.items() if name not in ("padding", "truncation")}
    return text_fingerprint(json.dumps(kept))
