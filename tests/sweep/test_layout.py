"""A folder of results is one table to whatever reads Parquet, whatever its path is called, and in either edition."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow._paths import local_path
from jaxflow.cli import main as cli
from jaxflow.store import shards as store
from jaxflow.store.arrow import without_saturation
from jaxflow.sweep import shards
from jaxflow.sweep.comparison_folder import open_comparison
from tests.sweep.first_edition import first_edition, last_first_edition
from tests.tiny_text_model import model_folder

TEXTS = ("the key is on the table", "no", "the keys", "is it", "a")
NAMES = ("run:1", "a b", "50%20", "a#b?c=d", "ключ-数-é", "file:x", "s3:", "l" * 200, "~x", "[*]", "'\"")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)


@pytest.fixture(scope="module")
def commanded(tmp_path_factory):
    """A folder of the command line's, with its report and its summary."""
    out = tmp_path_factory.mktemp("layout") / "results"
    texts = [part for text in TEXTS for part in ("--text", text)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_ROWS", 2)
        assert cli.main(["attribute", *texts, "--model", str(model_folder()), "--out", str(out), "--quiet"]) == 0
    assert cli.main(["summarize", str(out)]) == 0
    assert {"report.html", "summary.json", "summary.parquet", "manifest.json"} <= {
        path.name for path in (out / store.ABOUT).iterdir()
    }
    return out


def test_arrow_reads_the_folder_as_one_table(commanded):
    assert pq.read_table(commanded)["text"].to_pylist() == list(TEXTS)
    assert [path.name for path in sorted(commanded.iterdir())] == [
        store.ABOUT,
        *(f"part-0000{i}.parquet" for i in range(3)),
    ]


def test_pandas_reads_the_folder_as_one_table(commanded):
    pandas = pytest.importorskip("pandas")
    assert pandas.read_parquet(commanded)["text"].tolist() == list(TEXTS)


def test_polars_reads_the_folder_as_one_table(commanded):
    polars = pytest.importorskip("polars")
    assert polars.read_parquet(f"{commanded}/*.parquet")["text"].to_list() == list(TEXTS)


def test_hugging_faces_data_sets_read_the_folder_as_one_table(commanded, tmp_path):
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset("parquet", data_dir=str(commanded), cache_dir=str(tmp_path))["train"]
    assert found["text"][:] == list(TEXTS)
    rows = list(jf.open_sweep(commanded).rows())
    np.testing.assert_allclose(found[0]["flow"], rows[0]["flow"])
    assert {each["label"]: each["probability"] for each in found[0]["probabilities"] or ()} == (
        rows[0]["probabilities"] or {}
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_path_is_taken_for_an_address(encoder, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    file = f"in:{name[:100]}.parquet"
    with Path(file).open("wb") as opened:
        pq.write_table(pa.table({"text": TEXTS}), opened)
    # A name, not a home's.
    out = f"./{name}" if name.startswith("~") else name
    results = jf.run_sweep(encoder, f"./{file}", out, methods=("raw", "rollout"))
    assert {path.name for path in tmp_path.iterdir()} == {file, name}
    for opened in (results, jf.open_sweep(out)):
        assert [row["text"] for row in opened.rows()] == list(TEXTS)
        assert opened[3].text == TEXTS[3]
        assert opened.dataset().to_table()["text"].to_pylist() == list(TEXTS)
    assert cli.main(["summarize", out]) == 0
    again = jf.run_sweep(encoder, f"./{file}", out, methods=("raw", "rollout"))
    assert len(again) == len(TEXTS)


def test_a_renamed_folder_is_read(commanded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(commanded, "run:3")
    assert [each.text for each in jf.open_sweep("run:3")] == list(TEXTS)
    assert cli.main(["summarize", "run:3"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["run:3"]


def test_a_tilde_is_the_home(encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "in.txt").write_text("\n".join(TEXTS))
    results = jf.run_sweep(encoder, "~/in.txt", "~/out", methods="raw")
    assert results.folder == tmp_path / "home" / "out"
    assert [each.text for each in jf.open_sweep("~/out")] == list(TEXTS)
    for flags in (["summarize", "~/out"], ["attribute", "--input=~/in.txt", "--out=~/again", "--methods", "raw"]):
        model = ["--model", str(model_folder()), "--quiet"] if flags[0] == "attribute" else []
        assert cli.main([*flags, *model]) == 0
    assert {path.name for path in (tmp_path / "home").iterdir()} == {"in.txt", "out", "again"}
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    for call in (lambda: jf.open_sweep("~nobody-here/x"), lambda: jf.run_sweep(encoder, ["a"], "~nobody-here/x")):
        with pytest.raises(InputError, match="no such user"):
            call()


@pytest.mark.parametrize("value", [5, None, "a\0b", "~nobody-here"])
def test_what_is_no_path_is_one_line(value):
    with pytest.raises(InputError, match="`out` must be a path, got"):
        local_path("out", value)


@pytest.mark.parametrize("value", ["a\0b", "x" * 5000, "gone", "/dev/null", "/dev/null/x"])
def test_what_is_no_folder_of_results_is_one_line(value):
    for read in (jf.open_sweep, open_comparison):
        with pytest.raises(InputError, match=r"must (be a path|hold)"):
            read(value)


def test_a_path_that_was_understood_once_stays_what_it_is():
    for text in ("./~x", "~", "a/~b", "run:1", b"x"):
        path = local_path("out", text)
        assert local_path("out", path) == local_path("out", str(path)) == path
    assert local_path("out", "./~x") == Path.cwd() / "~x"


def test_a_folder_with_settings_instead_of_a_question_opens_and_goes_on_as_it_began(encoder, tmp_path):
    folder, asked = tmp_path / "out", {"methods": "raw", "queries": None, "mixing": jf.mixing.Attention("max", 0.25)}
    wanted = list(jf.run_sweep(encoder, TEXTS, folder, **asked).rows())
    last_first_edition(folder)
    assert jf.Question.from_json(jf.open_sweep(folder).manifest["question"]) == jf.Question(**asked)
    (folder / "__about__" / "part-00001.json").unlink()
    results = jf.run_sweep(encoder, TEXTS, folder, **asked)
    np.testing.assert_equal(list(results.rows()), wanted)
    with pytest.raises(InputError, match=r"differs in heads \(there max, now mean\), residual \(there 0.25, now 0.5\)"):
        jf.run_sweep(encoder, TEXTS, folder, methods="raw", queries=None)


def test_a_folder_that_does_not_say_where_flows_are_saturated_goes_on_so(encoder, tmp_path):
    folder = tmp_path / "out"
    whole = jf.run_sweep(encoder, TEXTS, folder)
    assert all(example.saturated is not None for example in whole)
    wanted = list(map(without_saturation, whole.rows()))
    last_first_edition(folder)
    assert all(example.saturated is None for example in jf.open_sweep(folder))
    (folder / "__about__" / "part-00001.json").unlink()
    results = jf.run_sweep(encoder, TEXTS, folder)
    np.testing.assert_equal(list(results.rows()), wanted)
    assert results.table().num_rows == results.dataset().to_table().num_rows == len(TEXTS)


def test_folders_of_the_first_edition_open_and_go_on_as_they_began(encoder, tmp_path):
    old, whole = tmp_path / "old", tmp_path / "whole"
    for folder in (old, whole):
        # Folders of the first edition do not say where flows are saturated, and new shards of theirs don't either.
        wanted = list(map(without_saturation, jf.run_sweep(encoder, TEXTS, folder).rows()))
    first_edition(old)
    names = {path.name for path in old.iterdir()}
    assert store.ABOUT not in names
    np.testing.assert_equal(list(jf.open_sweep(old).rows()), wanted)
    (old / "part-00001.json").unlink()
    (old / "part-00002.parquet").write_bytes(b"half")
    results = jf.run_sweep(encoder, TEXTS, old)
    np.testing.assert_equal(list(results.rows()), wanted)
    # One table still: the same columns in shards of both.
    assert results.table().num_rows == results.dataset().to_table().num_rows == len(TEXTS)
    assert cli.main(["summarize", str(old)]) == 0
    assert {path.name for path in old.iterdir()} - names <= {"summary.html", "summary.json", "summary.parquet"}
    assert results.table()["probabilities"].to_pylist() == jf.open_sweep(old).table()["probabilities"].to_pylist()
