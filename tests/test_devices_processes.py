"""Several devices of a process, and several processes that fill one folder: each gives what one gives alone."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import jaxflow as jf
from jaxflow.store import shards as store
from tests.test_devices import TEXTS
from tests.tiny_text_model import model_folder

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def alone():
    return jf.attribute(jf.load_model(str(model_folder())), TEXTS, queries=None)


WORK = """
import sys
import numpy as np
import jax
from jaxflow.devices import local_mesh
import jaxflow as jf
assert len(jax.local_devices()) == {devices}
found = jf.attribute(jf.load_model({model!r}), {texts!r}, queries=None, mesh=local_mesh())
arrays = {{f"{{i}} {{name}}": values for i, each in enumerate(found) for name, values in each.relevance.items()}}
np.savez(sys.argv[1], **arrays)
"""


def start(tmp_path, devices, name):
    out = tmp_path / f"{name}.npz"
    code = WORK.format(devices=devices, texts=TEXTS, model=str(model_folder()))
    flags = f"--xla_force_host_platform_device_count={devices}"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(out)],
        env=os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, out


def arrays_of(process, out):
    _, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    with np.load(out) as arrays:
        return {name: arrays[name] for name in arrays.files}


def assert_examples(found, expected):
    for index, example in enumerate(expected):
        for name, values in example.relevance.items():
            np.testing.assert_allclose(found[f"{index} {name}"], values, atol=1e-6)


@pytest.mark.slow
def test_eight_devices_give_what_one_gives_and_the_same_bytes_twice(tmp_path, alone):
    started = [start(tmp_path, 8, name) for name in ("first", "second")]
    first, second = (arrays_of(*each) for each in started)
    assert_examples(first, alone)
    assert started[0][1].read_bytes() == started[1][1].read_bytes()
    assert first.keys() == second.keys()


def attribute(texts, out, *options):
    """The command line, as arguments of a process."""
    command = [sys.executable, "-m", "jaxflow", "attribute", "--input", str(texts), "--model", str(model_folder())]
    return [*command, "--methods", "rollout", "--out", str(out), *options]


@pytest.fixture
def attribute_in_two():
    """Starts two processes by the same command; what still runs at the end is killed."""
    started = []

    def start_both(texts, out, *options):
        pair = [
            subprocess.Popen(
                attribute(texts, out, *options),
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stderr=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        started.extend(pair)
        return pair

    yield start_both
    for process in started:
        process.kill()
        with process:  # which closes its pipes also where nobody read them, and waits for its end
            pass


def assert_same_rows(folder, other):
    found, expected = jf.open_sweep(folder), jf.open_sweep(other)
    assert found.complete
    for one, two in zip(found.rows(), expected.rows(), strict=True):
        assert (one["id"], one["text"]) == (two["id"], two["text"])
        np.testing.assert_allclose(one["rollout"], two["rollout"], atol=1e-6)
    assert not list(folder.rglob(".*"))


@pytest.mark.slow
def test_the_same_command_twice_makes_what_it_makes_once_and_one_that_is_killed_is_made_up_for(
    tmp_path, attribute_in_two
):
    texts, whole, out = tmp_path / "texts.txt", tmp_path / "whole", tmp_path / "out"
    texts.write_text("".join(f"the key {number}\n" for number in range(20000)))
    both = attribute_in_two(texts, whole)
    said = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert any(" by other processes)" in output for output, _ in said)
    assert (whole / store.ABOUT / "report.html").exists()
    running, end = attribute_in_two(texts, out, "--quiet"), time.monotonic() + 200
    while len(list(out.rglob("part-*.json"))) < 3:
        assert all(process.poll() is None for process in running)
        assert time.monotonic() < end
        time.sleep(0.02)
    running[0].kill()
    _, error = running[1].communicate(timeout=200)
    assert running[1].returncode == 0, error
    assert_same_rows(out, whole)


@pytest.mark.slow
def test_a_row_that_cannot_be_used_is_said_by_every_process_that_comes_to_it(tmp_path, attribute_in_two):
    lines = [f'{{"text": "the key {index}"}}' for index in range(3000)]
    lines[2999] = "{"
    texts, out = tmp_path / "texts.jsonl", tmp_path / "out"
    texts.write_text("\n".join(lines))
    running = attribute_in_two(texts, out, "--quiet")
    errors = [process.communicate(timeout=200)[1] for process in running]
    assert [process.returncode for process in running] == [2, 2], errors
    for error in errors:
        assert error.startswith("jaxflow: line 3000 of texts.jsonl")
        assert error.count("\n") == 1
    # What was in work is finished by all.
    assert len(jf.open_sweep(out)) == 2048
    lines[2999] = '{"text": "the key"}'
    texts.write_text("\n".join(lines))
    for process in attribute_in_two(texts, out, "--quiet"):
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
    assert len(jf.open_sweep(out)) == 3000
    assert not list(out.rglob(".*"))
