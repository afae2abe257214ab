"""The real Ray: `Attributor` in Ray Data, and the command line's engine."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jaxflow as jf
from jaxflow.cli import main as cli
from tests.tiny_text_model import model_folder

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def run(*arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_results(results, texts, encoder, **asked):
    expected = dict(zip(texts, jf.attribute(encoder, texts, **asked), strict=True))
    # Nothing is lost and nothing there twice; Ray keeps no order.
    assert sorted(example.text for example in results) == sorted(texts)
    for example in results:
        for method, values in example.relevance.items():
            np.testing.assert_allclose(values, expected[example.text].relevance[method], atol=1e-6)


def test_ray_data_is_complete_though_an_actor_is_killed(encoder, tmp_path):
    pytest.importorskip("ray")
    _ = run("-m", "tests.sweep.ray_driver", model_folder(), tmp_path)
    assert (tmp_path / "died").exists()
    results = jf.open_sweep(tmp_path / "results")
    texts = [f"the key {number} is on the table" for number in range(48)]
    assert_results(results, texts, encoder, methods=("raw", "flow"), flow="bounds")
    for row in results.rows():
        assert row["text"] == texts[row["id"]]


def test_the_command_line_lets_rays_workers_fill_a_folder(encoder, tmp_path):
    pytest.importorskip("ray")
    texts, out = [f"the key {number} is on the table" for number in range(1500)], tmp_path / "out"
    (tmp_path / "in.txt").write_text("\n".join(texts))
    command = ["attribute", "--input", tmp_path / "in.txt", "--model", model_folder(), "--methods", "rollout"]
    said = run("-m", "jaxflow", *command, "--out", out, "--engine", "ray", "--workers", 2)
    assert f"results: {out}" in said
    results = jf.open_sweep(out)
    assert results.complete
    assert [row["id"] for row in results.rows()] == list(range(1, 1501))
    assert_results(results, texts, encoder, methods="rollout")
    assert not list(out.rglob(".*"))


def test_what_does_not_go_with_an_engine_is_one_line(tmp_path, capsys):
    text = ["attribute", "--text", "a", "--out", str(tmp_path / "out")]
    for options, message in (
        (["--engine", "spark"], "--engine must be one of 'local', 'ray', got 'spark'"),
        (
            ["--workers", "2"],
            "--workers must be 'any' without an engine that has workers, got 2; add --engine ray, or start the same",
        ),
        (
            ["--workers", "any", "--engine", "ray"],
            "--workers must be a number with --engine ray, got 'any'; leave it out for one an accelerator, else one a",
        ),
        (["--address", "x"], "--address must go with an engine that has it, got x; add --engine ray"),
    ):
        assert cli.main([*text, *options]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"jaxflow: {message}")
        assert said.count("\n") == 1
    assert cli.main(["attribute", "--input", "-", "--out", str(tmp_path / "out"), "--engine", "ray"]) == 2
    message = "jaxflow: --input must be a file that all workers see, got standard input; write it into a file\n"
    assert capsys.readouterr().err == message
    command = ["attribute", "--input", "~nouser/x.txt", "--out", str(tmp_path / "out"), "--engine", "ray"]
    assert cli.main(command) == 2
    assert capsys.readouterr().err.startswith("jaxflow: --input must be a path, got '~nouser/x.txt', and no such user")
