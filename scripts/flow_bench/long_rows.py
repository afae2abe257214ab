"""Rows of one position at all layers of long made-up texts, beside OR-Tools on some of the same pairs."""

import resource
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from typing import Any

import numpy as np

from flow_bench import peers as peers_of
from jaxflow.flow import exact

LAYERS = 12
# Pairs of a layer that the peer solves; none above so many tokens.
PAIRS, LONGEST_PEER = 6, 600


def cpu(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor, which other programs disturb least."""
    begin = time.process_time()
    result = call()
    return time.process_time() - begin, result


FAMILIES = ("local", "local sink", "causal sink", "sliding window")


def long_text(name: str, tokens: int) -> np.ndarray:
    """Local attention with and without a first token that takes most, or a sliding window, in single precision."""
    apart = np.abs(np.arange(tokens)[:, None] - np.arange(tokens))
    mixing, rng = np.empty((LAYERS, tokens, tokens), np.float32), np.random.default_rng(tokens)
    for layer in mixing:
        scores = rng.normal(size=(tokens, tokens))
        scores -= np.where(apart <= 16, 0, np.inf) if name == "sliding window" else apart
        if name.endswith("sink"):
            scores[:, 0] = 6 + rng.normal(size=tokens)
        if name.startswith("causal"):
            scores[~np.tri(tokens, dtype=bool)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        layer[:] = 0.5 * np.eye(tokens) + 0.5 * weights / weights.sum(-1, keepdims=True)
    return mixing


def bench_long(lengths: list[int]) -> Iterator[dict[str, Any]]:
    """Seconds of one core for the rows of all layers, of the last position where attention is causal."""
    for tokens in lengths:
        for name in FAMILIES:
            # A process of its own each: the most memory that one ever had is all that can be asked of it.
            with get_context("spawn").Pool(1) as pool:
                yield pool.apply(_row, (name, tokens))


def _row(name: str, tokens: int) -> dict[str, Any]:
    # Compiles both ways of solving.
    for size in (64, 128):
        _ = exact.max_flow(long_text("local", size)[None, :4], np.zeros((1, 1), int), (3, 4), threads=1)
    mixing = long_text(name, tokens)
    query = tokens - 1 if name.startswith("causal") else 0
    queries, layers = np.array([[query]]), tuple(range(1, LAYERS + 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, found = cpu(lambda: exact.max_flow(mixing[None], queries, layers, threads=1))
    row = {"family": name, "tokens": tokens, "layers": LAYERS, "query": query, "seconds": seconds}
    row["relative_gap"] = float(((found.upper - found.lower) / np.maximum(found.upper, 1e-300)).max())
    row["peak_megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row["megabytes_before"] = before / 1024
    if tokens <= LONGEST_PEER:
        row |= _beside_ortools(mixing, query, found.value[0, :, 0], seconds)
    return row


def _beside_ortools(mixing: np.ndarray, query: int, value: np.ndarray, seconds: float) -> dict[str, float]:
    """How many times as long OR-Tools takes for the same pairs of layers 3 up, and how far it is off."""
    tokens, rng = mixing.shape[-1], np.random.default_rng(0)
    spent, error = 0.0, 0.0
    for layer in range(3, LAYERS + 1):
        solve, sinks = peers_of.ortools(mixing[:layer].astype(np.float64)), rng.choice(tokens, PAIRS, replace=False)
        took, theirs = cpu(lambda: [solve(query, int(sink)) for sink in sinks])  # noqa: B023
        spent += took / PAIRS * tokens
        error = max(error, float(np.abs(value[layer - 1, sinks] - theirs).max()))
    return {"ortools_seconds": spent, "ratio": spent / seconds, "difference_from_ortools": error}
