"""Commands, files, models and folders that cannot be used: one line each, exit code 2, and no harm done."""

import errno
import os
import sys
from pathlib import Path

import pytest

from jaxflow.store.results import open_sweep
from tests.cli.running import PLAIN, QUICK, TEXT
from tests.tiny_text_model import LIMIT

pytestmark = pytest.mark.usefixtures("few_sizes")


def test_bad_lines_stop_or_are_skipped_and_reported_by_their_number(run):
    lines = ['{"text": "the key"}', '{"text": ', '{"text": ""}', '{"text": "is on"}', *["{"] * 5]
    file = run.file("in.jsonl", "\n".join(lines))
    line = run.refused("--input", file, *PLAIN)
    assert "line 2 of in.jsonl must be a JSON object, got malformed JSON" in line
    assert "leave such rows out with --on-error skip" in line
    assert run("--input", file, *PLAIN, "--on-error", "skip") == 0
    assert "2 examples in" in run.stdout
    told = run.stderr.split("rows skipped: ")[1].splitlines()
    assert told[0] == "7"
    assert told[1].startswith("  line 2 of in.jsonl must be a JSON object, got malformed JSON")
    assert told[2] == "  'text' in line 3 of in.jsonl must hold a text, got an empty one; remove it, or give it a text"
    assert told[6].startswith("  and 2 more")
    assert [row["id"] for row in open_sweep(run.out).skipped] == [2, 3, 5, 6, 7, 8, 9]
    assert run("--input", file, *PLAIN, "--on-error", "skip", "--quiet", out=run.folder / "quiet") == 0
    assert (run.stdout, run.stderr) == ("", "")


def test_the_rows_that_were_skipped_are_told_of_in_the_command_lines_words(run):
    # What stands in a column's name is data, and stays as it is.
    file = run.file("in.csv", b"text,`encoding`\nthe key,1\n\xff,2\n" + b"a " * LIMIT + b",3\nthe keys\n")
    assert run("--input", file, "--column", "text", *PLAIN, "--on-error", "skip") == 0
    told = run.stderr.split("rows skipped: ")[1].splitlines()
    assert told[1].startswith("  line 3 of in.csv must be UTF-8, got byte 0xff")
    assert told[1].endswith("; save it as UTF-8, or name its --encoding")
    assert told[2].endswith("; shorten it, or pass --truncate to cut it")
    # Python's words are kept; a run that finds all done tells it again.
    assert "`encoding`" in open_sweep(run.out).skipped[0]["reason"]
    assert run("--input", file, "--column", "text", *PLAIN, "--on-error", "skip") == 0
    assert run.stderr.split("rows skipped: ")[1].splitlines() == told
    file = run.file("b.jsonl", '{"text": "the key"}\n{"`text`": "a"}\n')
    assert run("--input", file, "--column", "text", *PLAIN, "--on-error", "skip", out=run.folder / "b") == 0
    assert "there are: '`text`'" in run.stderr


def test_a_full_disk_gets_one_line_and_harms_nothing(run):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert run("--text", "the key", *QUICK, out=run.out) == 0
    before = run.files()
    run.monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in run.refused("--text", "the key", *QUICK)
    assert run.files() == before


BAD_COMMANDS = [
    ([], ["--text must be given, or --input, or texts on standard input", "no text"]),
    (["--text", " "], ["--text 1 must hold a text, got an empty one"]),
    ([*TEXT, "--input", "x.txt"], ["--text must be left out where --input is given"]),
    ([*TEXT, "--column", "c"], ["--column must go with --input"]),
    ([*TEXT, "--pair", "a", "--pair", "b"], ["--pair must be given once for each --text, 1 times, got 2"]),
    (["--pair", "a"], ["--pair must go with --text"]),
    (["--input", "gone.txt"], ["--input must be a file, got 'gone.txt', which does not exist"]),
    ([*TEXT, "--methods", "raw,magic"], ["--methods", "'magic'", "'rollout'"]),
    ([*TEXT, "--methods", ""], ["--methods"]),
    ([*TEXT, "--layers", "0"], ["--layers must be from 1 to 3", "got 0"]),
    ([*TEXT, "--layers", "4"], ["--layers must be from 1 to 3", "got 4"]),
    ([*TEXT, "--layers", "one"], ["--layers", "'one'"]),
    ([*TEXT, "--queries", "4"], ["--text 1: --queries must be positions of tokens, from 0 to 3, got 4"]),
    ([*TEXT, "--queries", "-1"], ["--queries", "-1"]),
    ([*TEXT, "--residual", "1.01"], ["--residual must lie in [0, 1], got 1.01"]),
    ([*TEXT, "--residual", "half"], ["--residual", "half"]),
    ([*TEXT, "--heads", "median"], ["--heads", "'median'"]),
    ([*TEXT, "--flow", "fast"], ["--flow", "'fast'"]),
    ([*TEXT, "--batch-size", "0"], ["--batch-size", "1 or more", "'0'"]),
    ([*TEXT, "--on-error", "ignore"], ["--on-error must be one of", "'ignore'"]),
    ([*TEXT, "--max-length", "2"], ["--max-length"]),
    ([*TEXT, "--top", "-1"], ["--top"]),
    ([*TEXT, "--colour"], ["--colour"]),
    (["--text", "a " * LIMIT], [f"--text 1 must have at most {LIMIT} tokens, got {LIMIT + 2}", "pass --truncate"]),
]


@pytest.mark.parametrize(("arguments", "parts"), BAD_COMMANDS)
def test_bad_commands_get_one_line_and_leave_no_folder(run, arguments, parts):
    run.monkeypatch.setattr(sys, "stdin", None)
    line = run.refused(*arguments)
    for part in parts:
        assert part in line
    assert not run.out.exists()


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("in.txt", b"", ["in.txt must hold a text, got an empty file"]),
        ("in.txt", b"\n \n", ["in.txt must hold a text, got none"]),
        ("in.txt", b"fine\n\xff\n", ["line 2 of in.txt must be UTF-8", "name its --encoding"]),
        ("in.jsonl", b'{"text": "a"}\n{', ["line 2 of in.jsonl must be a JSON object, got malformed JSON"]),
        ("in.csv", b"a,b\n1,2\n", ["in.csv must have a column 'text', got 'a', 'b'", "name another with --column"]),
        ("in.csv", b"text,b\n1,2\n,3\n", ["row 2", "must hold a text, got an empty one"]),
        (
            "in.txt",
            ("fine\n\n" + "a " * LIMIT).encode(),
            ["line 3 of in.txt must have at most 24 tokens, got 26", "pass --truncate"],
        ),
    ],
)
def test_bad_files_get_one_line_and_leave_no_folder(run, name, content, parts):
    line = run.refused("--input", run.file(name, content))
    for part in parts:
        assert part in line
    assert not run.out.exists()


def test_bad_models_get_one_line_and_leave_no_folder(run):
    empty = run.folder / "empty"
    empty.mkdir()
    assert "empty" in run.refused(*TEXT, model=empty)
    assert "nowhere" in run.refused(*TEXT, model=run.folder / "nowhere")
    run.monkeypatch.setenv("JAXFLOW_CACHE", str(run.folder / "cache"))
    assert "jaxflow fetch minilm" in run.refused(*TEXT, model="minilm")
    assert not run.out.exists()


def test_folders_that_cannot_take_results_are_left_alone(run):
    file = Path(run.file("thesis.txt", "mine"))
    assert "must be a folder, got the file" in run.refused(*TEXT, out=file)
    assert "not empty, and holds no results" in run.refused(*TEXT, out=run.folder)
    assert "--out must be one that can be written" in run.refused(*TEXT, out=file / "below")
    assert "--out must be one that can be written" in run.refused(*TEXT, out="/proc/self/out")
    assert [path.name for path in run.folder.iterdir()] == ["thesis.txt"]
    assert file.read_text() == "mine"


def test_the_users_words_are_nowhere_rewritten(run):
    """Names that look like options, or like Python's arguments, come through errors as they are."""
    for name in ("run--out", "`truncate=True`", "--resume"):
        out = run.folder / name
        out.mkdir()
        (out / "mine").touch()
        line = run.refused(*TEXT, out=out)
        assert line == (
            f"jaxflow: --out must be new, or empty, got {str(out)!r}, which is not empty, and holds no results of "
            "jaxflow; name another --out\n"
        )
