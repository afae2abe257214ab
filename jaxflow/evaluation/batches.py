"""Rows of many lengths through a compiled function: buckets of lengths, chunks of bounded size, few shapes."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._checks import InputError
from jaxflow._switches import broadcasting
from jaxflow.evaluation.inputs import TokenInputs
from jaxflow.models import Encoder, TextEncoder, TokenBatch

# Chunks that the device may have before it while the host prepares more.
AHEAD = 3
BATCH_TOKENS = 8192
# Up to so many chunks a bucket is cut evenly, rather than filling up its last one.
EVENLY = 4


def over_chunks(
    lengths: Int[np.ndarray, " row"], limit: int, batch_tokens: int, run: Callable[[np.ndarray, int], Any]
) -> Iterator[tuple[Int[np.ndarray, " chunk_row"], Any]]:
    """Run rows in chunks of about `batch_tokens` tokens, all chunks of a bucket in one shape.

    Args:
        lengths: tokens of each row, 1 or more.
        limit: the longest that the model takes.
        batch_tokens: rows times padded length of a chunk, about, but at least one row.
        run: given row numbers and a padded length, arrays whose first axis is these rows. Its chunk is filled up by
            repeating the last row.

    Yields:
        Row numbers and what `run` gave for them, on the host. Chunks are started ahead of the one that is waited for.
    """
    _check_batch_tokens(batch_tokens)
    waiting: deque[tuple[np.ndarray, Any]] = deque()
    for rows, size, length in _chunks(lengths, limit, batch_tokens):
        filled = np.concatenate([rows, np.full(size - len(rows), rows[-1])])
        waiting.append((rows, run(filled, length)))
        if len(waiting) > AHEAD:
            yield _fetched(*waiting.popleft())
    while waiting:
        yield _fetched(*waiting.popleft())


def rounded(number: int, finest: int = 1) -> int:
    """The next number of a coarse scale, at most a quarter above; multiples of `finest`, a power of two."""
    step = max(finest, 1 << max(0, int(number).bit_length() - 3))
    return -(-number // step) * step


def cut(inputs: TokenInputs, rows: Int[np.ndarray, " row"], length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, mask and segments of some examples (an example may come several times) at a padded length."""
    parts = []
    for whole in (inputs.input_ids, inputs.mask, inputs.segments):
        part = whole[rows, :length]
        parts.append(np.pad(part, [(0, 0), (0, length - part.shape[1])]))
    return parts[0], parts[1], parts[2]


def variant_logits(
    encoder: TextEncoder,
    inputs: TokenInputs,
    examples: Int[np.ndarray, " row"],
    removed: Callable[[np.ndarray], Bool[np.ndarray, "chunk_row token"]] | None,
    *,
    blank: int | None,
    batch_tokens: int,
) -> Float[np.ndarray, "row label"]:
    """Logits of copies of the examples with tokens removed, any number of copies of each.

    Args:
        encoder: a classifier.
        inputs: the examples.
        examples: which example each row is a copy of.
        removed: given row numbers, the tokens that are removed in these; None removes nothing.
        blank: what a removed token becomes; None hides it from attention instead, positions staying as they are.
        batch_tokens: memory's bound, see `over_chunks`.
    """
    pad_id = encoder.config.pad_id
    logits = np.zeros((len(examples), encoder.config.head.outputs), np.float32)

    def run(rows: np.ndarray, length: int) -> Array:
        ids, mask, segments = cut(inputs, examples[rows], length)
        ids = np.where(mask, ids, pad_id)
        if removed is not None:
            gone = np.pad(removed(rows)[:, :length], [(0, 0), (0, max(0, length - inputs.mask.shape[1]))])
            ids, mask = (ids, mask & ~gone) if blank is None else (np.where(gone, blank, ids), mask)
        return _logits(encoder.module, as_batch(ids, mask, segments))

    for rows, found in over_chunks(inputs.lengths[examples], encoder.max_length, batch_tokens, run):
        logits[rows] = found
    _check_finite(logits, examples)
    return logits


def as_batch(ids: np.ndarray, mask: np.ndarray, segments: np.ndarray) -> TokenBatch:
    """Host arrays as a batch."""
    return TokenBatch(jnp.asarray(ids, jnp.int32), jnp.asarray(mask), jnp.asarray(segments, jnp.int32))


@jax.jit
@broadcasting
def _logits(module: Encoder, batch: TokenBatch) -> Float[Array, "row label"]:
    logits = module(batch, return_attention=False, return_hidden_states=False).logits
    assert logits is not None
    return logits


def _chunks(
    lengths: Int[np.ndarray, " row"], limit: int, batch_tokens: int
) -> Iterator[tuple[Int[np.ndarray, " chunk_row"], int, int]]:
    buckets = np.array([min(rounded(int(length), 4), limit) for length in range(int(lengths.max(initial=0)) + 1)])
    bucket = buckets[lengths]
    for length in np.unique(bucket).tolist():
        rows = np.flatnonzero(bucket == length)
        most = max(1, batch_tokens // length)
        parts = -(-len(rows) // most)
        # Many chunks have one size whatever their number, so that later calls find their program; few are cut evenly.
        size = most if parts > EVENLY else rounded(-(-len(rows) // parts))
        for start in range(0, len(rows), size):
            yield rows[start : start + size], size, length


def _fetched(rows: np.ndarray, outputs: Any) -> tuple[np.ndarray, Any]:
    return rows, jax.tree.map(lambda array: np.asarray(array)[: len(rows)], outputs)


def _check_batch_tokens(batch_tokens: Any) -> None:
    if isinstance(batch_tokens, bool) or not isinstance(batch_tokens, int | np.integer) or batch_tokens < 1:
        raise InputError(f"`batch_tokens` must be a whole number, 1 or more, got {batch_tokens!r}")


def _check_finite(logits: np.ndarray, examples: np.ndarray) -> None:
    wrong = ~np.isfinite(logits).all(axis=-1)
    if wrong.any():
        example = examples[int(wrong.argmax())]
        raise InputError(f"the model's logits are not a number for example {example}; check its weights")
