"""Rows, questions, arguments and folders that cannot be used: named, and nothing that was done is lost."""

import dataclasses
from pathlib import Path

import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Question
from jaxflow.inputs.files import open_source
from jaxflow.inputs.rows import BadRow
from jaxflow.store import shards as store
from jaxflow.store.results import open_sweep
from jaxflow.sweep import runner
from jaxflow.sweep.checks import check_folder
from tests.sweep.folders import contents
from tests.sweep.sweeping import FAST, TEXTS, swept
from tests.tiny_text_model import LAYERS, LIMIT

pytestmark = pytest.mark.usefixtures("few_sizes")


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


def test_a_bad_row_is_the_same_under_another_files_name():
    first, second = (InputError(None, "be an object", "[]", place=f"line 3 of {name}.jsonl") for name in "ab")
    assert BadRow(3, first).content == BadRow(3, second).content
    assert BadRow(3, first).content != BadRow(4, first).content


@pytest.mark.parametrize("residual", [1.5, -0.1, float("nan"), "half", None])
def test_a_residual_that_is_no_share_is_refused(residual):
    with pytest.raises(InputError, match="`residual` must"):
        jf.mixing.Attention(residual=residual)
