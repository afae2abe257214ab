import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.tiny_text_model import model_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    """In memory where there is room for it: a killed process loses nothing there either, and it is quick."""
    memory = Path("/dev/shm")  # noqa: S108
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="jaxflow-killed-", dir=memory) as made:
        yield Path(made)


def run(folder, *arguments):
    # What is compiled once is there for every process.
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, "-m", "tests.sweep.killing", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | cache, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_sweeps_that_are_killed_and_resumed_end_as_one_that_never_was(folder, kills):
    texts = [f"the key {index} is on the table" for index in range(100)]
    (folder / "in.txt").write_text("\n".join(texts))
    said = run(folder, "at_random", model_folder(), folder / "in.txt", folder, kills, 0)
    _, killed, _, rounds = said.split()
    assert int(killed) >= kills
    assert int(rounds) >= 1


@pytest.mark.slow
def test_processes_that_are_killed_stand_still_or_come_late_make_what_one_makes(folder):
    (folder / "in.txt").write_text("\n".join(f"the key {index} is on the table" for index in range(60)))
    words = run(folder, "unsteady", model_folder(), folder / "in.txt", folder, 8, 0).split()
    killed, runs = map(int, words[1::2])
    assert runs == 8
    assert killed >= 8


def test_killed_before_any_line_of_writing_a_shard_it_is_whole_or_not_there(folder):
    (folder / "out").mkdir()
    said = run(folder, "at_every_step", folder / "out")
    assert int(said.split()[1]) > 30
    # Nothing yet; the shard but not its record; both.
    assert said.split("states ")[1].strip() == "[(False, False), (False, True), (True, True)]"
