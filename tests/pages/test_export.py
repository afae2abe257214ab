"""CSV files of the explorer's views: numbers as they are, and no text that a spreadsheet would run."""

import csv
import io

import pytest

import jaxflow as jf
from jaxflow.pages.explore import explore
from jaxflow.pages.explorer import write_explorer
from tests.pages.browser import Opened
from tests.pages.tiny_pair import model_folder

CSV = "rows => jaxflow.csvText(rows)"
FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1+1",
    "=",
    "-",
    "--1",
    "\uff1d1",
]
PLAIN = ["key", "a=b", "1-2", "", "it's", 'say "so"', "a,b", "a;=1", "two\nlines", "'=1"]
NUMBERS = [-0.5, 0, 1e-7, -1e21, 3]


def rows_of(text):
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_begins_a_formula_gets_a_mark_in_front(page, text):
    assert rows_of(page.run(CSV, [["word", "x"], [text, 1]])) == [["word", "x"], [f"'{text}", "1"]]


def test_other_texts_and_all_numbers_stay_as_they_are(page):
    (texts, numbers, written) = rows_of(page.run(CSV, [PLAIN, NUMBERS, ["-0.5", "+3", "-1e-7", "-.5"]]))
    assert texts == PLAIN
    assert [float(number) for number in numbers] == NUMBERS
    assert written == ["-0.5", "+3", "-1e-7", "-.5"]
    assert rows_of(page.run(CSV, [[None, 1]])) == [["", "1"]]
    # Where semicolons cut lines, too, no cell begins within a text.
    assert '"a;=1"' in page.run(CSV, [["a;=1"]])


def test_no_view_of_hostile_texts_exports_a_formula(context, tmp_path):
    encoder = jf.load_model(str(model_folder()))
    found = explore(encoder, ["= the + key - @ is", "-1 + 1 =", "@ the"], methods=("raw",))
    opened = Opened(context, write_explorer(found, tmp_path / "page.html"))
    cells = [
        cell
        for view in ("rings", "sankey", "network", "heat", "grid", "words", "ask", "predictions")
        for row in rows_of(opened.run("name => jaxflow.csv(name)", view))
        for cell in row
    ]
    opened.close()
    assert {"'=", "'+", "'-", "'@"} <= set(cells)
    for cell in cells:
        if cell.startswith(("=", "+", "-", "@")):
            _ = float(cell)
