"""Tables of delimited text: which separator a file has, and its rows."""

import csv
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from jaxflow._checks import InputError, shown
from jaxflow.inputs.lines import Line

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
# If a header's only column holds one of these, the user is asked for the separator.
DOUBTFUL = (*SEPARATORS.values(), ":", "^", "~", "\x01", "\x1f")
# Most characters that a field in quotes may have on further lines. What is longer has lost its closing quote.
QUOTED_MOST = 2**22
# Most rows that a separator is told from, beyond the header.
SAMPLED = 100

# Number of the line in which a row begins, its cells or an error, and whether the last cell may have lost a carriage
# return to the line's end.
TableRow = tuple[int, list[str] | InputError, bool]


@dataclass(frozen=True)
class Dialect:
    """How a line is cut into cells.

    Attributes:
        separator: between cells; one character.
        quoted: whether cells may stand in quotes, with quotes in them doubled; if not, quotes are characters.
        end: end of the header's line: a line feed, a carriage return, or both.
        before: lines before the header: 1 for the "sep=;" that spreadsheets write, or 0.
    """

    separator: str
    quoted: bool
    end: str
    before: int = 0


def separator_of(name: str | None) -> str | None:
    """The separator that the user named: by a word, a backslash and t, or as it is."""
    if name is None:
        return None
    separator = SEPARATORS.get(name, "\t" if name == "\\t" else name)
    if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n\0':
        raise InputError("separator", f"be one character, or one of {', '.join(SEPARATORS)}", shown(name))
    return separator


def line_end(sample: str) -> str:
    """What the first line ends in. Line ends in quotes belong to a column's name."""
    outside = re.sub('"[^"]*"', "", sample)
    match = re.search("\r\n|\r|\n", outside) or re.search("\r\n|\r|\n", sample)
    return "\n" if match is None else match[0]


def said_separator(sample: str, end: str) -> str | None:
    """The separator that a first line "sep=;" says, as spreadsheets write and read it."""
    match = re.fullmatch('"?sep=([^"\r\n])"?', sample.partition(end)[0])
    return None if match is None else match[1]


def recognise(sample: str, end: str, default: str, column: str | None, name: str) -> tuple[str, str | None]:
    """The separator of a file, by its header and first rows, and a note on the assumption made.

    Args:
        sample: the beginning of the file.
        end: its line end.
        default: the separator that the file's name speaks for.
        column: the column that the user named.
        name: what to call the file.

    Raises:
        InputError: the header is one column by the default separator and holds another one, which the rows don't have.
    """
    sample_lines = [f"{line}\n" for line in sample.split(end)]
    # The last line may be cut short.
    sample_lines = sample_lines[:-1] if len(sample_lines) > 1 else sample_lines
    headers = {separator: _agreeing(sample_lines, separator) for separator in SEPARATORS.values()}

    # The best separator: most rows have the header's number of cells, the header has the wanted column, more rows
    # agree, and last the file's name.
    def score(separator: str) -> tuple[bool, bool, float, bool]:
        header, agreeing = headers[separator]
        return agreeing >= 0.5, (column or "text") in header, agreeing, separator == default

    only = headers[default][0]
    several = [separator for separator, (header, _) in headers.items() if len(header) > 1]
    best = max(several, key=score, default=default)
    if best != default and only != [column] and score(best)[0]:
        return best, f"taking {_word(best)} for the separator of {name}, as in its header (`separator` names another)"
    # One column alone, whose name holds a likely separator: either reading may be meant.
    held = next((each for each in DOUBTFUL if each != default and each in only[0]), None) if len(only) == 1 else None
    if held is not None and only != [column]:
        got = f"the only column {shown(only[0])}, which holds {_word(held)}"
        way_out = f'pass `separator="{_word(held, bare=True)}"`, or name the whole column by `column`'
        raise InputError("separator", "be the file's own", got, way_out, place=name)
    return default, None


def _word(separator: str, *, bare: bool = False) -> str:
    word = next((word for word, each in SEPARATORS.items() if each == separator), None)
    if bare:
        return word or separator
    return repr(separator) if word is None else f"the {word}"


def _agreeing(lines: Sequence[str], separator: str) -> tuple[list[str], float]:
    """The header by a separator, and the share of the first rows that have as many cells."""
    quoted = _share(_csv_rows(lines, separator))
    if separator != "\t":
        return quoted
    # Tab-separated files often have quotes that are characters; the better of both readings counts.
    plain = _share(line.rstrip("\r\n").split("\t") for line in lines)
    return max(plain, quoted, key=lambda reading: reading[1])


def _share(rows: Iterable[list[str]]) -> tuple[list[str], float]:
    # Blank lines are no rows. A header without rows agrees with itself.
    sampled = list(islice((row for row in rows if row and row != [""]), SAMPLED + 1))
    if not sampled:
        return [], 0.0
    header, *rest = sampled
    agreeing = sum(len(row) == len(header) for row in rest) / len(rest) if rest else 1.0
    return [unquoted(cell) for cell in header], agreeing


def _csv_rows(lines: Sequence[str], separator: str) -> Iterator[list[str]]:
    """Rows as the csv module has them; of one that it cannot read, as with a line end outside quotes, its first cells.

    Without them a header would be known for no separator, and one that holds another separator be taken for a name.
    """
    # The lines that the reader took for the row at hand.
    read = deque[str]()
    reader = csv.reader((read.append(line) or line for line in lines), delimiter=separator)
    while True:
        read.clear()
        try:
            yield next(reader)
        except csv.Error:
            yield read[0].rstrip("\r\n").split(separator)
        except StopIteration:
            return


def unquoted(cell: str) -> str:
    """A cell without the quotes that stand around it, if any."""
    match = re.fullmatch('"((?:[^"]|"")*)"', cell)
    return cell if match is None else match[1].replace('""', '"')


class _Lines:
    """Lines that can be put back."""

    def __init__(self, lines: Iterator[Line]):
        self.lines, self.back = lines, deque[Line]()

    def __next__(self) -> Line:
        return self.back.popleft() if self.back else next(self.lines)

    def __iter__(self) -> Iterator[Line]:
        return self

    def put_back(self, lines: Sequence[Line]) -> None:
        self.back.extendleft(reversed(lines))


def table(lines: Iterator[Line], dialect: Dialect, name: str) -> Iterator[TableRow]:
    """Rows of a table, its header first; blank lines are left out.

    A row with a malformed quote costs itself alone: reading goes on behind the line in which its quote opened.
    """
    # The limit is one for the whole process; a text may be longer than its default of 128 KiB.
    _ = csv.field_size_limit(sys.maxsize)
    source, columns, doubtful = _Lines(lines), 0, False
    for line in islice(source, dialect.before, None):
        number, text, wrong = line
        body = text.rstrip("\r\n") if text.endswith(("\n", "\r")) else text
        # Four kinds of line: blank; without quotes, which `str.split` cuts faster than `csv`; useless; and with quotes,
        # whose row may go on in the lines that follow.
        if wrong is None and not body:
            continue
        if wrong is None and (not dialect.quoted or '"' not in text):
            body, last = _ended(text, dialect.end)
            row = body.split(dialect.separator)
            if "\r" in body or "\n" in body:
                got = "a line end of another kind than the file's"
                row = InputError(None, "be one line", got, "correct it", place=f"line {number} of {name}")
        elif not dialect.quoted or (wrong is not None and '"' not in text):
            row, last = wrong or [], False
        else:
            row, taken = _in_quotes(line, source, dialect, name, columns)
            # After a malformed row a quote inside a cell is doubtful in every row to come.
            if isinstance(row, InputError):
                doubtful = doubtful or wrong is None
            elif doubtful and _stray_quote("".join(text for _, text, _ in taken), dialect.separator):
                # It may be the rest of a row whose quotes were malformed.
                got, place = "one, behind a malformed quote", f"line {number} of {name}"
                row = InputError(None, "have no quote inside a cell", got, "correct both", place=place)
            wrong = wrong or next((wrong for _, _, wrong in taken if wrong is not None), None)
            row, last_text = wrong or row, taken[-1][1]
            last = _ended(last_text, dialect.end)[1] and not last_text.rstrip("\r\n").endswith('"')
        columns = columns or (0 if isinstance(row, InputError) else len(row))
        yield number, row, last


def _ended(text: str, end: str) -> tuple[str, bool]:
    """A line without its end, and whether that end differs from the file's, so that it may belong to the text."""
    body = text.removesuffix(end)
    if len(body) < len(text) and not (end == "\n" and body.endswith("\r")):
        return body, False
    return text.removesuffix("\n").removesuffix("\r"), text.removesuffix("\n").endswith("\r")


def _in_quotes(
    line: Line, source: _Lines, dialect: Dialect, name: str, columns: int
) -> tuple[list[str] | InputError, list[Line]]:
    """A row with quotes, and the lines that it takes."""
    taken = [line]

    # `csv` draws further lines while a quote is open; they are kept, to be put back if the quote was a stray.
    def feed() -> Iterator[str]:
        yield line[1]
        size = 0
        while size <= QUOTED_MOST:
            further = next(source, None)
            if further is None:
                return
            taken.append(further)
            size += len(further[1])
            yield further[1]

    try:
        row: list[str] | None = next(csv.reader(feed(), delimiter=dialect.separator, strict=True))
        got = ""
    except csv.Error as error:
        row, got = None, str(error)
    if row is not None and (len(taken) == 1 or len(row) == columns or not _like_rows(taken[1:], dialect, columns)):
        return row, taken
    # The row ends with the line of the quote that was opened last; lines behind it are read anew.
    opened = _opened([text for _, text, _ in taken], dialect.separator) if row is None else 0
    if "end of data" in got or len(taken) > 1:
        got = f"one that is not closed{'' if row is None else ' before other rows begin'}"
    source.put_back(taken[opened + 1 :])
    way_out = 'correct it, or have quotes read as characters by `quotes="no"`'
    place = f"line {taken[opened][0]} of {name}"
    return InputError(None, "have quotes around whole cells", got, way_out, place=place), taken[: opened + 1]


def _like_rows(lines: Sequence[Line], dialect: Dialect, columns: int) -> bool:
    """Whether most of the lines are whole rows by themselves."""
    fitting = sum(text.count(dialect.separator) + 1 == columns for _, text, _ in lines)
    return columns > 1 and 2 * fitting >= len(lines)


@dataclass(frozen=True)
class Cell:
    """A cell of a row.

    Attributes:
        value: its content.
        quoted: whether it stands in quotes.
        state: "well"; "open" if its quote is not closed; "broken" if something follows the closing quote, or a cell
            without quotes has one in it.
    """

    value: str
    quoted: bool
    state: Literal["well", "open", "broken"]


def cells(text: str, separator: str) -> Iterator[Cell]:
    """Cells of a row whose quotes stand around cells, up to the first that is open or breaks off behind its quote."""
    place, end = 0, len(text.rstrip("\r\n"))
    while True:
        if text.startswith('"', place):
            # The closing quote is the first that is not doubled.
            close = place + 1
            while (close := text.find('"', close)) >= 0 and text.startswith('"', close + 1):
                close += 2
            if close < 0:
                yield Cell(text[place + 1 :], True, "open")
                return
            well = close + 1 >= end or text[close + 1] == separator
            yield Cell(text[place + 1 : close].replace('""', '"'), True, "well" if well else "broken")
            if not well:
                return
            place = close + 1
        else:
            close = text.find(separator, place)
            close = end if close < 0 else close
            yield Cell(text[place:close], False, "broken" if '"' in text[place:close] else "well")
            place = close
        if place >= end:
            return
        # Over the separator.
        place += 1


def _opened(texts: Sequence[str], separator: str) -> int:
    """Which of a malformed row's lines has the quote that was opened last."""
    place = opened = 0
    for cell in cells("".join(texts), separator):
        opened = place if cell.quoted else opened
        # In the file, quotes stand around it, and those in it are doubled.
        place += len(cell.value) + (2 + cell.value.count('"') if cell.quoted else 0) + 1
    for index, each in enumerate(texts):
        opened -= len(each)
        if opened < 0:
            return index
    return 0


def _stray_quote(text: str, separator: str) -> bool:
    return any(cell.state != "well" for cell in cells(text, separator))
