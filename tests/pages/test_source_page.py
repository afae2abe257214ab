"""The commands write the explorer's page: with losses, and with what each head does."""

import json

import numpy as np
import pytest

import jaxflow as jf
from jaxflow.cli import main as cli
from jaxflow.heads.importance import head_importance
from jaxflow.heads.roles import head_roles
from tests.pages.test_explore import floats_of
from tests.pages.test_page import Page
from tests.pages.tiny_pair import LABELS, TEXTS, model_folder, moved_folder, other_folder

pytestmark = pytest.mark.usefixtures("few_sizes")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.csv"
    rows = [f'"{text}",{number % len(LABELS)}' for number, text in enumerate(TEXTS[:3])]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.mark.slow
def test_explore_writes_a_page_with_losses_roles_and_importance(file, tmp_path, capsys):
    page = tmp_path / "page.html"
    models = [str(model_folder()), str(moved_folder())]
    arguments = ["--column", "text", "--label-column", "label", "--queries", "0", "--out", str(page)]
    assert cli.main(["explore", "--model", models[0], "--other", models[1], "--input", str(file), *arguments]) == 0
    assert "3 texts" in capsys.readouterr().out
    data = Page(page.read_text("utf-8")).data()
    assert [sentence["label"] for sentence in data["sentences"]] == list(LABELS)
    for number, folder in enumerate(models):
        encoder = jf.load_model(folder)
        assert data["roles"][number] == head_roles(encoder, TEXTS[:3]).names()
        expected = head_importance(encoder, TEXTS[:3]).mean
        found = floats_of(data["models"][number]["measures"]["importance"]).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        losses = [sentence["sides"][number]["loss"] for sentence in data["sentences"]]
        scores = [example.scores for example in jf.attribute(encoder, TEXTS[:3], methods="raw")]
        np.testing.assert_allclose(losses, [-np.log(scores[i][LABELS[i]]) for i in range(3)], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "layers"), [(moved_folder, "1,3"), (lambda: other_folder(2, 2), "1:1,3:2")], ids=["same", "another depth"]
)
def test_compare_writes_the_page_of_its_first_texts(other, layers, file, tmp_path, capsys):
    out = tmp_path / "out"
    models = ["--model-a", str(model_folder()), "--model-b", str(other())]
    arguments = ["--column", "text", "--methods", "raw,rollout", "--attention", "2", "--layers", layers]
    arguments += ["--label-column", "label"]
    assert cli.main(["compare", *models, "--input", str(file), *arguments, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert str(out / "__about__" / "explore.html") in said
    changes = out / "__about__" / "changes.html"
    assert f"page: {changes}" in said
    assert '<a href="explore.html">' in changes.read_text("utf-8")
    data = Page((out / "__about__" / "explore.html").read_text("utf-8")).data()
    assert [sentence["text"] for sentence in data["sentences"]] == TEXTS[:2]
    assert data["methods"] == ["raw", "rollout"]
    assert [sentence["label"] for sentence in data["sentences"]] == list(LABELS[:2])
    assert all(side["loss"] > 0 for sentence in data["sentences"] for side in sentence["sides"])


def test_layers_of_models_of_other_depth_are_asked_for_as_the_command_line_has_them(file, tmp_path, capsys):
    models = ["--model-a", str(model_folder()), "--model-b", str(other_folder(2, 2))]
    assert cli.main(["compare", *models, "--input", str(file), "--column", "text", "--out", str(tmp_path / "out")]) == 2
    assert "--layers must be pairs of layers, as the models have 3 and 2" in (said := capsys.readouterr().err)
    assert said.rstrip().endswith("pass --layers 1:1,3:2, for example")


@pytest.mark.slow
def test_labels_may_be_numbers_and_may_be_missing(tmp_path, capsys):
    file, page = tmp_path / "texts.jsonl", tmp_path / "page.html"
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, (1, None, "good", "0", " "), strict=True)]
    file.write_text("\n".join(map(json.dumps, rows)))
    given = ["--model", str(model_folder()), "--input", str(file), "--label-column", "label", "--methods", "rollout"]
    assert cli.main(["explore", *given, "--out", str(page)]) == 0
    assert f"{len(TEXTS)}/{len(TEXTS)} texts" in capsys.readouterr().err
    labels = [sentence["label"] for sentence in Page(page.read_text("utf-8")).data()["sentences"]]
    assert labels == ["good", None, "good", LABELS[0], None]
    file.write_text(json.dumps({"text": "the key"}))
    assert cli.main(["explore", *given, "--out", str(page)]) == 2
    assert "--label-column must name a column, got 'label'; there are: 'text'" in capsys.readouterr().err


def test_what_cannot_be_written_is_said_before_any_work(tmp_path, capsys):
    def refused(*arguments):
        assert cli.main(["explore", "--model", "no such model", "--text", "the key", *arguments]) == 2
        return capsys.readouterr().err

    assert "no such folder" in refused("--out", str(tmp_path / "nowhere" / "page.html"))
    assert "a folder; name another" in refused("--out", str(tmp_path))


def test_a_wrong_label_is_said_before_anything_is_compared(file, tmp_path, capsys):
    file.write_text("text,label\nthe key,awful\n")
    models = ["--model-a", str(model_folder()), "--model-b", str(model_folder())]
    given = [*models, "--input", str(file), "--column", "text", "--label-column", "label"]
    assert cli.main(["compare", *given, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("jaxflow: --label-column must be classes of the model (")
    assert not any((tmp_path / "out").rglob("*"))


def test_labels_need_a_file(capsys):
    arguments = ["explore", "--model", "any", "--text", "the key", "--label-column", "label", "--out", "page.html"]
    assert cli.main(arguments) == 2
    assert "--label-column must go with --input and a file" in capsys.readouterr().err
    arguments = ["compare", "--model-a", "any", "--model-b", "any", *arguments[3:]]
    assert cli.main(arguments) == 2
    assert "--label-column must go with --input and a file" in capsys.readouterr().err


def test_errors_name_the_place_of_a_text_and_the_flag_of_a_column(file, tmp_path, capsys):
    def said(*arguments):
        page = tmp_path / "page.html"
        assert cli.main(["explore", "--model", str(model_folder()), *arguments, "--out", str(page)]) == 2
        assert not page.exists()
        return capsys.readouterr().err.splitlines()[-1]

    long = tmp_path / "long.txt"
    long.write_text("the key\n\n" + "the key " * 200 + "\n")
    assert said("--input", str(long)).startswith("jaxflow: line 3 of long.txt must have at most 24 tokens, got ")
    assert said("--text", "the key", "--text", "the key " * 200).startswith(
        "jaxflow: --text 2 must have at most 24 tokens, got "
    )
    pair = ["--pair", "a", "--pair", "\udcff"]
    assert "the pair of --text 2" in said("--text", "the key", "--text", "the key", *pair)
    label = ["--input", str(file), "--label-column"]
    assert said(*label, "labels").endswith(
        "--label-column must name a column, got 'labels'; there are: 'text', 'label'"
    )
    long.write_text("the key\n")
    assert said("--input", str(long), "--label-column", "x").endswith(
        "--label-column must go with a file that has columns, got 'x'; leave it out"
    )
