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
from jaxflow import _arguments
from jaxflow._checks import InputError
from jaxflow.devices import Processes
from jaxflow.sweep import together
from jaxflow.sweep.results import Store
from jaxflow.sweep.store import Record, checksum
from tests.test_devices import TEXTS
from tests.tiny_text_model import model_folder

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def alone():
    return jf.attribute(jf.load_encoder(str(model_folder())), TEXTS, queries=None)


def given(**options):
    plain = {"distributed": False, "coordinator": None, "processes": None, "process": None}
    return argparse.Namespace(**(plain | options))


def test_the_command_line_joins_others_only_if_told_to():
    assert _arguments.joined(given()) == Processes(0, 1)
    for lonely in ({"coordinator": "here:1"}, {"processes": 2}, {"process": 0}):
        with pytest.raises(InputError, match="go with --distributed"):
            _arguments.joined(given(**lonely))


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
    assert len(looks) == 6

    def interrupted():
        raise KeyboardInterrupt

    records.clear()
    with pytest.raises(KeyboardInterrupt):
        together.wait_for_all(tmp_path, interrupted)


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
found = jf.attribute(jf.load_encoder({model!r}), texts, queries=None, mesh=local_mesh())
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
    assert "InputError: process 0 cannot be reached at localhost:" in done.stderr


@pytest.mark.slow
def test_the_command_line_of_two_processes_makes_what_that_of_one_makes(tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"the key {number}\n" for number in range(1030)))
    command = [sys.executable, "-m", "jaxflow", "attribute", "--input", str(texts), "--model", str(model_folder())]
    command += ["--methods", "rollout", "--quiet", "--out"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    together_in, alone_in, address = tmp_path / "together", tmp_path / "alone", free_address()
    joining = ["--distributed", "--coordinator", address, "--processes", "2", "--process"]
    running = [
        subprocess.Popen(
            [*command, str(together_in), *joining, str(index)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for index in (0, 1)
    ]
    for process in running:
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
    subprocess.run([*command, str(alone_in)], env=environment, check=True, timeout=240)
    found, expected = jf.open_sweep(together_in), jf.open_sweep(alone_in)
    assert found.complete
    assert len(found) == len(expected) == 1030
    assert len(found.records) == 2
    for one, other in zip(found.rows(), expected.rows(), strict=True):
        assert one["text"] == other["text"]
        np.testing.assert_allclose(one["rollout"], other["rollout"], atol=1e-6)
    assert (together_in / "report.html").exists()
