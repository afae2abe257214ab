"""Attention to test with: many different problems in one batch, never one problem many times."""

import numpy as np


def softmax_attention(seed, shape, sharpness=3.0, mask=None, causal=False):
    """Random attention `*batch layer head query key` in float64, padded keys getting nothing."""
    scores = np.random.default_rng(seed).normal(size=shape) * sharpness
    tokens = shape[-1]
    allowed = np.ones((*shape[:-4], 1, 1, tokens, tokens), bool)
    if mask is not None:
        allowed = allowed & mask[..., None, None, None, :]
    if causal:
        allowed = allowed & np.tri(tokens, dtype=bool)
    scores = np.where(allowed, scores, -1e30)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def masks(seed, batch, tokens):
    """Token masks: padding right, left, in the middle, all but one token, and none."""
    rng = np.random.default_rng(seed)
    made = np.ones((batch, tokens), bool)
    for row in range(batch):
        kind, size = row % 5, int(rng.integers(1, tokens))
        if kind == 0:
            made[row, tokens - size :] = False
        elif kind == 1:
            made[row, :size] = False
        elif kind == 2:
            made[row] = rng.random(tokens) < 0.6
            made[row, rng.integers(tokens)] = True
        elif kind == 3:
            made[row] = np.arange(tokens) == size
    return made
