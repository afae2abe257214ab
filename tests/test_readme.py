"""The README's examples run as written, and every name in it and in the documentation is public."""

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import transformers

import jaxflow as jf
from tests.tiny_text_model import model_folder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def page(name):
    return (ROOT / "docs" / f"{name}.md").read_text("utf-8")


def test_every_name_that_the_readme_and_the_documentation_use_is_public():
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs" / "tutorials").glob("*.py")]:
        names = set(re.findall(r"\bjf\.(\w+)", path.read_text("utf-8")))
        assert names <= set(jf.__all__), path.name
    assert len(set(re.findall(r"\bjf\.(\w+)", README))) >= 6


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "tutorials").glob("*.py"))]


def anchors(path):
    """The places of a page that a link may name, as GitHub and MyST call its headings."""
    headings = re.findall(r"^(?:# )?#{1,6} (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if "://" in target:
            assert re.fullmatch(r"https://[\w-]+(\.[\w-]+)+(/[\w./#~-]*)?", target), target
            continue
        name, _, anchor = target.partition("#")
        # Pages of notebooks are named without the ending of their script.
        files = [path.parent / name, path.parent / f"{name}.py"] if name else [path]
        (file,) = [each for each in files if each.is_file() or each.is_dir()] or [None]
        assert file is not None, target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.slow
def test_jax_is_three_lines_from_its_report(tmp_path, monkeypatch):
    (example,) = [block for block in blocks("py") if "load_model" in block]
    assert len(example.splitlines()) == 3
    monkeypatch.chdir(tmp_path)
    exec(example, {"jf": jf})  # noqa: S102
    report = (tmp_path / "report.html").read_text("utf-8")
    assert "cabinet" in report
    # It leads with the words that carry the prediction.
    assert '"carried":{"method":"flow@attention-gradient"' in report


@pytest.mark.slow
def test_the_python_examples_run_as_written(tmp_path):
    examples = [*blocks("python", page("index")), *blocks("python", page("pytorch"))]
    assert len(examples) == 2
    for example in examples:
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "relevance.png").stat().st_size > 1000


def test_a_pytorch_model_is_three_lines_from_its_report(tmp_path, monkeypatch):
    (example,) = [block for block in blocks("py") if "TorchModel" in block]
    assert len(example.splitlines()) == 3
    monkeypatch.chdir(tmp_path)
    auto = {name: getattr(transformers, name) for name in ("AutoModelForSequenceClassification", "AutoTokenizer")}
    with pytest.warns(UserWarning, match="eager attention is switched on"):
        exec(example, auto | {"jf": jf, "name": model_folder()})  # noqa: S102
    report = (tmp_path / "report.html").read_text("utf-8")
    assert "surprises" in report
    assert '"carried":{"method":"flow@attention-gradient"' in report


@pytest.mark.slow
def test_the_command_line_examples_run_as_written(tmp_path):
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("jaxflow attribute")]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        program = str(Path(sys.executable).with_name(program))
        done = subprocess.run([program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        page = (tmp_path / arguments[arguments.index("--out") + 1] / "__about__" / "report.html").read_text("utf-8")
        texts = [value for option, value in pairwise(arguments) if option == "--text"]
        assert texts
        for text in texts:
            assert text in page
            assert text.rstrip(".").split()[1] in done.stdout
