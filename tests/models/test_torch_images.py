"""Vision models of PyTorch as they stand: against NumPy and OR-Tools on torch's own attention."""

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import jaxflow as jf
from jaxflow._checks import InputError
from tests.attribution.test_attention_in_hand import by_hand
from tests.models.tiny_images import PATCH, SIZE, image, processor, torch_images, vision_model

# How many tokens stand in front of the patches, and registers among them.
MODELS = {
    "ViT": (("ViTForImageClassification", "ViTConfig"), 1, 0),
    "DeiT": (("DeiTForImageClassification", "DeiTConfig"), 2, 0),
    "DINOv2": (("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig"), 1, 4),
    "CLIP": (("CLIPVisionModel", "CLIPVisionConfig"), 1, 0),
    "BEiT": (("BeitForImageClassification", "BeitConfig"), 1, 0),
    "SigLIP": (("SiglipVisionModel", "SiglipVisionConfig"), 0, 0),
}
FAST = ("ViT", "DINOv2")
PATCHES = (SIZE // PATCH) ** 2


@pytest.fixture(autouse=True)
def quiet():
    transformers.utils.logging.set_verbosity_error()


def torchs_own(made, pictures):
    """Torch's attention `image layer head query key`, and its logits, for images that its processor reads."""
    inputs = processor()([Image.fromarray(each) for each in pictures], return_tensors="pt")
    outputs = made(**inputs, output_attentions=True)
    return torch.stack(outputs.attentions, 1).detach().numpy(), outputs.get("logits")


@pytest.mark.parametrize("name", [pytest.param(each, marks=() if each in FAST else pytest.mark.slow) for each in MODELS])
def test_methods_are_those_of_torchs_own_attention(name):
    (kind, config), ahead, registers = MODELS[name]
    made = vision_model(kind, config)
    ours = torch_images(made, registers=True)
    pictures = [image(0), image(1, 50, 20)]
    result = jf.attribute(ours, pictures, queries=None)
    assert result.certified_share == 1
    attention, logits = torchs_own(made, pictures)
    # Ours has the registers last; torch's stand between the class token and the patches.
    count = attention.shape[-1]
    order = [*range(ahead), *range(ahead + registers, count), *range(ahead, ahead + registers)]
    names = ("[CLS]", "[DIST]")[:ahead] + tuple(f"patch {row},{column}" for row in (1, 2, 3) for column in (1, 2, 3))
    for index, example in enumerate(result):
        assert example.tokens == names + tuple(f"register {number + 1}" for number in range(registers))
        assert example.picture.grid == (3, 3)
        own = attention[index][..., order, :][..., order]
        for method, expected in by_hand(own, np.ones(count, bool)).items():
            np.testing.assert_allclose(example.relevance[method], expected, atol=3e-6, err_msg=method)
        if logits is not None:
            chances = torch.softmax(logits[index], -1).detach().numpy()
            assert example.prediction == ("cat", "dog", "tree")[int(chances.argmax())]
            np.testing.assert_allclose(list(example.scores.values()), chances, atol=1e-5)


@pytest.fixture(scope="module")
def registers():
    return vision_model("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig")


def test_registers_are_left_out_of_results_and_their_share_with_them(registers):
    whole, without = (
        jf.attribute(torch_images(registers, registers=shown), [image()], methods=("raw", "rollout"), queries=None)[0]
        for shown in (True, False)
    )
    assert without.tokens == whole.tokens[:-4]
    assert without.source == (-1,) + (0,) * PATCHES
    for name, values in without.relevance.items():
        np.testing.assert_array_equal(values, whole.relevance[name][:, :-4, :-4])
    missing = whole.relevance["rollout"][:, :-4, -4:].sum(-1)
    assert (missing > 0.001).all()
    np.testing.assert_allclose(without.relevance["rollout"].sum(-1), 1 - missing, atol=1e-5)
    np.testing.assert_array_equal(
        jf.attribute(torch_images(registers), [image()], methods="raw", queries="last")[0].queries, [PATCHES]
    )


@pytest.mark.parametrize(
    ("kind", "config", "name", "read"),
    [
        ("BeitForImageClassification", "BeitConfig", "[MEAN]", {"patches": 1}),
        ("Dinov2ForImageClassification", "Dinov2Config", "[CLS] + [MEAN]", {0: 0.5, "patches": 0.5}),
        ("DeiTForImageClassificationWithTeacher", "DeiTConfig", "[CLS] + [DIST]", {0: 0.5, 1: 0.5}),
        ("SiglipVisionModel", "SiglipVisionConfig", "[MEAN]", {"patches": 1}),
    ],
)
def test_a_head_that_reads_a_mean_is_explained_by_the_mean_row(kind, config, name, read):
    ours = torch_images(vision_model(kind, config))
    methods = ("raw", "rollout", "flow")
    # Asked for, and by default.
    asked, default = jf.attribute(ours, [image()], methods=methods, queries="classifier"), jf.attribute(ours, [image()])
    (every,) = jf.attribute(ours, [image()], methods=methods, queries=None)
    shares = np.array([read.get(place, 0) for place in range(len(every.tokens))], float)
    patches = [place for place, source in enumerate(every.source) if source == 0]
    shares[patches] += read.get("patches", 0) / PATCHES
    for example in (asked[0], default[0]):
        assert example.tokens == (*every.tokens, name)
        assert example.queries.tolist() == [len(every.tokens)]
        assert example.certified.shape == example.relevance["flow"].shape
        for method in methods:
            expected = np.einsum("q,lqt->lt", shares, every.relevance[method])
            np.testing.assert_allclose(example.relevance[method][:, 0, :-1], expected, atol=1e-6)
            assert not example.relevance[method][..., -1].any()


def test_class_specific_mixings_give_class_specific_maps():
    made = vision_model("ViTForImageClassification", "ViTConfig")
    ours = torch_images(made)
    asked = {"methods": ("raw", "rollout"), "mixing": "attention-gradient"}
    maps = {
        label: jf.attribute(ours, [image()], target=label, **asked)[0].relevance["raw"][:, 0]
        for label in ("cat", "dog")
    }
    assert np.abs(maps["cat"] - maps["dog"]).max() > 1e-3 * maps["cat"].max()
    # Against autograd: weights are the mean over heads of attention times its gradient, where that is above 0.
    inputs = processor()(Image.fromarray(image()), return_tensors="pt")
    for label, number in (("cat", 0), ("dog", 1)):
        outputs = made(**inputs, output_attentions=True)
        slopes = torch.autograd.grad(outputs.logits[0, number], outputs.attentions)
        for layer, (attention, slope) in enumerate(zip(outputs.attentions, slopes, strict=True)):
            weights = (attention * slope)[0].clamp(min=0).mean(0)[0].detach().numpy()
            own = maps[label][layer] * weights.sum()
            np.testing.assert_allclose(own, weights, atol=1e-6)


def test_values_and_norms_are_known_where_the_parts_have_names():
    for kind, config in (("ViTForImageClassification", "ViTConfig"), ("CLIPVisionModel", "CLIPVisionConfig")):
        assert {"values", "norms"} <= torch_images(vision_model(kind, config)).gives


@pytest.mark.parametrize(
    ("kind", "config", "changes", "said"),
    [
        (
            "SwinForImageClassification",
            "SwinConfig",
            {"patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 3},
            "layers of different shapes (it attends within windows, or merges patches on the way)",
        ),
        ("ViTMAEModel", "ViTMAEConfig", {}, "3 tokens for 3 x 3 patches (it leaves some out"),
        ("ConvNextModel", "ConvNextConfig", {"hidden_sizes": [8] * 4, "depths": [1] * 4}, "none, even with eager"),
        ("ViTModel", "ViTConfig", {"image_size": 32}, "24 x 24 (ValueError: Input image size (24*24) doesn't match"),
    ],
)
def test_models_without_attention_of_patches_to_patches_are_refused_in_one_line(kind, config, changes, said):
    with pytest.raises(InputError) as error:
        _ = torch_images(vision_model(kind, config, **changes))
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_both_towers_are_refused_and_the_vision_tower_is_taken():
    tower = {name: value for name, value in vision_model("CLIPVisionModel", "CLIPVisionConfig").config.to_dict().items()}
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    both = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=tower))
    with pytest.raises(InputError, match=r"two towers; pass .* its `model.vision_model` with an image processor"):
        _ = torch_images(both)
    assert torch_images(both.vision_model).images.layout.grid == (3, 3)


def test_a_processor_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"`processor` must be an image processor.*AutoImageProcessor"):
        _ = torch_images(vision_model("ViTModel", "ViTConfig"), object())
