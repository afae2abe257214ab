"""The explorer in a real browser: it opens, is saved, can be read at every width, and takes text for text."""

import csv
import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from jaxflow.pages.explore import explore
from jaxflow.pages.explorer import write_explorer
from tests.pages.browser import Opened
from tests.pages.tiny_pair import HOSTILE_TEXTS, TEXTS

TOO_WIDE = """() => [...document.querySelectorAll('.stage')]
  .filter(stage => stage.querySelector('canvas').getBoundingClientRect().width > stage.clientWidth + 1)
  .map(stage => stage.dataset.view)"""
HALF = {"rtol": 2**-10, "atol": 1e-6}  # relevance is kept in half precision
VIEWS = ("rings", "sankey", "network", "heat", "grid", "words", "ask", "predictions")


def contrast(one, other):
    return np.divide(*sorted((luminance(one) + 0.05, luminance(other) + 0.05), reverse=True))


def luminance(colour):
    if colour.startswith("#"):
        parts = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    else:
        parts = np.array([int(part) for part in colour[4:-1].split(",")]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_it_opens_with_every_view_and_loads_nothing(page):
    assert page.run("jaxflow.data.models.length") == 2
    for view in VIEWS:
        assert page.run("name => jaxflow.scene(name).marks.length", view) > 0
        assert page.page.locator(f"#panel-{view} canvas").is_visible()
    assert page.page.title().startswith("jaxflow: ")
    assert "mixing: attention (heads mean, residual 0.5)" in page.page.locator("#about").inner_text()


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_saved_as_picture_and_numbers(page, view):
    page.set(word=2, theme="light")
    saved = {}
    for kind, key in (("svg", None), ("png", None), ("csv", None)):
        assert key is None
        # Chromium drops every tenth download of a burst, which no person clicks.
        page.page.wait_for_timeout(300)
        with page.page.expect_download() as download:
            page.page.locator(f"#panel-{view} [data-save={kind}]").click()
        assert download.value.suggested_filename == f"jaxflow-{view}-1.{kind}"
        with open(download.value.path(), "rb") as file:  # noqa: PTH123
            saved[kind] = file.read()
    picture = ET.fromstring(saved["svg"])  # noqa: S314
    names = {element.tag.split("}")[1] for element in picture.iter()}
    assert names <= {"svg", "title", "rect", "path", "circle", "text", "image"}
    scene = page.run(
        "name => { const { width, height, title, marks } = jaxflow.scene(name);"
        "return { width, height, title, marks: marks.length, arcs: marks.some((mark) => mark.arc) }; }",
        view,
    )
    # Beside the marks: the title twice (as such, and to be seen), the background, and what the looks of arcs mean.
    written = [element.text for element in picture.iter() if element.tag.endswith("}text")]
    assert written[0] == scene["title"]
    legend = [text for text in written[1:4] if text.startswith("2 × as strong") or text == "alike in both"]
    assert bool(legend) == scene["arcs"]
    assert len(list(picture)) == scene["marks"] + 3 + 2 * len(legend)
    # A picture as large as it says, with more than its background on it, none of which is cut off.
    assert saved["png"].startswith(b"\x89PNG")
    width, height = (int.from_bytes(saved["png"][start : start + 4], "big") for start in (16, 20))
    assert [width, height] == [int(2 * float(picture.get(side))) for side in ("width", "height")]
    assert width >= int(2 * scene["width"])
    assert height > int(2 * scene["height"])
    assert len(saved["png"]) > 2000
    assert list(csv.DictReader(io.StringIO(saved["csv"].decode()))) == page.table(view)


def test_keys_save_the_view_that_is_enlarged(page):
    page.set(view="words")
    for key, kind in (("s", "svg"), ("p", "png"), ("c", "csv")):
        with page.page.expect_download() as download:
            page.page.keyboard.press(key)
        assert download.value.suggested_filename == f"jaxflow-words-1.{kind}"


def test_light_and_dark_can_be_read(page):
    """Black on white or white on black, and every colour of arcs at least 3 : 1 from the background."""
    looks = {}
    for theme in ("light", "dark"):
        page.set(theme=theme)
        found = page.run("jaxflow.colours()")
        assert luminance(page.run("getComputedStyle(document.body).backgroundColor")) == luminance(found["back"])
        looks[theme] = found
        for name in ("fore", "soft", "a", "b", "shared", "target", "word"):
            assert contrast(found[name], found["back"]) >= (4.5 if name in ("fore", "soft") else 3), (theme, name)
    assert looks["light"]["back"] != looks["dark"]["back"]
    page.page.emulate_media(color_scheme="dark")
    page.set(theme="")
    assert page.run("jaxflow.colours().fore") == looks["dark"]["fore"]
    page.page.emulate_media(color_scheme="light")
    page.wait("fore => jaxflow.colours().fore === fore", looks["light"]["fore"])


@pytest.mark.parametrize("width", [390, 820, 1400])
def test_nothing_runs_over_the_edge(page, width):
    page.page.set_viewport_size({"width": width, "height": 900})
    page.run("jaxflow.set({})")
    page.settle()
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(TOO_WIDE) == []
    page.page.set_viewport_size({"width": 1400, "height": 1000})


def test_one_model_without_flow_or_classes_to_compare(models, context, tmp_path):
    found = explore(models[0], [*HOSTILE_TEXTS, "the key"], methods=("rollout",))
    opened = Opened(context, write_explorer(found, tmp_path / "one.html"))
    assert opened.run("jaxflow.data.methods") == ["raw", "rollout"]
    # Hostile text is text: no element of it, no script of it, and each sign of it is there.
    assert opened.run("document.querySelectorAll('img, b').length") == 0
    listed = opened.run("[...document.querySelectorAll('#sentences .sentence')].map(e => e.textContent)")
    assert listed[1] == HOSTILE_TEXTS[1]
    for index in range(4):
        opened.set(sentence=index, word=1, trace="both", strength="attention")
        for view in VIEWS:
            assert opened.run("name => jaxflow.svg(name).includes('<img')", view) is False
        text = found.sides[0].examples[index].text.replace("\u202e", "U+202E").replace("\u200f", "U+200F")
        assert opened.run("document.querySelector('#strip .text').textContent") == f"[CLS]{text}[SEP]"
    opened.set(strength="flow")
    values = [float(row["value"]) for row in opened.table("heat")]
    np.testing.assert_allclose(values, found.sides[0].examples[3].relevance["raw"][-1].ravel(), **HALF)
    opened.close()


def test_flow_that_was_not_asked_for_is_said_to_be_missing(models, context, tmp_path):
    found = explore(models[0], TEXTS[:1], queries=[2])
    opened = Opened(context, write_explorer(found, tmp_path / "some.html"))
    opened.set(method="flow", position=2)
    expected = found.sides[0].examples[0].relevance["flow"][-1, 0]
    flows = [float(row["value"]) for row in opened.table("words") if row["method"] == "flow"]
    np.testing.assert_allclose(flows, expected[np.argsort(range(len(expected)))], **HALF)
    opened.set(position=1)
    assert {row["value"] for row in opened.table("words") if row["method"] == "flow"} == {""}
    assert "not computed" in opened.run("jaxflow.svg('words')")
    opened.close()


def test_the_words_that_carry_the_class_stand_below_the_text(models, context, tmp_path):
    method = "flow@attention-gradient"
    found = explore(models[0], TEXTS, other=models[1], methods=("rollout", method), target="good", queries=0)
    opened = Opened(context, write_explorer(found, tmp_path / "carried.html"))
    lines = "[...document.querySelectorAll('#strip .carried')].map(line => line.textContent)"
    for index in range(len(TEXTS)):
        opened.set(sentence=index, models="both")
        for line, side in zip(opened.run(lines), found.sides, strict=True):
            # The word of the largest relevance at the last layer, special tokens left out, and its share of all words.
            example = side.examples[index]
            words = np.where(np.array(example.source) >= 0, example.relevance[method][-1, 0], 0)
            carried = side.carried[index]
            assert carried.words[0].share >= words.max() / words.sum() - 1e-6
            assert line.startswith(f"good carried by{carried.words[0].text} {carried.words[0].share:.2f}")
            assert line.endswith(f"by {method}, last layer")
        opened.set(models="diff")
        assert [line.split("in ")[-1] for line in opened.run(lines)] == [side.name for side in found.sides]
    # The longest method's name is whole on its button.
    button = opened.page.locator(f".segment[data-field=method] button[data-value='{method}']")
    assert button.evaluate("button => button.scrollWidth <= button.clientWidth")
    opened.close()


# The content policy of VS Code's notebooks (`notebook.experimental.enableCsp`), which a frame's page inherits.
VS_CODE = (
    "default-src 'none'; script-src https://*.vscode-cdn.net 'unsafe-inline' 'unsafe-eval'; "
    "style-src https://*.vscode-cdn.net 'unsafe-inline'; img-src https://*.vscode-cdn.net https: http: data:; "
    "font-src https://*.vscode-cdn.net https:; connect-src https:; child-src https: data:"
)


@pytest.mark.parametrize("policy", [None, VS_CODE])
def test_in_a_notebooks_frame_it_draws_and_answers(models, context, tmp_path, policy):
    found = explore(models[0], TEXTS[:1], methods=("rollout",))
    strict = "" if policy is None else f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    (tmp_path / "cell.html").write_text(strict + found._repr_html_(), "utf-8")
    cell, errors, requests = context.new_page(), [], []
    cell.on("pageerror", lambda error: errors.append(str(error)))
    cell.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    cell.on("request", lambda request: requests.append(request.url))
    _ = cell.goto((tmp_path / "cell.html").as_uri())
    frame = cell.frames[1]
    while not frame.evaluate("Boolean(window.jaxflow?.context())"):
        cell.wait_for_timeout(20)
    frame.evaluate("jaxflow.set({ word: 2 }).then(jaxflow.settled)")
    assert frame.evaluate("jaxflow.context().words[jaxflow.state.word]") == found.sides[0].examples[0].tokens[2]
    cell.wait_for_timeout(300)
    assert errors == []
    # The cell itself and the frame's own text: nothing from elsewhere.
    assert all(url.startswith(("file:", "about:")) for url in requests), requests
    cell.close()
