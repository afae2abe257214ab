"""Mixings that need no gradient, against an account in torch of Hugging Face's layers in float64."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import torch

from jaxflow.mixing import Alti, AttentionMeasured, Norms, ValueZeroing
from jaxflow.mixing.norms import VARIANTS
from jaxflow.models import ForwardOptions
from jaxflow.models.families import FAMILIES
from jaxflow.models.packing import pack
from tests.mixing.torch_mixings import measures, shares
from tests.models.conftest import batches, make_batch, tiny, torch_inputs  # noqa: F401
from tests.models.test_families import make
from tests.torch_layers import torch_layers

FAST = ("bert", "roberta-prelayernorm")
CASES = [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in FAMILIES]
PLAIN = [Norms(variant=variant) for variant in VARIANTS] + [Alti(), ValueZeroing()]


@jax.jit
def measured(module, batch, packing=None):
    """By each mixing: its weights in their size, and its capacities as published; `layer row query key`."""

    def keep(carry, layer):
        sizes = [replace(mixing, rows="sizes").capacities(layer, batch.mask)[0] for mixing in PLAIN]
        return carry, (sizes, [mixing.capacities(layer, batch.mask) for mixing in (*PLAIN, AttentionMeasured())])

    return module.visit_layers(batch, keep, None, ForwardOptions(packing=packing))[-1]


def close(own, other, axes=-1):
    """Within 1e-5 of the largest number of each row, or of the whole layer."""
    other = np.asarray(other)
    largest = np.abs(other).max(axes, keepdims=True)
    error = np.abs(own - other) / np.where(largest == 0, 1, largest)
    assert error.max() <= 1e-5, error.max()


def check_layers(ours, model, batch, inputs, packing=None):
    """All mixings of all layers; padding is 0."""
    sizes, capacities = jax.tree.map(np.asarray, measured(ours.module, batch, packing))
    mask = torch.tensor(np.asarray(batch.mask))
    pairs = (mask[:, :, None] & mask[:, None, :]).numpy()
    for index, layer in enumerate(torch_layers(model, inputs)):
        theirs = measures(layer, mask)
        for mixing, size, (weights, own) in zip(PLAIN, sizes, capacities[:-1], strict=True):
            expected = theirs[mixing.name, getattr(mixing, "variant", "")]
            # States in float32 that differ by d are 1e-7 / d of d apart from those in float64, so that small distances
            # of states (d^2 / 2) cannot be as near in proportion as large ones.
            axes = None if mixing.name == "value-zeroing" else -1
            close(size[index], np.where(pairs, expected, 0), axes)
            close(weights[index], shares(expected, mask), axes)
            assert not own[index].any()
        weights, own = (part[index] for part in capacities[-1])
        diagonal = np.eye(pairs.shape[-1], dtype=bool)
        assert not weights[:, diagonal].any()
        close(weights + own[:, :, None] * diagonal, theirs["attention-measured", ""])


@pytest.mark.parametrize("model_type", CASES)
def test_mixings_equal_torch(tiny, tmp_path, model_type):  # noqa: F811
    model, ours = make(model_type, "bare", tmp_path, tiny)
    batch = make_batch("right", ours.config.pad_id, ours.config.segments)
    mask = np.asarray(batch.mask)
    inputs = torch_inputs(batch, ours.config.segments > 0)
    check_layers(ours, model, batch, inputs, pack(mask, int(mask.sum())) if model_type == "bert" else None)


def test_padding_on_the_left_changes_nothing(tiny, tmp_path):  # noqa: F811
    model, ours = make("bert", "bare", tmp_path, tiny)
    batch = make_batch("left", ours.config.pad_id, ours.config.segments)
    check_layers(ours, model, batch, torch_inputs(batch))
