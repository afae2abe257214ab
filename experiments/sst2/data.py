"""SST-2's phrases with their labels, and the trees whose words people judged one by one."""

import csv
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxflow import InputError

TRAIN, DEV = "sst2_glue_alps_train.tsv.gz", "sst2_glue_alps_test.tsv.gz"
TREES = tuple(f"sst_trees_{part}.txt.gz" for part in ("dev", "test", "train"))
LABELS = ("negative", "positive")
# Penn Treebank's names of brackets, and its escapes.
UNESCAPED = {"-LRB-": "(", "-RRB-": ")", "\\/": "/", "\\*": "*"}


@dataclass(frozen=True)
class Labelled:
    """Texts and their classes."""

    texts: tuple[str, ...]
    classes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Judged:
    """The words of a sentence, each with the sentiment that people gave it alone: 0 to 4, 2 is none."""

    words: tuple[str, ...]
    sentiments: tuple[int, ...]

    @property
    def text(self) -> str:
        """The words with blanks between them, as SST-2 has them."""
        return " ".join(self.words)


def read_labelled(path: Path) -> Labelled:
    """A file of GLUE's form: a heading, then text, tab, class."""
    with _open(path) as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return Labelled(tuple(text.strip() for text, _ in rows), tuple(int(label) for _, label in rows))


def read_trees(folder: Path) -> Iterator[Judged]:
    """The sentences of all tree files that are there."""
    for name in TREES:
        if (folder / name).is_file():
            with _open(folder / name) as lines:
                yield from (leaves(line) for line in lines if line.strip())


def leaves(tree: str) -> Judged:
    """Words and their labels from one tree, `(3 (2 It) (4 works))`."""
    found = re.findall(r"\(([0-4]) ([^()\s]+)\)", tree)
    return Judged(tuple(_plain(word) for _, word in found), tuple(int(label) for label, _ in found))


def judged_texts(texts: tuple[str, ...], folder: Path) -> dict[int, Judged]:
    """By a text's place, its tree, where one has the same words but for case and accents' spelling."""
    trees = {_key(tree.text): tree for tree in read_trees(folder)}
    return {place: trees[_key(text)] for place, text in enumerate(texts) if _key(text) in trees}


def _plain(word: str) -> str:
    for escaped, plain in UNESCAPED.items():
        word = word.replace(escaped, plain)
    return word


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower().encode("ascii", "ignore").decode())


def _open(path: Path):
    if not path.is_file():
        raise InputError(f"{path} does not exist; `--data` must name the folder of SST's files")
    return gzip.open(path, "rt", encoding="utf-8", newline="")
