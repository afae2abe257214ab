"""Reaction SMILES with atom maps: atoms, bonds, and the same text without the map. No chemistry kit is needed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jaxflow import InputError
from jaxflow._checks import shown

Span = tuple[int, int]
# In the order in which they must be tried.
_PART = re.compile(
    r"(?P<bracket>\[[^\]]+\])|(?P<atom>Br|Cl|[BCNOPSFIbcnops])|(?P<bond>[-=#:$/\\~])|(?P<ring>%\d\d|\d)|(?P<sign>[().])"
)
_BRACKET = re.compile(
    r"\[(?P<isotope>\d*)(?P<symbol>[A-Z][a-z]?|[a-z]{1,2}|\*)(?P<turn>(?:@[A-Z]{2}\d{1,2}|@{1,2})?)"
    r"(?P<hydrogens>H\d*)?(?P<charge>[-+]+\d*)?(?::(?P<map>\d+))?\]"
)
_ORDERS = {"-": 1.0, "/": 1.0, "\\": 1.0, "=": 2.0, "#": 3.0, "$": 4.0, ":": 1.5, "~": 1.0}
AROMATIC = 1.5
# Atoms that need no brackets, with the valences that missing hydrogens fill up.
_VALENCES = {
    "B": (3,),
    "C": (4,),
    "N": (3, 5),
    "O": (2,),
    "P": (3, 5),
    "S": (2, 4, 6),
    **dict.fromkeys(("F", "Cl", "Br", "I"), (1,)),
}


@dataclass(frozen=True)
class Atom:
    """An atom as it is written.

    Attributes:
        symbol: its element; small letters where it is aromatic.
        number: in the atom map; 0 for none.
        span: characters (start, end).
        hydrogens: as its brackets say; -1 without brackets.
        bare: whether its brackets hold no more than symbol, hydrogens and number.
        text: what is in the brackets but for the number, or the symbol.
    """

    symbol: str
    number: int
    span: Span
    hydrogens: int
    bare: bool
    text: str

    @property
    def aromatic(self) -> bool:
        """Whether it is written in small letters."""
        return self.symbol[0].islower()


@dataclass(frozen=True)
class Molecules:
    """Molecules with dots between.

    Attributes:
        atoms: in the order in which they are written.
        bonds: order of each bond, by its two atoms' places, the smaller first.
    """

    atoms: tuple[Atom, ...]
    bonds: dict[tuple[int, int], float]


def parse(smiles: str) -> Molecules:
    """Atoms and bonds of a SMILES text.

    Raises:
        InputError: it is no SMILES; the place is named.
    """
    atoms: list[Atom] = []
    bonds: dict[tuple[int, int], float] = {}
    branches: list[int | None] = []
    rings: dict[str, tuple[int, str]] = {}
    last: int | None = None
    written = ""

    def join(first: int, second: int, bond: str) -> None:
        both = atoms[first].aromatic and atoms[second].aromatic
        bonds[min(first, second), max(first, second)] = _ORDERS[bond] if bond else (AROMATIC if both else 1.0)

    for kind, part, start in _parts(smiles):
        if kind in ("bracket", "atom"):
            atoms.append(_atom(part, start, bracket=kind == "bracket"))
            if last is not None:
                join(last, len(atoms) - 1, written)
            last, written = len(atoms) - 1, ""
        elif kind == "bond":
            written = part
        elif kind == "ring":
            if last is None:
                raise _unread(smiles, start, "close a ring behind an atom")
            if part in rings:
                other, bond = rings.pop(part)
                join(other, last, written or bond)
            else:
                rings[part] = last, written
            written = ""
        elif part == "(":
            branches.append(last)
        elif part == ")":
            if not branches:
                raise _unread(smiles, start, "close a branch that was opened")
            last = branches.pop()
        else:
            last, written = None, ""
    if branches or rings:
        raise _unread(smiles, len(smiles), "close a branch or a ring that was left open")
    return Molecules(tuple(atoms), bonds)


def _unread(smiles: str, place: int, expected: str) -> InputError:
    got = shown(smiles[place : place + 1]) if place < len(smiles) else "the end"
    return InputError(None, expected, got, place=f"character {place} of {shown(smiles[:60])}")


def _parts(smiles: str) -> Iterator[tuple[str, str, int]]:
    place = 0
    while place < len(smiles):
        found = _PART.match(smiles, place)
        if found is None or found.lastgroup is None:
            raise _unread(smiles, place, "be a part of a SMILES")
        yield found.lastgroup, found[0], place
        place = found.end()


def _atom(part: str, start: int, *, bracket: bool) -> Atom:
    span = start, start + len(part)
    if not bracket:
        return Atom(part, 0, span, -1, True, part)
    found = _BRACKET.fullmatch(part)
    if found is None:
        raise InputError(None, "hold an atom of a SMILES", shown(part), place="a bracket")
    hydrogens = found["hydrogens"] or ""
    return Atom(
        symbol=found["symbol"],
        number=int(found["map"] or 0),
        span=span,
        hydrogens=int(hydrogens[1:] or 1) if hydrogens else 0,
        bare=not (found["isotope"] or found["turn"] or found["charge"]),
        text=re.sub(r":\d+\]$", "]", part)[1:-1],
    )


def without_map(smiles: str) -> tuple[str, tuple[Span, ...]]:
    """The text without atom numbers, and without brackets that say nothing else; where each atom stands in it."""
    molecules = parse(smiles)
    neighbours: list[list[float]] = [[] for _ in molecules.atoms]
    for pair, order in molecules.bonds.items():
        for place in pair:
            neighbours[place].append(order)
    text, spans, done = "", [], 0
    for atom, orders in zip(molecules.atoms, neighbours, strict=True):
        text += smiles[done : atom.span[0]]
        done = atom.span[1]
        plain = atom.symbol if _says_nothing_else(atom, orders) else f"[{atom.text}]"
        spans.append((len(text), len(text) + len(plain)))
        text += plain
    return text + smiles[done:], tuple(spans)


def _says_nothing_else(atom: Atom, orders: list[float]) -> bool:
    """Whether the symbol alone means the same atom."""
    if atom.hydrogens < 0:
        return True
    valences = _VALENCES.get(atom.symbol.capitalize())
    if valences is None or not atom.bare:
        return False
    if atom.aromatic:
        # An aromatic atom gives one electron to the ring; what it has beyond its valence, a lone pair.
        used = sum(1 if order == AROMATIC else int(order) for order in orders) + 1
        return atom.hydrogens == max(0, valences[0] - used)
    used = int(sum(orders))
    return any(valence >= used for valence in valences) and atom.hydrogens == next(
        valence - used for valence in valences if valence >= used
    )
