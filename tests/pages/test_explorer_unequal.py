"""The explorer of two models of other depth or number of heads: side by side, differences where they are defined."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import transformers

import jaxflow as jf
from jaxflow.models import new_encoder
from jaxflow.pages.explore import explore
from jaxflow.pages.explorer import explorer_data, write_explorer
from tests.pages.browser import Opened
from tests.pages.tiny_pair import TEXTS, other_folder
from tests.tiny_text_model import tokenizer

VIEWS = ("rings", "sankey", "network", "heat", "grid", "words", "ask", "predictions")
HALF = {"rtol": 2**-10, "atol": 1e-6}  # relevance is kept in half precision


@pytest.fixture(scope="module")
def unequal(models):
    """Three layers of two heads, and two layers of four."""
    return explore(models[0], TEXTS[:3], other=jf.load_model(str(other_folder(2, 4))), labels=[0, 1, 2])


@pytest.fixture
def page(unequal, context, tmp_path):
    opened = Opened(context, write_explorer(unequal, tmp_path / "unequal.html"))
    yield opened
    opened.close()


def note(page, view):
    return page.page.locator(f"#panel-{view} .note").inner_text()


def values(rows, name):
    return np.array([float(row[name]) for row in rows if row[name]])


def test_each_model_has_its_own_shape_and_no_change_of_heads(unequal):
    data = explorer_data(unequal)
    assert [(model["layers"], model["heads"]) for model in data["models"]] == [(3, 2), (2, 4)]
    assert unequal.change == ()
    for sentence, moved in zip(data["sentences"], unequal.moved, strict=True):
        assert sentence["change"] is sentence["mean_change"] is None
        rows = [side.examples[sentence["id"] - 1].relevance["rollout"][-1, 0] for side in unequal.sides]
        assert sentence["moved"] == moved == pytest.approx(np.abs(rows[1] - rows[0]).sum() / 2, abs=1e-6)
    tables = [np.ones((3, 2)), np.ones((2, 4))]
    assert unequal.with_heads({"importance": tables}).sides[1].measures["importance"].shape == (2, 4)


def test_every_view_of_every_choice_can_be_drawn_and_saved(page):
    for choice in ({}, {"word": 2}, {"strength": "attention"}, {"models": "diff"}, {"map": "layers"}, {"asked": "all"}):
        page.set(**choice)
        for measure in ("pattern", "entropy", "to the word"):
            page.set(measure=measure)
            for view in VIEWS:
                assert page.run("name => jaxflow.svg(name).length", view) > 200
                assert page.run("name => jaxflow.csv(name).length", view) > 5
    # What is not there can be chosen nowhere.
    assert "change" not in page.page.locator("#choose-measure option").all_inner_texts()
    assert "change of attention" not in page.page.locator("#choose-sort").inner_text()


@pytest.mark.parametrize("view", ["rings", "network"])
def test_arcs_of_each_model_are_in_a_picture_of_its_own(page, unequal, view):
    page.set(position=1, threshold=0, special="1")
    rows = page.table(view)
    for number, side in enumerate(unequal.sides):
        own = [row for row in rows if row["model"] == page.run("n => jaxflow.data.models[n].name", number)]
        depth = side.heads[0]
        assert {int(row["layer"]) for row in own} == set(range(1, depth + 1))
        # Shares of a layer sum to 1, and at the words they are the library's rollout.
        size = len(side.examples[0].tokens)
        shares = np.zeros(size)
        for row in own:
            if row["layer"] == "1":
                shares[int(row["from_position"])] += float(row["value"])
        np.testing.assert_allclose(shares, side.examples[0].relevance["rollout"][-1, 1], rtol=3e-3, atol=2e-6)


def moved_by(element):
    """How far right and down an element of SVG is moved."""
    found = re.match(r"translate\(([-\d.]+) ([-\d.]+)\)", element.get("transform", ""))
    return np.array([float(number) for number in found.groups()]) if found else np.zeros(2)


def test_arcs_of_each_models_rings_lead_from_ring_to_ring_about_its_own_middle(page, unequal):
    page.set(position=1, threshold=0, special="1")
    drawn = list(ET.fromstring(page.run("jaxflow.svg('rings')")).iter())  # noqa: S314 (made by the page)
    # By middle the radii of its rings; a node is a circle about a middle of its own.
    rings = {}
    for each in drawn:
        if each.tag.endswith("circle") and each.get("fill") == "none":
            right, down = moved_by(each)
            middle = right + float(each.get("cx")), down + float(each.get("cy"))
            rings.setdefault(middle, []).append(float(each.get("r")))
    rings = {middle: sorted(radii)[::-1] for middle, radii in rings.items() if len(radii) > 1}
    assert [len(radii) - 1 for _, radii in sorted(rings.items())] == [side.heads[0] for side in unequal.sides]
    met = dict.fromkeys(rings, 0)
    for each in drawn:
        if each.tag.endswith("path") and "C" in each.get("d"):
            numbers = [float(number) for number in re.findall(r"-?\d[-\d.e]*", each.get("d"))]
            ends = [moved_by(each) + numbers[:2], moved_by(each) + numbers[-2:]]
            for middle, radii in rings.items():
                # The innermost ring is drawn one wide, and is the middle itself.
                levels = [*radii[:-1], 0]
                away = [np.linalg.norm(end - middle) for end in ends]
                at = [np.flatnonzero(np.isclose(levels, distance, atol=0.05)) for distance in away]
                met[middle] += any(len(one) and one + 1 in other for one, other in (at, at[::-1]))
    rows = page.table("rings")
    names = page.run("jaxflow.data.models.map(model => model.name)")
    assert list(met) == sorted(met)
    assert list(met.values()) == [sum(row["model"] == name for row in rows) for name in names]


def test_heat_maps_show_each_models_own_layer(page, unequal):
    page.set(layer=3, map="method", method="rollout")
    rows = page.table("heat")
    for side, name in zip(unequal.sides, ("first", "second"), strict=True):
        np.testing.assert_allclose(values(rows, name), side.examples[0].relevance["rollout"][-1].ravel(), **HALF)
    # A head that one of them lacks.
    page.set(map="heads", head=4, layer=2)
    rows = page.table("heat")
    assert not len(values(rows, "first"))
    exact = unequal.sides[1].attention[0][1, 3].ravel().astype(np.float64)
    assert (np.abs(values(rows, "second") - exact) <= np.sqrt(exact) / 255 + 5e-6).all()


def test_differences_stand_where_they_are_defined(page, unequal):
    page.set(models="diff", method="rollout")
    said = "No difference is shown here"
    for view in ("rings", "sankey", "network", "grid"):
        assert said in note(page, view)
        assert "3 layers × 2 heads" in note(page, view)
        assert "2 layers × 4 heads" in note(page, view)
    # The last layers of both are what comes out of both.
    assert said not in note(page, "words")
    assert said not in note(page, "heat")
    ends = [side.examples[0].relevance["rollout"][-1, 0] for side in unequal.sides]
    rows = [row for row in page.table("words") if row["method"] == "rollout"]
    np.testing.assert_allclose([float(row["change"]) for row in rows], ends[1] - ends[0], atol=1e-3)
    # A layer that both have can be set against its namesake.
    page.set(layer=1)
    assert said not in note(page, "words")
    page.set(layer=2)
    assert said not in note(page, "words")
    same = [side.examples[0].relevance["rollout"][1, 0] for side in unequal.sides]
    rows = [row for row in page.table("words") if row["method"] == "rollout"]
    np.testing.assert_allclose([float(row["change"]) for row in rows], same[1] - same[0], atol=1e-3)


def test_who_attends_lists_the_heads_of_both(page, unequal):
    page.set(word=2)
    rows = page.table("ask")
    assert len(rows) == 3 * 2 + 2 * 4
    strongest = [float(row["value"]) for row in rows]
    assert strongest == sorted(strongest, reverse=True)
    names = page.run("jaxflow.data.models.map(model => model.name)")
    for row in rows:
        side = unequal.sides[names.index(row["model"])]
        exact = side.attention[0][int(row["layer"]) - 1, int(row["head"]) - 1][:, 2].mean()
        assert float(row["value"]) == pytest.approx(float(exact), abs=0.01)


def test_of_equal_depth_arcs_are_in_one_picture_and_only_heads_are_apart(models, context, tmp_path):
    found = explore(models[0], TEXTS[:1], other=jf.load_model(str(other_folder(3, 4))), methods=("rollout",))
    opened = Opened(context, write_explorer(found, tmp_path / "heads.html"))
    opened.set(models="diff")
    assert {row["kind"] for row in opened.table("rings")} <= {"a", "b"}
    for view, apart in (("rings", False), ("sankey", False), ("heat", False), ("words", False), ("grid", True)):
        assert ("No difference" in note(opened, view)) is apart
    opened.close()


def test_a_model_may_take_more_tokens_than_the_other():
    text = "the cabinets"
    # Four tokens of at most eight; and thirteen of at most thirty-two.
    whole = small(tokenizer("the", "cabinets"), 8)
    letters = small(tokenizer("the"), 32)
    found = explore(whole, [text], other=letters, methods=("raw", "rollout"))
    for side, model in zip(found.sides, (whole, letters), strict=True):
        (alone,) = explore(model, [text], methods=("raw", "rollout")).sides[0].examples
        # Units are words; [CLS] is one token of both, and has its share of itself.
        assert side.examples[0].tokens == ("[CLS]", "the", "cabinets", "[SEP]")
        np.testing.assert_allclose(
            side.examples[0].relevance["rollout"][:, 0, 0], alone.relevance["rollout"][:, 0, 0], atol=1e-6
        )


def small(words, limit):
    """A random encoder that takes so many tokens."""
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=limit,
        initializer_range=0.4,
    )
    return new_encoder(config, words, seed=1)
