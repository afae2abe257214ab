"""Classes that share a name in the checkpoint: none of their probabilities is lost, and none is chosen by a guess."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.evaluation import Target
from jaxflow.evaluation.target import resolve
from jaxflow.models import save_encoder
from jaxflow.models.config import HeadConfig
from jaxflow.models.prediction import predictions
from jaxflow.pages.explore import explore
from jaxflow.pages.explorer import explorer_data
from tests.tiny_text_model import model_folder

TEXTS = ["the key is on the table", "unbelievable cabinets"]
NAMES = ("good (0)", "bad", "good (2)")


def head(*labels, problem="single_label"):
    return HeadConfig("sequence_classification", len(labels), labels=labels, problem=problem)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("bad", "good"), ("bad", "good")),
        (("good", "bad", "good"), NAMES),
        (("", "", ""), (" (0)", " (1)", " (2)")),
        (("a", "a", "a (0)"), ("a (0) (0)", "a (1)", "a (0) (2)")),
    ],
)
def test_each_class_has_a_name_of_its_own(labels, names):
    assert head(*labels).class_names() == names


@given(st.lists(st.sampled_from(["a", "a (0)", "a (1)", "a (0) (0)", "a (0) (2)", "b"]), min_size=1, max_size=8))
def test_no_two_classes_are_ever_named_alike_and_lone_names_stay(labels):
    names = head(*labels).class_names()
    assert len(set(names)) == len(labels)
    assert all(name.startswith(label) for name, label in zip(names, labels, strict=True))
    assert head(*names).class_names() == names
    for index, name in enumerate(names):
        assert head(*labels).index_of("target", name) == index


@pytest.mark.parametrize("problem", ["single_label", "multi_label", "regression"])
def test_the_numbers_of_all_classes_are_kept(problem):
    row = np.array([[0.5, -1.0, 2.0]], np.float32)
    (found,) = predictions(head("good", "bad", "good", problem=problem), row, None, None)
    expected = {
        "single_label": np.exp(row[0]) / np.exp(row[0]).sum(),
        "multi_label": 1 / (1 + np.exp(-row[0])),
        "regression": row[0],
    }[problem]
    assert found.scores == pytest.approx(dict(zip(NAMES, expected.tolist(), strict=True)), rel=1e-6)
    assert (
        found.label
        == {"single_label": "good (2)", "multi_label": "good (0), good (2)", "regression": "0.5, -1, 2"}[problem]
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "twins"
    shutil.copytree(model_folder(), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": {"0": "good", "1": "bad", "2": "good"}, "label2id": {"good": 2, "bad": 1}}
    (folder / "config.json").write_text(json.dumps(config))
    return jf.load_model(str(folder))


def test_results_sweeps_and_the_page_name_all_of_them(encoder, tmp_path):
    # The oracle: the same weights under names that differ.
    plain = jf.load_model(str(model_folder()))
    expected = [list(each.scores.values()) for each in jf.attribute(plain, TEXTS, methods="raw")]
    found = jf.attribute(encoder, TEXTS, methods="raw")
    assert [tuple(each.scores) for each in found] == [NAMES] * 2
    np.testing.assert_array_equal([list(each.scores.values()) for each in found], expected)
    for example in found:
        assert example.prediction == max(example.scores, key=example.scores.get)
    results = jf.run_sweep(encoder, TEXTS, tmp_path / "out", methods="raw")
    assert [each.scores for each in jf.open_sweep(tmp_path / "out")] == [each.scores for each in found]
    frame = results.to_pandas(["prediction", "probabilities"])
    for row, example in zip(frame.itertuples(), found, strict=True):
        assert {each["label"]: each["probability"] for each in row.probabilities} == example.scores
        assert row.prediction in NAMES
    page = explorer_data(explore(encoder, TEXTS, labels=["good (2)", 1], methods=("raw",)))
    for sentence, example in zip(page["sentences"], found, strict=True):
        (side,) = sentence["sides"]
        assert side["probabilities"] == pytest.approx(example.scores, rel=1e-5)
        assert side["loss"] == pytest.approx(-np.log(example.scores[sentence["label"]]), rel=1e-5)
    with pytest.raises(InputError, match=r"`labels` must name one class, got 'good', the name of classes 0 and 2"):
        _ = explore(encoder, TEXTS, labels=["good", "bad"])


def test_comparisons_count_them_apart(encoder):
    compared = jf.compare_models(encoder, encoder, TEXTS, methods="raw")
    predicted = [each.prediction for each in jf.attribute(encoder, TEXTS, methods="raw")]
    assert [side.prediction for text in compared.texts for side in (text.a, text.b)] == [
        name for name in predicted for _ in range(2)
    ]
    assert set(compared.texts[0].a.scores) == set(NAMES)
    with pytest.raises(InputError, match="`target` must name one class, got 'good'"):
        _ = jf.compare_models(encoder, encoder, TEXTS, methods="raw", mixing="attention-gradient", target="good")


def test_a_name_of_several_classes_is_no_target(encoder):
    def index(name):
        classes, _ = resolve(encoder, Target(name, quantity="logit"), 1, lambda: np.zeros((1, 3)))
        return classes.tolist()

    with pytest.raises(InputError) as refused:
        index("good")
    assert str(refused.value) == (
        "`classes` must name one class, got 'good', the name of classes 0 and 2, which are called 'good (0)', "
        "'good (2)'; pass an index, or one of these names"
    )
    assert [index(name) for name in (*NAMES, 2)] == [[0], [1], [2], [2]]


def test_a_saved_model_has_the_names_that_its_checkpoint_had(encoder, tmp_path):
    folder = save_encoder(encoder, tmp_path / "saved")
    assert json.loads((folder / "config.json").read_text())["id2label"] == {"0": "good", "1": "bad", "2": "good"}
    assert jf.load_model(str(folder)).labels == NAMES
