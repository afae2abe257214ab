"""Several processes: each makes its part, a part lost ends the others, and the whole is what one process makes."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.cli import attribute as command
from jaxflow.devices import Processes
from jaxflow.store import shards as store
from jaxflow.store.results import Store
from jaxflow.store.shards import Record, checksum, is_empty
from jaxflow.sweep import together
from tests.test_devices import TEXTS
from tests.tiny_text_model import model_folder

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def alone():
    return jf.attribute(jf.load_model(str(model_folder())), TEXTS, queries=None)


def given(**options):
    plain = {"distributed": False, "coordinator": None, "processes": None, "process": None, "start_seconds": None}
    return argparse.Namespace(**(plain | options))


def test_the_command_line_joins_others_only_if_told_to():
    assert command._joined(given()) == Processes(0, 1)
    for lonely in ({"coordinator": "here:1"}, {"processes": 2}, {"process": 0}, {"start_seconds": 5}):
        with pytest.raises(InputError, match="must go with `distributed`"):
            command._joined(given(**lonely))


def test_processes_wait_until_no_shard_is_missing_or_damaged(tmp_path, monkeypatch):
    looks, records, shard = [], [], tmp_path / "part-00000.parquet"
    shard.write_bytes(b"whole")
    record = Record(0, 1, "", True, 1, checksum(shard), 1, 0, 0, {}, ())
    monkeypatch.setattr(together, "open_sweep", lambda path: Store(path, {}, tuple(records)))
    monkeypatch.setattr(together, "PERIOD", 0.001)

    def look():
        looks.append(time.monotonic())
        if len(looks) == 3:
            (tmp_path / "manifest.json").touch()
        if len(looks) == 4:
            shard.write_bytes(b"half")
            records.append(record)
        if len(looks) == 6:
            shard.write_bytes(b"whole")

    together.wait_for_all(tmp_path, look)
    # Before each wait, and twice before the file was read.
    assert len(looks) == 7

    def interrupted():
        raise KeyboardInterrupt

    records.clear()
    with pytest.raises(KeyboardInterrupt):
        together.wait_for_all(tmp_path, interrupted)


def test_a_shard_that_was_found_whole_is_not_read_again(tmp_path, monkeypatch):
    (tmp_path / "manifest.json").touch()
    shards = [tmp_path / f"part-{index:05d}.parquet" for index in range(2)]
    for shard in shards:
        shard.write_bytes(b"whole")
    records = tuple(Record(i, 1, "", i == 1, 1, checksum(shard), 1, 0, 0, {}, ()) for i, shard in enumerate(shards))
    monkeypatch.setattr(together, "open_sweep", lambda path: Store(path, {}, records))
    monkeypatch.setattr(together, "PERIOD", 0.001)
    read, counts = [], []
    monkeypatch.setattr(store, "checksum", lambda path: (read.append(path), checksum(path))[1])
    shards[1].write_bytes(b"half")

    def look():
        if not counts and read.count(shards[1]) == 5:
            counts.append(read.count(shards[0]))
            shards[0].write_bytes(b"other")
            shards[1].write_bytes(b"whole")
        if read.count(shards[0]) > 2:
            shards[0].write_bytes(b"whole")

    together.wait_for_all(tmp_path, look)
    assert counts == [1]
    assert [shard.read_bytes() for shard in shards] == [b"whole"] * 2


@pytest.fixture
def hasty(monkeypatch):
    for name, seconds in {"PERIOD": 0.01, "SIGNS": 0.01, "SILENCE": 10.0}.items():
        monkeypatch.setattr(together, name, seconds)


def live(peers, seconds=1.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        peers.check()
        time.sleep(0.005)


def peers_of(folder, count):
    return [together.Peers(folder, index, count) for index in range(count)]


def test_processes_that_live_see_each_other(tmp_path, hasty):
    # What an earlier run left says nothing, and goes.
    for index in range(5):
        (tmp_path / f".jaxflow-process-{index}.tmp").write_text("of old gave up: process 1 of 5 gave up: a row")
    first, second, third = peers_of(tmp_path, 3)
    with first, second, third:
        for peers in (first, second, third):
            live(peers)
        assert len(list(tmp_path.iterdir())) == 3
    assert not list(tmp_path.iterdir())


def test_a_process_that_gave_up_is_named_with_its_reason_by_all(tmp_path, hasty):
    out = tmp_path / "out"  # process 0 did not come to making it
    first, second, third = peers_of(out, 3)
    reason = r"^process 0 of 3 gave up: line 7 of texts\.txt must be a row, got 'a'; pass `truncate=True`$"
    for peers in (first, second, third):
        _ = peers.__enter__()
    error = InputError(None, "be a row", "'a'", "pass `truncate=True`", place="line 7 of texts.txt")
    first.__exit__(InputError, error, None)
    with pytest.raises(InputError, match=reason) as caught:
        live(second, 30)
    second.__exit__(InputError, caught.value, None)
    assert is_empty(out)
    with pytest.raises(InputError, match=reason):
        live(third, 30)
    # Each front puts it into its own words.
    assert caught.value.in_words(lambda argument: f"<{argument}>").endswith("; pass <truncate=True>")
    third.__exit__(None, None, None)


def test_any_other_error_of_a_process_is_told_as_well(tmp_path, hasty):
    first, second = peers_of(tmp_path / "out", 2)
    for peers in (first, second):
        _ = peers.__enter__()
    first.__exit__(ValueError, ValueError("the disk\nis gone"), None)
    with pytest.raises(InputError, match=r"^process 0 of 2 must finish its part, got the error the disk is gone$"):
        live(second, 30)
    second.__exit__(None, None, None)


def test_a_process_that_fell_silent_is_named(tmp_path, hasty, monkeypatch):
    (first, _) = peers_of(tmp_path, 2)
    with first:
        # The other has given no sign yet, and may be slow to start.
        monkeypatch.setattr(together, "SILENCE", 0.2)
        live(first)
        (tmp_path / ".jaxflow-process-1.tmp").write_text("killed 17")
        with pytest.raises(InputError, match=r"^process 1 of 2 must give signs of life, got none for 0 s"):
            live(first, 30)
        # It is not waited for.
        monkeypatch.setattr(together, "PERIOD", 60)
        first.wait_for_the_end(60.0)


def test_a_process_that_ended_well_is_not_missed(tmp_path, hasty, monkeypatch):
    first, second = peers_of(tmp_path, 2)
    with first:
        with second:
            live(first)
        live(first)
        monkeypatch.setattr(together, "SILENCE", 0.2)
        live(first)


def test_a_process_alone_looks_for_nobody(tmp_path):
    with together.Peers(tmp_path / "not there", 0, 1) as peers:
        peers.check()
    with together.Peers(tmp_path / "not there", 0, 2) as peers:
        peers.check()
    assert not (tmp_path / "not there").exists()


WORK = """
import os, sys, time
import numpy as np
import jax
from jaxflow.devices import initialize, local_mesh, processes
if {coordinator!r}:
    here = initialize({coordinator!r}, 2, int(sys.argv[1]), silence_seconds={silence}, start_seconds=60)
else:
    here = processes()
import jaxflow as jf
assert len(jax.local_devices()) == {devices}
texts = {texts!r}[here.index :: here.count]
found = jf.attribute(jf.load_model({model!r}), texts, queries=None, mesh=local_mesh())
arrays = {{f"{{i}} {{name}}": values for i, each in enumerate(found) for name, values in each.relevance.items()}}
np.savez(sys.argv[2], **arrays)
{end}
"""


def start(tmp_path, devices, index=0, coordinator="", end="", silence=60, name="out"):
    out = tmp_path / f"{name}{index}.npz"
    code = WORK.format(
        coordinator=coordinator, devices=devices, texts=TEXTS, model=str(model_folder()), end=end, silence=silence
    )
    flags = f"--xla_force_host_platform_device_count={devices}"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(index), str(out)],
        env=os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, out


def arrays_of(process, out):
    _, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    with np.load(out) as arrays:
        return {name: arrays[name] for name in arrays.files}


def free_address():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return f"localhost:{one.getsockname()[1]}"


def assert_examples(found, expected):
    for index, example in enumerate(expected):
        for name, values in example.relevance.items():
            np.testing.assert_allclose(found[f"{index} {name}"], values, atol=1e-6)


@pytest.mark.slow
def test_eight_devices_give_what_one_gives_and_the_same_bytes_twice(tmp_path, alone):
    started = [start(tmp_path, 8, name=name) for name in ("first", "second")]
    first, second = (arrays_of(*each) for each in started)
    assert_examples(first, alone)
    assert started[0][1].read_bytes() == started[1][1].read_bytes()
    assert first.keys() == second.keys()


@pytest.mark.slow
def test_two_processes_of_four_devices_give_what_one_device_gives(tmp_path, alone):
    bytes_of = []
    for name in ("first", "second"):
        address = free_address()
        started = [start(tmp_path, 4, index, address, name=name) for index in (0, 1)]
        for index, each in enumerate(started):
            assert_examples(arrays_of(*each), alone[index::2])
        bytes_of.append([out.read_bytes() for _, out in started])
    assert bytes_of[0] == bytes_of[1]


@pytest.mark.slow
@pytest.mark.parametrize("dying", [0, 1])
def test_a_process_that_dies_ends_the_other_with_a_message(tmp_path, dying):
    address = free_address()
    end = "print('done', flush=True); time.sleep(200)"
    started = [start(tmp_path, 4, index, address, end=end, silence=10) for index in (0, 1)]
    for process, _ in started:
        assert process.stdout.readline() == "done\n"
    started[dying][0].send_signal(signal.SIGKILL)
    _, error = started[1 - dying][0].communicate(timeout=120)
    assert started[1 - dying][0].returncode != 0
    assert "another task died" in error
    _ = started[dying][0].communicate()


@pytest.mark.slow
def test_a_process_that_finds_nobody_says_so():
    code = f"from jaxflow.devices import initialize; initialize({free_address()!r}, 2, 1, start_seconds=3)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 1
    assert "InputError: `coordinator` must be where process 0 can be reached within 3 s, got 'localhost:" in done.stderr


def attribute(texts, out, *options):
    """The command line, as arguments of a process."""
    command = [sys.executable, "-m", "jaxflow", "attribute", "--input", str(texts), "--model", str(model_folder())]
    return [*command, "--methods", "rollout", "--quiet", "--out", str(out), *options]


@pytest.fixture
def attribute_in_two():
    """Starts two processes that share the work; what still runs at the end is killed."""
    started = []

    def start_both(texts, out, *options):
        joining = ["--distributed", "--coordinator", free_address(), "--processes", "2", "--process"]
        pair = [
            subprocess.Popen(
                attribute(texts, out, *options, *joining, str(index)),
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in (0, 1)
        ]
        started.extend(pair)
        return pair

    yield start_both
    for process in started:
        process.kill()
        with process:  # which closes its pipe also where nobody read it, and waits for its end
            pass


def said(error):
    (line,) = (line for line in error.splitlines() if line.startswith("jaxflow: "))
    return line


@pytest.mark.slow
def test_the_command_line_of_two_processes_makes_what_that_of_one_makes(tmp_path, attribute_in_two):
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"the key {number}\n" for number in range(1030)))
    for process in attribute_in_two(texts, tmp_path / "together"):
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
    subprocess.run(
        attribute(texts, tmp_path / "alone"), env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, timeout=240
    )
    found, expected = jf.open_sweep(tmp_path / "together"), jf.open_sweep(tmp_path / "alone")
    assert found.complete
    assert len(found) == len(expected) == 1030
    assert len(found.records) == 2
    for one, other in zip(found.rows(), expected.rows(), strict=True):
        assert one["text"] == other["text"]
        np.testing.assert_allclose(one["rollout"], other["rollout"], atol=1e-6)
    assert (tmp_path / "together" / store.ABOUT / "report.html").exists()
    assert not list((tmp_path / "together").rglob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("shard", [0, 2, 3])
def test_a_process_that_gives_up_ends_the_other_which_says_why(tmp_path, attribute_in_two, shard):
    lines, number = [f'{{"text": "the key {index}"}}' for index in range(5000)], 1024 * shard + 8
    lines[number - 1] = "{"
    texts, out = tmp_path / "texts.jsonl", tmp_path / "out"
    texts.write_text("\n".join(lines))
    running = attribute_in_two(texts, out)
    errors = [process.communicate(timeout=200)[1] for process in running]
    assert [process.returncode for process in running] == [2, 2], errors
    failing = shard % 2
    assert said(errors[failing]).startswith(f"jaxflow: line {number} of texts.jsonl")
    other = said(errors[1 - failing])
    assert other.startswith(f"jaxflow: process {failing} of 2 gave up: line {number} of texts.jsonl")
    assert other.count("--resume goes on from there") == said(errors[failing]).count("--resume goes on from there")
    lines[number - 1] = '{"text": "the key"}'
    texts.write_text("\n".join(lines))
    for process in attribute_in_two(texts, out, "--resume"):
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
    assert len(jf.open_sweep(out)) == 5000
    assert not list(out.rglob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("dying", [0, 1])
def test_a_killed_process_ends_the_other_with_a_message(tmp_path, attribute_in_two, dying):
    texts, out = tmp_path / "texts.txt", tmp_path / "out"
    texts.write_text("".join(f"the key {number}\n" for number in range(20000)))
    running, end = attribute_in_two(texts, out), time.monotonic() + 200
    # Both have made a shard, so that each has seen the other alive: one that never was is not waited for.
    while len({int(path.stem[-5:]) % 2 for path in out.rglob("part-*.json")}) < 2:
        assert all(process.poll() is None for process in running)
        assert time.monotonic() < end
        time.sleep(0.02)
    running[dying].kill()
    _, error = running[1 - dying].communicate(timeout=200)
    if dying:
        assert running[0].returncode == 2, error
        assert said(error).startswith("jaxflow: process 1 of 2 must give signs of life, got none for 30 s")
    else:
        # JAX's coordinator is gone, and so it ends the other at once.
        assert running[1].returncode not in (0, None)
        assert "another task died" in error
    done = jf.open_sweep(out)
    assert 2 <= len(done.records) < 20
    assert not done.complete


@pytest.mark.slow
def test_a_process_that_the_others_do_not_join_says_so(tmp_path):
    joining = ["--distributed", "--coordinator", free_address(), "--processes", "2", "--process", "0"]
    texts = tmp_path / "texts.txt"
    texts.write_text("the key\n")
    done = subprocess.run(
        attribute(texts, tmp_path / "out", *joining, "--start-seconds", "2"),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert said(done.stderr).startswith("jaxflow: --processes must be the number of processes that are started within")
    assert done.stderr.count("\n") == 1
