"""The README's examples run as written, and its table of models is the code's."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import jaxflow as jf
from jaxflow.models import fetch
from jaxflow.models.supported import supported_table

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_table_of_models_is_the_codes():
    table = README.split("supported_table() -->\n")[1].split("<!-- end")[0]
    assert table.strip() == supported_table().strip()


def test_every_name_that_the_readme_uses_is_public():
    names = set(re.findall(r"\bjf\.(\w+)", README))
    assert names <= set(jf.__all__)
    assert len(names) >= 6


@pytest.mark.slow
def test_the_python_examples_run_as_written(tmp_path):
    fetch("minilm")
    examples = blocks("python")
    assert len(examples) == 2
    for example in examples:
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "relevance.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_command_line_example_runs_as_written(tmp_path):
    fetch("minilm")
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("jaxflow attribute")]
    assert len(commands) == 1
    program = str(Path(sys.executable).with_name("jaxflow"))
    done = subprocess.run(
        [program, *shlex.split(commands[0])[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "keys" in done.stdout
    page = (tmp_path / "results" / "report.html").read_text("utf-8")
    assert "The keys to the cabinets are lost." in page
