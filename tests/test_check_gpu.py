"""The script that checks an accelerator: on the CPU everything holds, it says where it ran, and it can fail."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "check_gpu.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("check_gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cases(script, tmp_path_factory):
    file = tmp_path_factory.mktemp("cases") / "cases.npz"
    assert script.main(["--prepare", str(file)]) == 0
    return file


@pytest.mark.slow
def test_every_check_holds_here_and_the_device_is_named(script, cases, tmp_path, capsys):
    out = tmp_path / "device.json"
    assert script.main([str(cases), "--quick", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "NO accelerator: the CPU" in shown
    assert "every check held on cpu" in shown
    found = json.loads(out.read_text())
    assert found["held"]
    assert found["device"]["platform"] == "cpu"
    assert not found["device"]["accelerator"]
    checked = " ".join(check["check"] for check in found["checks"])
    for part in ("bounds brackets", "relaxed brackets", "rollout", "gradient", "forward pass", "mesh of 4", "program"):
        assert part in checked
    assert {row["what"] for row in found["times"]} == {"forward", "rollout", "bounds of [CLS]"}


def test_a_bound_that_does_not_hold_is_a_failure(script, cases, capsys):
    case = dict(script.read_cases(cases, quick=True))["padded"]
    report = script.Report()
    # Exact values that lie a little above the true ones are above some upper bounds.
    script.check_flows(report, "wrong", case | {"flow": case["flow"] + 1e-3}, ["bounds"])
    assert not report.held
    assert "FAIL bounds brackets wrong" in capsys.readouterr().out
    assert np.all(case["flow"] >= 0)
