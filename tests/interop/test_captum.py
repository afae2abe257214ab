"""Results in captum's shapes, against captum itself."""

import warnings

import numpy as np
import pytest
import torch
import transformers
from captum.attr import visualization

import jaxflow as jf
from jaxflow.interop import CaptumAttribution, captum_records
from tests.models.tiny_images import image, processor, torch_images, vision_model
from tests.tiny_text_model import LABELS, model_folder

TEXTS = ["the key to the cabinets is on", "table", "the keys"]
METHOD = "flow@attention-gradient"


@pytest.fixture(scope="module")
def model():
    with warnings.catch_warnings(action="ignore"):
        made = transformers.AutoModelForSequenceClassification.from_pretrained(model_folder())
        return jf.TorchModel(made, transformers.AutoTokenizer.from_pretrained(model_folder()))


@pytest.fixture(scope="module")
def images():
    return torch_images(vision_model("ViTForImageClassification", "ViTConfig"))


@pytest.mark.parametrize("side", ["right", "left"])
def test_ids_give_the_relevance_of_their_texts(model, side):
    inputs = model.tokenizer(TEXTS, padding=True, padding_side=side, return_tensors="pt")
    found = CaptumAttribution(model, METHOD).attribute(**inputs, target=torch.tensor([1, 0, 1]))
    assert found.shape == inputs["input_ids"].shape
    assert found.dtype == torch.float32
    for row, (text, target) in enumerate(zip(TEXTS, (1, 0, 1), strict=True)):
        expected = jf.attribute(model, [text], methods=METHOD, target=LABELS[target])[0].relevance[METHOD][-1, 0]
        real = inputs["attention_mask"][row].bool()
        np.testing.assert_allclose(found[row][real], expected, atol=1e-6)
        assert not found[row][~real].any()


def test_the_class_is_followed_and_the_predicted_one_is_the_default(model):
    ids = torch.tensor(model.tokenizer(TEXTS[0])["input_ids"])[None]
    explainer = CaptumAttribution(model, METHOD, layer=2)
    rows = [explainer.attribute(ids, target=target).numpy() for target in range(len(LABELS))]
    assert not np.allclose(rows[0], rows[1])
    predicted = LABELS.index(jf.attribute(model, TEXTS[:1], methods="raw")[0].prediction)
    np.testing.assert_array_equal(explainer.attribute(ids).numpy(), rows[predicted])
    # Rollout knows of no class.
    rollout = CaptumAttribution(model, "rollout")
    np.testing.assert_array_equal(rollout.attribute(ids, target=0), rollout.attribute(ids, target=1))


def test_padding_is_known_without_a_mask(model):
    inputs = model.tokenizer(TEXTS, padding=True, return_tensors="np")
    explainer = CaptumAttribution(model, "rollout")
    found = explainer.attribute(inputs["input_ids"])
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, explainer.attribute(inputs))


def test_a_model_that_runs_in_jax_gives_the_same(model):
    inputs = model.tokenizer(TEXTS, padding=True, return_tensors="np")
    ours = jf.load_model(str(model_folder()))
    rows = [CaptumAttribution(each, METHOD).attribute(inputs, target=0) for each in (model, ours)]
    np.testing.assert_allclose(*rows, atol=1e-5)


def test_pixels_have_the_relevance_of_their_patches(images):
    pictures = [image(seed) for seed in range(2)]
    pixels = torch.tensor(np.stack([processor()(each, return_tensors="np")["pixel_values"][0] for each in pictures]))
    found = CaptumAttribution(images, "rollout").attribute(pixels)
    assert found.shape == pixels.shape
    result = jf.attribute(images, pictures, methods="rollout")
    for row, example in zip(found.numpy(), result, strict=True):
        rows, columns = example.picture.grid
        patches = example.relevance["rollout"][-1, 0][np.array(example.source) == 0].reshape(rows, columns)
        side = pixels.shape[-1] // columns
        for channel in row:
            np.testing.assert_allclose(channel[::side, ::side], patches, atol=1e-6)
            np.testing.assert_allclose(channel[side - 1 :: side, side - 1 :: side], patches, atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "options", "named"),
    [
        (np.zeros((1, 3, 4)), {}, "inputs"),
        (np.array([[0.5, 2.0]]), {}, "inputs"),
        (np.array([[2, 5]]), {"target": [0, 1]}, "target"),
        (np.array([[2, 5]]), {"attention_mask": np.zeros((1, 2))}, "attention_mask"),
    ],
)
def test_what_cannot_be_read_is_named(model, inputs, options, named):
    with pytest.raises(jf.InputError) as error:
        CaptumAttribution(model, "rollout").attribute(inputs, **options)
    assert error.value.argument == named


def test_captum_shows_records(model):
    result = jf.attribute(model, TEXTS, methods=("rollout", METHOD))
    records = captum_records(result, "rollout", labels=["good", "bad", "good"])
    with warnings.catch_warnings(action="ignore"):
        shown = visualization.visualize_text(records).data
    for example, record in zip(result, records, strict=True):
        assert len(record.word_attributions) == len(example.tokens)
        row = example.relevance["rollout"][-1, 0]
        own = row[1:-1] / row[1:-1].max()
        np.testing.assert_allclose(record.word_attributions[1:-1], own, rtol=1e-5)
        assert record.word_attributions.abs().max() <= 1
        assert example.prediction in shown or "<" in example.prediction
    with pytest.raises(jf.InputError, match="method"):
        captum_records(result, "flow")
