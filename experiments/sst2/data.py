"""The trees whose words people judged one by one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.finetune.files import text_of

TREES = tuple(f"sst_trees_{part}.txt.gz" for part in ("dev", "test", "train"))
# Penn Treebank's names of brackets, and its escapes.
UNESCAPED = {"-LRB-": "(", "-RRB-": ")", "\\/": "/", "\\*": "*"}


@dataclass(frozen=True)
class Judged:
    """The words of a sentence, each with the sentiment that people gave it alone: 0 to 4, 2 is none."""

    words: tuple[str, ...]
    sentiments: tuple[int, ...]

    @property
    def text(self) -> str:
        """The words with blanks between them, as SST-2 has them."""
        return " ".join(self.words)


def read_trees(folder: Path) -> Iterator[Judged]:
    """The sentences of all tree files that are there."""
    for name in TREES:
        if (folder / name).is_file():
            yield from (leaves(line) for line in text_of(folder / name).split("\n") if line.strip())


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
