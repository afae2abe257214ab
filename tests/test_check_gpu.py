"""The script that checks an accelerator: on the CPU everything holds, it says where it ran, and it can fail."""

import dataclasses
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
    flows = {f"{name} of [CLS]" for name in ("bounds", "relaxed", "auto")}
    named = {row["what"] for row in found["times"] if not row["what"].startswith("torch")}
    assert named == {"forward", "forward and rollout"} | flows
    (size,) = found["ratios"]
    assert {"rollout_beyond_forward", "bounds_over_forward", "auto_over_forward"} <= set(size)


def test_a_check_that_raises_has_failed_and_what_was_found_is_kept(script, tmp_path):
    out = tmp_path / "device.json"

    def breaks(report):
        raise RuntimeError("no kernel image is available\nand more")

    report = script.Report(out)
    report.attempt("kernel", breaks)
    # A run that is ended here has its record.
    found = json.loads(out.read_text())
    assert not found["held"]
    assert found["checks"] == [
        {"check": "kernel", "held": False, "error": "RuntimeError: no kernel image is available"}
    ]
    report.attempt("another", lambda report: report.check("fine", True))
    assert [check["held"] for check in json.loads(out.read_text())["checks"]] == [False, True]


def test_nothing_is_begun_once_the_time_is_over(script):
    report = script.Report(seconds=-1.0)
    report.attempt("flows", lambda report: report.check("flows", True))
    assert report.found["left_out"] == ["flows"]
    assert not report.found["checks"]


def test_timing_ends_in_time_and_says_what_it_left_out(script):
    rows = list(script.times(script.QUICK, until=0.0))
    assert rows == [{"what": "time is over", "left_out_from": "tiny, float32, 16 tokens"}]


def test_a_size_that_does_not_fit_is_said_once(script, monkeypatch):
    import gpu_times

    plan = dataclasses.replace(script.QUICK, batches=(2, 4, 8))

    def call(_, shape, module, batch):
        def run():
            if batch.mask.shape[0] > 2:
                raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
            return batch.mask

        yield "forward", run

    monkeypatch.setattr(gpu_times, "ways", call)
    monkeypatch.setattr(gpu_times, "torch_ways", lambda *_: ())
    rows = list(script.times(plan, until=float("inf")))
    assert [(row["examples"], row["what"]) for row in rows] == [(2, "forward"), (4, "does not fit")]


def test_ratios_are_of_the_same_size(script):
    size = {"shape": "one", "dtype": "float32", "tokens": 8, "examples": 2}
    spent = {"forward": 10.0, "forward and rollout": 12.0, "bounds of [CLS]": 5.0, "torch: forward and rollout": 36.0}
    rows = [size | {"what": what, "milliseconds": each} for what, each in spent.items()]
    rows.append(size | {"what": "does not fit", "examples": 4})
    (found,) = script.ratios(rows)
    assert found.pop("rollout_beyond_forward") == pytest.approx(0.2)
    assert found == size | {"bounds_over_forward": 0.5, "torch_over_ours": 3.0}


def test_a_bound_that_does_not_hold_is_a_failure(script, cases, capsys):
    case = dict(script.read_cases(cases, quick=True))["padded"]
    report = script.Report()
    # Exact values that lie a little above the true ones are above some upper bounds.
    script.check_flows(report, "wrong", case | {"flow": case["flow"] + 1e-3}, ["bounds"])
    assert not report.held
    assert "FAIL bounds brackets wrong" in capsys.readouterr().out
    assert np.all(case["flow"] >= 0)
