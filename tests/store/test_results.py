import builtins
import re
import shutil

import numpy as np
import pyarrow.compute as pc
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.store import shards as store
from tests.store.test_store import MANIFEST, example, write

# Shards of these sizes; the third one holds no text.
SIZES = (3, 300, 0, 1)


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    return [
        example(rng, f"text {i}", 2 + i % 7, 1 + i % 3, label="yes", pair="p" if i % 2 else None)
        for i in range(sum(SIZES))
    ]


@pytest.fixture(scope="module")
def folder(examples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    store.write_manifest(folder, MANIFEST)
    first = 0
    for index, size in enumerate(SIZES):
        skipped = [] if size else [{"id": 303, "reason": "row 303 is empty"}]
        write(folder, index, examples[first : first + size], first + 1, index == len(SIZES) - 1, skipped)
        first += size
    return folder


def same(found, wanted):
    assert (found.text, found.pair, found.prediction) == (wanted.text, wanted.pair, wanted.prediction)
    assert (found.tokens, found.offsets, found.source) == (wanted.tokens, wanted.offsets, wanted.source)
    assert (found.layers, found.scores) == (wanted.layers, wanted.scores)
    np.testing.assert_array_equal(found.queries, wanted.queries)
    np.testing.assert_array_equal(found.certified, wanted.certified)
    assert found.relevance.keys() == wanted.relevance.keys()
    for method, values in wanted.relevance.items():
        np.testing.assert_array_equal(found.relevance[method], values)
        assert found.relevance[method].dtype == values.dtype


def test_examples_come_back_by_index_and_in_order(folder, examples):
    results = jf.open_sweep(folder)
    assert len(results) == len(examples) == results.manifest["input"]["examples"]
    assert results.complete
    for index in (0, 2, 3, 130, 131, 258, 259, 302, 303, -1, -304):
        same(results[index], examples[index])
    for found, wanted in zip(results, examples, strict=True):
        same(found, wanted)
    same(results[300:305][-1], examples[303])
    for index in (304, -305):
        with pytest.raises(IndexError, match="304 examples"):
            results[index]
    assert results.skipped == [{"id": 303, "reason": "row 303 is empty"}]


def test_only_what_is_asked_for_is_read(folder, examples):
    results = jf.open_sweep(folder)
    (folder / "part-00003.parquet").rename(folder / "away")
    try:
        same(results[5], examples[5])
        with pytest.raises(InputError, match="part-00003"):
            results[303]
        tables = results.tables(["id"])
        assert [next(tables).num_rows, next(tables).num_rows] == [3, 300]
    finally:
        (folder / "away").rename(folder / "part-00003.parquet")


def test_tables_and_frames_hold_every_row(folder):
    results = jf.open_sweep(folder)
    ids = list(range(1, 305))
    assert results.table(["id"]).to_pydict() == {"id": ids}
    assert results.table().num_columns > 10
    chosen = results.dataset().to_table(columns=["id"], filter=pc.field("id") > 300)
    assert chosen["id"].to_pylist() == [301, 302, 303, 304]
    pytest.importorskip("pandas")
    frame = results.to_pandas(["id", "text"])
    assert frame["id"].tolist() == ids
    assert frame["text"][7] == "text 7"
    with pytest.raises(InputError, match=r"`columns` must name columns of the results, got 'txet'; there are: 'id', "):
        _ = results.to_pandas(["id", "txet"])


def test_polars_frames_hold_every_row(folder):
    pytest.importorskip("polars")
    frame = jf.open_sweep(folder).to_polars()
    assert frame["id"].to_list() == list(range(1, 305))
    assert np.shape(frame["flow"][1].to_list()) == (2, 2, 3)


@pytest.mark.parametrize(("name", "ask"), [("pandas", "to_pandas"), ("polars", "to_polars")])
def test_frames_say_what_to_install(folder, name, ask, monkeypatch):
    real = builtins.__import__

    def without(module, *arguments, **options):
        if module == name:
            raise ImportError
        return real(module, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        InputError,
        match=re.escape(
            f"`{name}` must be installed for a data frame of {name}; "
            "install it with: pip install 'jaxflow-attention[frames]'"
        ),
    ):
        getattr(jf.open_sweep(folder), ask)()


def test_a_sweep_that_is_not_finished_says_so(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / store.ABOUT / "part-00001.json").unlink()
    results = jf.open_sweep(tmp_path)
    assert (len(results), results.complete) == (4, False)
    assert [row["id"] for row in results.rows()] == [1, 2, 3, 304]
    (tmp_path / store.ABOUT / "part-00003.json").unlink()
    assert not jf.open_sweep(tmp_path).complete
    for path in tmp_path.rglob("part-*"):
        path.unlink()
    empty = jf.open_sweep(tmp_path)
    assert (len(empty), empty.complete, list(empty)) == (0, False, [])
    assert empty.table().num_rows == 0
