"""Whether quotes in a tab-separated file stand around cells, as some writers put them, or are characters of the texts.

GLUE and Common Voice don't quote; pandas, spreadsheets and DuckDB quote where they must; Arrow quotes all texts. The
whole file is looked at, since a quote that a sentence begins with may pair with another one far below.
"""

import re
from collections.abc import Iterable, Sequence

from jaxflow._checks import InputError
from jaxflow.inputs.lines import Line
from jaxflow.inputs.tables import QUOTED_MOST, Cell, cells

# Lines whose values are kept, and values of a column, to see whether doubtful ones look like them.
COMPARED, KEPT = 2000, 256
# Cells in quotes because of a comma, with none of the others bare, that show Excel to have written a file.
COMMAS = 3


def quoted(lines: Iterable[Line], name: str) -> tuple[bool, str | None]:
    """Whether quotes stand around cells, and a note on the assumption made.

    They do if every quote is where a writer would have set it: around a whole cell, with the quotes in it doubled, and
    only where the cell needs it, or around the header too.

    Args:
        lines: of the file, its header first.
        name: what to call it.

    Raises:
        InputError: both readings are as likely.
    """
    # One quote where no writer sets one, or one left open at the end, and the file was not written with quotes.
    evidence = _Evidence()
    as_written = all(map(evidence.add, lines)) and not evidence.open_lines
    if not as_written:
        # A header in quotes says that a program set them.
        answer = None if evidence.header_quoted else False
    elif evidence.first is None:
        return False, None
    else:
        answer = evidence.answer()
    if answer is None:
        got = f"quotes (the first in line {evidence.first}) that may stand around cells or be characters of the texts"
        way_out = 'pass `quotes="yes"` if a program set them around cells, `quotes="no"` if they are characters'
        raise InputError("quotes", "be 'yes' or 'no'", got, way_out, place=name)
    if answer:
        return True, f"taking quotes in {name} as set around cells by the program that wrote it (see `quotes`)"
    return False, f"taking quotes in {name} as characters of its texts (see `quotes`)"


class _Column:
    """Values of a column where quotes are characters: those of plain lines, and those of doubtful ones."""

    def __init__(self):
        self.plain, self.doubtful = set[str](), set[str]()
        self.numbers = True
        # Whether a cell that is not empty has no quotes around it, and whether one has quotes that it does not need.
        self.bare = self.needless = False

    def add(self, value: str) -> None:
        """Take in a value of a plain line."""
        self.bare = self.bare or bool(value)
        self.numbers = self.numbers and (not value or _is_number(value))
        if len(self.plain) < KEPT:
            self.plain.add(value)

    def alike(self) -> bool:
        """Whether doubtful lines have what the others have: numbers, or words, of which there are few."""
        shared = self.doubtful & self.plain
        few = len(self.plain) < KEPT and bool(shared) and all(re.fullmatch(r"[\w.-]+", each) for each in self.doubtful)
        return bool(self.plain) and (few or (self.numbers and all(map(_is_number, self.doubtful))))


class _Evidence:
    """Evidence in a file's lines for one reading or the other.

    Attributes:
        first: the first line with a quote.
        open_lines: lines of a row whose quote is still open.
        header_quoted: whether the header has a cell in quotes.
    """

    def __init__(self):
        self.first: int | None = None
        self.open_lines: list[str] = []
        self._size = self._lines = 0
        self._columns: list[_Column] = []
        self.header_quoted = False
        # Cells whose quotes a writer needed, for a quote, tab or line end in them; and those that some writers set to
        # tell an empty text from none, or that hold nothing but quotes, which is little to go by.
        self._needed, self._bare = 0, 0
        # Cells with nothing in them that needs quotes; with a comma, for which Excel sets them; and such ones without.
        self._needless, self._commas, self._bare_commas = 0, 0, 0
        # Rows over several lines most of which are whole rows too if quotes are characters.
        self._doubtful = 0

    def add(self, line: Line) -> bool:
        """Take in a line; false if its quotes are none that a writer sets."""
        number, text, wrong = line
        if wrong is not None or not (text.strip("\r\n") or self.open_lines):
            return True
        if '"' in text and self.first is None:
            self.first = number
        if not self._columns:
            return self._header(text)
        if not self.open_lines and '"' not in text:
            self._plain(text)
            return True
        self.open_lines.append(text)
        self._size += len(text)
        # Within quotes, a quote that is not doubled closes them.
        if len(self.open_lines) > 1 and not any(len(run) % 2 for run in re.findall('"+', text)):
            return self._size <= QUOTED_MOST
        row = list(cells("".join(self.open_lines), "\t"))
        if row[-1].state == "open":
            return self._size <= QUOTED_MOST
        lines, self.open_lines, self._size = self.open_lines, [], 0
        return all(cell.state == "well" for cell in row) and self._row(row, lines)

    def answer(self) -> bool | None:
        """Whether quotes stand around cells, all of them being where a writer may have set them; None is not known."""
        # From the surest sign to the weakest: a header in quotes; quotes that no cell needs, which speak against a
        # writer; rows over several lines; and cells that only a writer would have put in quotes.
        if self.header_quoted:
            return True
        if self._needless and not any(column.bare for column in self._columns if column.needless):
            # Some writers quote all of a column and leave its header bare (PostgreSQL's FORCE_QUOTE).
            return None
        if self._needless or (self._commas and self._bare_commas):
            return False
        if self._doubtful:
            alike = any(column.alike() for column in self._columns)
            # If the lines within quotes look like rows of the file, they may be rows with stray quotes.
            if self._needed and len(self._columns) > 1:
                return None if alike else True
            return False if alike else None
        return True if self._needed or self._bare or self._commas >= COMMAS else None

    def _header(self, text: str) -> bool:
        """Take in the header; false if its quotes are none that a writer sets."""
        row = list(cells(text, "\t"))
        self._columns = [_Column() for _ in row]
        self.header_quoted = any(cell.quoted for cell in row)
        return all(cell.state == "well" for cell in row)

    def _plain(self, text: str) -> None:
        """Take in a line without quotes."""
        self._bare_commas += "," in text
        self._lines += 1
        values = text.rstrip("\r\n").split("\t") if self._lines <= COMPARED else ()
        if len(values) == len(self._columns):
            for column, value in zip(self._columns, values, strict=True):
                column.add(value)

    def _row(self, row: Sequence[Cell], lines: Sequence[str]) -> bool:
        """Take in a row with quotes and the lines that it takes; false if it lacks cells of the header."""
        # The lines read with quotes as characters: those with the header's number of cells are whole rows.
        whole = [line.rstrip("\r\n").split("\t") for line in lines]
        whole = [values for values in whole if len(values) == len(self._columns)]
        several = len(lines) > 1
        doubtful = several and 2 * len(whole) > len(lines)
        if doubtful:
            self._doubtful += 1
            for values in whole:
                for column, value in zip(self._columns, values, strict=True):
                    column.doubtful.add(value)
        for index, cell in enumerate(row):
            # Of cells beyond the header's there is nothing to learn.
            column = self._columns[index] if index < len(self._columns) else _Column()
            if not cell.quoted:
                self._bare_commas += "," in cell.value
                column.bare = column.bare or bool(cell.value)
            # What made a writer set these quotes, if one did.
            elif not cell.value.strip('"'):
                self._bare += 1
            elif '"' in cell.value or re.search("[\t\r\n]", cell.value):
                self._needed += not doubtful
            elif "," in cell.value:
                self._commas += 1
            else:
                self._needless += 1
                column.needless = True
        return not several or len(row) == len(self._columns)


def _is_number(value: str) -> bool:
    return re.fullmatch(r"[-+]?[0-9]+([.,][0-9]+)?", value) is not None
