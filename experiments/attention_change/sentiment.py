"""Sentences of SST-2's development set whose words people judged one by one."""

import csv
import gzip
from collections import Counter
from pathlib import Path

from experiments._words import spans_of
from experiments.attention_change.texts import Marked, frequency
from experiments.sst2.data import judged_texts
from jaxflow import InputError
from jaxflow._checks import shown

# GLUE's development set, under the name that its publisher gives it.
FILE = "sst2_glue_alps_test.tsv.gz"
LABELS = ("negative", "positive")
NEUTRAL = 2
# Words of a sentence; every length has a program.
SHORTEST, LONGEST = 5, 24


def read_sentences(folder: Path, counts: Counter[str]) -> list[Marked]:
    """Sentences with a word that people did not call neutral, in the file's order; marked are all such words.

    Those of `SHORTEST` to `LONGEST` words are taken.

    Raises:
        InputError: the file is not there.
    """
    path = folder / FILE
    if not path.is_file():
        got = f"{shown(str(path))}, which does not exist"
        raise InputError("data", f"name a folder with sst/{FILE}", got)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    trees = judged_texts(tuple(text.strip() for text, _ in rows), folder)
    found = []
    for place, (text, label) in enumerate((text.strip(), int(label)) for text, label in rows):
        spans = spans_of(text)
        fits = SHORTEST <= len(spans) <= LONGEST
        if not fits or place not in trees or len(trees[place].words) != len(spans):
            continue
        signs = tuple((sentiment > NEUTRAL) - (sentiment < NEUTRAL) for sentiment in trees[place].sentiments)
        labels = tuple(sign != 0 for sign in signs)
        # Signs of punctuation are judged too; they are no words.
        words = [place for place, (start, end) in enumerate(spans) if any(map(str.isalnum, text[start:end]))]
        if any(labels[place] for place in words):
            found.append(
                Marked(
                    text,
                    tuple(spans[place] for place in words),
                    tuple(labels[place] for place in words),
                    tuple(frequency(text[slice(*spans[place])], counts) for place in words),
                    LABELS[label],
                    tuple(signs[place] for place in words),
                )
            )
    return found
