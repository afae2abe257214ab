"""Sentiment: SST-2's phrases, judged on GLUE's dev sentences."""

from pathlib import Path

from experiments.finetune.classification import Labelled, Split, classification
from experiments.finetune.files import rows_of
from jaxflow import InputError
from jaxflow._checks import shown

# As forest-snow/alps has them (data/SST-2); its test set is GLUE's dev set.
TRAIN, DEV = "sst2_glue_alps_train.tsv.gz", "sst2_glue_alps_test.tsv.gz"
LABELS = ("negative", "positive")


def read_labelled(path: Path) -> Labelled:
    """A file of GLUE's form: a heading, then text, tab, class."""
    texts, classes = [], []
    for number, fields in rows_of(path):
        if number == 1:
            continue
        if len(fields) != 2 or fields[1] not in ("0", "1") or not fields[0].strip():
            raise InputError(None, "hold a text, a tab, and 0 or 1", shown(fields), place=f"line {number} of {path}")
        texts.append(fields[0].strip())
        classes.append(int(fields[1]))
    return Labelled(tuple(texts), tuple(classes))


def _read(folder: Path) -> Split:
    return Split(read_labelled(folder / TRAIN), read_labelled(folder / DEV))


SST2 = classification("sst2", LABELS, _read, epochs=1)
