"""Vision models of PyTorch as they stand: against NumPy and OR-Tools on torch's own attention."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import jaxflow as jf
from jaxflow._checks import InputError
from tests.attribution.test_attention_in_hand import by_hand
from tests.models.tiny_images import PATCH, SIZE, image, processor, torch_images, vision_model


@dataclass(frozen=True)
class Kind:
    """One row of the table in the documentation.

    Attributes:
        kind: the class of the model.
        config: the class of its configuration.
        ahead: how many tokens stand in front of the patches in our order.
        registers: how many there are.
        changes: the configuration's values.
    """

    kind: str
    config: str
    ahead: int = 1
    registers: int = 0
    changes: dict[str, Any] = field(default_factory=dict)

    def make(self):
        return vision_model(self.kind, self.config, **self.changes)


REGISTERS = {"num_register_tokens": 2}
SWIN = {"patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 3}
CONVNEXT = {"num_stages": 2, "hidden_sizes": [8, 8], "depths": [1, 1], "patch_size": 4}
MODELS = {
    "ViT": Kind("ViTForImageClassification", "ViTConfig"),
    "ViT-MSN": Kind("ViTMSNForImageClassification", "ViTMSNConfig"),
    "DeiT": Kind("DeiTForImageClassification", "DeiTConfig", ahead=2),
    "DeiT with its teacher's head": Kind("DeiTForImageClassificationWithTeacher", "DeiTConfig", ahead=2),
    "DINOv2": Kind("Dinov2ForImageClassification", "Dinov2Config"),
    "DINOv2 with registers": Kind(
        "Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", registers=4
    ),
    "DINOv3": Kind("DINOv3ViTModel", "DINOv3ViTConfig", registers=2, changes=REGISTERS),
    "BEiT": Kind("BeitForImageClassification", "BeitConfig"),
    "CLIP, vision tower": Kind("CLIPVisionModel", "CLIPVisionConfig"),
    "SigLIP, vision tower": Kind("SiglipVisionModel", "SiglipVisionConfig", ahead=0),
    "I-JEPA": Kind("IJepaForImageClassification", "IJepaConfig", ahead=0),
    "BLIP, vision tower": Kind("BlipVisionModel", "BlipVisionConfig"),
    "Swin": Kind("SwinForImageClassification", "SwinConfig", changes=SWIN),
    "ViT-MAE": Kind("ViTMAEModel", "ViTMAEConfig"),
    "ConvNeXt": Kind("ConvNextModel", "ConvNextConfig", changes=CONVNEXT),
}
FAST = ("ViT", "DINOv2 with registers", "Swin", "ViT-MAE")
PATCHES = (SIZE // PATCH) ** 2
DOCS = (Path(__file__).parents[2] / "docs" / "images.md").read_text("utf-8")
TABLE = [row for row in DOCS.split("<!-- models -->\n")[1].split("\n\n")[0].splitlines()[2:] if row]


@pytest.fixture(autouse=True)
def quiet():
    transformers.utils.logging.set_verbosity_error()


def torchs_own(made, pictures):
    """Torch's attention `image layer head query key`, and its logits, for images that its processor reads."""
    inputs = processor()([Image.fromarray(each) for each in pictures], return_tensors="pt")
    outputs = made(**inputs, output_attentions=True)
    return torch.stack(outputs.attentions, 1).detach().numpy(), outputs.get("logits")


def described(name):
    """The model, or None where it is refused; and its row of the table in the documentation."""
    made = MODELS[name].make()
    try:
        ours = torch_images(made, registers=True)
    except InputError as error:
        if len(str(error).splitlines()) != 1:
            raise
        return None, f"| {name} | no | | {error.got} |"
    parts = ", ".join(part for part in ("gradients", "values", "norms") if part in ours.gives)
    reads = "no head" if ours.head.name == "bare" else ours.pooled.name if ours.pooled else "[CLS]"
    return ours, f"| {name} | yes | {parts} | {reads} |"


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=() if each in FAST else pytest.mark.slow) for each in MODELS]
)
def test_methods_are_those_of_torchs_own_attention(name):
    ours, row = described(name)
    assert row in TABLE
    if ours is None:
        return
    made, ahead, registers = ours.model, MODELS[name].ahead, MODELS[name].registers
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


def test_the_table_in_the_documentation_has_a_row_a_model():
    assert [row.split(" |")[0][2:] for row in TABLE] == list(MODELS)


def test_images_of_another_size_are_refused_where_positions_are_not_interpolated():
    with pytest.raises(InputError, match=r"24 x 24 \(ValueError: Input image size \(24\*24\) doesn't match") as error:
        _ = torch_images(vision_model("ViTModel", "ViTConfig", image_size=32))
    assert len(str(error.value).splitlines()) == 1
    # DINOv2 interpolates its positions: the patches are those of the image that it is given.
    made = torch_images(vision_model("Dinov2Model", "Dinov2Config"), processor(16, 32))
    (example,) = jf.attribute(made, [image()], methods="raw")
    assert example.tokens[-1] == "patch 2,4"
    assert example.picture.pixels().shape == (16, 32, 3)


def test_both_towers_are_refused_and_the_vision_tower_is_taken():
    tower = vision_model("CLIPVisionModel", "CLIPVisionConfig").config.to_dict()
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    both = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=tower))
    with pytest.raises(InputError, match=r"two towers; pass .* its `model.vision_model` with an image processor"):
        _ = torch_images(both)
    assert torch_images(both.vision_model).images.layout.grid == (3, 3)


def test_a_processor_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"`processor` must be an image processor.*AutoImageProcessor"):
        _ = torch_images(vision_model("ViTModel", "ViTConfig"), object())
