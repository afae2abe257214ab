"""The documentation builds without a warning, runs its tutorials, and has every public name."""

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxflow as jf

DOCS = Path(__file__).parents[1] / "docs"


def test_the_reference_has_every_public_name():
    reference = (DOCS / "reference.md").read_text("utf-8")
    assert not [name for name in jf.__all__ if f"jaxflow.{name}\n" not in reference]


def documented_names():
    """Names that the reference describes, one by one or as all of a package's."""
    reference = (DOCS / "reference.md").read_text("utf-8")
    one_by_one = re.findall(r"auto(?:function|class|exception):: ([\w.]+)", reference)
    packages = re.findall(r"automodule:: ([\w.]+)", reference)
    whole = [f"{package}.{name}" for package in packages for name in importlib.import_module(package).__all__]
    return {*one_by_one, *whole}


def test_the_reference_has_every_name_that_the_guides_use():
    known = {name.rpartition(".")[2] for name in documented_names()}
    pages = [DOCS.parent / "README.md", *DOCS.glob("*.md"), *(DOCS / "tutorials").glob("*.py")]
    used = {}
    for page in pages:
        text = page.read_text("utf-8")
        dotted = re.findall(r"\bjaxflow(?:\.[a-z_]+)+\.(\w+)", text)
        imported = re.findall(r"^from jaxflow[\w.]* import (.+)$", text, re.MULTILINE)
        for name in [*dotted, *(each.strip() for line in imported for each in line.split(","))]:
            used.setdefault(name, page.name)
    assert len(used) > 20
    assert {name: page for name, page in used.items() if name not in known} == {}


def test_signatures_show_what_an_argument_should_be():
    conf = load("conf")
    given = (
        "(a: Annotated[Any, str | collections.abc.Sequence[int]] = [1], "
        "b: ~typing.Annotated[~typing.Any, 'ArrayLike'] | None = None)"
    )
    shown = conf.show_given(None, "function", "f", None, None, given, "dict[str, Annotated[Any, 'JsonValue']]")
    assert shown == ("(a: str | Sequence[int] = [1], b: ArrayLike | None = None)", "dict[str, JsonValue]")
    assert conf.show_given(None, "module", "f", None, None, None, None) == (None, None)


def test_the_page_on_speed_tells_what_the_benchmarks_committed():
    tables = load("speed_tables").speed_tables()
    page = (DOCS / "speed.md").read_text("utf-8")
    records = DOCS.parent / "scripts" / "results"
    for name, table in tables.items():
        assert f"_made/speed_{name}.md" in page
        source = re.findall(r"`scripts/results/(\w+)\.json`", table)
        assert source
        # Every row has as many cells as the head; and the numbers are the records', rounded.
        rows = [line.count(" | ") for line in table.splitlines() if line.startswith("| ")]
        assert len(set(rows)) == 1
        assert len(rows) > 5
    mixings = json.loads((records / "mixings.json").read_text("utf-8"))["workloads"]
    for name, cost in mixings[0]["forward_passes"].items():
        assert name == "forward pass" or f"| {name} | {cost:.1f} |" in tables["mixings"]
    (row,) = [
        row
        for row in json.loads((records / "flow_classes.json").read_text("utf-8"))["layers"]
        if row["graph"] == "nlptest-256" and row["layer"] == row["layers"]
    ]
    assert f"| nlptest, attention x gradient | 256 | {row['microseconds']:.0f} µs | OR-Tools |" in tables["flow"]
    assert f"| {row['ratio']:.0f} |" in tables["flow"]


def load(name):
    """A module of the documentation's folder."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path):
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        DOCS,
        tmp_path / "built" / "html",
    ]
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = tmp_path / "built" / "html"
    assert "certified: True" in (pages / "tutorials" / "four_tokens.html").read_text("utf-8")
    assert "--methods" in (pages / "command_line.html").read_text("utf-8")
    assert "attention_flow" in (pages / "reference.html").read_text("utf-8")
    assert "roberta-prelayernorm" in (pages / "models.html").read_text("utf-8")
