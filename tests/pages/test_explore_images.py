"""The explorer of images: what it holds, and its patches over the picture in a real browser."""

import re

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.cli.main import main
from jaxflow.compare.units import patch_units
from jaxflow.pages import explore_inputs
from jaxflow.pages.explorer import explorer_data
from tests.attribution.test_attention_in_hand import by_hand
from tests.models.tiny_images import folder_of_images, image, processor, torch_images, vision_model
from tests.pages.browser import OWN_WORDS, Opened

ASKED = {"methods": ("raw", "rollout", "flow@attention-gradient"), "target": "cat", "queries": 0}
PATCHES = tuple(f"patch {row},{column}" for row in (1, 2, 3) for column in (1, 2, 3))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    transformers.utils.logging.set_verbosity_error()
    return folder_of_images(tmp_path_factory.mktemp("images") / "photos")


@pytest.fixture(scope="module")
def vit():
    return torch_images(vision_model("ViTForImageClassification", "ViTConfig"), name="vit")


@pytest.fixture(scope="module")
def deit():
    # Another size of what it sees makes another picture of the same patches.
    made = vision_model("DeiTForImageClassification", "DeiTConfig", image_size=48, patch_size=16)
    return torch_images(made, processor(48, 48), name="deit")


@pytest.fixture(scope="module")
def both(vit, deit, photos):
    return jf.explore(vit, photos, other=deit, labels=["cat", None, "dog", "tree"], importance=True, **ASKED)


def attention_of(model, picture):
    """Torch's own attention over one image, `layer head token token`."""
    inputs = model.images.processor(Image.fromarray(picture), return_tensors="pt")
    with torch.no_grad():
        return torch.stack(model.model(**inputs, output_attentions=True).attentions, 1)[0].numpy()


def test_every_position_has_its_row_and_every_head_its_attention(vit, photos):
    found = jf.explore(vit, photos, roles=True)
    assert [example.text for example in found.sides[0].examples] == ["00.png", "01.png", "02.png", "more/last.jpg"]
    assert found.sides[0].examples[0].tokens == ("[CLS]", *PATCHES)
    for number in range(3):
        heads = attention_of(vit, image(number))
        np.testing.assert_allclose(found.sides[0].attention[number], heads, atol=1e-6)
        for name, expected in by_hand(heads, np.ones(10, bool)).items():
            np.testing.assert_allclose(found.sides[0].examples[number].relevance[name], expected, atol=3e-6)


def test_registers_are_left_out(photos):
    model = torch_images(
        vision_model("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", num_register_tokens=2)
    )
    found = jf.explore(model, photos, methods=("raw", "rollout"))
    expected = jf.attribute(model, photos, methods=("raw", "rollout"), queries=None)
    for ours, other in zip(found.sides[0].examples, expected, strict=True):
        assert ours.tokens == other.tokens == ("[CLS]", *PATCHES)
        for name in ("raw", "rollout"):
            np.testing.assert_array_equal(ours.relevance[name], other.relevance[name])
    # Registers stand behind the class token in the model.
    places = [0, *range(3, 12)]
    heads = attention_of(model, image(0))[..., places, :][..., places]
    np.testing.assert_allclose(found.sides[0].attention[0], heads, atol=1e-6)


def test_two_models_are_shown_by_the_names_of_their_tokens(both, vit, deit, photos):
    assert both.sides[0].examples[0].tokens == ("[CLS]", "[DIST]", *PATCHES)
    own = [0, *range(2, 11)]
    for side, model, places in zip(both.sides, (vit, deit), (own, range(11)), strict=True):
        alone = jf.explore(model, photos, **ASKED).sides[0]
        for number in range(4):
            for name in ("raw", "rollout"):
                here = side.examples[number].relevance[name][:, places][..., places]
                np.testing.assert_allclose(here, alone.examples[number].relevance[name], atol=1e-6)
            # The class token is the first of both.
            here = side.examples[number].relevance["flow@attention-gradient"][..., places]
            np.testing.assert_allclose(here, alone.examples[number].relevance["flow@attention-gradient"], atol=1e-6)
            assert side.examples[number].picture == alone.examples[number].picture
    # What a model has no token of is 0.
    assert not both.sides[0].attention[0][..., 1].any()
    # By hand: attention of units that both have, distances over all keys.
    first, second = (np.zeros((2, 2, 11, 11)) for _ in range(2))
    first[..., np.ix_(own, own)[0], np.ix_(own, own)[1]] = attention_of(vit, image(0))
    second[:] = attention_of(deit, image(0))
    middle = (first + second) / 2

    def divergence(one):
        logs = np.log2(np.where(one > 0, one / np.where(middle > 0, middle, 1), 1))
        return (one * logs).sum(-1)

    distance = np.sqrt((divergence(first) + divergence(second)) / 2)[..., own].mean(-1)
    np.testing.assert_allclose(both.change[0], distance, atol=1e-5)


def test_images_that_no_page_could_hold_are_not_opened(vit, photos, tmp_path, monkeypatch):
    _ = (tmp_path / "broken.png").write_bytes(b"no image")
    monkeypatch.setattr(explore_inputs, "MOST_EXPLORED", 2)
    found = jf.explore(vit, [photos / "00.png", photos / "01.png", tmp_path / "broken.png"], methods="raw")
    assert (len(found), explorer_data(found)["total"]) == (2, 3)


def test_models_that_cannot_stand_side_by_side_are_refused_in_one_line(vit, photos):
    texts = jf.load_model("verb-number")
    coarse = torch_images(vision_model("ViTForImageClassification", "ViTConfig", patch_size=12))
    for ask, words in (
        (lambda: jf.explore(vit, photos, other=texts), "`other` must read images, as vit does, got verb-number"),
        (lambda: jf.explore(texts, ["a"], other=vit), "`other` must read texts, as verb-number does, got vit"),
        (lambda: jf.explore(vit, photos, other=coarse), r"00.png must be cut into the same patches .*3 x 3 and 2 x 2"),
        (lambda: jf.explore(vit, photos, pairs=["a"]), "`pairs` must be left out for images"),
        (lambda: jf.explore(vit, photos, labels=["cat"]), "`labels` must be as many as the 4 texts"),
    ):
        with pytest.raises(InputError, match=words) as error:
            ask()
        assert len(str(error.value).splitlines()) == 1


def test_units_of_one_model_are_its_own_tokens(vit):
    encoding, other = vit.tokenize([image(0), image(1)])
    units = patch_units(encoding, other)
    assert (units.names, units.source) == (encoding.tokens, encoding.source)
    assert units.first == units.second == tuple(range(10))


@pytest.fixture
def shown(both, context, tmp_path):
    opened = Opened(context, jf.write_page(both, tmp_path / "explorer.html"))
    yield opened
    # Pictures stand in the page itself, and the policy was broken by nothing.
    opened.requests = [url for url in opened.requests if not url.startswith("data:")]
    opened.close()


ALPHAS = """side => [...document.querySelectorAll(`#strip [data-side="${side}"] .patch`)].map(
  each => Number(getComputedStyle(each).backgroundColor.match(/[\\d.]+/g)[3] ?? 1))"""


def test_patches_are_shaded_over_each_models_picture(shown, both):
    sizes = shown.run("[...document.querySelectorAll('#strip img')].map(each => each.naturalWidth)")
    assert sizes == [24, 48]
    for method in ("rollout", "flow@attention-gradient"):
        shown.set(method=method, layer=2, position=0)
        for number, side in enumerate(both.sides):
            row = side.examples[0].relevance[method][-1, 0, 2:].astype(float)
            np.testing.assert_allclose(shown.run(ALPHAS, number), 0.82 * row / row.max(), atol=0.01)
    # Any patch may be asked about; it sets no scale itself.
    shown.set(method="raw", position=5)
    row = both.sides[1].examples[0].relevance["raw"][-1, 5, 2:].astype(float)
    top = np.delete(row, 3).max()
    np.testing.assert_allclose(shown.run(ALPHAS, 1), 0.82 * np.minimum(1, row / top), atol=0.01)


def test_a_patch_is_chosen_on_the_picture(shown):
    patch = shown.page.locator('#strip [data-side="0"] .patch').nth(4)
    patch.hover()
    assert shown.page.locator("#tooltip").inner_text().startswith("patch 2,2 at position 6")
    patch.click()
    shown.settle()
    assert shown.state("word") == 6
    assert "traced" in patch.get_attribute("class") or shown.page.locator("#strip .patch.traced").count() == 2
    # Its arcs are in the other views.
    assert {row["from_token"] for row in shown.table("rings") if row["layer"] == "1"} == {"patch 2,2"}
    shown.page.locator('#strip [data-side="0"] .patch').nth(8).click(modifiers=["Shift"])
    shown.settle()
    assert shown.state("position") == 10
    assert shown.page.locator("#strip .patch.asked").count() == 2
    assert shown.page.locator("#count").inner_text() == "4 of 4 images"
    shown.set(models="diff")
    assert shown.page.locator("#strip img").count() == 1


def test_the_page_of_images_speaks_of_patches(shown):
    shown.set(word=None)
    names = shown.page.locator("#controls .name, .panel h2").all_inner_texts()
    assert {"Patch", "Patches", "Who attends to the patch", "Layer of patches and maps"} <= set(names)
    titles = shown.page.locator("#controls [title], .panel [title]").evaluate_all("all => all.map(one => one.title)")
    svg = shown.run("jaxflow.svg('ask')")
    said = [*names, *titles, *shown.page.locator(".panel .note").all_inner_texts(), re.sub("<.*?>", " ", svg)]
    said += shown.run(OWN_WORDS)
    assert shown.page.locator("#search").get_attribute("placeholder") == "part of a name"
    help_text = " ".join(" ".join(said).split())
    assert "From the second layer on, positions hold a mixture of all patches already" in help_text
    assert not [text for text in said if re.search(r"\b(word|sentence|text)s?\b", text, re.IGNORECASE)]


@pytest.mark.slow
def test_the_command_line_writes_the_page(tmp_path, photos, capsys):
    folder = tmp_path / "model"
    vision_model("ViTForImageClassification", "ViTConfig").save_pretrained(folder)
    _ = processor().save_pretrained(folder)
    page = tmp_path / "page.html"
    assert main(["explore", "--images", str(photos), "--model", str(folder), "--out", str(page), "--queries", "0"]) == 0
    assert "4 images" in capsys.readouterr().out
    html = page.read_text("utf-8")
    assert "more/last.jpg" in html
    assert str(photos) not in html
    # Each option is named as it was given.
    for given, flag in ((["--text", "a"], "--text"), (["--images", str(photos)], "--images")):
        name = str(folder) if flag == "--text" else "verb-number"
        for command in ("explore", "attribute"):
            assert main([command, *given, "--model", name, "--out", str(tmp_path / f"{command}-new")]) == 2
            said = capsys.readouterr().err
            assert flag in said
            assert "--input" not in said
