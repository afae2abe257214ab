"""CSV files of the explorer's views: numbers as they are, and no text that a spreadsheet would run."""

import csv
import io
from xml.etree import ElementTree as ET

import pytest

import jaxflow as jf
from jaxflow.pages.explore import explore
from jaxflow.pages.explorer import write_explorer
from tests.pages.browser import Opened
from tests.pages.tiny_pair import TEXTS, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

SVG = "{http://www.w3.org/2000/svg}"
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


@pytest.mark.parametrize("shown", ["both", "diff", "a"])
def test_pictures_as_files_say_what_they_show_and_what_their_lines_mean(page, pair, shown):
    page.set(models=shown, strength="attention", trace="all", threshold=0.1, sentence=0)
    names = [side.name for side in pair.sides][: 1 if shown == "a" else 2]
    for view, title in (("rings", "Token rings"), ("network", "Layered network"), ("heat", "Heat map")):
        drawn = ET.fromstring(page.run("name => jaxflow.svg(name)", view))  # noqa: S314 (made by the page)
        texts = [element.text for element in drawn.iter(f"{SVG}text")]
        # The models' names, and the sentence.
        assert texts[0].startswith(f"{title}: ")
        assert all(name in texts[0] for name in names)
        assert TEXTS[0] in texts[0]
        looks = {"both": "2 × as strong, or more, in", "diff": "stronger in"}.get(shown)
        legend = [text for text in texts if looks and text.startswith(looks)]
        # Heat maps have no lines, one model alone one kind of them.
        assert [text.removeprefix(looks or "").strip() for text in legend] == (
            names if looks and view != "heat" else []
        )


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
