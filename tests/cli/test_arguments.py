"""What stands on the command line and cannot be meant: one line and exit code 2, whatever it is."""

import sys

import pytest

from jaxflow.cli import main as cli

DIGITS, LONG = "9" * 30, "x" * 1000
TEXT = ["attribute", "--text", "the key"]
BAD = [
    (["--versio"], "COMMAND"),
    (["attribute", "--tex", "the key", "--out", "o"], "unrecognized arguments: --tex"),
    ([*TEXT, "--out", "o", "--pai", "x"], "unrecognized arguments: --pai"),
    (["explore", "--text", "the key", "--out", "o", "--label", "x"], "unrecognized arguments: --label"),
    ([*TEXT, "--out="], "--out: a path is expected, got ''"),
    ([*TEXT, "--out=a\0b"], "--out: a path is expected"),
    ([*TEXT, "--out=--"], "--out: a value is expected, got '--'"),
    ([*TEXT, "--out", "~nouser/x"], "--out: a path is expected, got '~nouser/x', and no such user is known; write"),
    (["summarize", "~nouser/x"], "argument DIR: a path is expected, got '~nouser/x'"),
    (["explore", "--text", "the key", "--out", "~nouser/x"], "--out: a path is expected, got '~nouser/x'"),
    (["attribute", "--input", "~nouser/x", "--out", "o"], "--input must be a path, got '~nouser/x'"),
    (["attribute", "--input", "", "--out", "o"], "--input must be a path, got ''"),
    (["attribute", "--input", "a\0b", "--out", "o"], "--input must be a path, got 'a\\x00b'"),
    ([*TEXT, "--out", "\udcff"], "--out: a path in UTF-8 is expected"),
    ([*TEXT, "--out", LONG], "File name too long"),
    ([*TEXT, "--out", "o", "--model", LONG], "--model must be a model's name or folder"),
    ([*TEXT, "--out", "o", "--model", "~nouser/x"], "--model must be a model's name or folder"),
    (
        [*TEXT, "--out", "o", "--model", "a\0b"],
        "--model must be a built-in name, a folder, or a model in the hub's cache, got 'a\\x00b'",
    ),
    ([*TEXT, "--out", "o", "--model="], "--model"),
    ([*TEXT, "--out", "o", "--top", DIGITS], "--top: a whole number, 0 or more, is expected"),
    ([*TEXT, "--out", "o", "--top", "9" * 5000], "--top: a whole number, 0 or more, is expected"),
    ([*TEXT, "--out", "o", "--batch-size", "\u0663"], "--batch-size: a whole number, 1 or more, is expected"),
    (
        [*TEXT, "--out", "o", "--workers", "some"],
        "--workers: any, or a whole number, 1 or more, is expected",
    ),
    ([*TEXT, "--out", "o", "--workers", "0"], "--workers: any, or a whole number, 1 or more, is expected, got '0'"),
    ([*TEXT, "--out", "o", "--max-length", "1_0"], "--max-length: a whole number, 1 or more, is expected"),
    ([*TEXT, "--out", "o", "--layers", "\u0663"], "--layers: whole numbers with commas between them, or all"),
    ([*TEXT, "--out", "o", "--queries", f"0,{DIGITS}"], "--queries: whole numbers"),
    ([*TEXT, "--out", "o", "--queries="], "--queries: whole numbers"),
    ([*TEXT, "--out", "o", "--residual", "\u0663"], "--residual: a number is expected"),
    ([*TEXT, "--out", "o", "--residual", "1_0"], "--residual: a number is expected"),
    (["compare", "--model-a", "m", "--model-b", "m", "--out", "o", "--layers", f"1:{DIGITS}"], "--layers: pairs"),
    (["compare", "--model-a", "m", "--model-b", "m", "--out", "o", "--layers", "1:2:3"], "--layers: pairs"),
    (["explore", "--text", "the key", "--out", LONG], "--out must be a file that can be written"),
    (["explore", "--text", "the key", "--out", "a\0b"], "--out: a path is expected"),
    (["summarize", ""], "a path is expected"),
    (["summarize", LONG], "the folder must hold results of jaxflow, got 'xxx"),
    (["summarize", "nowhere"], "got 'nowhere', which holds no results of jaxflow: there is no such folder; name a"),
    (["summarize", __file__], "there is no such folder"),
    (["fetch", LONG], "NAME must be one of 'verb-number', 'minilm', got"),
    (["x" * 10000], "COMMAND"),
    ([*TEXT, "--out", "o", "--\x1b[31m"], "unrecognized arguments"),
    ([*TEXT, "--out", "o", "--distributed"], "unrecognized arguments: --distributed"),
]


@pytest.mark.parametrize(("arguments", "part"), BAD)
def test_every_mistake_is_one_line(tmp_path, monkeypatch, capsys, arguments, part):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert part in shown.err
    assert shown.err.count("\n") == 1
    assert len(shown.err) < 1000
    assert shown.err[:-1].isprintable()
    assert not list(tmp_path.iterdir())
