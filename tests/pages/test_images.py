"""Patches drawn over the image: in the report, in a real browser, in figures and in notebooks."""

import json
import re

import numpy as np
import pytest
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.pages.image_figure import covered
from tests.models.tiny_images import folder_of_images, torch_images, vision_model
from tests.pages.browser import OWN_WORDS

ASKED = {"methods": ("rollout", "flow", "rollout@attention-gradient"), "target": "cat"}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    transformers.utils.logging.set_verbosity_error()
    model = torch_images(vision_model("DeiTForImageClassification", "DeiTConfig"), name="<b>tiny</b>")
    return jf.attribute(model, folder_of_images(tmp_path_factory.mktemp("page") / "photos"), **ASKED)


@pytest.fixture(scope="module")
def path(result, tmp_path_factory):
    return jf.write_page(result, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def shown(path, context):
    page = context.browser.new_page(has_touch=True, viewport={"width": 400, "height": 900})
    errors = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    _ = page.goto(path.as_uri())
    yield page
    # The policy was broken by nothing.
    assert errors == []
    page.close()


def test_patches_are_shaded_over_the_image_by_their_values(shown, result):
    example, place = result[0], [index for index, source in enumerate(result[0].source) if source == 0]
    for method, values in example.relevance.items():
        patches = shown.locator(f'#words [data-method="{method}"] .patch')
        assert patches.count() == 9
        alphas = patches.evaluate_all(
            "found => found.map(each => Number(getComputedStyle(each).backgroundColor.match(/[\\d.]+/g)[3] ?? 1))"
        )
        row = values[-1, 0, place].astype(float)
        # From the smallest on; a row without differences begins at 0.
        low = row.min() if row.max() - row.min() > 1e-6 else 0
        share = (row - low) / ((row.max() - low) or 1)
        np.testing.assert_allclose(alphas, 0.82 * share, atol=0.01, err_msg=method)
        names = shown.locator(f'#words [data-method="{method}"] .special').all_inner_texts()
        assert names == ["[CLS]", "[DIST]"]
    # The picture is there, and as wide as the model saw it.
    sizes = shown.locator("#words img").evaluate_all("found => found.map(each => each.naturalWidth)")
    assert sizes == [24] * 4
    assert shown.evaluate("document.documentElement.scrollWidth") == 400


def test_a_patch_says_its_number_and_a_map_chooses_the_layer(shown, result):
    patch = shown.locator('#words [data-method="rollout"] .patch').nth(5)
    for act in ("hover", "tap", "focus"):
        shown.keyboard.press("Escape")
        getattr(patch, act)()
        said = shown.locator("#tooltip").inner_text()
        assert said.startswith("patch 2,3 at position 7")
        assert f"{result[0].relevance['rollout'][-1, 0, 7]:.6g}"[:7] in said
    # Down and right again, to the last patch.
    for key in ("ArrowDown",):
        shown.keyboard.press(key)
    assert shown.locator("#tooltip").inner_text().startswith("patch 3,3 at position 10")
    before = shown.locator('#words [data-method="rollout"] .patch').first.get_attribute("style")
    maps = shown.locator("#heat button")
    assert maps.count() == 2 * len(ASKED["methods"])
    maps.first.click()
    assert shown.locator("#layer-name").inner_text() == "1"
    assert shown.locator("#heat button.chosen").count() == len(ASKED["methods"])
    assert shown.locator('#words [data-method="rollout"] .patch').first.get_attribute("style") != before
    shown.locator("#sentences button").nth(3).click()
    assert shown.locator("#words img").first.get_attribute("alt") == "more/last.jpg"


def test_the_page_speaks_of_patches_and_images(shown):
    said = shown.evaluate(OWN_WORDS)
    assert not [text for text in said if re.search(r"\b(word|sentence|text)s?\b", text, re.IGNORECASE)]
    assert shown.locator("#search").get_attribute("placeholder") == "part of a name"
    shown.locator("summary").click()
    help_text = " ".join(shown.locator("details").inner_text().split())
    assert "when you point at a patch or a cell" in help_text
    assert "Tokens are patches" in help_text
    assert "encoder-decoder" not in help_text


def test_the_page_loads_nothing_and_lets_only_its_own_pictures_in(path, result):
    html = path.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "img-src data:" in policy
    assert "http" not in policy
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])
    assert data["examples"][0]["picture"]["uri"].startswith("data:image/jpeg;base64,/9j/")
    assert "<b>tiny" not in html
    # A report of texts lets no picture in.
    texts = jf.attribute(jf.load_model("verb-number"), ["The keys"], methods="raw")
    assert "img-src" not in jf.write_page(texts, path.parent / "texts.html").read_text("utf-8")


def test_a_figure_has_a_panel_a_method_over_the_picture(result):
    example = result[0]
    figure = jf.plot_relevance(example, layer=1)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["the image", *example.relevance]
    np.testing.assert_array_equal(panels[0].images[0].get_array(), example.picture.pixels())
    # The patch of the largest value is the bluest against its grey.
    drawn = np.asarray(panels[1].images[0].get_array())
    blue = drawn[..., 2] - drawn[..., 0]
    largest = int(example.relevance["rollout"][0, 0, 2:].argmax())
    tiles = blue.reshape(3, 8, 3, 8).mean((1, 3)).ravel()
    assert tiles.argmax() == largest
    assert "layer 1" in figure.get_supxlabel()
    with pytest.raises(InputError, match="`layer` must be among those that were asked for"):
        jf.plot_relevance(example, layer=3)


def test_what_speaks_against_covers_in_orange():
    grey = np.full((4, 4, 3), 0.5)
    tiles = covered(grey, np.array([[1.0, -1.0], [0.0, 0.5]]))
    np.testing.assert_allclose(tiles[2, 0], 0.5)
    assert tiles[0, 0, 2] > 0.8 > tiles[0, 0, 0]
    assert tiles[0, 3, 0] > 0.8 > tiles[0, 3, 2]


def test_a_notebook_shows_patches_over_the_picture(result):
    html = result[:1]._repr_html_()
    assert html.count("<img ") == len(result[0].relevance)
    assert html.count('title="patch ') == 9 * len(result[0].relevance)
    assert 'alt="00.png"' in html
