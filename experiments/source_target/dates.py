"""Texts that name a date among other numbers, the date as ISO 8601 has it, and what each target is written from."""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

MONTHS = tuple(calendar.month_name)[1:]
DAYS = 31
# Words that number the things around a date. Their numbers read like days and months.
THINGS = ("room", "page", "order", "table", "gate", "line", "seat", "part")
LEADS = ("due", "signed", "posted", "from", "until", "dated")
# How a date is written, `part` and fixed words in turn; numbers with slashes go by where the year stands.
FORMS = (
    ("the", "nth", "of", "month", ",", "year"),
    ("month", "day", ",", "year"),
    ("month", "nth", ",", "year"),
    ("day", "month", "year"),
    ("nth", "month", "year"),
    ("day", "/", "number", "/", "year"),
    ("year", "/", "number", "/", "day"),
    ("year", ",", "month", "day"),
)
# What each target token writes; hyphens are written from nothing.
PARTS = ("year", "year", "year", "year", None, "month", None, "day")
TARGETS = len(PARTS)
# The longest text: two things of two tokens each on either side, a lead, and the longest form.
MOST_THINGS = 2
LONGEST = 2 * MOST_THINGS * 2 + 1 + len(FORMS[0]) + 3

Span = tuple[int, int]


@dataclass(frozen=True)
class Dated:
    """A text with a date.

    Attributes:
        text: as the encoder reads it.
        target: the date, as the decoder writes it.
        evidence: of each target token the characters of the text that it is written from; None for hyphens.
    """

    text: str
    target: str
    evidence: tuple[Span | None, ...]


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if 10 < number < 14 else endings.get(number % 10, 'th')}"


def draw(rng: np.random.Generator) -> Dated:
    """One text: things with their numbers around a lead and a date, of the years 1000 to 9999."""
    day = date.fromordinal(int(rng.integers(date(1000, 1, 1).toordinal(), date.max.toordinal() + 1)))
    form = FORMS[rng.integers(len(FORMS))]
    before, behind = _things(rng), _things(rng)
    return write([*before, LEADS[rng.integers(len(LEADS))]], form, behind, day)


def write(before: Sequence[str], form: Sequence[str], behind: Sequence[str], day: date) -> Dated:
    """The text of these words around a date in this form."""
    written = {
        "year": str(day.year),
        "month": MONTHS[day.month - 1],
        "number": str(day.month),
        "day": str(day.day),
        "nth": ordinal(day.day),
    }
    text, spans = " ".join(before), dict[str, Span]()
    for part in form:
        word = written.get(part, part)
        # No blank stands before a comma, or around a slash.
        text += ("" if word in ("/", ",") or text.endswith("/") else " ") + word
        if part in written:
            spans[part] = (len(text) - len(word), len(text))
    start, stop = spans["year"]
    digits = ((place, place + 1) for place in range(start, stop))
    month, nth = (
        spans[next(each for each in names if each in spans)] for names in (("month", "number"), ("day", "nth"))
    )
    return Dated(" ".join([text, *behind]), day.isoformat(), (*digits, None, month, None, nth))


def drawn(count: int, seed: int) -> list[Dated]:
    """So many texts of a seed."""
    rng = np.random.default_rng((seed, 15))
    return [draw(rng) for _ in range(count)]


def _things(rng: np.random.Generator) -> list[str]:
    """Up to two things, each with a number or an ordinal."""
    words = list[str]()
    for _ in range(int(rng.integers(MOST_THINGS + 1))):
        thing, number = THINGS[rng.integers(len(THINGS))], 1 + int(rng.integers(DAYS))
        words += [thing, str(number)] if rng.random() < 0.5 else [ordinal(number), thing]
    return words
