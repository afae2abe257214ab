"""The texts that `bench_sweep.py` times sweeps on."""

import csv
import gzip
import json
import re
from pathlib import Path

HERE = Path(__file__).parent
# Sentences of fewer words are headings and fragments.
LEAST_WORDS = 5


def sentences(data: Path, count: int) -> list[str]:
    """Sentences of SQuAD's paragraphs, in their order."""
    with gzip.open(data / "pairs" / "squad2_dev.json.gz", "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    paragraphs = (paragraph["context"] for article in articles for paragraph in article["paragraphs"])
    found = (part.strip() for text in paragraphs for part in re.split(r"(?<=[.!?])\s+(?=[A-Z])", text))
    return list(dict.fromkeys(part for part in found if len(part.split()) >= LEAST_WORDS))[:count]


def passages(data: Path, count: int) -> list[str]:
    """GAP's passages, in their order."""
    texts: list[str] = []
    for path in sorted((data / "coref").glob("gap-*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            texts += [row["Text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return list(dict.fromkeys(texts))[:count]


def demo(count: int) -> list[str]:
    """The demo's sentences, over and over."""
    lines = (HERE / "demo_sentences.txt").read_text(encoding="utf-8").split("\n")
    texts = [line for line in lines if line.strip()]
    return [texts[index % len(texts)] for index in range(count)]
