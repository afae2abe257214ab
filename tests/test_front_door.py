"""`import jaxflow` and the command line's help: every name is there, and nothing is imported before it is used."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import jaxflow
from jaxflow.cli.commands import COMMANDS
from jaxflow.cli.main import command_parsers

ROOT = Path(jaxflow.__file__).parent
HEAVY = {"jax", "flax", "numba", "pandas", "pyarrow", "scipy", "torch", "transformers"}


def run(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


HELP = """
import jaxflow.cli.main
try:
    jaxflow.cli.main.main(["--help"])
except SystemExit as end:
    assert not end.code
"""


@pytest.mark.parametrize("code", ["import jaxflow", HELP])
def test_nothing_heavy_is_imported_early(code):
    loaded = run(f"import sys\n{code}\nprint()\nprint(*sys.modules)").splitlines()[-1].split()
    assert "jaxflow" in loaded
    assert not HEAVY & set(loaded)


# One sentence by the shipped model, in a process that is the command line's alone; the cheapest of its methods.
SENTENCE = """
import sys
from jaxflow.cli.main import process
sys.argv = ["jaxflow", "attribute", "--text", "The key", "--methods", "raw,rollout", "--quiet", "--out", {out!r}]
assert process() == 0
"""
# Imported by others or for other ends: for a second start each of them costs between .1 and 1 s.
NEEDLESS = {"IPython", "datasets", "matplotlib", "numba", "pandas", "scipy", "torch", "transformers"}


def test_a_sentence_imports_what_it_needs(tmp_path):
    loaded = run(f"{SENTENCE.format(out=str(tmp_path / 'out'))}\nprint(*sys.modules)").split()
    assert {"jaxflow.pages.page", "pyarrow.parquet", "tokenizers"} <= set(loaded)
    assert not NEEDLESS & set(loaded)


def test_type_checkers_see_the_names_that_python_finds():
    (block,) = [node for node in ast.parse((ROOT / "__init__.py").read_text()).body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert {seen.pop("mixing"), seen.pop("references")} == {"jaxflow"}
    assert seen == jaxflow._PLACES
    assert set(jaxflow.__all__) == {*seen, "InputError", "mixing", "references"}


def test_every_public_name_is_there():
    names = {}
    exec("from jaxflow import *", names)  # noqa: S102
    assert set(jaxflow.__all__) <= set(names)
    for name, module in jaxflow._PLACES.items():
        assert names[name] is getattr(importlib.import_module(module), name) is getattr(jaxflow, name)
    assert dir(jaxflow) == sorted(jaxflow.__all__)


def test_folders_are_there_and_nothing_else():
    code = "import jaxflow as jf; print(jf.evaluation.mean_interval.__name__, jf.devices.local_mesh.__name__)"
    assert run(code).split() == ["mean_interval", "local_mesh"]
    for name in ("nothing", "__nothing__", "_nothing"):
        with pytest.raises(AttributeError, match=f"'jaxflow' has no attribute '{name}'"):
            getattr(jaxflow, name)


def test_a_missing_dependency_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "jaxflow.heads.similarity", raising=False)
    monkeypatch.setitem(sys.modules, "jaxflow.statistics", None)
    monkeypatch.delitem(vars(jaxflow), "statistics", raising=False)
    with pytest.raises(AttributeError, match="statistics"):
        _ = jaxflow.statistics
    monkeypatch.setitem(jaxflow._PLACES, "later", "jaxflow.not_there")
    with pytest.raises(ModuleNotFoundError, match="not_there"):
        _ = jaxflow.later


def test_every_command_has_its_line_and_its_module(capsys):
    parsers = command_parsers()
    assert list(parsers) == list(COMMANDS)
    # Those that were filled by their modules know how to run.
    assert all(callable(parser.get_default("run")) for parser in parsers.values())
    with pytest.raises(SystemExit):
        _ = importlib.import_module("jaxflow.cli.main").main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} {about}" in told for name, about in COMMANDS.items())
