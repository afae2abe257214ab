"""Small data of each task's form, made from a few words: for `--quick`, and to see what a task's files look like."""

import gzip
import json
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

from experiments.finetune import paraphrase, snli, squad, sst2

THINGS = ("key", "cup", "lamp", "coat", "map", "bell")
PLACES = ("table", "shelf", "chair", "floor")
GOOD, BAD = ("fine", "lovely", "bright"), ("broken", "ugly", "dull")
OTHERS = ("the", "is", "on", "not", "what", "where", "which", "thing", "in", "place", "there", "a", "very", ".", "?")
WORDS = (*THINGS, *PLACES, *GOOD, *BAD, *OTHERS)


def make_sst2(folder: Path) -> None:
    """Phrases whose adjective tells their class."""
    phrases = [
        f"{form.format(thing=thing, how=how)} \t{label}"
        for form in ("the {thing} is {how} .", "a very {how} {thing}")
        for thing in THINGS
        for label, adjectives in enumerate((BAD, GOOD))
        for how in adjectives
    ]
    for name in (sst2.TRAIN, sst2.DEV):
        _write_lines(folder / name, ["sentence\tlabel", *phrases])


def make_snli(folder: Path) -> None:
    """A thing in a place: the same of it, something else of it, or the opposite; a pair has no gold label."""
    forms = {
        "entailment": "there is a {thing} on the {place} .",
        "neutral": "the {thing} is very bright .",
        "contradiction": "the {thing} is not on the {place} .",
    }
    rows = [
        (label, f"the {thing} is on the {place} .", form.format(thing=thing, place=place))
        for (thing, place), (label, form) in product(product(THINGS, PLACES), forms.items())
    ]
    rows.append(("-", "the key is on the table .", "the cup is on the table ."))
    for part in (snli.TRAIN, snli.TEST):
        for name, column in zip(snli.names(part), zip(*rows, strict=True), strict=True):
            _write_lines(folder / name, column)


def make_squad(folder: Path) -> None:
    """Passages that say where things are, and questions for the thing in a place; one in three is not answered."""

    def paragraph(shift: int) -> dict[str, Any]:
        things = [THINGS[(shift + place) % len(THINGS)] for place in range(len(PLACES))]
        context = " ".join(f"the {thing} is on the {place} ." for thing, place in zip(things, PLACES, strict=True))
        asked = [
            {
                "id": f"{shift}-{place}",
                "question": f"which thing is on the {place} ?",
                "is_impossible": False,
                "answers": [{"text": f"the {thing}", "answer_start": context.index(f"the {thing} is")}],
            }
            for thing, place in zip(things, PLACES, strict=True)
        ]
        nothing = {"id": f"{shift}-none", "question": "what is broken ?", "is_impossible": True, "answers": []}
        return {"context": context, "qas": [*asked, nothing, nothing | {"id": f"{shift}-nothing"}]}

    articles = [
        {"title": f"things {number}", "paragraphs": [paragraph(number + turn) for turn in range(3)]}
        for number in range(4)
    ]
    _write_lines(folder / squad.FILE, [json.dumps({"version": "v2.0", "data": articles})])


def make_paraphrase(folder: Path) -> None:
    """Questions for the same thing in other words, and for another thing."""
    rows = [
        f"{place}\twhere is the {thing} ?\tin which place is the {other} ?\t{int(thing == other)}"
        for place, thing in enumerate(THINGS)
        for other in (thing, THINGS[place - 1], thing, THINGS[place - 2])
    ]
    for name in paraphrase.FILES:
        _write_lines(folder / name, ["\t".join(("id", *paraphrase.COLUMNS)), *rows])


MADE: dict[str, Callable[[Path], None]] = {
    "sst2": make_sst2,
    "snli": make_snli,
    "squad": make_squad,
    "paraphrase": make_paraphrase,
}


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = ("\n".join(lines) + "\n").encode()
    _ = path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
