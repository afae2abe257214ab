"""What the layers hand to their watchers, against hooks on Hugging Face's layers in float64."""

import jax
import numpy as np
import pytest

from jaxflow.models import ForwardOptions
from jaxflow.models.families import ENCODERS
from jaxflow.models.packing import pack
from tests.models.test_families import make
from tests.torch_layers import deviation, torch_layers

FAST = ("bert", "roberta-prelayernorm")
CASES = [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in ENCODERS]


@jax.jit
def watched(module, batch, packing=None):
    """Parts of every layer, `layer ...`, and its output with the first token's values left out."""

    def keep(carry, layer):
        silenced = layer.rerun(values=layer.values.at[..., 0, :].set(0))
        unseen = layer.rerun(attention=layer.attention.at[..., 0].set(0))
        parts = dict.fromkeys(("inputs", "values", "output", "attended", "norms", "attention"))
        parts = {name: getattr(layer, name) for name in parts}
        return carry, parts | {"again": layer.rerun(), "silenced": silenced, "unseen": unseen}

    return module.visit_layers(batch, keep, None, ForwardOptions(packing=packing))[-1]


@pytest.mark.parametrize("model_type", CASES)
def test_parts_of_layers_equal_torch(tiny, batches, as_torch, tmp_path, model_type):
    model, ours = make(model_type, "bare", tmp_path, tiny)
    assert {"values", "norms", "rerun"} <= ours.gives
    batch = batches("right", ours.config.pad_id, ours.config.segments)
    layers = torch_layers(model, as_torch(batch, ours.config.segments > 0))
    mask = np.asarray(batch.mask)

    def same(own, other):
        other = other.detach().numpy()[mask]
        np.testing.assert_allclose(own[mask], other, rtol=0, atol=1e-5 * np.abs(other).max())

    # Packed rows, as BERT's here, come back in their places.
    parts = watched(ours.module, batch, pack(mask, int(mask.sum())) if model_type == "bert" else None)
    for index, theirs in enumerate(layers):
        part = jax.tree.map(lambda stacked, index=index: np.asarray(stacked[index]), parts)
        same(part["inputs"], theirs.inputs)
        same(part["attended"], theirs.attended)
        same(part["again"], theirs.output)
        same(part["silenced"], theirs.without_value(0))
        # A token that nobody attends to gives what one without a value gives.
        same(part["unseen"], theirs.without_value(0))
        same(part["values"].swapaxes(1, 2), theirs.values.transpose(1, 2))
        np.testing.assert_allclose(part["output"], theirs.projection, atol=1e-6)
        assert part["norms"].pre_norm == theirs.pre_norm
        norms = part["norms"].attention, part["norms"].output
        for norm, other, read in zip(norms, theirs.norms, theirs.read, strict=True):
            same(norm.deviation, deviation(other, read))
            np.testing.assert_allclose(norm.scale, other.weight.detach(), atol=1e-6)
            np.testing.assert_allclose(norm.bias, other.bias.detach(), atol=1e-6)


def test_a_convolution_beside_the_first_layer_leaves_no_norms(tiny, tmp_path):
    _, ours = make("deberta-v2", "bare", tmp_path, tiny, conv_kernel_size=3)
    assert {"attention", "values", "gradients", "embeddings"} <= ours.gives
    assert not {"norms", "rerun"} & ours.gives
