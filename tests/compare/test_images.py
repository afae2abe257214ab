"""Two models of images on the same folder: in hand, on the command line, and where their tokens differ."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.cli.main import main
from jaxflow.compare import findings
from jaxflow.sweep.comparison_folder import PAGE, open_comparison
from tests.models.tiny_images import folder_of_images, image, processor, torch_images, vision_model

PATCHES = tuple(f"patch {row},{column}" for row in (1, 2, 3) for column in (1, 2, 3))
NAMES = ["00.png", "01.png", "02.png", "more/last.jpg"]
ASKED = {"methods": ("raw", "rollout@attention-gradient"), "target": "cat"}


@pytest.fixture(scope="module", autouse=True)
def photos(tmp_path_factory):
    transformers.utils.logging.set_verbosity_error()
    return folder_of_images(tmp_path_factory.mktemp("images") / "photos")


def moved(seed):
    """A random ViT, other for each seed."""
    made = vision_model("ViTForImageClassification", "ViTConfig")
    noise = np.random.default_rng(seed)
    for parameter in made.parameters():
        parameter.data += parameter.data.new_tensor(0.2 * noise.normal(size=parameter.shape))
    return made


@pytest.fixture(scope="module")
def vits():
    return [torch_images(moved(seed), name=f"vit {seed}") for seed in (1, 2)]


@pytest.fixture(scope="module")
def registered():
    made = vision_model("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", num_register_tokens=2)
    return torch_images(made, name="registers")


def test_each_patch_gained_what_the_second_model_gives_it_more(vits, photos):
    comparison = jf.compare_models(*vits, photos, **ASKED)
    results = [jf.attribute(model, photos, **ASKED) for model in vits]
    assert [text.text for text in comparison.texts] == NAMES
    for text, before, after in zip(comparison.texts, *results, strict=True):
        assert text.units.names == ("[CLS]", *PATCHES)
        assert (text.words, text.word) == (PATCHES, (-1, *range(9)))
        assert (text.a.prediction, text.b.prediction) == (before.prediction, after.prediction)
        for name, change in text.change.items():
            expected = after.relevance[name] - before.relevance[name]
            np.testing.assert_allclose(change, expected, atol=1e-6)
            np.testing.assert_allclose(text.word_change()[name], expected[-1, 0, 1:], atol=1e-6)
    assert "heads that changed most" in findings(comparison.summary)


def test_a_model_against_itself_has_not_changed(vits, registered, photos):
    for model, asked in ((vits[0], {"methods": ("raw", "flow")}), (registered, {"methods": "rollout", "queries": 0})):
        comparison = jf.compare_models(model, model, iter(sorted(photos.glob("*.png"))), **asked)
        for text in comparison.texts:
            assert text.distance == 0
            assert all(not change.any() for change in text.change.values())
            assert len(text.a.tokens) == len(text.units) == 10


@pytest.mark.slow
def test_tokens_beside_the_patches_may_be_of_one_model(vits, registered):
    pictures = [image(0), image(1)]
    comparison = jf.compare_models(vits[0], registered, pictures, methods=("raw", "rollout"), queries=None)
    results = [
        jf.attribute(model, pictures, methods=("raw", "rollout"), queries=None) for model in (vits[0], registered)
    ]
    for text, before, after in zip(comparison.texts, *results, strict=True):
        # Registers are left out, as in results.
        assert text.units.names == ("[CLS]", *PATCHES)
        assert text.b.tokens == after.tokens
        for name, change in text.change.items():
            np.testing.assert_allclose(change, after.relevance[name] - before.relevance[name], atol=1e-6)
    made = torch_images(vision_model("DeiTForImageClassification", "DeiTConfig"))
    comparison = jf.compare_models(vits[0], made, pictures[:1], methods="rollout", queries=1)
    (text,) = comparison.texts
    # A model without the token that is asked about gives it nothing.
    assert text.units.names == ("[CLS]", "[DIST]", *PATCHES)
    assert not text.a.relevance["rollout"].any()
    (example,) = jf.attribute(made, pictures[:1], methods="rollout", queries=1)
    np.testing.assert_allclose(text.b.relevance["rollout"], example.relevance["rollout"], atol=1e-6)


def test_where_the_head_reads_a_mean_all_its_positions_are_explained(registered):
    comparison = jf.compare_models(registered, registered, [image(0)], methods="raw")
    assert comparison.texts[0].queries.tolist() == list(range(10))


def test_what_cannot_be_compared_is_refused_in_one_line(vits, photos):
    coarse = torch_images(vision_model("ViTForImageClassification", "ViTConfig", patch_size=12))
    texts = jf.load_model("verb-number")
    for second, words in (
        (coarse, r"00.png must be cut into the same patches by both models, got 3 x 3 and 2 x 2; pass"),
        (texts, "`model_b` must read images, as vit 1 does, got verb-number, which reads texts"),
    ):
        with pytest.raises(InputError, match=words) as error:
            _ = jf.compare_models(vits[0], second, photos)
        assert len(str(error.value).splitlines()) == 1


def test_findings_and_the_page_speak_of_patches_and_images(vits, photos, tmp_path):
    comparison = jf.compare_models(*vits, photos, least=2, methods="rollout")
    html = jf.write_page(comparison, tmp_path / "page.html").read_text("utf-8")
    page = re.sub("<style>.*?</style>|<.*?>", "", html, flags=re.DOTALL)
    said = "\n".join(findings(comparison.summary))
    for text in (page, said):
        assert not re.search(r"\b(words?|texts?)\b", text, re.IGNORECASE)
    assert "Patches by rollout" in page
    assert said.startswith("4 images; ")
    assert "patches by rollout" in said


@pytest.mark.slow
def test_the_command_line_compares_a_folder_of_images(photos, tmp_path, capsys):
    folders = []
    for seed in (1, 2):
        folders.append(str(tmp_path / f"model {seed}"))
        moved(seed).save_pretrained(folders[-1])
        _ = processor().save_pretrained(folders[-1])
    models = ["--model-a", folders[0], "--model-b", folders[1]]
    out = tmp_path / "out"
    asked = ["--images", str(photos), "--methods", "rollout", "--out", str(out)]
    assert main(["compare", *models, *asked]) == 0
    assert "heads that changed most" in capsys.readouterr().out
    stored = open_comparison(out)
    assert stored.summary["total"] == 4
    rows = pq.read_table(out / "texts-00000.parquet").to_pylist()
    assert [row["text"] for row in rows] == [row["id"] for row in rows] == NAMES
    comparison = jf.compare_models(*map(jf.load_model, folders), photos, methods="rollout")
    for row, text in zip(rows, comparison.texts, strict=True):
        assert json.dumps(row["units"]) == json.dumps(list(text.units.names))
        np.testing.assert_allclose(np.ravel(row["rollout_a"]), text.a.relevance["rollout"].ravel(), atol=1e-6)
    html = (out / PAGE).read_text("utf-8")
    assert html.count("data:image/jpeg") >= 8
    # A folder of images is no input for models of texts, and texts are none for these.
    wrong = ["compare", "--model-a", "verb-number", "--model-b", "verb-number", "--out", str(tmp_path / "none")]
    assert main([*wrong, "--images", str(photos)]) == 2
    assert "--images must hold texts" in capsys.readouterr().err
    assert main(["compare", *models, "--text", "a", "--out", str(tmp_path / "none")]) == 2
    assert "--text must hold images" in capsys.readouterr().err
