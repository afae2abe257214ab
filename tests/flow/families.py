"""Mixing matrices of every kind that a flow solver can trip over, each a function of a seed.

Shapes are (layer, token, token). `FAMILIES` maps a name to `make(rng, layers, tokens)`.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

Mixing = np.ndarray


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def with_residual(attention: np.ndarray, residual: float) -> Mixing:
    return residual * np.eye(attention.shape[-1]) + (1 - residual) * attention


def diffuse(rng: Generator, layers: int, tokens: int) -> Mixing:
    return with_residual(softmax(rng.normal(size=(layers, tokens, tokens))), 0.5)


def peaked(rng: Generator, layers: int, tokens: int) -> Mixing:
    return with_residual(softmax(8 * rng.normal(size=(layers, tokens, tokens))), 0.5)


def without_residual(rng: Generator, layers: int, tokens: int) -> Mixing:
    return softmax(3 * rng.normal(size=(layers, tokens, tokens)))


def only_residual(rng: Generator, layers: int, tokens: int) -> Mixing:
    return np.broadcast_to(np.eye(tokens), (layers, tokens, tokens)).copy()


def chain(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Each position sees itself and its left neighbour only."""
    scores = np.full((layers, tokens, tokens), -np.inf)
    for i in range(tokens):
        scores[:, i, max(0, i - 1) : i + 1] = rng.normal(size=(layers, min(i, 1) + 1))
    return with_residual(softmax(scores), 0.3)


def bottleneck(rng: Generator, layers: int, tokens: int) -> Mixing:
    """One middle layer passes everything through one position."""
    mixing = diffuse(rng, layers, tokens)
    narrow = layers // 2
    mixing[narrow] = 0.0
    mixing[narrow, :, rng.integers(tokens)] = rng.uniform(0.01, 1.0, tokens)
    return mixing


def tied(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Few different capacities, all powers of two: many minimum cuts of exactly the same capacity."""
    return rng.choice([0.0, 0.125, 0.25, 0.5], size=(layers, tokens, tokens))


def uniform(rng: Generator, layers: int, tokens: int) -> Mixing:
    """All positions alike."""
    return with_residual(np.full((layers, tokens, tokens), 1 / tokens), 0.5)


def padded(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Padding on both sides and in the middle; its rows and columns are 0."""
    real = rng.random(tokens) < 0.7
    real[rng.integers(tokens)] = True
    scores = np.where(real[None, None], 2 * rng.normal(size=(layers, tokens, tokens)), -np.inf)
    return np.where(real[:, None] & real, with_residual(softmax(scores), 0.5), 0.0)


def disconnected(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Two groups that never see one another, and arcs missing at random within them."""
    group = rng.random(tokens) < 0.5
    kept = (group[:, None] == group) & (rng.random((layers, tokens, tokens)) < 0.5)
    return np.where(kept, rng.random((layers, tokens, tokens)), 0.0)


def causal(rng: Generator, layers: int, tokens: int) -> Mixing:
    scores = np.where(np.tri(tokens, dtype=bool), 2 * rng.normal(size=(layers, tokens, tokens)), -np.inf)
    return with_residual(softmax(scores), 0.5)


def strong_sink(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Nearly all attention goes to one position, as to a separator."""
    scores = rng.normal(size=(layers, tokens, tokens))
    scores[:, :, rng.integers(tokens)] += 6
    return with_residual(softmax(scores), 0.5)


def permutation(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Each position sees exactly one other, without a residual."""
    return np.stack([np.eye(tokens)[rng.permutation(tokens)] for _ in range(layers)])


def local(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Attention falls off with distance."""
    apart = np.abs(np.arange(tokens)[:, None] - np.arange(tokens))
    return with_residual(softmax(rng.normal(size=(layers, tokens, tokens)) - apart), 0.5)


def sliding_window(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Each position sees so many neighbours, and no others."""
    apart = np.abs(np.arange(tokens)[:, None] - np.arange(tokens))
    scores = np.where(apart <= max(1, tokens // 8), rng.normal(size=(layers, tokens, tokens)), -np.inf)
    return with_residual(softmax(scores), 0.5)


def local_sink(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Attention falls off with distance, but for the first position, which takes most."""
    apart = np.abs(np.arange(tokens)[:, None] - np.arange(tokens))
    scores = rng.normal(size=(layers, tokens, tokens)) - apart
    scores[:, :, 0] = 3 + rng.normal(size=(layers, tokens))
    return with_residual(softmax(scores), 0.5)


def causal_sink(rng: Generator, layers: int, tokens: int) -> Mixing:
    """The same, to the left alone."""
    return local_sink(rng, layers, tokens) * np.tri(tokens)


def long_gaps(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Falls off so fast that distant flows are tiny, and some positions see nothing or are not seen."""
    apart = np.abs(np.arange(tokens)[:, None] - np.arange(tokens))
    seen = rng.random((layers, 1, tokens)) < 0.9
    return (
        np.exp(-2.0 * apart + rng.normal(size=(layers, tokens, tokens)))
        * seen
        * (rng.random((layers, tokens, 1)) < 0.9)
    )


def mixed_scales(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Capacities between 1e-30 and 1, so that small flows share arcs with large ones."""
    return 10.0 ** rng.uniform(-30, 0, size=(layers, tokens, tokens))


def class_graph(rng: Generator, layers: int, tokens: int) -> Mixing:
    """As of attention times its gradient: many zeros, rows of any size, and in the last layer one row alone."""
    attention, gradient = (
        softmax(2 * rng.normal(size=(layers, tokens, tokens))),
        rng.normal(size=(layers, tokens, tokens)),
    )
    # How much depends on a row differs from row to row, and falls off with depth.
    sizes = np.exp(2 * rng.normal(size=(layers, tokens, 1))) * 2.0 ** -np.arange(layers)[:, None, None]
    weights = attention * np.maximum(gradient - rng.uniform(-0.5, 1), 0) * sizes
    weights[-1, np.arange(tokens) != rng.integers(tokens)] = 0
    return weights


def wide_own(rng: Generator, layers: int, tokens: int) -> Mixing:
    """The same over own streams that are wider than any cut through them, so that chains bind nothing."""
    weights = class_graph(rng, layers, tokens)
    return weights + 4 * max(weights.sum(), 1e-3) * np.eye(tokens)


def own_a_layer(rng: Generator, layers: int, tokens: int) -> Mixing:
    """The same over own streams of some times each layer's largest weight."""
    weights = class_graph(rng, layers, tokens)
    return weights + rng.choice([0.25, 1.0, 4.0]) * weights.max((1, 2), keepdims=True) * np.eye(tokens)


def rows_of_any_size(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Rows between a millionth and a thousand in sum, next to one another."""
    return softmax(rng.normal(size=(layers, tokens, tokens))) * 10.0 ** rng.uniform(-6, 3, (layers, tokens, 1))


def dominant_arc(rng: Generator, layers: int, tokens: int) -> Mixing:
    """One arc a layer is a million times as wide as all others."""
    mixing = rng.random((layers, tokens, tokens)) * (rng.random((layers, tokens, tokens)) < 0.6)
    i, j = rng.integers(0, tokens, (2, layers))
    mixing[np.arange(layers), i, j] = 1e6
    return mixing


def causal_class(rng: Generator, layers: int, tokens: int) -> Mixing:
    """A causal class graph with an attention sink: the first column takes most."""
    weights = own_a_layer(rng, layers, tokens) * np.tri(tokens)
    weights[:, :, 0] += 3 * weights.sum(-1) * (rng.random((layers, tokens)) < 0.8)
    return weights


def subnormal(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Capacities among the smallest doubles there are."""
    return rng.integers(0, 1000, size=(layers, tokens, tokens)) * 5e-324


def huge(rng: Generator, layers: int, tokens: int) -> Mixing:
    """Capacities near the largest double."""
    return rng.random((layers, tokens, tokens)) * 1e306


def sparse(rng: Generator, layers: int, tokens: int) -> Mixing:
    return np.where(rng.random((layers, tokens, tokens)) < 0.25, rng.random((layers, tokens, tokens)), 0.0)


FAMILIES: dict[str, Callable[[Generator, int, int], Mixing]] = {
    make.__name__: make
    for make in (
        diffuse,
        peaked,
        without_residual,
        only_residual,
        chain,
        bottleneck,
        tied,
        uniform,
        padded,
        disconnected,
        causal,
        strong_sink,
        permutation,
        local,
        mixed_scales,
        sparse,
    )
}
# Capacities that keep their size, as mixings of gradients have.
UNNORMALISED = {
    make.__name__: make for make in (class_graph, wide_own, own_a_layer, rows_of_any_size, dominant_arc, causal_class)
}
# Few arcs carry what flows, as in long texts; kept apart, so that what is drawn from `FAMILIES` stays the same.
LONG = {make.__name__: make for make in (sliding_window, local_sink, causal_sink, long_gaps)}
# Their values cannot be brought to integers with the precision that the others are compared at.
EXTREME = {make.__name__: make for make in (subnormal, huge)}
