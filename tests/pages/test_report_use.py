"""The report in a real browser: the address, files, widths, touch, and the size of a page of one text."""

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from jaxflow.pages import page
from tests.pages.rows import make_row, manifest

METHODS = ("raw", "rollout", "flow")
SVG = "{http://www.w3.org/2000/svg}"
TEXTS = ("The key, unbelievably.", "is it red?", "not terribly bad")


@pytest.fixture(scope="module")
def rows():
    return [make_row(text, number=number, every_query=True) for number, text in enumerate(TEXTS, 1)]


@pytest.fixture(scope="module")
def path(rows, tmp_path_factory):
    target = tmp_path_factory.mktemp("report") / "report.html"
    _ = target.write_text(page.render(page.page_data(manifest(len(rows)), rows)), "utf-8")
    return target


def opened(context, path, width=1400, fragment="", **options):
    found = context.browser.new_page(viewport={"width": width, "height": 900}, accept_downloads=True, **options)
    found.on("pageerror", lambda error: pytest.fail(str(error)))
    _ = found.goto(f"{path.as_uri()}{fragment}")
    return found


def test_the_address_holds_all_that_is_chosen(context, path, rows):
    first = opened(context, path)
    assert "#" not in first.url
    first.locator("#sentences button").nth(1).click()
    first.locator("#heat thead [data-layer='0']").first.click()
    first.locator("#query").select_option("2")
    first.locator("#scale").select_option("one")
    first.locator("#special").check()
    first.locator("#method-rollout").uncheck()
    layer, position = int(rows[1]["layers"][0]), int(rows[1]["queries"][2])
    assert first.url.endswith(f"#s=2&l={layer}&p={position}&by=one&special=1&m=1.3")
    other = opened(context, path, fragment=first.url.partition("#")[1] + first.url.partition("#")[2])
    for box in ("#words", "#heat", "#prediction"):
        assert other.locator(box).inner_html() == first.locator(box).inner_html()
    assert not other.locator("#method-rollout").is_checked()
    # Another address in the same page, and the one without anything chosen.
    other.evaluate("location.hash = 's=3'")
    other.wait_for_timeout(100)
    assert other.locator("#sentences [aria-current='true']").inner_text().endswith(TEXTS[2])
    assert other.locator("#method-rollout").is_checked()
    first.close()
    other.close()


def test_the_numbers_of_what_is_shown_are_a_file(context, path, rows):
    shown = opened(context, path, fragment="#s=1&p=3&m=1.3")
    with shown.expect_download() as download:
        shown.locator("#save-csv").click()
    assert download.value.suggested_filename.endswith("-1.csv")
    row, found = rows[0], list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
    assert list(dict.fromkeys(line["method"] for line in found)) == ["raw", "flow"]
    for method in ("raw", "flow"):
        mine = [line for line in found if line["method"] == method]
        values = np.array([float(line["relevance"]) for line in mine])
        np.testing.assert_allclose(values, row[method][:, 3].ravel().astype(np.float32), rtol=1e-6)
        assert [line["token"].lstrip("'") for line in mine] == list(row["tokens"]) * len(row["layers"])
        assert {line["position"] for line in mine} == {"3"}
    proven = [line["certified"] for line in found if line["method"] == "flow"]
    assert proven == [str(bool(value)).lower() for value in row["certified"][:, 3].ravel()]
    assert {line["certified"] for line in found if line["method"] == "raw"} == {""}
    shown.close()


def test_the_picture_of_what_is_shown_has_title_names_and_legend(context, path, rows):
    shown = opened(context, path)
    with shown.expect_download() as download:
        shown.locator("#save-svg").click()
    tree = ET.fromstring(Path(download.value.path()).read_text("utf-8"))  # noqa: S314 (made by the page)
    texts = [element.text for element in tree.iter(f"{SVG}text")]
    assert any(TEXTS[0] in text and manifest(1)["model"] in text for text in texts)
    assert any(text.startswith("relevance to 0") and "mixing: attention" in text for text in texts)
    assert {*METHODS, *rows[0]["tokens"], "0", "largest of the layer"} <= set(texts)
    boxes = tree.findall(f"{SVG}rect")
    cells = len(METHODS) * len(rows[0]["layers"]) * len(rows[0]["tokens"])
    # The back, each number, and the steps of the legend.
    assert len(boxes) == 1 + cells + 11
    width, height = float(tree.get("width")), float(tree.get("height"))
    assert all(float(box.get("x", 0)) + 14 <= width and float(box.get("y", 0)) + 12 <= height for box in boxes)
    shown.close()


def test_the_png_has_the_colours_of_the_svg_where_it_has_them(context, path):
    shown = opened(context, path)
    with shown.expect_download() as download:
        shown.locator("#save-png").click()
    tree = ET.fromstring(shown.evaluate("jaxflow.svg()"))  # noqa: S314 (made by the page)
    with Image.open(download.value.path()) as file:
        pixels = np.asarray(file.convert("RGB"))
    assert pixels.shape[:2] == (2 * float(tree.get("height")), 2 * float(tree.get("width")))
    _, *cells = tree.findall(f"{SVG}rect")
    for cell in cells:
        x, y, width, height = (float(cell.get(name)) for name in ("x", "y", "width", "height"))
        colour = [int(part) for part in re.findall(r"\d+", cell.get("fill"))]
        found = pixels[int(2 * y + height), int(2 * x + width)]
        np.testing.assert_allclose(found, colour, atol=1, err_msg=str(cell.attrib))
    # Names are written beside the cells: something darker than the ground.
    left = int(2 * float(cells[0].get("x")))
    assert pixels[148:, : left - 4].min() < 128
    shown.close()


@pytest.mark.parametrize("width", [400, 1000, 1600])
@pytest.mark.parametrize("layers", [3, 12])
def test_no_method_is_cut_off_and_a_wide_page_is_filled(context, tmp_path, width, layers):
    methods = ("flow@attention-gradient", *METHODS)
    row = make_row(TEXTS[0], methods=methods)
    tokens = len(row["tokens"])
    row |= {"layers": np.arange(1, layers + 1), "certified": np.ones((layers, 1, tokens), bool)}
    row |= {name: np.random.default_rng(0).random((layers, 1, tokens)).astype(np.float32) for name in methods}
    row = {name: value for name, value in row.items() if "saturated" not in name}
    target = tmp_path / "report.html"
    _ = target.write_text(page.render(page.page_data(manifest(2, methods=methods), [row])), "utf-8")
    shown = opened(context, target, width)
    heat = shown.locator("#heat")
    assert heat.evaluate("heat => heat.scrollWidth <= heat.clientWidth")
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    assert heat.locator("th.group").all_inner_texts() == [
        name if "@" not in name else heat.locator("th.group").first.inner_text() for name in methods
    ]
    assert not shown.locator("#heat-more").is_visible()
    assert heat.locator("td").count() == len(methods) * layers * tokens
    taken = heat.evaluate("heat => Math.max(...[...heat.children].map(table => table.offsetWidth)) / heat.clientWidth")
    # Three layers of four methods have cells as wide as helps.
    assert taken > (0.4 if layers == 3 and width == 1600 else 0.7)
    # A cell of the last band says whose it is, and the window may change.
    heat.locator("table").last.locator("td").last.hover()
    assert shown.locator("#tooltip").inner_text().count("flow")
    shown.set_viewport_size({"width": 2000 - width, "height": 900})
    shown.wait_for_timeout(200)
    assert heat.evaluate("heat => heat.scrollWidth <= heat.clientWidth")
    shown.close()


def test_touch_chooses_layers_and_positions_and_shows_numbers(context, path):
    shown = opened(context, path, 400, has_touch=True, is_mobile=True)
    cell = shown.locator("#heat tbody tr").nth(2).locator("td").first
    cell.tap()
    assert shown.locator("#layer-name").inner_text() == shown.locator("#heat thead [data-layer='0']").first.inner_text()
    assert shown.locator("#tooltip").is_visible()
    shown.locator("#words .token[data-token='1']").first.tap()
    assert shown.locator("#query").input_value() == "1"
    shown.locator("#sentences button").nth(1).tap()
    assert "s=2" in shown.url
    shown.close()


def test_what_a_class_is_called_is_explained_where_it_is_known(context, tmp_path):
    row = make_row("The keys", label="VBP")
    target = tmp_path / "report.html"
    about = manifest(1) | {"model": "verb-number"}
    _ = target.write_text(page.render(page.page_data(about, [row])), "utf-8")
    shown = opened(context, target)
    assert "VBP (a plural verb follows)" in shown.locator("#prediction").text_content()
    shown.close()
    # Another model's class of that name may mean anything.
    assert page.page_data(about | {"model": "mine"}, [row])["meanings"] == {}


@pytest.mark.parametrize("tokens", [1, 30, 120, 500])
def test_a_page_of_one_text_stays_below_2_mb(tokens):
    layers, methods = 12, ("flow@attention-gradient", *METHODS)
    row = make_row("x", methods=methods)
    shape = (layers, tokens, tokens)
    row |= {"text": "x " * tokens, "tokens": ["x"] * tokens, "source": np.zeros(tokens, int)}
    row |= {"offsets": np.stack([2 * np.arange(tokens), 2 * np.arange(tokens) + 1], axis=1)}
    row |= {"layers": np.arange(1, layers + 1), "queries": np.arange(tokens)}
    row |= {name: np.full(shape, 0.5, np.float32) for name in methods}
    # Where neither all flows are proven nor all told apart.
    row["certified"] = row["flow:saturated"] = np.arange(tokens) % 2 * np.ones(shape) > 0
    html = page.render(page.page_data(manifest(1, methods=methods), [row]))
    assert len(html.encode()) < 2_000_000
    assert page.page_data(manifest(1, methods=methods), [row])["examples"][0]["queries"]
