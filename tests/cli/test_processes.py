"""The command line as a process: signals, closed pipes and interrupts."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jaxflow.store import shards as store
from jaxflow.store.results import open_sweep
from tests.cli.running import QUICK, TEXT
from tests.tiny_text_model import model_folder


def command(*arguments, **options):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    whole = [sys.executable, "-c", "import sys; from jaxflow.cli.main import main; sys.exit(main())", *arguments]
    return subprocess.Popen(
        whole, text=True, stdout=-1, stderr=-1, stdin=subprocess.DEVNULL, env=environment, **options
    )


@pytest.mark.slow
def test_a_real_process_reports_and_survives_a_closed_pipe(tmp_path):
    arguments = [*TEXT, *QUICK, "--model", str(model_folder()), "--out", str(tmp_path / "out")]
    with command("attribute", *arguments) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 0
    # On a slow machine the notice of compiling stands above it.
    *notice, progress = errors.splitlines()
    assert progress.startswith("1/1 examples")
    assert notice in ([], ["jaxflow: compiling programs; they are kept, so later runs do without"])
    assert len(open_sweep(tmp_path / "out")) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_a_clusters_signal_ends_a_sweep_after_the_shards_in_work(tmp_path, number, code):
    file, out = tmp_path / "in.txt", tmp_path / "out"
    file.write_text("\n".join(f"the key {index} is on the table" for index in range(20000)))
    arguments = ["--input", str(file), "--model", str(model_folder()), "--out", str(out), "--quiet"]
    with command("attribute", *arguments, "--methods", "raw", "--batch-size", "16") as process:
        try:
            deadline = time.monotonic() + 120
            while not (out / store.ABOUT / "part-00000.json").exists():
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            begun = {path.stem for path in out.rglob("part-*.*") if path.parent.name != store.ABOUT}
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, output) == (code, "")
    first, last = errors.splitlines()
    assert first == f"jaxflow: {number.name}: ending after the shards in work; a second signal stops at once"
    assert last.endswith("the same command continues")
    # Whatever was begun is done, and nothing is left behind.
    done = {record.index for record in open_sweep(out).records}
    assert {int(name[-5:]) for name in (stem.partition(".")[0] for stem in begun)} <= done
    assert 0 < len(done) < 20
    assert f"{len(open_sweep(out))} of 20000 examples are kept" in last
    assert not list(out.rglob(".*"))


def test_ctrl_c_ends_with_one_line_and_130(tmp_path):
    file = tmp_path / "in.txt"
    file.write_text("\n".join(f"the key {index} is on the table" for index in range(4000)))
    arguments = ["--input", str(file), "--model", str(model_folder()), "--out", str(tmp_path / "out"), "--quiet"]
    first = tmp_path / "out" / store.ABOUT / "part-00000.json"
    with command("attribute", *arguments, "--methods", "raw,rollout", "--batch-size", "16") as process:
        try:
            deadline = time.monotonic() + 120
            while not first.exists():
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert output == ""
    assert errors.count("\n") == 1
    assert "of 4000 examples are kept" in errors
    assert "the same command continues" in errors
    assert len(open_sweep(tmp_path / "out")) >= 1024
