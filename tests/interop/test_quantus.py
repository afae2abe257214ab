"""Our methods as Quantus's `explain_func`; Quantus itself where it is installed, and else as it calls one."""

import warnings

import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow.interop import QuantusExplanation
from tests.models.tiny_images import image, processor, torch_images, vision_model
from tests.tiny_text_model import LABELS, model_folder

METHOD = "flow@attention-gradient"


class Logits(torch.nn.Module):
    """A model of transformers as Quantus calls one: an array in, logits out."""

    def __init__(self, model, name):
        super().__init__()
        self.model, self.name = model, name

    def forward(self, values):
        given = values.long() if self.name == "input_ids" else values
        return self.model(**{self.name: given}).logits


@pytest.fixture(scope="module")
def vision():
    return vision_model("ViTForImageClassification", "ViTConfig")


@pytest.fixture(scope="module")
def pixels():
    given = [processor()(image(seed), return_tensors="np")["pixel_values"][0] for seed in range(3)]
    return np.stack(given).astype(np.float32)


@pytest.fixture
def quiet():
    with warnings.catch_warnings(action="ignore"):
        yield


@pytest.mark.slow
def test_images_of_a_wrapped_model(vision, pixels, quiet):
    targets = np.array([0, 2, 0])
    # As Quantus calls it: by name, with more than is known here.
    found = QuantusExplanation(processor(), METHOD)(
        model=Logits(vision, "pixel_values"), inputs=pixels, targets=targets, device=None
    )
    assert found.shape == (3, 1, *pixels.shape[2:])
    ours = torch_images(vision)
    for row, target, seed in zip(found, targets, range(3), strict=True):
        (example,) = jf.attribute(ours, [image(seed)], methods=METHOD, target=int(target))
        patches = example.relevance[METHOD][-1, 0][np.array(example.source) == 0]
        side = pixels.shape[-1] // example.picture.grid[1]
        np.testing.assert_allclose(row[0, ::side, ::side].ravel(), patches, atol=1e-6)


@pytest.mark.slow
def test_texts_and_copies_with_other_weights(quiet):
    made = transformers.AutoModelForSequenceClassification.from_pretrained(model_folder())
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder())
    ids = tokenizer(["the key is on", "table"], padding=True, return_tensors="np")["input_ids"]
    explain = QuantusExplanation(tokenizer, METHOD)
    found = explain(Logits(made, "input_ids"), ids.astype(np.float32), np.array([1, 0]))
    assert found.shape == ids.shape
    model = jf.TorchModel(made, tokenizer)
    expected = jf.attribute(model, ["the key is on"], methods=METHOD, target=LABELS[1])[0].relevance[METHOD][-1, 0]
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    # Metrics of randomisation pass a copy.
    other = transformers.AutoModelForSequenceClassification.from_config(made.config).eval()
    assert not np.allclose(explain(other, ids, [1, 0]), found)
    np.testing.assert_array_equal(explain(made, ids, [1, 0]), found)


def test_a_module_without_a_model_of_transformers_is_named():
    with pytest.raises(jf.InputError, match="`model` must be, or hold, a PyTorch model of transformers, got Linear"):
        QuantusExplanation(processor())(torch.nn.Linear(2, 2), np.zeros((1, 3, 24, 24)))


def test_metrics_of_quantus_take_it(vision, pixels, quiet):
    quantus = pytest.importorskip("quantus")
    model, targets = Logits(vision, "pixel_values").eval(), np.array([0, 2, 1])
    given = {"x_batch": pixels, "y_batch": targets, "device": "cpu"}
    explain = QuantusExplanation(processor(), "rollout")
    metric = quantus.PixelFlipping(features_in_step=64, disable_warnings=True)
    curves = metric(model=model, explain_func=explain, **given)
    # The same as with the attributions in hand, which Quantus says is equal.
    in_hand = metric(model=model, a_batch=explain(model, pixels, targets), **given)
    np.testing.assert_allclose(curves, in_hand, rtol=1e-6)
    assert np.shape(curves) == (3, pixels[0].size // 64)
    sparse = quantus.Sparseness(disable_warnings=True)(model=model, explain_func=explain, **given)
    assert all(0 <= each <= 1 for each in sparse)
