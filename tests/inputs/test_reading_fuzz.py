"""Random texts in every format, as programs write them: the same texts come back, or one line refuses them."""

import csv
import gzip
import io
import json
import re
from dataclasses import dataclass

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jaxflow._checks import InputError
from jaxflow.inputs.files import open_source
from jaxflow.inputs.quotes import COMMAS
from jaxflow.inputs.rows import BadRow, Text, as_row

ODD = [
    '"',
    '""',
    "'",
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r",
    "\r\n",
    "\\",
    "\ufeff",
    "\u200b",
    "\u2028",
    "\x85",
    "\x0b",
    "\x1c",
]
PLAIN = ["a", "the key", " ", "é", "学", "1", "-", "=", "\U0001f469\u200d\U0001f467"]
text = st.lists(st.sampled_from(ODD + PLAIN), min_size=1, max_size=8).map("".join)
# Sentences in quotes, or with one at an end, as GLUE has them.
sentence = st.tuples(
    st.sampled_from(["", '"']), st.sampled_from(["the key", "Jaws, it is", "学"]), st.sampled_from(["", '"'])
)
texts = st.lists(st.one_of(text, sentence.map("".join), st.sampled_from(["the key", "a key"])), min_size=1, max_size=6)
SEPARATORS = (",", ";", "\t", "|")
ENDS = ("\n", "\r\n", "\r")


@dataclass
class Table:
    """What is written: columns by name, one of which is `text`."""

    columns: dict[str, list]
    separator: str
    end: str

    def frame(self):
        return pd.DataFrame(self.columns)


def quoting_of(table, draw):
    """What is quoted, for writers that use Python's csv module."""
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    # Before Python 3.13 it leaves a line feed bare where lines end in a carriage return alone: together they are the
    # line end of other files, and nobody can tell what was written.
    cells = [*table.columns, *(str(cell) for column in table.columns.values() for cell in column)]
    assume(quoting != csv.QUOTE_MINIMAL or table.end != "\r" or not any("\n" in cell for cell in cells))
    return quoting


def by_csv_module(table, draw):
    file = io.StringIO(newline="")
    quoting = quoting_of(table, draw)
    writer = csv.writer(file, delimiter=table.separator, lineterminator=table.end, quoting=quoting)
    writer.writerow(table.columns)
    writer.writerows(zip(*table.columns.values(), strict=True))
    return file.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))


def by_pandas(table, draw):
    return (
        table.frame()
        .to_csv(
            sep=table.separator,
            index=draw(st.booleans()),
            lineterminator=table.end,
            quoting=quoting_of(table, draw),
        )
        .encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])))
    )


def by_arrow(table, draw):
    file = io.BytesIO()
    style = draw(st.sampled_from(["needed", "all_valid"]))
    options = pa.csv.WriteOptions(delimiter=table.separator, quoting_style=style)
    pa.csv.write_csv(pa.table(table.columns), file, options)
    return file.getvalue()


def by_polars(table, draw):
    style = draw(st.sampled_from(["necessary", "always", "non_numeric"]))
    return (
        pl.DataFrame(table.columns)
        .write_csv(
            separator=table.separator,
            line_terminator="\r\n" if table.end == "\r\n" else "\n",
            quote_style=style,
            include_bom=draw(st.booleans()),
        )
        .encode()
    )


def by_spreadsheet(table, draw):
    """Excel quotes cells with a comma too, whatever the separator, and writes UTF-16 where tabs separate."""

    def cell(value):
        quote = isinstance(value, str) and re.search('[",\r\n]|' + re.escape(table.separator), value)
        return '"' + value.replace('"', '""') + '"' if quote else str(value)

    rows = [list(table.columns), *zip(*table.columns.values(), strict=True)]
    written = "".join(table.separator.join(map(cell, row)) + "\r\n" for row in rows)
    if table.separator != "\t":
        written = draw(st.sampled_from(["", f"sep={table.separator}\r\n"])) + written
    return written.encode("utf-16" if table.separator == "\t" else "utf-8-sig")


def without_quotes(table, draw):
    """As GLUE and Common Voice are: cut at tabs and line ends alone."""
    assume(table.separator == "\t")
    rows = [list(table.columns), *zip(*table.columns.values(), strict=True)]
    # Where quotes are doubled too, a program may have set all of them.
    assume(not any(re.search('[\t\r\n]|""', str(cell)) for row in rows for cell in row))
    assume(not like_a_spreadsheets([str(cell) for row in rows for cell in row]))
    return "".join("\t".join(map(str, row)) + table.end for row in rows).encode()


def like_a_spreadsheets(cells):
    """Whether quotes stand around all cells with a comma, and no others: a spreadsheet may have written those bytes."""
    quoted = [cell for cell in cells if re.fullmatch('"[^"]*,[^"]*"', cell)]
    return len(quoted) >= COMMAS and not any("," in cell or '"' in cell for cell in cells if cell not in quoted)


WRITERS = (by_csv_module, by_pandas, by_arrow, by_polars, by_spreadsheet, without_quotes)


def packed(content, suffix):
    if suffix == ".gz":
        return gzip.compress(content, 1)
    return pa.compress(content, "zstd", asbytes=True) if suffix == ".zst" else content


def usable(text):
    return isinstance(as_row(1, "", text, "", None, ""), Text)


def check(path, expected):
    """No text is read but those that were written, in their order; and all, if nothing is refused."""
    try:
        with open_source(str(path), None if path.suffix == ".txt" or ".txt." in path.name else "text") as source:
            rows = list(source.rows())
            assert "\n" not in (source.note or "")
    except InputError as error:
        said = str(error)
    else:
        said = None
    if said is not None:
        assert "\n" not in said
        return False
    reasons = [row.reason for row in rows if isinstance(row, BadRow)]
    assert not any("\n" in reason or len(reason) > 1000 for reason in reasons)
    found = [row.text for row in rows if isinstance(row, Text)]
    rest = iter(expected)
    assert all(any(each == other for other in rest) for each in found), (found, expected)
    wanted = [each for each in expected if usable(each)]
    assert reasons or found == wanted
    return found == wanted


def like_rows(value):
    """A text whose lines are rows themselves: such a file is, byte for byte, one of sentences with quotes as well."""
    return re.search("\t[0-9]+([\r\n]|$)", value) is not None


@st.composite
def tables(draw):
    written = draw(texts)
    numbers = draw(st.lists(st.integers(0, 3), min_size=len(written), max_size=len(written)))
    notes = [f"note {number}" for number in range(len(written))]
    columns = draw(
        st.sampled_from(
            [
                {"text": written},
                {"text": written, "label": numbers},
                {"label": numbers, "text": written},
                {"note": notes, "text": written, "label, as given": numbers},
                {"text": written, "note": notes},
            ]
        )
    )
    return Table(columns, draw(st.sampled_from(SEPARATORS)), draw(st.sampled_from(ENDS)))


def tables_come_back(folder, table, data):
    writer = data.draw(st.sampled_from(WRITERS))
    assume(not (table.separator == "\t" and any(map(like_rows, table.columns["text"]))))
    content = writer(table, data.draw)
    suffix = data.draw(st.sampled_from(["", ".gz", ".zst"]))
    path = folder / f"a.{'tsv' if table.separator == chr(9) else 'csv'}{suffix}"
    path.write_bytes(packed(content, suffix))
    complete = check(path, table.columns["text"])
    # Where the header is in quotes, all texts are.
    if content.startswith((b'"text"', b'"label"', b'"note"')):
        assert complete or not all(map(usable, table.columns["text"]))


def lines_come_back(folder, written, data):
    kind = data.draw(st.sampled_from(["txt", "jsonl", "json of pandas", "parquet"]))
    if kind == "txt":
        end = data.draw(st.sampled_from(ENDS))
        # A text's own line ends cannot be told from the file's; a mark at its beginning is the file's.
        assume(not any(re.search("[\r\n]", each) for each in written) and not written[0].startswith("\ufeff"))
        encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
        content = (end.join(written) + data.draw(st.sampled_from(["", end]))).encode(encoding)
    elif kind == "jsonl":
        ascii_only, end = data.draw(st.booleans()), data.draw(st.sampled_from(ENDS))
        first = data.draw(st.sampled_from(["", "{}" + end, '{"text": null}' + end, '{"id": 1}' + end]))
        content = (first + end.join(json.dumps({"text": each}, ensure_ascii=ascii_only) for each in written)).encode()
    elif kind == "json of pandas":
        content = pd.DataFrame({"text": written}).to_json(orient="records", lines=True).encode()
    else:
        file = io.BytesIO()
        pa.parquet.write_table(pa.table({"text": written}), file)
        content = file.getvalue()
    suffix = data.draw(st.sampled_from(["", ".gz", ".zst"]))
    path = folder / f"a.{'jsonl' if kind.startswith('json') else kind}{suffix}"
    path.write_bytes(packed(content, suffix))
    complete = check(path, written)
    assert complete or not all(map(usable, written)) or kind == "jsonl"


CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]
QUICK = settings(max_examples=300, deadline=None, suppress_health_check=CHECKS)
LONG = settings(max_examples=2000, deadline=None, suppress_health_check=CHECKS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@QUICK
@given(table=tables(), data=st.data())
def test_tables_come_back_or_are_refused(folder, table, data):
    tables_come_back(folder, table, data)


@QUICK
@given(written=texts, data=st.data())
def test_lines_and_records_come_back(folder, written, data):
    lines_come_back(folder, written, data)


@pytest.mark.slow
@LONG
@given(table=tables(), data=st.data())
def test_many_tables_come_back_or_are_refused(folder, table, data):
    tables_come_back(folder, table, data)


@pytest.mark.slow
@LONG
@given(written=texts, data=st.data())
def test_many_lines_and_records_come_back(folder, written, data):
    lines_come_back(folder, written, data)
