"""The public data sets of `--data DIR`, one reader each: (document, sentence), and beginnings where tags are gold."""

import csv
import gzip
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.verb_number.beginnings import SHORTEST, UNKNOWN, VBP, VBZ, Beginning, beginning
from experiments.verb_number.closed import verbs
from experiments.verb_number.words import sentences, words

TAGS = {"VBZ": VBZ, "VBP": VBP}


@dataclass(frozen=True)
class Sentence:
    """A sentence with the beginnings it gives.

    Attributes:
        document: what it belongs to; a document is in training or held out as a whole.
        words: of the whole sentence, as the tokenizer cuts them.
        beginnings: one for each verb whose number is known.
        tags: (word, tag) of each word as tagged by people, where it is.
    """

    document: str
    words: tuple[str, ...]
    beginnings: tuple[Beginning, ...]
    tags: tuple[tuple[str, str], ...] = ()


def plain(source: str, document: str, text: str) -> Sentence:
    """A sentence without tags, with its closed-class verbs."""
    cut = words(text)
    return Sentence(document, tuple(cut), tuple(beginning(cut[:at], number, source) for at, number in verbs(cut)))


def masc(folder: Path) -> Iterator[Sentence]:
    """The Manually Annotated Sub-Corpus, tagged: present-tense verbs of all kinds."""
    with zipfile.ZipFile(folder / "tagged" / "masc_tagged.zip") as archive:
        for name in sorted(archive.namelist()):
            if ("/spoken/" not in name and "/written/" not in name) or not name.endswith(".txt"):
                continue
            for line in archive.read(name).decode("utf-8", "replace").splitlines():
                for tagged in _sentences_of_tags(line.split()):
                    yield _tagged("MASC", f"masc {name}", tagged)


def _sentences_of_tags(tokens: list[str]) -> Iterator[list[tuple[str, str]]]:
    held: list[tuple[str, str]] = []
    for token in tokens:
        word, _, tag = token.rpartition("_")
        held.append((word, tag))
        if tag == ".":
            yield held
            held = []
    if held:
        yield held


def _tagged(source: str, document: str, tagged: list[tuple[str, str]]) -> Sentence:
    text = [word for word, _ in tagged]
    found = []
    for place, (_, tag) in enumerate(tagged):
        if tag in TAGS and any(other.startswith(("NN", "PRP", "DT", "WDT", "WP")) for _, other in tagged[:place]):
            before = words(" ".join(text[:place]))
            # The tag before it says whether the subject stands there: a question's does not.
            if len(before) >= SHORTEST and tagged[place - 1][1] not in ("WRB", "EX", ",", ":", "IN", "."):
                found.append(beginning(before, TAGS[tag], source))
    cut = tuple(words(" ".join(text)))
    return Sentence(document, cut, tuple(found), tuple((word.lower(), tag) for word, tag in tagged))


def english_web_treebank(folder: Path) -> Iterator[Sentence]:
    """Universal Dependencies' English Web Treebank: gold trees, so subjects and attractors are known."""
    with gzip.open(folder / "ud" / "EWT" / "all_sources.conllu.gz", "rt", encoding="utf-8") as file:
        document, rows = "", []
        for line in file:
            if line.startswith("# newdoc"):
                document = f"ewt {line.split('=')[-1].strip()}"
            if line.strip():
                if line[0] != "#" and line.split("\t", 1)[0].isdigit():
                    rows.append(line.rstrip("\n").split("\t"))
                continue
            yield _from_tree("EWT", document, rows)
            rows = []


def _from_tree(source: str, document: str, rows: list[list[str]]) -> Sentence:
    text, tags = [row[1] for row in rows], [row[4] for row in rows]
    heads, relations = [int(row[6]) - 1 for row in rows], [row[7].split(":")[0] for row in rows]
    found = []
    for place, tag in enumerate(tags):
        if tag not in TAGS:
            continue
        root = heads[place] if relations[place] in ("aux", "cop") else place
        subjects = [i for i in range(place) if heads[i] == root and relations[i] in ("nsubj", "csubj")]
        before = words(" ".join(text[:place]))
        if subjects and len(before) >= SHORTEST:
            other = ("NNS", "NNPS") if tag == "VBZ" else ("NN", "NNP")
            count = sum(tags[i] in other for i in range(subjects[-1] + 1, place))
            known = tags[subjects[-1]].startswith("NN")
            found.append(beginning(before, TAGS[tag], source, count if known else UNKNOWN))
    cut = tuple(words(" ".join(text)))
    return Sentence(document, cut, tuple(found), tuple((row[1].lower(), row[4]) for row in rows))


def snli(folder: Path) -> Iterator[Sentence]:
    """Premises and hypotheses of SNLI's dev and test parts: descriptions of pictures."""
    seen: set[str] = set()
    for part in ("dev", "test"):
        for index, lines in enumerate(
            zip(*(_lines(folder / "pairs" / f"snli_{s}.{part}.gz") for s in ("s1", "s2")), strict=True)
        ):
            for line in lines:
                if line not in seen:
                    seen.add(line)
                    yield plain("SNLI", f"snli {part} {index // 30}", line)


def squad(folder: Path) -> Iterator[Sentence]:
    """The Wikipedia paragraphs under SQuAD 2.0's development questions."""
    with gzip.open(folder / "pairs" / "squad2_dev.json.gz", "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    for article in articles:
        for index, paragraph in enumerate(article["paragraphs"]):
            for sentence in sentences(paragraph["context"]):
                yield plain("SQuAD", f"squad {article['title']} {index // 10}", sentence)


def gap(folder: Path) -> Iterator[Sentence]:
    """The Wikipedia passages of GAP; stars stand for letters that it lost, and are left out."""
    for part in ("development", "test", "validation"):
        with (folder / "coref" / f"gap-{part}.tsv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                for sentence in sentences(row["Text"].replace("*", "")):
                    yield plain("GAP", f"gap {row['ID']}", sentence)


def marvin_linzen(folder: Path, templates: Iterable[str]) -> Iterator[Beginning]:
    """Beginnings of Marvin & Linzen's minimal pairs, up to the verb in which good and bad differ.

    Attractors are counted by the words of the template's condition that have the other number.
    """
    wanted = set(templates)
    with gzip.open(folder / "agreement" / "marvin_linzen.tsv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["template"] in wanted:
                number = number_of_pair(row["good"].split(), row["bad"].split())
                if number is not None:
                    yield beginning(words(" ".join(number[1])), number[0], f"marvin_linzen {row['template']}")


def number_of_pair(good: list[str], bad: list[str]) -> tuple[int, list[str]] | None:
    """The number of the good verb of a minimal pair and the words before it, if they differ in a verb's number."""
    place = next((i for i, (g, b) in enumerate(zip(good, bad, strict=False)) if g != b), None)
    if place is None:
        return None
    right, wrong = (re.sub(r"(n't|[.,?!])+$", "", side[place].lower()) for side in (good, bad))
    singular = {("is", "are"), ("was", "were"), ("has", "have"), ("does", "do")}
    if (right, wrong) in singular or right in (f"{wrong}s", f"{wrong}es", f"{wrong[:-1]}ies"):
        return VBZ, good[:place]
    if (wrong, right) in singular or wrong in (f"{right}s", f"{right}es", f"{right[:-1]}ies"):
        return VBP, good[:place]
    return None


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from (line.strip() for line in file)
