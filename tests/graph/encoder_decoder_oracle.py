"""One example's graph of sources and targets, and rollout through it, in NumPy."""

import numpy as np


def by_hand(encoder, decoder, cross, residual=0.5):
    """One example's capacities, layer by layer: each part's head mean in its place, and 1 where nothing moves."""
    sources, targets = encoder.shape[-1], decoder.shape[-1]
    eye = np.eye(sources + targets)
    layers = []
    for layer in encoder.mean(1).astype(np.float64):
        capacity = eye.copy()
        capacity[:sources, :sources] = (1 - residual) * layer / layer.sum(-1, keepdims=True)
        capacity[:sources, :sources] += residual * np.eye(sources)
        layers.append(capacity)
    for own, other in zip(decoder.mean(1).astype(np.float64), cross.mean(1).astype(np.float64), strict=True):
        for part, columns in ((own, slice(sources, None)), (other, slice(sources))):
            capacity = eye.copy()
            capacity[sources:] *= residual
            capacity[sources:, columns] += (1 - residual) * part / part.sum(-1, keepdims=True)
            layers.append(capacity)
    return np.stack(layers)


def products(encoder, decoder, cross, residual=0.5):
    """Relevance of sources and targets to each stream, by a rule for each kind of attention (Chefer et al. 2021b)."""
    own, rest = residual, 1 - residual
    encoder, decoder, cross = (part.mean(1).astype(np.float64) for part in (encoder, decoder, cross))
    to_sources = np.eye(encoder.shape[-1])
    for layer in encoder:
        to_sources = own * to_sources + rest * layer @ to_sources
    targets_of_targets = np.eye(decoder.shape[-1])
    sources_of_targets = np.zeros(cross.shape[-2:])
    for self_attention, cross_attention in zip(decoder, cross, strict=True):
        targets_of_targets = own * targets_of_targets + rest * self_attention @ targets_of_targets
        sources_of_targets = own * sources_of_targets + rest * self_attention @ sources_of_targets
        targets_of_targets = own * targets_of_targets
        sources_of_targets = own * sources_of_targets + rest * cross_attention @ to_sources
    return sources_of_targets, targets_of_targets
