"""The explorer in a real browser: the numbers of every view against the library's."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest

import jaxflow as jf

LAYERS, HEADS = 3, 2
HALF = {"rtol": 2**-10, "atol": 1e-6}  # relevance is kept in half precision
LOOKS = """() => Object.fromEntries(['a', 'b', 'shared'].map(kind => {
  const arc = jaxflow.scene('rings').marks.find(mark => mark.arc === kind);
  return [kind, [arc.stroke, arc.dash]];
}))"""


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


@pytest.fixture
def page(page):
    """The page with special tokens shown: the library's numbers are of all tokens."""
    page.set(special="1")
    return page


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


@pytest.mark.parametrize("shown", ["a", "b"])
def test_the_flow_that_is_drawn_is_a_maximum_flow(page, pair, shown):
    side, size = pair.sides["ab".index(shown)], size_of(pair, 1)
    page.set(sentence=1, models=shown, strength="flow", threshold=0)
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


def test_an_arc_is_one_models_where_it_is_at_least_twice_as_strong_there(page, pair):
    page.set(strength="attention", trace="all", threshold=0.15)
    first, second = (side.examples[0].relevance["raw"].astype(np.float16).astype(float) for side in pair.sides)
    over = np.maximum(first, second) >= 0.15
    of_first, of_second = over & (first >= 2 * second), over & (second >= 2 * first)
    counts = Counter(row["kind"] for row in page.table("rings"))
    alike = over & ~of_first & ~of_second
    assert counts == {"shared": alike.sum(), "a": of_first.sum(), "b": of_second.sum()}
    assert min(counts.values()) > 0
    # Told apart by colour and by dash.
    looks = page.run(LOOKS)
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
