"""Mixings by their formulas in the papers, pair by pair, on Hugging Face's layers in float64."""

import torch

from tests.torch_layers import deviation


def linear_norm(norm, state, vectors):
    """`scale * (v - mean(v)) / sqrt(var(y) + eps)`; state `row query width`, vectors `row query key width`."""
    centred = vectors - vectors.mean(-1, keepdim=True)
    return centred * norm.weight.detach() / deviation(norm, state)[:, :, None, None]


def pair_vectors(layer):
    """`z_ij`, row query key width."""
    moved = torch.einsum("rhkd,hdw->rhkw", layer.values, layer.projection)
    return torch.einsum("rhqk,rhkw->rqkw", layer.attention, moved)


def with_residual_vectors(layer):
    vectors = pair_vectors(layer)
    return vectors + torch.eye(vectors.shape[1], dtype=vectors.dtype)[:, :, None] * layer.inputs[:, :, None]


def behind_norms(layer, vectors, count):
    """The first `count` norms of the layer, linearised; none where they stand before their blocks."""
    for norm, state in list(zip(layer.norms, layer.read, strict=True))[: 0 if layer.pre_norm else count]:
        vectors = linear_norm(norm, state, vectors)
    return vectors


def norms(layer, variant):
    if variant == "N":
        return pair_vectors(layer).norm(dim=-1)
    count = ("N-Res", "N-ResLN", "N-Enc").index(variant)
    return behind_norms(layer, with_residual_vectors(layer), count).norm(dim=-1)


def alti(layer):
    parts = behind_norms(layer, with_residual_vectors(layer), 1)
    whole = layer.attended[:, :, None]
    # As torch's pairwise_distance without the 1e-6 that it adds to every difference.
    return (whole.abs().sum(-1) - (whole - parts).abs().sum(-1)).clamp(min=0)


def value_zeroing(layer):
    columns = [
        1 - torch.nn.functional.cosine_similarity(layer.output, layer.without_value(token), dim=-1)
        for token in range(layer.inputs.shape[1])
    ]
    return torch.stack(columns, -1)


def shares(weights, mask):
    """Rows of real tokens scaled to sum to 1; one without any becomes the identity's."""
    weights = weights * mask[:, :, None] * mask[:, None, :]
    total = weights.sum(-1, keepdim=True)
    alone = torch.eye(weights.shape[-1], dtype=weights.dtype) * mask[:, :, None]
    return torch.where(total == 0, alone, weights / torch.where(total == 0, 1, total))


def attention_measured(layer, mask):
    """Capacities: the measured share of the others' attention, the rest on the diagonal."""
    vectors = behind_norms(layer, with_residual_vectors(layer), 2)
    diagonal = torch.eye(vectors.shape[1], dtype=bool)
    mix = torch.where(diagonal[:, :, None], 0, vectors).sum(2).norm(dim=-1)
    own = torch.diagonal(vectors, dim1=1, dim2=2).norm(dim=1)
    ratio = (mix / (mix + own))[:, :, None]
    others = torch.where(diagonal, 0, layer.attention.mean(1)) * mask[:, :, None] * mask[:, None, :]
    total = others.sum(-1, keepdim=True)
    others = others / torch.where(total == 0, 1, total)
    return ratio * others + torch.where(diagonal, 1 - ratio, 0) * mask[:, :, None]


def measures(layer, mask):
    """By the name of each mixing and its variant: `row query key`, not scaled but for measured attention."""
    by_name = {("norms", variant): norms(layer, variant) for variant in ("N", "N-Res", "N-ResLN", "N-Enc")}
    return by_name | {
        ("alti", ""): alti(layer),
        ("value-zeroing", ""): value_zeroing(layer),
        ("attention-measured", ""): attention_measured(layer, mask),
    }
