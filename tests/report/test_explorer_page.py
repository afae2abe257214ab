"""The explorer in a real browser: views, filters, traces, links, exports and keys, numbers against the library's."""

import csv
import io
import xml.etree.ElementTree as ET
from collections import Counter

import networkx as nx
import numpy as np
import pytest

import jaxflow as jf
from jaxflow.report.explore import explore
from jaxflow.report.explorer import write_explorer
from tests.report.browser import Opened, browser
from tests.report.tiny_pair import HOSTILE_TEXTS, TEXTS, TRUTH, model_folder, moved_folder

LAYERS, HEADS = 3, 2
VIEWS = ("rings", "sankey", "network", "heat", "grid", "words", "ask", "predictions")
BOLD = "name => jaxflow.scene(name).marks.filter(m => m.kind === 'text' && m.bold).map(m => m.text)"
RASTER = """name => {
  const found = jaxflow.scene(name).marks.find(mark => mark.kind === 'raster');
  return [found.x, found.y, found.width, found.height];
}"""
CLICK_CELL = """cell => [...document.querySelectorAll('#panel-predictions rect')]
  .find(element => element.__data__.is?.cell === cell).dispatchEvent(new MouseEvent('click', { bubbles: true }))"""
POINT_AT_ARC = """() => document.querySelector('#panel-network .arc')
  .dispatchEvent(new MouseEvent('mousemove', { bubbles: true, clientX: 300, clientY: 300 }))"""
TOO_WIDE = """() => [...document.querySelectorAll('.stage')]
  .filter(stage => stage.querySelector('svg').getBoundingClientRect().width > stage.clientWidth + 1)
  .map(stage => stage.dataset.view)"""
HALF = {"rtol": 2**-10, "atol": 1e-6}  # relevance is kept in half precision


@pytest.fixture(scope="module")
def models():
    return [jf.load_encoder(str(folder())) for folder in (model_folder, moved_folder)]


@pytest.fixture(scope="module")
def pair(models):
    found = explore(models[0], TEXTS, models[1], labels=TRUTH)
    importance = [np.arange(6).reshape(3, 2) / 10, np.ones((3, 2))]
    return found.with_heads({"importance": importance}, [[["next", "own"]] * 3, [["[SEP]", "own"]] * 3])


@pytest.fixture(scope="module")
def context():
    with browser() as program:
        opened = program.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
        opened.set_default_timeout(20000)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def path(pair, tmp_path_factory):
    return write_explorer(pair, tmp_path_factory.mktemp("page") / "explorer.html")


@pytest.fixture(scope="module")
def shared(context, path):
    opened = Opened(context, path)
    yield opened
    opened.close()


@pytest.fixture
def page(shared):
    """The page as at first."""
    shared.run("() => { location.hash = ''; document.getElementById('search').value = ''; }")
    shared.settle()
    shared.run("() => jaxflow.set(Object.fromEntries(Object.entries(jaxflow.first)))")
    shared.settle()
    return shared


def floats(rows, name):
    return np.array([float(row[name]) for row in rows])


def square(rows, name, size):
    """A matrix of a table's values by position and token."""
    return floats(rows, name).reshape(size, size)


def mixings(side, index):
    """Layer by layer, in double precision, from the library's fused attention."""
    fused = side.examples[index].relevance["raw"].astype(np.float64)
    return 0.5 * np.eye(fused.shape[-1]) + 0.5 * fused


def arcs_of(rows, name, size, layers):
    found = np.zeros((layers, size, size))
    first = min(int(row["layer"]) for row in rows)
    for row in rows:
        found[int(row["layer"]) - first, int(row["to_position"]), int(row["from_position"])] = float(row[name])
    return found


def size_of(pair, index=0):
    return len(pair.sides[0].examples[index].tokens)


def test_it_opens_with_every_view_and_loads_nothing(page):
    assert page.run("jaxflow.data.models.length") == 2
    for view in VIEWS:
        assert page.run("name => jaxflow.scene(name).marks.length", view) > 0
        assert page.page.locator(f"#panel-{view} svg.over").is_visible()
    assert page.page.title().startswith("jaxflow: ")


@pytest.mark.parametrize("head", [1, 2])
def test_heat_map_of_a_head(page, pair, head):
    page.set(sentence=3, layer=2, head=head, map="heads")
    rows, size = page.table("heat"), size_of(pair, 3)
    for side, name in zip(pair.sides, ("first", "second"), strict=True):
        exact = side.attention[3][1, head - 1].astype(np.float64)
        assert (np.abs(square(rows, name, size) - exact) <= np.sqrt(exact) / 255 + 5e-6).all()
    assert [rows[1][name] for name in ("position_token", "token_text")] == [
        "[CLS]",
        pair.sides[0].examples[3].tokens[1],
    ]


@pytest.mark.parametrize("method", ["raw", "rollout", "flow"])
def test_heat_map_of_a_method(page, pair, method):
    page.set(sentence=1, layer=3, method=method, map="method")
    rows = page.table("heat")
    for side, name in zip(pair.sides, ("first", "second"), strict=True):
        expected = side.examples[1].relevance[method][2]
        np.testing.assert_allclose(square(rows, name, len(expected)), expected, **HALF)


def test_heads_fused_are_the_librarys_and_those_chosen_their_mean(page, pair):
    page.set(layer=1, head=0, map="heads", models="b")
    rows, size = page.table("heat"), size_of(pair)
    np.testing.assert_allclose(square(rows, "value", size), pair.sides[1].examples[0].relevance["raw"][0], **HALF)
    page.set(heads="1.2")
    expected = pair.sides[1].attention[0][0, 1]
    assert np.abs(square(page.table("heat"), "value", size) - expected).max() <= 1 / 255
    assert page.page.locator("#heads").inner_text() == "1 of 6"


def test_by_layer_and_words_show_every_method(page, pair):
    page.set(sentence=4, position=2, map="layers", layer=2)
    rows = page.table("heat")
    assert len(rows) == 3 * LAYERS * size_of(pair, 4)
    for table in (rows, page.table("words")):
        for row in table:
            for side, name in zip(pair.sides, ("first", "second"), strict=True):
                values = side.examples[4].relevance[row["method"]]
                expected = values[int(row["layer"]) - 1, 2, int(row["token"])]
                assert float(row[name]) == pytest.approx(float(expected), rel=2**-10, abs=1e-6)
    gains = [float(row["second"]) - float(row["first"]) for row in page.table("words")]
    np.testing.assert_allclose(gains, floats(page.table("words"), "change"), atol=1e-7)


def test_words_are_ordered_by_what_they_gained(page):
    page.set(order="change", method="rollout")
    gains = [float(row["change"]) for row in page.table("words") if row["method"] == "rollout"]
    assert gains == sorted(gains, reverse=True)
    assert len(set(gains)) > 3
    page.set(order="value")
    values = [float(row["second"]) for row in page.table("words") if row["method"] == "rollout"]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(("first", "to"), [(1, 3), (2, 3), (1, 2)])
def test_shares_of_arcs_sum_to_rollout(page, pair, first, to):
    """The product of the mixings on either side of an arc, and the library's own rollout at the words."""
    page.set(sentence=3, position=4, threshold=0, **{"from": first, "to": to})
    rows, size = page.table("sankey"), size_of(pair, 3)
    for side, name in zip(pair.sides, ("first", "second"), strict=True):
        mixed = mixings(side, 3)[first - 1 : to]
        found = arcs_of(rows, name, size, len(mixed))
        share = np.eye(size)[4]
        for layer in reversed(range(len(mixed))):
            np.testing.assert_allclose(found[layer], share[:, None] * mixed[layer], rtol=3e-3, atol=2e-6)
            share = share @ mixed[layer]
        graph = jf.attention_graph(np.repeat(side.examples[3].relevance["raw"][:, None], 1, axis=1))
        rolled = jf.attention_rollout(graph, start=first - 1)[to - first, 4]
        np.testing.assert_allclose(found[0].sum(axis=0), rolled, rtol=3e-3, atol=2e-6)


def test_a_trace_forward_and_one_from_word_to_position(page, pair):
    page.set(word=2, position=1, trace="forward", threshold=0, models="b")
    size, mixed = size_of(pair), mixings(pair.sides[1], 0)
    found = arcs_of(page.table("sankey"), "value", size, LAYERS)
    rolled = pair.sides[1].examples[0].relevance["rollout"]
    np.testing.assert_allclose(found[-1].sum(axis=1), rolled[-1, :, 2], rtol=3e-3, atol=2e-6)
    np.testing.assert_allclose(found[0], mixed[0] * np.eye(size)[2], rtol=3e-3, atol=2e-6)
    page.set(trace="both")
    found = arcs_of(page.table("sankey"), "value", size, LAYERS)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), rolled[-1, 1, 2], rtol=4e-3)


@pytest.mark.parametrize("models", ["a", "b"])
def test_the_flow_that_is_drawn_is_a_maximum_flow(page, pair, models):
    side, size = pair.sides["ab".index(models)], size_of(pair, 1)
    page.set(sentence=1, models=models, strength="flow", threshold=0)
    for word, position in ((1, 0), (2, 3)):
        page.set(word=word, position=position)
        value = page.run("jaxflow.context().graphs[0].value")
        assert value == pytest.approx(float(side.examples[1].relevance["flow"][-1, position, word]), rel=2e-3)
        flow = arcs_of(page.table("sankey"), "value", size, LAYERS)
        assert (flow <= mixings(side, 1) + 2e-3).all()
        # What goes into a position comes out of it; all begins in the word and ends in the position.
        np.testing.assert_allclose(flow[:-1].sum(axis=2), flow[1:].sum(axis=1), atol=1e-9)
        np.testing.assert_allclose(flow[0].sum(axis=0), value * np.eye(size)[word], atol=1e-9)
        np.testing.assert_allclose(flow[-1].sum(axis=1), value * np.eye(size)[position], atol=1e-9)


def fused_graph(side, index, threshold):
    """Arcs of fused attention over a threshold, and the residual connection's, as networkx has them."""
    fused = side.examples[index].relevance["raw"].astype(np.float16).astype(np.float64)
    graph = nx.DiGraph()
    for layer, to, source in np.ndindex(fused.shape):
        if fused[layer, to, source] >= threshold or to == source:
            graph.add_edge((layer, source), (layer + 1, to))
    return graph, fused


@pytest.mark.parametrize("trace", ["back", "forward", "both", "all"])
def test_arcs_of_attention_lie_on_the_trace(page, pair, trace):
    threshold = 0.17
    page.set(sentence=3, position=3, word=1, strength="attention", trace=trace, threshold=threshold, models="a")
    rows = page.table("network")
    graph, fused = fused_graph(pair.sides[0], 3, threshold)
    down = nx.ancestors(graph, (LAYERS, 3)) | {(LAYERS, 3)} if trace in ("back", "both") else set(graph)
    up = nx.descendants(graph, (0, 1)) | {(0, 1)} if trace in ("forward", "both") else set(graph)
    expected = {
        (layer + 1, to, source)
        for layer, to, source in np.ndindex(fused.shape)
        if fused[layer, to, source] >= threshold and (layer + 1, to) in down and (layer, source) in up
    }
    assert {(int(row["layer"]), int(row["to_position"]), int(row["from_position"])) for row in rows} == expected
    assert 0 < len(expected) < fused.size


def test_strong_arcs_are_shared_or_of_one_model_alone(page, pair):
    page.set(strength="attention", trace="all", threshold=0.15)
    first, second = (side.examples[0].relevance["raw"].astype(np.float16) >= 0.15 for side in pair.sides)
    counts = Counter(row["kind"] for row in page.table("rings"))
    assert counts == {"shared": (first & second).sum(), "a": (first & ~second).sum(), "b": (second & ~first).sum()}
    assert min(counts.values()) > 0
    # Told apart by colour and by dash.
    looks = page.run(
        "() => Object.fromEntries(['a', 'b', 'shared'].map(kind => { const arc = document.querySelector(`#panel-rings .arc.${kind}`);"
        " return [kind, [arc.getAttribute('stroke'), arc.getAttribute('stroke-dasharray')]]; }))"
    )
    assert len({look[0] for look in looks.values()}) == len({look[1] for look in looks.values()}) == 3
    page.set(models="diff")
    rows = page.table("network")
    assert all(abs(float(row["second"]) - float(row["first"])) >= 0.15 for row in rows)
    assert all((row["kind"] == "b") == (float(row["second"]) > float(row["first"])) for row in rows)


def test_the_strength_filter_and_its_automatic_value(page):
    page.set(strength="attention", trace="all")
    before = len(page.table("rings"))
    page.page.locator("#threshold").fill("90")
    page.settle()
    threshold = page.state("threshold")
    rows = page.table("rings")
    assert threshold == pytest.approx(0.4, rel=0.01)
    assert 0 < len(rows) < before
    assert all(max(float(row["first"]), float(row["second"])) >= threshold for row in rows)
    page.page.locator("#automatic").click()
    page.settle()
    assert len(page.table("rings")) == before


def test_the_difference_of_maps_and_heads(page, pair):
    page.set(models="diff", layer=2, head=1, map="heads", measure="change")
    a, b = (side.attention[0][1, 0] for side in pair.sides)
    rows = page.table("heat")
    np.testing.assert_allclose(floats(rows, "second") - floats(rows, "first"), (b - a).ravel(), atol=2 / 255)
    assert "change" in page.run("jaxflow.scene('heat').marks.find(mark => mark.kind === 'text').text")
    found = floats(page.table("grid"), "change").reshape(LAYERS, HEADS)
    np.testing.assert_allclose(found, pair.change[0], rtol=1e-5)


def test_measures_of_heads(page, pair):
    page.set(sentence=1, word=2, position=1, models="both")
    size, source = size_of(pair, 1), np.array(pair.sides[0].examples[1].source)
    expected = {
        "to the word": lambda a: a[..., :, 2].mean(-1),
        "from the position": lambda a: a[..., 1, :].max(-1),
        "to itself": lambda a: np.einsum("lhii->lh", a) / size,
        "to the previous": lambda a: np.einsum("lhii->lh", a[..., 1:, :-1]) / (size - 1),
        "to the next": lambda a: np.einsum("lhii->lh", a[..., :-1, 1:]) / (size - 1),
        "to special tokens": lambda a: a[..., source < 0].sum(-1).mean(-1),
        "entropy": lambda a: -(a * np.log2(a)).sum(-1).mean(-1),
    }
    for measure, of in expected.items():
        page.set(measure=measure)
        rows = page.table("grid")
        for side, name in zip(pair.sides, ("first", "second"), strict=True):
            found = floats(rows, name).reshape(LAYERS, HEADS)
            tolerance = {"rtol": 0.02} if measure == "entropy" else {"atol": 0.01}
            np.testing.assert_allclose(found, of(side.attention[1]), **tolerance)
    page.set(measure="importance")
    assert floats(page.table("grid"), "first").tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    page.set(measure="role")
    assert [list(row.values())[2:] for row in page.table("grid")][:2] == [["next", "[SEP]"], ["own", "own"]]
    page.set(measure="pattern")
    assert len(page.table("grid")) == LAYERS * HEADS * size * size


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
    page.run(CLICK_CELL, cell)
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
    page.page.locator("#panel-rings text.live", has_text="table").first.click(force=True)
    page.settle()
    assert page.run("jaxflow.context().words[jaxflow.state.word]") == "table"
    # A head, clicked in the grid, is the heat map's; with Shift it joins those whose mean is taken.
    box = page.run(RASTER, "grid")
    stage = page.page.locator("#panel-grid svg.over")
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
    page.page.locator("#panel-heat svg.over").click(position=at)
    page.settle()
    assert (page.state("position"), page.state("word")) == (3, 5)
    # With Shift a word of the sentence is the position.
    page.page.locator("#strip .token[data-token='2']").first.click(modifiers=["Shift"])
    page.settle()
    assert page.state("position") == 2
    assert page.page.locator("#choose-position").input_value() == "2"


def test_the_box_of_an_arc_tells_its_numbers(page):
    page.set(strength="attention", trace="all", threshold=0.2, view="network")
    page.run(POINT_AT_ARC)
    row = page.table("network")[0]
    said = page.page.locator("#tooltip").inner_text()
    assert f"{row['from_token']} ({row['from_position']}) → {row['to_token']} ({row['to_position']})" in said
    assert f"{float(row['first']):.4f}".rstrip("0")[:5] in said


def test_the_address_holds_all_that_is_chosen(page, context, path):
    chosen = {"sentence": 3, "position": 2, "word": 5, "layer": 2, "from": 2, "to": 3, "head": 1, "heads": "1.2_2.1"}
    chosen |= {"models": "diff", "strength": "attention", "trace": "both", "threshold": 0.05, "method": "flow"}
    chosen |= {"map": "layers", "measure": "entropy", "order": "change", "asked": "position", "sort": "change"}
    chosen |= {"search": "key & <b>", "theme": "dark", "view": "heat", "cell": "pair.0.0"}
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
    done = set("jk/nN.,><wxbmv][)(}{hHa+-=0yogqspclt?12345678") | {"Esc", "arrows"}
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


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_saved_as_picture_and_numbers(page, view):
    page.set(word=2, theme="light")
    saved = {}
    for kind, key in (("svg", None), ("png", None), ("csv", None)):
        assert key is None
        with page.page.expect_download() as download:
            page.page.locator(f"#panel-{view} [data-save={kind}]").click()
        assert download.value.suggested_filename == f"jaxflow-{view}-1.{kind}"
        with open(download.value.path(), "rb") as file:  # noqa: PTH123
            saved[kind] = file.read()
    picture = ET.fromstring(saved["svg"])  # noqa: S314
    names = {element.tag.split("}")[1] for element in picture.iter()}
    assert names <= {"svg", "title", "rect", "path", "circle", "text", "image"}
    marks = page.run("name => jaxflow.scene(name).marks.length", view)
    assert len(list(picture)) == marks + 2
    # A picture as large as it says, with more than its background on it.
    assert saved["png"].startswith(b"\x89PNG")
    width, height = (int.from_bytes(saved["png"][start : start + 4], "big") for start in (16, 20))
    assert [width, height] == page.run(
        "name => ['width', 'height'].map(s => Math.floor(2 * jaxflow.scene(name)[s]))", view
    )
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
    page.settle()
    assert page.run("jaxflow.colours().fore") == looks["light"]["fore"]


def contrast(one, other):
    return np.divide(*sorted((luminance(one) + 0.05, luminance(other) + 0.05), reverse=True))


def luminance(colour):
    if colour.startswith("#"):
        parts = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    else:
        parts = np.array([int(part) for part in colour[4:-1].split(",")]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


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
    size = size_of(found, 3)
    rows = opened.table("heat")
    np.testing.assert_allclose(square(rows, "value", size), found.sides[0].examples[3].relevance["raw"][-1], **HALF)
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
