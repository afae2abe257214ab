"""ViT and DeiT in JAX: against transformers, and against the same model as `TorchModel` takes it."""

import json
import re
from typing import Any

import jax
import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.cli.main import main
from jaxflow.models import new_encoder, save_encoder, with_head
from jaxflow.models.images import processed
from jaxflow.references import Occlusion
from tests.mixing.test_chefer_relevance import graph
from tests.models.tiny_images import VISION, folder_of_images, image, processor, torch_images, vision_model
from tests.references.chefer_oracle import chefer_weights

# The classes of the model and its configuration, and the configuration's values.
KINDS = {
    "vit": ("ViTForImageClassification", "ViTConfig", {}),
    "vit-bare": ("ViTModel", "ViTConfig", {}),
    "vit-oblong": (
        "ViTForImageClassification",
        "ViTConfig",
        {"image_size": [24, 16], "patch_size": [8, 4], "qkv_bias": False, "hidden_act": "gelu_new"},
    ),
    "deit": ("DeiTForImageClassification", "DeiTConfig", {}),
    "deit-teacher": ("DeiTForImageClassificationWithTeacher", "DeiTConfig", {}),
    "deit-bare": ("DeiTModel", "DeiTConfig", {}),
    "dinov2": ("Dinov2ForImageClassification", "Dinov2Config", {}),
    "dinov2-larger": ("Dinov2ForImageClassification", "Dinov2Config", {"image_size": 40, "shown": [24, 32]}),
    "dinov2-registers": ("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", {}),
    "dinov2-registers-smaller": (
        "Dinov2WithRegistersForImageClassification",
        "Dinov2WithRegistersConfig",
        {"image_size": 40, "shown": [24, 16], "use_swiglu_ffn": True, "num_register_tokens": 3},
    ),
    "dinov2-registers-upward": (
        "Dinov2WithRegistersForImageClassification",
        "Dinov2WithRegistersConfig",
        {"image_size": 16, "shown": [24, 40]},
    ),
    "dinov2-bare": ("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", {"mlp_ratio": 2}),
}
FAST = ("vit", "deit", "dinov2-registers-smaller")
ALL = [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in KINDS]


@pytest.fixture(autouse=True)
def quiet():
    transformers.utils.logging.set_verbosity_error()


def made(name):
    """A random model of torch and its image processor; no token in front of the patches is 0."""
    kind, config, changes = KINDS[name]
    changes = dict(changes)
    # Positions of some models are interpolated to the size that the image processor gives.
    size = changes.pop("shown", changes.get("image_size", [VISION["image_size"]] * 2))
    model = vision_model(kind, config, **changes)
    for parameter in model.parameters():
        if parameter.ndim == 3:
            parameter.data.normal_()
    model.set_attn_implementation("eager")
    return model, processor(*size)


def saved(name, folder):
    """The same in a folder, as users have it."""
    model, reader = made(name)
    model.save_pretrained(folder)
    _ = reader.save_pretrained(folder)
    return model, reader


@jax.jit
def run(module, batch):
    return module(batch)


@pytest.mark.parametrize("name", ALL)
def test_equals_torch(tmp_path, name):
    model, reader = saved(name, tmp_path)
    ours = jf.load_model(tmp_path)
    pictures = [image(0), image(1, 50, 20)]
    with torch.no_grad():
        inputs = reader([Image.fromarray(each) for each in pictures], return_tensors="pt")
        theirs = model(**inputs, output_attentions=True, output_hidden_states=True)
    output = run(ours.module, ours.pad(ours.tokenize(pictures)))
    # Ours has registers behind the patches.
    registers = ours.config.registers
    order = [0, *range(1 + registers, ours.max_length), *range(1, 1 + registers)]
    attention = torch.stack(theirs.attentions, 1).numpy()[..., order, :][..., order]
    np.testing.assert_allclose(output.attention, attention, atol=1e-5, rtol=0)
    # Torch's states are those in front of the final norm.
    states = torch.stack(theirs.hidden_states, 1).numpy()[:, :-1, order]
    np.testing.assert_allclose(output.hidden_states[:, :-1], states, atol=1e-4, rtol=1e-5)
    if name.endswith("bare"):
        assert output.logits is None
        np.testing.assert_allclose(output.hidden_states[:, -1], theirs.last_hidden_state[:, order], atol=1e-4)
        pooled = output.hidden_states[:, -1, 0] if output.pooled is None else output.pooled
        np.testing.assert_allclose(pooled, theirs.pooler_output, atol=1e-4)
    else:
        np.testing.assert_allclose(output.logits, theirs.logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_results_are_those_of_the_model_in_torch(tmp_path, name):
    model, reader = saved(name, tmp_path)
    ours, theirs = jf.load_model(tmp_path), torch_images(model, reader)
    assert (ours.layers, ours.heads, ours.labels, ours.reads_at, ours.max_length) == (
        theirs.layers,
        theirs.heads,
        theirs.labels,
        theirs.reads_at,
        theirs.max_length,
    )
    methods = ("raw", "rollout", "flow") if name.endswith("bare") else ("raw", "flow", "rollout@attention-gradient")
    question = jf.Question(methods=methods)
    pictures = [image(0), image(1, 50, 20), image(2)]
    results = [jf.attribute(each, pictures, question) for each in (ours, theirs)]
    for mine, other in zip(*results, strict=True):
        assert (mine.tokens, mine.source, mine.prediction) == (other.tokens, other.source, other.prediction)
        assert mine.picture == other.picture
        assert mine.queries.tolist() == other.queries.tolist()
        for method in methods:
            scale = np.abs(other.relevance[method]).max()
            np.testing.assert_allclose(
                mine.relevance[method], other.relevance[method], atol=1e-5 * scale, err_msg=method
            )


def test_padding_behind_an_image_and_rows_that_fill_a_batch_change_nothing(tmp_path):
    _ = saved("deit", tmp_path)
    ours = jf.load_model(tmp_path)
    encodings = ours.tokenize([image(0), image(1)])
    exact, padded = ours(ours.pad(encodings)), ours(ours.pad(encodings, 16))
    count = len(encodings[0])
    np.testing.assert_allclose(padded.attention[..., :count, :count], exact.attention, atol=1e-6)
    np.testing.assert_allclose(padded.logits, exact.logits, atol=1e-5)
    assert (np.asarray(padded.attention)[..., :count, count:] == 0).all()


def test_each_image_has_random_numbers_of_its_own(tmp_path):
    _ = saved("vit", tmp_path)
    ours = jf.load_model(tmp_path)
    first, second, again = jf.attribute(ours, [image(0), image(1), image(0)], methods="random")
    (alone,) = jf.attribute(ours, [image(1)], methods="random")
    np.testing.assert_array_equal(first.relevance["random"], again.relevance["random"])
    np.testing.assert_array_equal(second.relevance["random"], alone.relevance["random"])
    assert (first.relevance["random"] != second.relevance["random"]).all()


def test_images_for_a_model_of_texts_are_refused_by_their_own_option(tmp_path, capsys):
    folder_of_images(tmp_path / "photos")
    arguments = ["--images", str(tmp_path / "photos"), "--model", "verb-number", "--out", str(tmp_path / "out")]
    assert main(["attribute", *arguments]) == 2
    said = capsys.readouterr().err
    assert "--images" in said
    assert "--input" not in said


@pytest.mark.parametrize("name", ["vit", pytest.param("deit-teacher", marks=pytest.mark.slow)])
def test_the_parts_of_a_class_score_sum_to_it(tmp_path, name):
    _ = saved(name, tmp_path)
    ours = jf.load_model(tmp_path)
    parts = jf.attribute(ours, [image()], methods="decompx", target="dog")[0].relevance["decompx"]
    logits = ours(ours.pad(ours.tokenize([image()]))).logits[0]
    np.testing.assert_allclose(parts[-1, 0].sum(), logits[1], atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_a_saved_model_is_loaded_by_transformers(tmp_path, name):
    model, theirs = saved(name, tmp_path / "theirs")
    folder = save_encoder(jf.load_model(tmp_path / "theirs"), tmp_path / "ours")
    again = type(model).from_pretrained(folder).state_dict()
    assert again.keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        np.testing.assert_array_equal(again[key].numpy(), tensor.numpy(), err_msg=key)
    reader = jf.load_model(folder).processor
    np.testing.assert_array_equal(processed(reader, image()), processed(theirs, image()))


def test_a_new_model_and_a_new_head():
    source = transformers.ViTConfig(**VISION)
    bare = new_encoder(source, processor())
    model = with_head(bare, "sequence_classification", labels=("day", "night"))
    assert model.labels == ("day", "night")
    result = jf.attribute(model, [image()], methods="rollout")
    assert result[0].prediction in model.labels
    np.testing.assert_allclose(result[0].relevance["rollout"].sum(-1), 1, atol=1e-5)


def test_what_does_not_fit_is_refused_in_one_line(tmp_path):
    _ = saved("vit", tmp_path)
    ours = jf.load_model(tmp_path)
    asked: list[tuple[dict[str, Any], str]] = [
        ({"methods": "gradient-input"}, "embeddings"),
        ({"methods": "attn-lrp"}, "embeddings"),
        ({"methods": "occlusion"}, "which reads images"),
        ({"methods": [Occlusion(0)]}, "which reads images"),
        ({"methods": "raw", "pairs": ["text"]}, "pairs"),
        ({"methods": "raw", "max_length": 4}, "max_length"),
    ]
    for options, words in asked:
        with pytest.raises(InputError, match=words) as error:
            _ = jf.attribute(ours, [image()], **options)
        assert len(str(error.value).splitlines()) == 1
    without = jf.load_model(tmp_path, tokenizer=False)
    with pytest.raises(InputError, match="be loaded with its image processor"):
        _ = jf.attribute(without, [image()], methods="raw")
    _ = processor(32, 24).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"`size` must bring images to the checkpoint's 24 x 24, got 32 x 24"):
        _ = jf.load_model(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=re.escape("hold an image processor (preprocessor_config.json)")):
        _ = jf.load_model(tmp_path)
    for changes, words in (
        ({"image_size": 25}, "image_size.*multiple of the patches' 8 x 8.*25 x 25"),
        ({"num_channels": 1}, "num_channels.*be 3"),
        ({"pooler_act": "relu"}, "pooler_act.*be tanh"),
    ):
        with pytest.raises(InputError, match=words):
            _ = new_encoder(transformers.AutoConfig.for_model("vit", **(VISION | changes)))
    path = tmp_path / "config.json"
    _ = path.write_text(json.dumps(json.loads(path.read_text()) | {"image_size": [24, 24, 24]}))
    with pytest.raises(InputError, match=r"image_size.*be a whole number from 1 to .*, or two"):
        _ = jf.load_model(tmp_path)


@pytest.mark.slow
def test_the_command_line_explains_a_folder_of_images(tmp_path, capsys):
    model, reader = saved("vit", tmp_path / "model")
    photos = folder_of_images(tmp_path / "photos")
    out = tmp_path / "out"
    arguments = ["attribute", "--images", str(photos), "--model", str(tmp_path / "model"), "--out", str(out)]
    assert main([*arguments, "--methods", "rollout,flow@attention-gradient"]) == 0
    _ = capsys.readouterr()
    store = jf.open_sweep(out)
    assert [example.text for example in store] == ["00.png", "01.png", "02.png", "more/last.jpg"]
    question = jf.Question(methods=("rollout", "flow@attention-gradient"))
    for mine, other in zip(store, jf.attribute(torch_images(model, reader), photos, question), strict=True):
        assert mine.picture == other.picture
        for method in question.methods:
            scale = np.abs(other.relevance[method]).max()
            np.testing.assert_allclose(mine.relevance[method], other.relevance[method], atol=1e-5 * scale)


class Embedded(torch.nn.Module):
    """A vision model from its first layer's input on, called as a model of texts is from its embeddings."""

    def __init__(self, model):
        super().__init__()
        self.model, self.embeddings = model, model.base_model.embeddings
        model.base_model.embeddings = Handed(self.embeddings.patch_embeddings)

    def get_input_embeddings(self):
        return self.embeddings

    def forward(self, inputs_embeds, **options):
        return self.model(pixel_values=inputs_embeds, **options)


class Handed(torch.nn.Module):
    """Gives what it is given; the model asks it for the type of its parameters."""

    def __init__(self, patches):
        super().__init__()
        self.patch_embeddings = patches

    def forward(self, given, **options):
        return given


def test_chefers_weights_equal_torch(tmp_path):
    model, reader = saved("vit", tmp_path)
    ours = jf.load_model(tmp_path)
    pictures, classes = [image(0), image(1)], np.array([1, 2])
    pixels = reader([Image.fromarray(each) for each in pictures], return_tensors="pt")["pixel_values"]
    theirs, _ = chefer_weights(Embedded(model.double()), {"input_ids": pixels.double()}, classes)
    found = np.asarray(graph(ours.module, ours.pad(ours.tokenize(pictures)), classes).weights)
    largest = theirs.max((0, 2, 3))
    assert (largest > 0).all()
    assert (np.abs(found - theirs).max((0, 2, 3)) < 1e-4 * largest).all()
