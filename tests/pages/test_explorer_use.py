"""The explorer in a real browser: questions, choices that show in every view, the address, keys."""

from collections import Counter

import numpy as np
import pytest

from tests.pages.browser import Opened
from tests.pages.tiny_pair import TEXTS

BOLD = "name => jaxflow.scene(name).marks.filter(m => m.kind === 'text' && m.bold).map(m => m.text)"
RASTER = """name => {
  const found = jaxflow.scene(name).marks.find(mark => mark.kind === 'raster');
  return [found.x, found.y, found.width, found.height];
}"""
CELL = """cell => {
  const { x, y, width, height } = jaxflow.scene('predictions').marks.find(mark => mark.is?.cell === cell);
  return { x: x + width / 4, y: y + height / 4 };
}"""
# A little along a text from where it is held, and the middle of the strongest arc, which is a line and lies on top.
LABEL = """text => {
  const mark = jaxflow.scene('rings').marks.find(mark => mark.text === text && mark.is);
  const by = mark.anchor === 'end' ? -9 : 9, turn = (mark.turn ?? 0) * Math.PI / 180;
  return { x: mark.x + by * Math.cos(turn), y: mark.y + by * Math.sin(turn) };
}"""
ARC = """() => {
  const ends = [], pen = { moveTo: (...end) => ends.push(end), lineTo: (...end) => ends.push(end) };
  jaxflow.scene('network').marks.findLast(mark => mark.arc).trace(pen);
  return { x: (ends[0][0] + ends[1][0]) / 2, y: (ends[0][1] + ends[1][1]) / 2 };
}"""
VIEWS = ("rings", "sankey", "network", "heat", "grid", "words", "ask", "predictions")


def floats(rows, name):
    return np.array([float(row[name]) for row in rows])


def test_which_heads_attend_to_a_word(page, pair):
    page.page.locator("#search").fill("key")
    page.settle()
    listed = [index for index, text in enumerate(TEXTS) if "key" in text]
    assert page.run("jaxflow.listed()") == listed
    page.page.keyboard.press("Enter")
    page.settle()
    assert page.state("word") == 2
    assert page.page.locator("#found").inner_text() == f"1 of {sum(text.count('key') for text in TEXTS)}"
    rows = page.table("ask")
    strongest = [max(float(row["first"]), float(row["second"])) for row in rows]
    assert strongest == sorted(strongest, reverse=True)
    for row in rows:
        head = int(row["layer"]) - 1, int(row["head"]) - 1
        for side, name in zip(pair.sides, ("first", "second"), strict=True):
            assert float(row[name]) == pytest.approx(float(side.attention[0][head][:, 2].mean()), abs=0.01)
    page.set(asked="position", position=4)
    row = page.table("ask")[0]
    exact = pair.sides[0].attention[0][int(row["layer"]) - 1, int(row["head"]) - 1, 4, 2]
    assert float(row["first"]) == pytest.approx(float(exact), abs=0.01)
    page.set(asked="everywhere")
    page.wait("!jaxflow.csv('ask').startsWith('nothing')")
    examples = pair.sides[1].examples
    places = [
        (i, p) for i, example in enumerate(examples) for p in range(len(example.tokens)) if example.tokens[p] == "key"
    ]
    for row in page.table("ask"):
        head = int(row["layer"]) - 1, int(row["head"]) - 1
        expected = np.mean([pair.sides[1].attention[i][head][:, p].mean() for i, p in places])
        assert float(row["second"]) == pytest.approx(expected, abs=0.01)
    # On to the next sentence that has it, from which the word is chosen, and back.
    page.run("document.getElementById('search').blur()")
    page.press("n")
    assert (page.state("sentence"), page.state("word")) != (0, 2)
    page.press("N")
    assert (page.state("sentence"), page.state("word")) == (0, 2)


@pytest.mark.parametrize("sort", ["change", "moved", "loss", "confidence", "prediction"])
def test_sentences_are_sorted(page, pair, sort):
    page.page.locator("#choose-sort").select_option(sort)
    page.settle()
    examples = [[side.examples[i] for side in pair.sides] for i in range(len(TEXTS))]
    keys = {
        "change": lambda i: -pair.change[i].mean(),
        "moved": lambda i: -pair.moved[i],
        "loss": lambda i: -max(-np.inf if side.losses[i] is None else side.losses[i] for side in pair.sides),
        "confidence": lambda i: min(example.scores[example.prediction] for example in examples[i]),
        "prediction": lambda i: " ".join(example.prediction for example in examples[i]),
    }
    assert page.run("jaxflow.listed()") == sorted(range(len(TEXTS)), key=keys[sort])


def test_confusion_of_predictions_filters_the_list(page, pair):
    first, second = ([example.prediction for example in side.examples] for side in pair.sides)
    rows = page.table("predictions")
    assert [row["prediction_1"] for row in rows] == first
    assert [row["prediction_2"] for row in rows] == second
    assert [row["label"] for row in rows] == [label or "" for label in pair.labels]
    np.testing.assert_allclose(floats(rows, "change"), [change.mean() for change in pair.change], rtol=1e-5)
    counts = page.run(
        "jaxflow.scene('predictions').marks.filter(mark => mark.is?.cell).map(mark => [mark.is.cell, mark.tip()])"
    )
    counted = {cell: (int(tip[0].split()[0]), tip[1][1], tip[2][1]) for cell, tip in counts}
    pairs = Counter(zip(first, second, strict=True))
    assert {key[1:]: key[0] for cell, key in counted.items() if cell.startswith("pair.")} == pairs
    cell = next(cell for cell in counted if cell.startswith("label1."))
    page.picture("predictions").click(position=page.run(CELL, cell))
    page.settle()
    _, label, prediction = counted[cell]
    expected = [i for i, given in enumerate(pair.labels) if given == label and second[i] == prediction]
    assert page.run("jaxflow.listed()") == expected
    page.page.locator("#unfilter").click()
    page.settle()
    assert page.run("jaxflow.listed()") == list(range(len(TEXTS)))


def test_a_choice_in_one_view_shows_in_all(page):
    # A word, clicked in the sentence, is marked in every view that names words.
    page.page.locator("#strip .token[data-token='4']").first.click()
    page.settle()
    assert page.state("word") == 4
    word = page.run("jaxflow.context().words[4]")
    for view in ("rings", "sankey", "network", "heat", "words"):
        texts = page.run(BOLD, view)
        assert word in texts
    assert page.page.locator("#choose-word").input_value() == "4"
    assert page.page.locator("#strip .token.traced").count() == 2
    # Another, clicked on the rings.
    page.picture("rings").click(position=page.run(LABEL, "table"))
    page.settle()
    assert page.run("jaxflow.context().words[jaxflow.state.word]") == "table"
    # A head, clicked in the grid, is the heat map's; with Shift it joins those whose mean is taken.
    box = page.run(RASTER, "grid")
    stage = page.picture("grid")
    at = {"x": box[0] + box[2] * 0.75, "y": box[1] + box[3] * 0.5}
    stage.click(position=at)
    page.settle()
    assert (page.state("layer"), page.state("head")) == (2, 2)
    assert {row["head"] for row in page.table("heat")} == {"2"}
    stage.click(position=at, modifiers=["Shift"])
    page.settle()
    assert page.state("heads") == "2.2"
    # A square of the heat map: position and word.
    box = page.run(RASTER, "heat")
    size = page.run("jaxflow.context().size")
    at = {"x": box[0] + box[2] * 5.5 / size, "y": box[1] + box[3] * 3.5 / size}
    page.picture("heat").click(position=at)
    page.settle()
    assert (page.state("position"), page.state("word")) == (3, 5)
    # With Shift a word of the sentence is the position.
    page.page.locator("#strip .token[data-token='2']").first.click(modifiers=["Shift"])
    page.settle()
    assert page.state("position") == 2
    assert page.page.locator("#choose-position").input_value() == "2"


def test_the_box_of_an_arc_tells_its_numbers(page):
    page.set(strength="attention", trace="all", threshold=0.2, view="network")
    assert page.page.locator("#panel-network svg path").count() == 0
    page.picture("network").hover(position=page.run(ARC))
    row = page.table("network")[0]
    said = page.page.locator("#tooltip").inner_text()
    assert f"{row['from_token']} ({row['from_position']}) → {row['to_token']} ({row['to_position']})" in said
    assert f"{float(row['first']):.4f}".rstrip("0")[:5] in said
    # The arc itself stands out while the pointer is on it.
    assert page.page.locator("#panel-network svg path").get_attribute("opacity") == "1"
    page.page.mouse.move(5, 5)
    assert not page.page.locator("#tooltip").is_visible()
    assert page.page.locator("#panel-network svg path").count() == 0


def test_views_out_of_sight_follow_those_in_sight(page):
    page.run("scrollTo(0, 0)")
    page.wait("[...document.querySelectorAll('.panel')].some(panel => panel.getBoundingClientRect().top > innerHeight)")
    before = page.run("jaxflow.csv('words')")
    page.run("jaxflow.set({ position: 3 })")
    page.settle()
    assert page.run("jaxflow.csv('words')") != before
    # Asked for at once, a picture is the one of what is chosen, or the one before, and never a mixture.
    found = page.run("jaxflow.set({ position: 0 }).then(() => jaxflow.csv('words'))")
    assert found == before
    page.settle()


def test_the_address_holds_all_that_is_chosen(page, context, path):
    chosen = {"sentence": 3, "position": 2, "word": 5, "layer": 2, "from": 2, "to": 3, "head": 1, "heads": "1.2_2.1"}
    chosen |= {"models": "diff", "strength": "attention", "trace": "both", "threshold": 0.05, "method": "flow"}
    chosen |= {"map": "layers", "measure": "entropy", "order": "change", "asked": "position", "sort": "change"}
    chosen |= {"search": "key & <b>", "theme": "dark", "view": "heat", "cell": "pair.0.0", "special": "1"}
    page.set(**chosen)
    link = page.run("jaxflow.link()")
    page.wait("link => location.hash === '#' + link", link)
    other = Opened(context, path, f"#{link}")
    found = other.state()
    assert {name: found[name] for name in chosen} == chosen
    assert set(found) == set(chosen)
    assert other.run("jaxflow.csv('heat')") == page.run("jaxflow.csv('heat')")
    # Another link in the same page; what cannot be understood is as at first.
    other.run("() => { location.hash = 's=1&l=99&by=magic&p=4000&heads=x&over=7&w=1'; }")
    other.wait("jaxflow.state.sentence === 1")
    other.settle()
    found = other.state()
    assert (found["layer"], found["strength"], found["position"], found["heads"]) == (3, "share", 0, "")
    assert (found["threshold"], found["word"], found["theme"]) == (None, 1, "")
    other.close()


def test_every_key_does_what_the_help_says(page):
    def after(*keys):
        page.press(*keys)
        return page.state()

    assert after("j")["sentence"] == 1
    assert after("j", "k")["sentence"] == 1
    assert after(".", ".", ",")["position"] == 1
    assert after(">")["word"] == 0
    assert after(">", ">", "<")["word"] == 1
    assert after("w")["word"] is None
    assert after("x")["trace"] == "forward"
    assert after("b")["strength"] == "attention"
    assert after("m")["models"] == "diff"
    assert after("v")["method"] == "flow"
    assert after("i")["special"] == "1"
    assert after("[")["layer"] == 2
    assert after("]")["layer"] == 3
    assert after(")")["from"] == 2
    assert after("(")["from"] == 1
    assert after("{")["to"] == 2
    assert after("}")["to"] == 3
    assert after("h")["head"] == 1
    assert after("a")["heads"] == "3.1"
    assert after("H")["head"] == 0
    assert after("a")["heads"] == ""
    before = page.run("jaxflow.context().threshold")
    assert after("+")["threshold"] > before
    assert after("-", "-")["threshold"] < before
    assert after("0")["threshold"] is None
    for number, view in enumerate(VIEWS, 1):
        assert after(str(number))["view"] == view
        assert page.page.locator(".panel:not([hidden])").count() == 1
        assert after(str(number))["view"] == ""
    assert after("y")["map"] == "method"
    assert after("g")["measure"] == "change"
    assert after("o")["order"] == "value"
    assert after("q")["asked"] == "position"
    assert after("t")["theme"] == "light"
    page.press("l")
    page.wait("document.getElementById('status').textContent.length > 0")
    page.press("?")
    assert page.page.locator("#help").is_visible()
    listed = page.page.locator("#help kbd").all_inner_texts()
    page.press("?")
    assert not page.page.locator("#help").is_visible()
    assert after("4")["view"] == "heat"
    assert after("Escape")["view"] == ""
    page.press("/")
    assert page.run("document.activeElement.id") == "search"
    page.press("Escape")
    assert page.run("document.activeElement.id") != "search"
    # All that the help lists was pressed here or in another test.
    done = set("jk/nN.,><wxbmvi][)(}{hHa+-=0yogqspclt?12345678") | {"Esc", "arrows"}
    assert set(listed) == done


def test_arrows_move_in_the_picture_that_has_the_focus(page):
    page.page.locator("#panel-heat .stage").focus()
    page.press("ArrowDown", "ArrowDown", "ArrowUp", "ArrowRight", "ArrowRight")
    assert (page.state("position"), page.state("word")) == (1, 1)
    page.page.locator("#panel-grid .stage").focus()
    page.press("ArrowUp", "ArrowRight")
    assert (page.state("layer"), page.state("head")) == (2, 1)
    page.page.locator("#panel-rings .stage").focus()
    page.press("ArrowUp", "ArrowRight")
    assert (page.state("layer"), page.state("word")) == (3, 2)
