"""How the documentation is built: `./scripts/docs`."""

import argparse
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

from jaxflow._versions import own_version
from jaxflow.cli.main import command_parsers
from jaxflow.models.supported import supported_table

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

project = "jaxflow"
author = "The jaxflow authors"
version = release = own_version()

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"]
exclude_patterns = ["_build", "_made", "conf.py", "speed_tables.py"]
html_theme = "furo"
html_title = "jaxflow"
html_static_path: list[str] = []

# Tutorials are Python scripts with a percent sign before each cell; they run whenever the documentation is built.
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
# What is said on standard error differs from run to run: that programs are compiled, say.
nb_output_stderr = "remove"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

# Signatures show types as the source has them: the shapes of arrays are written there.
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_use_rtype = False
napoleon_attr_annotations = False
default_role = "code"

MADE = Path(__file__).parent / "_made"


def make_pages(app: Sphinx) -> None:
    """Write the parts of pages that follow from the code."""
    from speed_tables import speed_tables

    MADE.mkdir(exist_ok=True)
    _ = (MADE / "command_line.md").write_text(command_line(), "utf-8")
    _ = (MADE / "models.md").write_text(supported_table(), "utf-8")
    for name, table in speed_tables().items():
        _ = (MADE / f"speed_{name}.md").write_text(table, "utf-8")


def command_line() -> str:
    """The help of every command, as the terminal shows it."""
    return "\n\n".join(f"## {name}\n\n```text\n{help_of(parser)}```" for name, parser in command_parsers().items())


def help_of(parser: argparse.ArgumentParser) -> str:
    """A command's help, a hundred columns wide on any terminal."""
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, max_help_position=28, width=100)
    return parser.format_help()


def mark_examples(app: Sphinx, kind: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Turn examples in docstrings, fenced or indented, into blocks of code."""
    marked: list[str] = []
    fenced = block = False
    for number, line in enumerate(lines):
        if line.startswith("```"):
            fenced = not fenced
            # Inside a fence the lines are indented, as the block of code wants them.
            marked += [".. code-block:: python", ""] if fenced else [""]
            continue
        # A section such as "Args:" follows its title at once; an example follows an empty line.
        indented = line.startswith("    ")
        opens = indented and not block and number > 0 and not lines[number - 1].strip()
        block = indented if line.strip() else block
        if opens and not fenced and not _in_section(marked):
            marked += [".. code-block:: python", ""]
        marked.append(f"    {line}" if fenced else line)
    lines[:] = marked


def _in_section(lines: list[str]) -> bool:
    """Whether the last line without an indent is a section's title."""
    last = next((line for line in reversed(lines) if line and not line.startswith(" ")), "")
    return last in ("Args:", "Attributes:", "Returns:", "Raises:")


# An argument that its function checks itself (`jaxflow._typing.Given`), as Sphinx writes it.
GIVEN = re.compile(r"~?(?:typing\.)?Annotated\[~?(?:typing\.)?Any, ")


def show_given(
    app: Sphinx, kind: str, name: str, value: object, options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Show what an argument should be, where the program takes anything and checks it."""
    return tuple(None if part is None else _without_given(part) for part in (signature, returned))


def _without_given(text: str) -> str:
    while match := GIVEN.search(text):
        end, depth = match.end(), 1
        while depth:
            depth += {"[": 1, "]": -1}.get(text[end], 0)
            end += 1
        # A name of a type stands in quotes, unlike the type itself, which is written with its modules.
        kind = re.sub(r"\b(?:[a-z_]\w*\.)+", "", text[match.end() : end - 1].strip("'"))
        text = text[: match.start()] + kind + text[end:]
    return text


def setup(app: Sphinx) -> None:
    """Called by Sphinx before it reads a page."""
    # Before the extension that reads the sections.
    app.connect("autodoc-process-docstring", mark_examples, priority=100)
    app.connect("autodoc-process-signature", show_given)
    app.connect("builder-inited", make_pages)
