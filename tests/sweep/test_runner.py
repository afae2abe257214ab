import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jaxflow._checks import InputError
from jaxflow.attribution import attribute
from jaxflow.sweep import plan, runner, store
from jaxflow.sweep.plan import Settings
from jaxflow.sweep.source import InlineSource, open_source
from tests.tiny_text_model import LABELS, LAYERS, LIMIT, model_folder

TEXTS = ("The key to the cabinets is on the table.", "Unbelievable!", "no", "is it on the table", "keys")
FAST = Settings(flow="bounds")


def swept(encoder, folder, texts=TEXTS, settings=FAST, *, resume=False, **options):
    sweep = runner.prepare(encoder, InlineSource(texts), folder, settings, resume=resume)
    return sweep.run(batch_size=2, **options)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(plan, "SHARD_EXAMPLES", 2)


def test_the_store_holds_what_attribute_gives(encoder, tmp_path, small_shards):
    settings = Settings(queries=(0, 2), layers=(1, 3), residual=0.25, heads="max", flow="exact")
    told = []
    summary = swept(encoder, tmp_path / "out", settings=settings, progress=told.append)
    results = store.open_store(tmp_path / "out")
    wanted = attribute(encoder, TEXTS, **dataclasses.asdict(settings))
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
    assert summary.examples == sum(told) == 5
    assert summary.certified == 1
    assert [shard["examples"] for shard in results.manifest["shards"]] == [2, 2, 1]
    assert results.manifest["settings"]["queries"] == [0, 2]
    assert results.manifest["input"]["examples"] == 5


def test_shards_end_before_they_outgrow_memory(encoder, monkeypatch):
    lengths = [len(encoding) for encoding in encoder.tokenize(TEXTS)]
    assert lengths == [12, 6, 4, 8, 4]
    # Three methods and three layers: nine numbers a token. The first text alone is over the limit.
    monkeypatch.setattr(plan, "SHARD_VALUES", 9 * 11)
    made = plan.make_plan(encoder, InlineSource(TEXTS), Settings())
    assert made.shards == (1, 2, 1, 1)
    assert made.tokens == (12, 10, 8, 4)
    assert made.examples == len(TEXTS)


def interrupted_after(examples):
    done = 0

    def progress(count):
        nonlocal done
        done += count
        if done > examples:
            raise KeyboardInterrupt

    return progress


def test_a_stopped_sweep_goes_on_where_it_was(encoder, tmp_path, small_shards):
    out = tmp_path / "out"
    with pytest.raises(runner.Stopped, match=r"2 of 5 examples are kept.*--resume"):
        swept(encoder, out, progress=interrupted_after(2))
    kept = (out / "part-00000.parquet").read_bytes()
    with pytest.raises(InputError, match="go on with them by --resume"):
        swept(encoder, out)
    told = []
    summary = swept(encoder, out, resume=True, progress=told.append)
    assert (summary.examples, summary.before, sum(told)) == (5, 2, 3)
    assert (out / "part-00000.parquet").read_bytes() == kept
    swept(encoder, tmp_path / "whole")
    assert store.read_table(out).equals(store.read_table(tmp_path / "whole"))
    again = swept(encoder, out, resume=True)
    assert (again.examples, again.before) == (5, 5)


def test_a_sweep_stopped_before_anything_is_done_leaves_nothing(encoder, tmp_path):
    with pytest.raises(runner.Stopped, match="nothing was finished yet"):
        swept(encoder, tmp_path / "out", progress=interrupted_after(0))
    assert not (tmp_path / "out").exists()


def test_damaged_and_missing_shards_are_made_again(encoder, tmp_path, small_shards):
    out = tmp_path / "out"
    swept(encoder, out)
    before = store.read_table(out)
    first, second = out / "part-00000.parquet", out / "part-00001.parquet"
    first.write_bytes(first.read_bytes()[:100])
    second.unlink()
    (out / ".jaxflow-x.tmp").write_text("half")
    summary = swept(encoder, out, resume=True)
    assert (summary.examples, summary.before) == (5, 1)
    assert store.read_table(out).equals(before)
    assert not (out / ".jaxflow-x.tmp").exists()


@pytest.mark.parametrize(
    ("changes", "texts", "named"),
    [
        ({"residual": 0.25}, TEXTS, r"--residual \(there 0.5, now 0.25\)"),
        ({"queries": None, "truncate": True}, TEXTS, r"--queries \(there 0, now all\), --truncate"),
        ({"methods": ("raw",)}, TEXTS, r"--methods \(there raw,rollout,flow, now raw\)"),
        ({}, TEXTS[:4], r"the input's content"),
    ],
)
def test_results_of_another_run_are_refused_and_left_alone(encoder, tmp_path, changes, texts, named):
    out = tmp_path / "out"
    swept(encoder, out)
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(InputError, match=named):
        swept(encoder, out, texts, dataclasses.replace(FAST, **changes), resume=True)
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_errors_before_the_work_leave_no_folder(encoder, tmp_path):
    cases = [
        (("fine", "a " * LIMIT), FAST, f"--text 2 has {LIMIT + 2} tokens"),
        (
            ("the key is", "no"),
            dataclasses.replace(FAST, queries=(0, 4)),
            "--text 2 has 4 tokens, so no query position 4",
        ),
        (TEXTS, dataclasses.replace(FAST, layers=(0,)), f"`layers` must be from 1 to {LAYERS}, got 0"),
        (TEXTS, dataclasses.replace(FAST, layers=(4,)), f"`layers` must be from 1 to {LAYERS}, got 4"),
        (TEXTS, dataclasses.replace(FAST, max_length=2), "`max_length`"),
    ]
    for texts, settings, message in cases:
        with pytest.raises(InputError) as caught:
            swept(encoder, tmp_path / "out", texts, settings)
        assert message in str(caught.value)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("raw", "magic")}, "`methods`.*magic"),
        ({"methods": ()}, "`methods`"),
        ({"layers": (1, 1)}, "`layers`"),
        ({"heads": "median"}, "`heads`.*median"),
        ({"flow": "quick"}, "`flow`.*quick"),
        ({"residual": 1.5}, "`residual`.*1.5"),
        ({"residual": float("nan")}, "`residual`.*nan"),
        ({"queries": (-1,)}, "`queries`.*-1"),
    ],
)
def test_settings_are_checked_when_they_are_made(changes, message):
    with pytest.raises(InputError, match=message):
        Settings(**changes)


def test_folders_that_are_not_ours_are_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="not empty, and holds no results"):
        runner.check_folder(tmp_path / "mine", resume=True)
    with pytest.raises(InputError, match="is a file"):
        runner.check_folder(tmp_path / "file", resume=False)
    with pytest.raises(InputError, match="cannot write"):
        runner.check_folder(tmp_path / "file" / "below", resume=False)
    runner.check_folder(tmp_path / "new" / "deep", resume=False)
    (tmp_path / "empty").mkdir()
    runner.check_folder(tmp_path / "empty", resume=False)


def test_folders_without_permission_are_refused():
    # Not even root can make a folder there.
    with pytest.raises(InputError, match=r"cannot (write|make)"):
        runner.check_folder(Path("/proc/self/out"), resume=False)


def test_a_truncated_text_is_cut_on_request(encoder, tmp_path):
    swept(encoder, tmp_path / "out", ("a " * 100,), dataclasses.replace(FAST, truncate=True))
    (row,) = store.open_store(tmp_path / "out").rows()
    assert len(row["tokens"]) == LIMIT


# SIGKILL leaves no time to tidy up, so this is a process of its own.
WORKER = """
import sys
from jaxflow.models import load_encoder
from jaxflow.sweep import plan, runner
from jaxflow.sweep.source import open_source
from pathlib import Path

plan.SHARD_EXAMPLES = 2
with open_source(sys.argv[2]) as source:
    settings = plan.Settings(flow="bounds")
    sweep = runner.prepare(load_encoder(sys.argv[1]), source, Path(sys.argv[3]), settings, resume=True)
    sweep.run(batch_size=2)
"""


def test_a_killed_process_loses_no_row_and_doubles_none(encoder, tmp_path):
    texts = [f"the key {index} is on the table" for index in range(240)]
    file, out = tmp_path / "in.txt", tmp_path / "out"
    file.write_text("\n".join(texts))
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(model_folder()), str(file), str(out)])
    try:
        deadline = time.monotonic() + 120
        while len(list(out.glob("part-*"))) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    listed = json.loads((out / store.MANIFEST).read_text())["shards"]
    assert 0 < len(listed) < 120
    assert all(store.is_whole(out / shard["file"], shard["sha256"]) for shard in listed)
    # The worker's shards are small so that there are many; the plan must be the same to go on with it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "SHARD_EXAMPLES", 2)
        with open_source(str(file)) as source:
            sweep = runner.prepare(encoder, source, out, FAST, resume=True)
            assert sweep.done == 2 * len(listed)
            summary = sweep.run(batch_size=2)
    assert summary.examples == 240
    assert store.read_table(out, ["id", "text"]).to_pydict() == {"id": list(range(1, 241)), "text": texts}
