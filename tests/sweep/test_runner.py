import dataclasses
import gc
import itertools
from contextlib import closing
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Question, Rollout
from jaxflow.inputs.files import open_source
from jaxflow.inputs.rows import BadRow
from jaxflow.inputs.source import InlineSource, as_source
from jaxflow.store import shards as store
from jaxflow.store.leases import Leases
from jaxflow.store.results import open_sweep
from jaxflow.sweep import runner, shards
from jaxflow.sweep.checks import check_folder
from tests.extending.mixing import ValueNorms
from tests.sweep.folders import contents
from tests.tiny_text_model import LABELS, LAYERS, LIMIT

TEXTS = ("The key to the cabinets is on the table.", "Unbelievable!", "no", "is it on the table", "keys")
FAST = Question(flow="bounds")


def swept(encoder, folder, texts=TEXTS, question=FAST, *, progress=lambda _: None, **options):
    source = InlineSource(texts) if isinstance(texts, tuple) else as_source(texts)
    return runner.prepare(encoder, source, folder, question, **options).run(2, progress)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)


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


def test_python_is_told_in_its_own_words_how_a_stopped_sweep_goes_on(encoder, tmp_path, small_shards):
    with pytest.raises(runner.Stopped, match=r"examples are kept in .*; the same call continues"):
        jf.run_sweep(encoder, TEXTS, tmp_path / "out", methods="raw", progress=interrupted_after(2), batch_size=1)
    assert len(jf.run_sweep(encoder, TEXTS, tmp_path / "out", methods="raw")) == len(TEXTS)


def interrupted_after(examples):
    def progress(tally):
        if tally.examples > examples:
            raise KeyboardInterrupt

    return progress


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_where_it_was(encoder, tmp_path, small_shards, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(runner, "BEHIND", 0)
    with pytest.raises(runner.Stopped, match=r"2 of 5 examples are kept.*the same call continues"):
        swept(encoder, out, progress=interrupted_after(3))
    kept = (out / "part-00000.parquet").read_bytes()
    with pytest.raises(InputError, match="leave it out, or name another"):
        swept(encoder, out, resume=False)
    told = []
    summary = swept(encoder, out, progress=told.append)
    assert (summary.examples, summary.before, told[-1].examples) == (5, 2, 3)
    assert (out / "part-00000.parquet").read_bytes() == kept
    swept(encoder, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")
    again = swept(encoder, out)
    assert (again.examples, again.before) == (5, 5)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_sweep_stopped_before_anything_is_done_leaves_nothing(encoder, tmp_path):
    with pytest.raises(runner.Stopped, match="nothing was finished yet"):
        swept(encoder, tmp_path / "out", progress=interrupted_after(0))
    assert not (tmp_path / "out").exists()


def test_damaged_missing_and_unrecorded_shards_are_made_again(encoder, tmp_path, small_shards):
    out = tmp_path / "out"
    swept(encoder, out, TEXTS + TEXTS)
    before = contents(out)
    paths = [out / f"part-{index:05d}.parquet" for index in range(5)]
    paths[0].write_bytes(before[paths[0].name][:100])
    paths[1].unlink()
    flipped = bytearray(before[paths[2].name])
    flipped[len(flipped) // 2] ^= 1
    paths[2].write_bytes(flipped)
    (out / store.ABOUT / "part-00003.json").write_text("{")
    (out / store.ABOUT / ".jaxflow-part-00003.json-x.tmp").write_text("half")
    # Another process that is at work has looked already.
    with closing(Leases(out)) as leases:
        assert leases.take("part-00003")
        _ = runner.prepare(encoder, InlineSource(TEXTS + TEXTS), out, FAST)
        assert sorted(store.read_records(out)) == [0, 1, 2, 4]
    sweep = runner.prepare(encoder, InlineSource(TEXTS + TEXTS), out, FAST)
    # Nobody reads what is damaged while it is made again.
    assert sorted(store.read_records(out)) == [4]
    summary = sweep.run(2)
    assert (summary.examples, summary.before) == (10, 2)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("changes", "texts", "named"),
    [
        ({"mixing": jf.mixing.Attention(residual=0.25)}, TEXTS, r"residual \(there 0.5, now 0.25\)"),
        ({"queries": None, "truncate": True}, TEXTS, r"queries \(there 0, now all\), truncate"),
        ({"methods": (jf.attribution.Flow("bounds"),)}, TEXTS, r"methods \(there raw,rollout,flow, now flow\)"),
        ({"methods": ("raw",)}, TEXTS, r"methods \(there raw,rollout,flow, now raw\)"),
        ({}, TEXTS[:4], r"the input's content \(other rows are in part-00000"),
        ({}, (*TEXTS[:4], "keyz"), "the input's content"),
        ({}, (*TEXTS, "more"), "the input's content"),
    ],
)
def test_results_of_another_run_are_refused_and_left_alone(encoder, tmp_path, changes, texts, named):
    out = tmp_path / "out"
    swept(encoder, out)
    before = contents(out)
    lengths = {"truncate": changes.get("truncate", False)}
    asked = {name: value for name, value in changes.items() if name not in lengths}
    with pytest.raises(InputError, match=named):
        swept(encoder, out, texts, dataclasses.replace(FAST, **asked), **lengths)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ({"mixing": ValueNorms(2.0)}, {"mixing": ValueNorms(3.0)}, r"fields \(there scale 2.0, now scale 3.0\)"),
        (
            {"methods": (Rollout(mixing=ValueNorms(2.0)),)},
            {"methods": (Rollout(mixing=ValueNorms(3.0)),)},
            r"methods \(there fields mixing fields scale 2.0, now fields mixing fields scale 3.0\)",
        ),
    ],
)
def test_values_of_one_name_differ_by_a_field_that_is_named(encoder, tmp_path, first, second, named):
    out = tmp_path / "out"
    swept(encoder, out, TEXTS, dataclasses.replace(FAST, **first))
    with pytest.raises(InputError, match=named):
        swept(encoder, out, TEXTS, dataclasses.replace(FAST, **second), resume=True)


def test_an_input_that_is_cut_short_is_another(encoder, tmp_path, small_shards):
    swept(encoder, tmp_path / "out")
    with pytest.raises(InputError, match="the input's content"):
        swept(encoder, tmp_path / "out", TEXTS[:2])
    (tmp_path / "out" / store.ABOUT / "part-00001.json").unlink()
    with pytest.raises(InputError, match=r"the input's content.*part-00002"):
        swept(encoder, tmp_path / "out", TEXTS[:3])


def test_another_model_of_the_same_name_is_refused_and_a_moved_one_is_not(encoder, tmp_path):
    swept(encoder, tmp_path / "out")
    other = jax.tree.map(lambda x: x + np.float32(1e-7), encoder.module)
    with pytest.raises(InputError, match="differs in the model's weights"):
        swept(dataclasses.replace(encoder, module=other), tmp_path / "out")
    with pytest.raises(InputError, match=r"differs in the model \(there .*, now renamed\)"):
        swept(dataclasses.replace(encoder, module=other, name="renamed"), tmp_path / "out")
    with pytest.raises(InputError, match="differs in the model's config"):
        swept(dataclasses.replace(encoder, max_length=LIMIT - 1), tmp_path / "out")
    assert swept(dataclasses.replace(encoder, name="moved"), tmp_path / "out").before == 5


def test_a_models_fingerprint_does_not_depend_on_what_it_was_used_for(encoder):
    before = encoder.fingerprint()
    encoder.tokenize(["the " * 50], truncate=True)
    assert encoder.fingerprint() == before
    assert len(set(before.values())) == 3


def test_errors_before_the_work_leave_no_folder(encoder, tmp_path):
    cases = [
        (("fine", "a " * LIMIT), FAST, f"--text 2 must have at most {LIMIT} tokens, got {LIMIT + 2}"),
        (
            ("the key is", "no"),
            dataclasses.replace(FAST, queries=(0, 4)),
            "--text 2: `queries` must be positions of tokens, from 0 to 3, got 4",
        ),
        (
            TEXTS,
            dataclasses.replace(FAST, layers=(0,)),
            f"`layers` must be from 1 to {LAYERS}, counted from 1 at the input, got 0",
        ),
        (
            TEXTS,
            dataclasses.replace(FAST, layers=(4,)),
            f"`layers` must be from 1 to {LAYERS}, counted from 1 at the input, got 4",
        ),
        ((), FAST, "--text must hold a text, got none"),
    ]
    for texts, settings, message in cases:
        for on_error in ("stop",) if "--text 2" in message else ("stop", "skip"):
            with pytest.raises(InputError) as caught:
                swept(encoder, tmp_path / "out", texts, settings, on_error=on_error)
            assert message in str(caught.value)
            assert not (tmp_path / "out").exists()


def bad_in_the_middle(tmp_path, bad='{"text": '):
    file = tmp_path / "in.jsonl"
    lines = [f'{{"text": "{text}"}}' for text in (*TEXTS, *TEXTS)]
    lines[6] = bad
    file.write_text("\n".join(lines))
    return str(file)


@pytest.mark.parametrize("bad", ['{"text": ', '{"text": ""}', f'{{"text": "{"a " * LIMIT}"}}'])
def test_a_bad_line_in_the_middle_stops_what_comes_after_it(encoder, tmp_path, small_shards, bad):
    out = tmp_path / "out"
    with open_source(bad_in_the_middle(tmp_path, bad)) as source:
        with pytest.raises(InputError) as stopped:
            runner.prepare(encoder, source, out, FAST).run(2)
        message = str(stopped.value)
        assert "line 7 of in.jsonl" in message
        assert 'leave such rows out with `on_error="skip"`; 6 of 10 examples are kept' in message
        assert message.endswith("and the same run goes on from there")
        kept = contents(out)
        assert [row["id"] for row in open_sweep(out).rows()] == [1, 2, 3, 4, 5, 6]
        summary = runner.prepare(encoder, source, out, FAST, on_error="skip").run(2)
        assert (summary.examples, summary.before, summary.tally.rows) == (9, 6, 4)
        assert [row["id"] for row in summary.skipped] == [7]
        assert "line 7 of in.jsonl" in summary.skipped[0]["reason"]
    results = open_sweep(out)
    assert [row["id"] for row in results.rows()] == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert results.skipped == list(summary.skipped)
    assert results.complete
    assert kept.items() <= contents(out).items()


def test_a_line_that_is_corrected_can_be_gone_on_with(encoder, tmp_path, small_shards):
    with open_source(bad_in_the_middle(tmp_path)) as source, pytest.raises(InputError, match="line 7"):
        runner.prepare(encoder, source, tmp_path / "out", FAST).run(2)
    with open_source(bad_in_the_middle(tmp_path, '{"text": "the key"}')) as source:
        summary = runner.prepare(encoder, source, tmp_path / "out", FAST).run(2)
    assert (summary.examples, summary.before) == (10, 6)


def test_a_shard_of_bad_rows_alone_is_done_as_well(encoder, tmp_path, small_shards):
    texts = ["the", "key", " ", "", "is", "on"]
    summary = swept(encoder, tmp_path / "out", texts, on_error="skip")
    assert (summary.examples, summary.tally.rows, len(summary.skipped)) == (4, 6, 2)
    results = open_sweep(tmp_path / "out")
    assert [example.text for example in results] == ["the", "key", "is", "on"]
    assert results.complete
    assert [path.name for path in results.files] == ["part-00000.parquet", "part-00002.parquet"]
    assert swept(encoder, tmp_path / "out", texts, on_error="skip").before == 4


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("raw", "magic")}, "`methods`.*magic"),
        ({"methods": ()}, "`methods`"),
        ({"layers": (1, 1)}, "`layers`"),
        ({"flow": "quick"}, "`flow`.*quick"),
        ({"queries": (-1,)}, "`queries`.*-1"),
    ],
)
def test_a_question_is_checked_when_it_is_made(changes, message):
    with pytest.raises(InputError, match=message):
        Question(**changes)


def test_folders_that_are_not_ours_are_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="not empty, and holds no results"):
        check_folder(tmp_path / "mine", resume=True)
    with pytest.raises(InputError, match="must be a folder, got the file"):
        check_folder(tmp_path / "file", resume=False)
    with pytest.raises(InputError, match="must be one that can be written"):
        check_folder(tmp_path / "file" / "below", resume=False)
    check_folder(tmp_path / "new" / "deep", resume=False)
    (tmp_path / "empty").mkdir()
    check_folder(tmp_path / "empty", resume=False)


def test_folders_without_permission_are_refused():
    # Not even root can make a folder there.
    with pytest.raises(InputError, match="must be one that can be written"):
        check_folder(Path("/proc/self/out"), resume=False)


def test_a_truncated_text_is_cut_on_request(encoder, tmp_path):
    swept(encoder, tmp_path / "out", ("a " * 100,), truncate=True)
    (row,) = open_sweep(tmp_path / "out").rows()
    assert len(row["tokens"]) == LIMIT


def test_unknown_ways_at_errors_are_refused(encoder, tmp_path):
    with pytest.raises(InputError, match="`on_error` must be one of 'stop', 'skip', got 'ignore'"):
        swept(encoder, tmp_path / "out", on_error="ignore")
    assert store.is_empty(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queries": "first"}, "`queries` must be None, integers, 'last', 'classifier' or 'answer', got 'first'"),
        ({"layers": 1.5}, "`layers` must be None, an int, or several ints, got 1.5"),
        ({"methods": None}, "`methods` must be one of 'raw', 'rollout', 'flow', .*got None"),
        ({"batch_size": 0}, "`batch_size`"),
    ],
)
def test_arguments_of_python_that_cannot_be_used_are_named(encoder, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        jf.run_sweep(encoder, TEXTS, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (
            OSError(5, "Input/output error"),
            InputError,
            "the texts must be readable to its end, got Input/output error; 4",
        ),
        (KeyError("x"), KeyError, "x"),
    ],
)
def test_a_source_that_fails_on_the_way_loses_nothing(encoder, tmp_path, small_shards, error, raised, message):
    def failing():
        yield from TEXTS
        raise error

    with pytest.raises(raised, match=message):
        swept(encoder, tmp_path / "out", failing())
    assert [example.text for example in open_sweep(tmp_path / "out")] == list(TEXTS[:4])


def test_a_folder_that_another_run_began_meanwhile_is_left_alone(encoder, tmp_path, small_shards):
    first, second = (
        runner.prepare(
            encoder,
            InlineSource(TEXTS),
            tmp_path / "out",
            dataclasses.replace(FAST, mixing=jf.mixing.Attention(residual=residual)),
        )
        for residual in (0.5, 0.25)
    )
    _ = first.run(2)
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match=r"differs in residual|another run began"):
        second.run(2)
    assert contents(tmp_path / "out") == before


def test_what_is_kept_is_said_even_where_the_input_is_gone(encoder, tmp_path, small_shards, monkeypatch):
    monkeypatch.setattr(runner, "BEHIND", 0)
    path = tmp_path / "in.txt"
    path.write_text("\n".join(TEXTS))
    stop = interrupted_after(3)

    def progress(tally):
        path.unlink(missing_ok=True)
        stop(tally)

    with open_source(str(path), None, None) as source:
        sweep = runner.prepare(encoder, source, tmp_path / "out", FAST)
        with pytest.raises(runner.Stopped, match=r"stopped: \d examples are kept in .*the same call"):
            sweep.run(2, progress)


def test_a_bad_row_is_the_same_under_another_files_name():
    first, second = (InputError(None, "be an object", "[]", place=f"line 3 of {name}.jsonl") for name in "ab")
    assert BadRow(3, first).content == BadRow(3, second).content
    assert BadRow(3, first).content != BadRow(4, first).content


@pytest.mark.parametrize("residual", [1.5, -0.1, float("nan"), "half", None])
def test_a_residual_that_is_no_share_is_refused(residual):
    with pytest.raises(InputError, match="`residual` must"):
        jf.mixing.Attention(residual=residual)
