"""A sweep from beginning to end: what it stores, draws and tells."""

import dataclasses
import gc
import itertools

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Question
from jaxflow.store.results import open_sweep
from jaxflow.sweep import runner, shards
from tests.sweep.sweeping import FAST, TEXTS, swept
from tests.tiny_text_model import LABELS, LIMIT

pytestmark = pytest.mark.usefixtures("few_sizes")


def test_the_store_holds_what_attribute_gives(encoder, tmp_path, small_shards):
    mixing = jf.mixing.Attention(heads="max", residual=0.25)
    question = Question(queries=(0, 2), layers=(1, 3), mixing=mixing, flow="exact")
    told = []
    summary = swept(encoder, tmp_path / "out", question=question, progress=told.append)
    results = open_sweep(tmp_path / "out")
    wanted = jf.attribute(encoder, TEXTS, question)
    rows = list(results.rows())
    assert [row["id"] for row in rows] == [1, 2, 3, 4, 5]
    for row, example in zip(rows, wanted, strict=True):
        assert row["text"] == example.text
        assert tuple(row["tokens"]) == example.tokens
        assert row["prediction"] == example.prediction
        assert row["prediction"] in LABELS
        assert row["layers"].tolist() == [1, 3]
        assert row["queries"].tolist() == [0, 2]
        for method, values in example.relevance.items():
            # Batches differ, and so does the rounding of float32.
            np.testing.assert_allclose(row[method], values, atol=1e-6)
        assert row["certified"].all()
    flows = sum(example.relevance["flow"].size for example in wanted)
    assert (summary.examples, summary.before, summary.certified, summary.skipped) == (5, 0, 1, ())
    assert sum(summary.stages.values()) == flows
    tokens = sum(map(len, wanted.tokens))
    last = told[-1]
    assert last == summary.tally
    assert (last.rows, last.examples, last.tokens, last.flows, last.certified) == (5, 5, tokens, flows, flows)
    assert [tally.rows for tally in told] == sorted(tally.rows for tally in told)
    assert [record.examples for record in results.records] == [2, 2, 1]
    assert [record.tokens for record in results.records] == [18, 12, 4]
    assert results.manifest["question"] == question.as_json()
    assert Question.from_json(results.manifest["question"]) == question
    assert results.manifest["input"]["examples"] == 5
    assert results.complete


def test_python_takes_files_texts_and_data_sets_alike(encoder, tmp_path, small_shards):
    (tmp_path / "in.txt").write_text("\n".join(TEXTS))
    options = {"methods": "raw", "queries": None, "layers": 2}
    for name, source in {"file": tmp_path / "in.txt", "list": list(TEXTS), "stream": iter(TEXTS)}.items():
        results = jf.run_sweep(encoder, source, tmp_path / name, **options)
        assert [example.text for example in results] == list(TEXTS)
        assert results[0].relevance["raw"].shape == (1, 12, 12)
        assert results.manifest["question"]["queries"] == "all"
    again = jf.run_sweep(encoder, tmp_path / "in.txt", tmp_path / "file", **options)
    assert len(again) == 5
    with pytest.raises(
        InputError, match=r"be new, or empty, with `resume=False`.*leave it out, or name another `folder`"
    ):
        jf.run_sweep(encoder, TEXTS, tmp_path / "file", resume=False, **options)
    with pytest.raises(InputError, match="row 2 of the texts must hold a text, got an empty one"):
        jf.run_sweep(encoder, ["a", " "], tmp_path / "empty")


def test_a_models_fingerprint_does_not_depend_on_what_it_was_used_for(encoder):
    before = encoder.fingerprint()
    encoder.tokenize(["the " * 50], truncate=True)
    assert encoder.fingerprint() == before
    assert len(set(before.values())) == 3


def test_a_source_is_drawn_as_it_is_needed_and_its_texts_are_let_go(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 4)
    drawn, alive, most_ahead = itertools.count(), [], 0

    class Counted(dict):
        """A record whose life can be watched."""

        def __init__(self, number):
            super().__init__(text=f"the key {number}")
            alive.append(number)

        def __del__(self):
            alive.pop()

    def records():
        for number in range(400):
            next(drawn)
            yield Counted(number)

    def progress(tally):
        nonlocal most_ahead
        most_ahead = max(most_ahead, int(repr(drawn)[6:-1]) - tally.rows)

    summary = swept(
        encoder, tmp_path / "out", records(), dataclasses.replace(FAST, methods=("raw",)), progress=progress
    )
    assert summary.examples == 400
    # A shard being read, two that wait, and batches on their way, which may be of a shard each.
    assert most_ahead <= 4 * (1 + runner.AHEAD + 4)
    gc.collect()
    assert len(alive) <= 1


def test_a_truncated_text_is_cut_on_request(encoder, tmp_path):
    swept(encoder, tmp_path / "out", ("a " * 100,), truncate=True)
    (row,) = open_sweep(tmp_path / "out").rows()
    assert len(row["tokens"]) == LIMIT
