"""Texts through one model, batch by batch, with the attention of all heads in hand for a batch at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow._checks import InputError
from jaxflow.compare.device import Side, attend
from jaxflow.compare.units import membership
from jaxflow.models import Encoding, TextEncoder
from jaxflow.running import bucket

# Weights of all heads of a batch that are held at once.
HELD = 1 << 25


def fitting(encoders: Sequence[TextEncoder], length: int, asked: int) -> int:
    """How many texts of a length go together: a power of two where memory sets the limit."""
    layers, heads = (max(getattr(encoder.config, name) for encoder in encoders) for name in ("layers", "heads"))
    most = max(1, HELD // (layers * heads * length * length))
    return min(asked, 1 << (most.bit_length() - 1))


def filled(texts: int, most: int) -> int:
    """How many texts a batch is filled up to: the full batch's, a quarter of that, and so on; so few programs."""
    while most > 1 and -(-most // 4) >= texts:
        most = -(-most // 4)
    return most


def attended(
    encoder: TextEncoder,
    encodings: Sequence[Encoding],
    groups: Sequence[Sequence[Sequence[int]]] | None = None,
    *,
    asked: int = 16,
    progress: Callable[[int], None] | None = None,
) -> Iterator[tuple[list[int], Side, int]]:
    """Batches of texts of like length.

    Args:
        encoder: the model.
        encodings: the texts' tokens.
        groups: for each text the tokens of each of its units; None where every token is a unit.
        asked: texts in a batch, at most.
        progress: called with the number of texts that were just finished.

    Yields:
        Numbers of the texts, what the model makes of them (filled up behind the last of them), and the number of
        units that they are padded to.
    """
    lengths = [
        bucket(max(len(encoding), 0 if groups is None else len(groups[index])))
        for index, encoding in enumerate(encodings)
    ]
    for length in sorted(set(lengths)):
        chosen = [index for index, each in enumerate(lengths) if each == length]
        size = fitting([encoder], length, asked)
        for start in range(0, len(chosen), size):
            part = chosen[start : start + size]
            yield part, _attend(encoder, [encodings[index] for index in part], groups, part, length, size), length
            if progress is not None:
                progress(len(part))


def _attend(
    encoder: TextEncoder, encodings: list[Encoding], groups: Any, part: list[int], length: int, size: int
) -> Side:
    fill = filled(len(part), size) - len(part)
    tokens = min(length, encoder.max_length)
    batch = jax.tree.map(lambda rows: jnp.pad(rows, [(0, fill), (0, 0)]), encoder.pad(encodings, tokens))
    members = np.zeros((len(part) + fill, tokens, length), np.float32)
    for row, index in enumerate(part):
        if groups is None:
            own = membership(range(len(encodings[row])), tokens, length)
        else:
            own = np.zeros((tokens, length), np.float32)
            for unit, held in enumerate(groups[index]):
                own[list(held), unit] = 1
        members[row] = own
    given = None if groups is None and tokens == length else jnp.asarray(members)
    half = jnp.asarray(0.5, jnp.float32)
    side = attend(encoder.module, batch, given, half, None, named="mean", predicts=False)
    if not np.isfinite(np.asarray(side.graph.attention)).all():
        raise InputError(f"the attention of {encoder.name} is not a number; check its weights")
    return side
