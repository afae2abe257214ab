"""The explorer on a phone: every view answers to touch, and pictures are in sight soon."""

import pytest

from tests.pages.browser import Opened

# The middle of a view's first mark of a kind, on the canvas.
MARK = """([view, kind]) => {
  const says = mark => mark.tip && mark.is?.[kind] !== undefined && ['text', 'rect', 'circle'].includes(mark.kind);
  const mark = jaxflow.scene(view).marks.find(mark => says(mark) && mark.is[kind] !== jaxflow.state[kind]);
  if (mark.kind === 'rect') return { x: mark.x + mark.width / 2, y: mark.y + mark.height / 2 };
  const by = mark.kind !== 'text' || mark.anchor === 'middle' ? 0 : mark.anchor === 'end' ? -9 : 9;
  const turn = (mark.turn ?? 0) * Math.PI / 180;
  return { x: mark.x + by * Math.cos(turn), y: mark.y + by * Math.sin(turn) };
}"""
RASTER = """([view, left, top]) => {
  const mark = jaxflow.scene(view).marks.find(mark => mark.kind === 'raster');
  return { x: mark.x + mark.width * left, y: mark.y + mark.height * top };
}"""


@pytest.fixture(scope="module")
def phone(context, path):
    device = context.browser.new_context(viewport={"width": 400, "height": 850}, has_touch=True, is_mobile=True)
    opened = Opened(device, path)
    yield opened
    opened.close()
    device.close()


def tapped(phone, view, at):
    phone.picture(view).scroll_into_view_if_needed()
    phone.settle()
    phone.picture(view).tap(position=at)
    phone.settle()


@pytest.mark.parametrize("view", ["rings", "sankey", "network", "words"])
def test_a_tap_on_a_word_traces_it_and_says_its_numbers(phone, view):
    phone.set(word=None, position=0)
    tapped(phone, view, phone.run(MARK, [view, "word"]))
    assert phone.state("word") is not None
    assert phone.page.locator("#choose-word").input_value() == str(phone.state("word"))
    assert phone.page.locator("#tooltip").is_visible()


def test_a_tap_on_a_square_chooses_its_position_and_word(phone):
    phone.set(word=None, position=0)
    size = phone.run("jaxflow.context().size")
    tapped(phone, "heat", phone.run(RASTER, ["heat", 5.5 / size, 3.5 / size]))
    assert (phone.state("position"), phone.state("word")) == (3, 5)


def test_a_tap_on_a_head_shows_it(phone):
    tapped(phone, "grid", phone.run(RASTER, ["grid", 0.75, 0.5]))
    assert (phone.state("layer"), phone.state("head")) == (2, 2)
    phone.set(word=2)
    tapped(phone, "ask", phone.run(MARK, ["ask", "head"]))
    first = phone.table("ask")[0]
    assert (str(phone.state("layer")), str(phone.state("head"))) == (first["layer"], first["head"])


def test_a_tap_on_a_count_lists_its_sentences(phone):
    before = phone.run("jaxflow.listed().length")
    tapped(phone, "predictions", phone.run(MARK, ["predictions", "cell"]))
    assert 0 < phone.run("jaxflow.listed().length") < before
    phone.page.locator("#unfilter").tap()
    phone.settle()
    assert phone.run("jaxflow.listed().length") == before


def test_words_of_the_sentence_and_buttons_answer_too(phone):
    phone.set(word=None)
    phone.page.locator("#strip .token[data-token='3']").first.tap()
    phone.settle()
    assert phone.state("word") == 3
    phone.page.locator("#panel-rings .saves button").last.tap()
    phone.settle()
    assert phone.state("view") == "rings"
    phone.page.locator("#panel-rings .saves button").last.tap()
    phone.settle()
    assert phone.state("view") == ""


def test_on_a_phone_a_picture_is_on_the_first_screen(phone):
    phone.run("scrollTo(0, 0)")
    top = phone.run("document.querySelector('#panel-rings').getBoundingClientRect().top")
    # The shaded sentence well within the first screen, the rings from below it on.
    assert phone.run("document.querySelector('#strip .token').getBoundingClientRect().top") < 500
    assert top < 700
    method = phone.page.locator("#controls [data-field='method']")
    assert not method.is_visible()
    assert phone.page.locator("#choose-position").is_visible()
    phone.page.locator("#options").tap()
    assert method.is_visible()
    assert phone.page.locator("#options").get_attribute("aria-expanded") == "true"
    phone.page.locator("#options").tap()
    assert not method.is_visible()
    assert phone.run("document.documentElement.scrollWidth") == 400
