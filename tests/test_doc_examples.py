"""Examples of the guides and of docstrings: each calls what there is, with arguments that it takes."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import jaxflow as jf
from jaxflow.attribution.question import Asked
from jaxflow.pages.head_view import HeadView

ROOT = Path(__file__).parents[1]
FIELDS = set(Asked.__annotations__)
# Of what takes further arguments by name, which: fields of the question, but for these.
FURTHER = {
    jf.ExplorerWidget: set(jf.ExplorerWidget.class_trait_names()),
    jf.explore_attention: FIELDS | HeadView.names(),
}


def fenced(text):
    return re.findall(r"^```py(?:thon)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def of_docstring(text):
    """Code in a docstring: fenced, or indented behind an empty line, where it speaks of jaxflow."""
    if "```" in text:
        return fenced(text)
    blocks = re.findall(r"(?:^|\n)\n((?: {4}.*\n|\n)+)", text + "\n")
    return [inspect.cleandoc(block) for block in blocks if re.search(r"\bjf\.\w+\(", block)]


def docstrings():
    for path in sorted((ROOT / "jaxflow").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                for number, block in enumerate(of_docstring(ast.get_docstring(node) or "")):
                    yield pytest.param(block, id=f"{path.stem}-{getattr(node, 'name', '')}-{number}")


def guides():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for number, block in enumerate(fenced(path.read_text("utf-8"))):
            yield pytest.param(block, id=f"{path.stem}-{number}")


def called(function):
    """What a call's function is: of `jf`, by its dotted name; None for anything else."""
    names = []
    while isinstance(function, ast.Attribute):
        names.append(function.attr)
        function = function.value
    if not names or not isinstance(function, ast.Name) or function.id not in ("jf", "jaxflow"):
        return None
    found = jf
    for name in reversed(names):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("block", [*guides(), *docstrings()])
def test_an_example_calls_what_there_is(block):
    # `...` may stand for the rest of a line of arguments.
    for node in ast.walk(ast.parse(block)):
        if not isinstance(node, ast.Call) or (target := called(node.func)) is None:
            continue
        whole = any(isinstance(each, ast.Starred) for each in node.args) or any(not each.arg for each in node.keywords)
        parameters = inspect.signature(target).parameters
        takes_fields = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
        given = {each.arg for each in node.keywords if each.arg}
        further = FURTHER.get(target, FIELDS) if takes_fields else set()
        assert given <= {*parameters, *further}, ast.unparse(node)
        if not whole:
            stand_ins = {each.arg: None for each in node.keywords}
            _ = inspect.signature(target).bind(*(None for _ in node.args), **stand_ins)


def test_there_are_examples():
    assert len([*guides()]) > 20
    assert len([*docstrings()]) >= 8
