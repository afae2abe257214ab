"""Mapped reactions of USPTO-50k, and which of their atoms react."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.attention_change.smiles import Molecules, parse, without_map
from experiments.attention_change.texts import Marked
from jaxflow import InputError
from jaxflow._checks import shown

FILE, CLASSES = "uspto50k_mapped_test.csv.gz", "rxnclass2id.json"
# Characters of a reaction without its map: time grows with the square of the tokens, and every length has a program.
SHORTEST, LONGEST = 40, 100


def read_reactions(folder: Path, most: int, seed: int = 0) -> list[Marked]:
    """Reactions of `SHORTEST` to `LONGEST` characters, drawn at random; marked are the atoms that react.

    Raises:
        InputError: the file is not there.
    """
    path = folder / FILE
    if not path.is_file():
        got = f"{shown(str(path))}, which does not exist"
        raise InputError("data", f"name a folder with reactions/{FILE}", got)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    found = []
    for place in np.random.default_rng(seed).permutation(len(rows)):
        _, number, mapped = rows[place]
        reaction = marked_reaction(mapped, number)
        if SHORTEST <= len(reaction.text) <= LONGEST and any(reaction.labels):
            found.append(reaction)
        if len(found) == most:
            break
    return found


def marked_reaction(mapped: str, group: str = "") -> Marked:
    """A reaction without its atom map, its atoms marked where they react.

    Agents, which stand between the arrows, are left out, as in the file. Atoms compete with those of their own kind:
    the same symbol on the same side of the arrow.
    """
    sides = mapped.split(">")
    if len(sides) != 3:
        raise InputError(None, "have two arrows '>'", shown(mapped[:60]), place="a reaction")
    react = reacting(parse(sides[0]), parse(sides[2]))
    text, spans, labels, kinds = "", [], [], []
    for number, side in enumerate((sides[0], sides[2])):
        plain, places = without_map(side)
        spans += [(start + len(text), end + len(text)) for start, end in places]
        for atom in parse(side).atoms:
            labels.append(atom.number in react)
            kinds.append(f"{atom.symbol} {number}")
        text += plain if number else f"{plain}>>"
    return Marked(text, tuple(spans), tuple(labels), tuple(kinds), group)


def reacting(before: Molecules, after: Molecules) -> set[int]:
    """Numbers of the atoms with a bond that is made, broken, or of another order afterwards.

    Bonds between atoms that both do not come out in the product are not told: what becomes of them is not written.
    """
    kept = {atom.number for atom in after.atoms}
    one, two = (dict(_numbered(molecules)) for molecules in (before, after))
    changed = {pair for pair in one.keys() | two.keys() if one.get(pair) != two.get(pair)}
    return {number for pair in changed if any(each in kept for each in pair) for number in pair if number}


def superclasses(folder: Path) -> dict[int, str]:
    """For each of the classifier's classes the first part of its name, 1 to 10, or 0 for unrecognised ones."""
    path = folder / CLASSES
    if not path.is_file():
        got = f"{shown(str(path))}, which does not exist"
        raise InputError("data", f"name a folder with reactions/{CLASSES}", got)
    return {int(number): name.split(".")[0] for name, number in json.loads(path.read_text()).items()}


def _numbered(molecules: Molecules) -> Iterator[tuple[tuple[int, int], float]]:
    for (first, second), order in molecules.bonds.items():
        numbers = molecules.atoms[first].number, molecules.atoms[second].number
        # Unmapped atoms are of no use for telling what became of them.
        if all(numbers):
            yield (min(numbers), max(numbers)), order
