"""A folder of images as a sweep's input: names, resume, and an image that cannot be read."""

import json

import numpy as np
import pytest
import transformers
from PIL import Image

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.evaluation import occlusion_scores
from jaxflow.summary.summary import summarize
from jaxflow.sweep import shards
from jaxflow.sweep.tally import Stopped
from tests.models.tiny_images import folder_of_images, image, torch_images, vision_model
from tests.sweep.sweeping import interrupted_after

ASKED = {"methods": ("raw", "rollout")}


@pytest.fixture(scope="module")
def model():
    transformers.utils.logging.set_verbosity_error()
    return torch_images(vision_model("ViTForImageClassification", "ViTConfig"))


@pytest.fixture
def photos(tmp_path):
    return folder_of_images(tmp_path / "photos")


def same(store, result):
    for ours, theirs in zip(store, result, strict=True):
        assert ours.tokens == theirs.tokens
        assert ours.picture == theirs.picture
        assert ours.prediction == theirs.prediction
        for name, values in theirs.relevance.items():
            np.testing.assert_allclose(ours.relevance[name], values, atol=1e-6)


def test_a_folder_is_the_input_and_names_are_ids(model, photos, tmp_path):
    store = jf.run_sweep(model, str(photos), tmp_path / "out", **ASKED)
    names = ["00.png", "01.png", "02.png", "more/last.jpg"]
    assert [row["id"] for row in store.rows()] == names
    assert [example.text for example in store] == names
    same(store, jf.attribute(model, photos, **ASKED))
    # Each alone, as a path, a picture and an array, gives the same.
    same(list(store)[:1], jf.attribute(model, photos / "00.png", **ASKED))
    same(list(store)[:1], jf.attribute(model, [Image.open(photos / "00.png")], **ASKED))
    same(list(store)[:1], jf.attribute(model, image(0), **ASKED))
    # Results read back from disk have the picture that the model saw.
    seen = jf.open_sweep(tmp_path / "out")[0].picture.pixels().astype(int)
    assert seen.shape == (24, 24, 3)
    assert seen[:7, :7].mean() > seen[12:, 12:].mean() + 80
    assert store.table().column("image").type == "binary"


def test_a_stopped_sweep_goes_on(model, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 1)
    whole = jf.run_sweep(model, photos, tmp_path / "whole", **ASKED)
    with pytest.raises(Stopped):
        _ = jf.run_sweep(model, photos, tmp_path / "out", progress=interrupted_after(2), **ASKED)
    assert 0 < len(jf.open_sweep(tmp_path / "out")) < 4
    gone_on = jf.run_sweep(model, photos, tmp_path / "out", **ASKED)
    assert [row["id"] for row in gone_on.rows()] == [row["id"] for row in whole.rows()]
    same(gone_on, whole)


def test_another_image_under_the_same_name_is_another_input(model, photos, tmp_path):
    _ = jf.run_sweep(model, photos, tmp_path / "out", **ASKED)
    Image.fromarray(image(3)).save(photos / "01.png")
    with pytest.raises(InputError, match="content"):
        _ = jf.run_sweep(model, photos, tmp_path / "out", **ASKED)


@pytest.mark.parametrize("harm", ["cut", "text", "empty"])
def test_an_image_that_cannot_be_read_is_named_and_the_rest_kept(model, photos, tmp_path, harm, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 1)
    data = (photos / "02.png").read_bytes()
    _ = (photos / "02.png").write_bytes({"cut": data[: len(data) // 2], "text": b"no image at all", "empty": b""}[harm])
    with pytest.raises(InputError, match=r"^02.png must be an image that can be read.*examples are kept") as error:
        _ = jf.run_sweep(model, photos, tmp_path / "out", **ASKED)
    assert len(str(error.value).splitlines()) == 1
    store = jf.run_sweep(model, photos, tmp_path / "out", on_error="skip", **ASKED)
    assert [example.text for example in store] == ["00.png", "01.png", "more/last.jpg"]
    (skipped,) = store.skipped
    assert skipped["id"] == "02.png"
    assert "02.png" in json.dumps(skipped["reason"])


def test_records_with_images_and_arrays_are_a_source(model, tmp_path):
    records = ({"image": image(number), "label": number} for number in range(2))
    store = jf.run_sweep(model, records, tmp_path / "out", **ASKED)
    assert [row["id"] for row in store.rows()] == [1, 2]
    same(store, jf.attribute(model, np.stack([image(0), image(1)]), **ASKED))


def test_what_is_no_image_is_refused_in_one_line(model, photos, tmp_path):
    (tmp_path / "none").mkdir()
    wrong = {
        "no such file": "gone.png",
        "image 0 must be an image: .* got None": [{"a": 1}],
        r"image.transpose\(1, 2, 0\)": np.zeros((3, 8, 9), np.uint8),
        "from 0 to 1, got float64 from -1 to 2": [np.linspace(-1, 2, 48).reshape(4, 4, 3)],
        "hold at least one image": [],
    }
    for said, images in wrong.items():
        with pytest.raises(InputError, match=said) as error:
            _ = jf.attribute(model, images)
        assert len(str(error.value).splitlines()) == 1
    with pytest.raises(InputError, match=r"hold images .*none in the folder"):
        _ = jf.run_sweep(model, tmp_path / "none", tmp_path / "out")
    with pytest.raises(InputError, match="`pairs` must be left out for images"):
        _ = jf.attribute(model, photos, pairs=["a"])
    with pytest.raises(InputError, match="`queries` must be positions of tokens, from 0 to 9"):
        _ = jf.attribute(model, photos, queries=10)


def test_what_reads_texts_alone_refuses_images_in_one_line(model, photos):
    with pytest.raises(InputError, match=r"must read texts, for .* which reads images") as error:
        _ = occlusion_scores(model, photos)
    assert len(str(error.value).splitlines()) == 1


def test_results_of_images_are_summed_up(model, photos, tmp_path):
    _ = jf.run_sweep(model, photos, tmp_path / "out", **ASKED)
    store = jf.open_sweep(tmp_path / "out")
    found = summarize(store).disagreements["raw", "rollout"]
    values = [value for value, _, _ in found]
    assert values == sorted(values)
    assert sorted(id_ for _, id_, _ in found) == sorted(row["id"] for row in store.rows())
