"""Prose out of unpacked Debian packages (`--prose DIR`): essays, dictionaries, documentation; no code, no tables.

Make such a folder with

    apt-get download anarchism debian-handbook debian-reference-en dict-foldoc dict-gcide dict-jargon gimp-help-en \
        linux-doc-6.1 postgresql-doc-15 python3.11-doc

and, for each file, `dpkg -x FILE DIR/NAME`.
"""

import gzip
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from experiments.verb_number.readers import Sentence, plain
from experiments.verb_number.words import listed, sentences

BLOCKS = frozenset(listed("p li dd dt td th h1 h2 h3 h4 h5 h6 div br blockquote tr ul ol body"))
SKIPPED = frozenset(("pre", "script", "style", "table", "head"))
_markup = re.compile(r":[\w:+-]+:`|``|[`*|]|\{|\}")
# Pages in other languages than English.
_translation = re.compile(r"/html/(?!en-US)[a-z]{2}-[A-Z][A-Za-z]+/")
# A sentence that reads like prose: begins with a capital, ends with a point, hardly any signs within.
_prose = re.compile(r"^[\"'(]?[A-Z][^=<>{}\\@#~^$]*[.!?]['\")]*$")


class Paragraphs(HTMLParser):
    """The text blocks of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = [""]
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A new block, or one more level of what is left out."""
        self._skipped += tag in SKIPPED
        if tag in BLOCKS:
            self.blocks.append("")

    def handle_endtag(self, tag: str) -> None:
        """The end of a block or of what is left out."""
        self._skipped = max(0, self._skipped - (tag in SKIPPED))
        if tag in BLOCKS:
            self.blocks.append("")

    def handle_data(self, data: str) -> None:
        """Text of the current block."""
        if not self._skipped:
            self.blocks[-1] += data


def debian(folder: Path) -> Iterator[Sentence]:
    """Sentences of every package that the folder has; names of packages are the sources."""
    for package in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(package.rglob("*")):
            if not path.is_file() or "/usr/share/" not in path.as_posix():
                continue
            for index, paragraph in enumerate(_paragraphs(path)):
                # A long file is many documents: a dictionary would be one.
                document = f"{package.name} {path.name} {index // 50}"
                for sentence in sentences(paragraph):
                    if _prose.match(sentence):
                        yield plain(package.name, document, sentence)


def _paragraphs(path: Path) -> Iterator[str]:
    name = path.name
    if "copyright" in name or "changelog" in name.lower():
        return
    if name.endswith(".html") and not _translation.search(path.as_posix()) and "linux-doc" not in path.as_posix():
        parser = Paragraphs()
        parser.feed(_text(path))
        yield from parser.blocks
    elif name.endswith((".rst.gz", ".rst")):
        yield from _restructured(_text(path))
    elif name.endswith((".dict.dz", ".dict")):
        yield from _dictionary(_text(path))


def _text(path: Path) -> str:
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix in (".gz", ".dz") else data
    return data.decode("utf-8", "replace")


def _restructured(text: str) -> Iterator[str]:
    """Paragraphs that are not indented, not lists of options, and hold few signs."""
    for block in re.split(r"\n\s*\n", text):
        lines = block.splitlines()
        if any(line.startswith((" ", "\t", "..", "+", "=", "|", ":")) for line in lines) or len(block) < 40:
            continue
        yield re.sub(_markup, "", " ".join(lines))


def _dictionary(text: str) -> Iterator[str]:
    """Definitions: the indented text under a headword, without its numbering and its sources."""
    for block in re.split(r"\n\s*\n|\n(?=\S)", text):
        joined = " ".join(line.strip() for line in block.splitlines())
        joined = re.sub(r"\[[^\]]*\]|\{|\}|\\[^\\]*\\|--[A-Z][\w. ]*$", "", joined)
        joined = re.sub(r"^(?:\d+\.|\([a-z]\)|\S+ ,?[a-z]\. )\s*", "", joined)
        if len(joined) > 30:
            yield joined
