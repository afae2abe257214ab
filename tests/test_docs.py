"""The documentation builds without a warning, runs its tutorials, and has every public name."""

import subprocess
import sys
from pathlib import Path

import pytest

import jaxflow as jf

DOCS = Path(__file__).parents[1] / "docs"


def test_the_reference_has_every_public_name():
    reference = (DOCS / "reference.md").read_text("utf-8")
    assert not [name for name in jf.__all__ if f"jaxflow.{name}\n" not in reference]


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
