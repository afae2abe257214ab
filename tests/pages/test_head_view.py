"""bertviz's `head_view` arguments, as its users pass them, to the explorer."""

import inspect

import numpy as np
import pytest
import torch

import jaxflow as jf
from jaxflow.pages.explorer import write_explorer
from jaxflow.pages.head_view import HeadView
from tests.pages.browser import Opened

# Of bertviz 1.4.1: head_view(attention, tokens, sentence_b_start, ...), all of them by name too.
ARGUMENTS = [
    *("attention", "tokens", "sentence_b_start", "prettify_tokens", "layer", "heads"),
    *("encoder_attention", "decoder_attention", "cross_attention", "encoder_tokens", "decoder_tokens"),
    *("include_layers", "html_action"),
]
TOKENS = ["[CLS]", "the", "key", "[SEP]", "un", "##able", "[SEP]"]
SOURCE, TARGET = ["▁the", "▁key", "</s>"], ["<pad>", "▁der", "▁Schl", "üssel"]


def attention(layers, heads, queries, keys, seed=0, causal=False):
    """A tuple of one tensor `1 head query key` a layer, as models of transformers return it."""
    scores = np.random.default_rng(seed).normal(size=(layers, 1, heads, queries, keys))
    scores = np.where(np.tri(queries, keys, dtype=bool), scores, -np.inf) if causal else scores
    weights = np.exp(scores)
    return tuple(torch.tensor(each, dtype=torch.float32) for each in weights / weights.sum(-1, keepdims=True))


SELF = attention(3, 4, 7, 7)
SIDES = {
    "encoder_attention": attention(2, 2, 3, 3, 1),
    "decoder_attention": attention(2, 2, 4, 4, 2, causal=True),
    "cross_attention": attention(2, 2, 4, 3, 3),
}
NAMES = {"encoder_tokens": SOURCE, "decoder_tokens": TARGET}


def test_every_argument_of_head_view_is_taken():
    assert HeadView.names() | {"tokens"} == set(ARGUMENTS)


def test_the_arguments_are_those_of_bertviz():
    bertviz = pytest.importorskip("bertviz")
    found = [*inspect.signature(bertviz.head_view).parameters]
    assert found[:3] == ARGUMENTS[:3]
    assert set(found) == set(ARGUMENTS)
    # What bertviz itself takes.
    _ = bertviz.head_view(SELF, TOKENS, 4, layer=1, heads=[2], html_action="return")
    _ = bertviz.head_view(**SIDES, **NAMES, html_action="return")


@pytest.mark.parametrize(
    "call",
    [
        lambda: jf.explore_attention(SELF, TOKENS, 4),
        lambda: jf.explore_attention(attention=SELF, tokens=TOKENS, sentence_b_start=4, prettify_tokens=False),
    ],
)
def test_one_text_or_two(call):
    (side,) = call().sides
    (example,) = side.examples
    assert (example.text, example.pair) == ("the key", "unable")
    assert list(example.source) == [-1, 0, 0, -1, 1, 1, -1]
    expected = jf.attribute_attention(SELF, TOKENS, queries=None)[0].relevance
    for method in ("raw", "rollout", "flow"):
        np.testing.assert_allclose(example.relevance[method], expected[method], atol=1e-6)


def test_an_encoder_decoder_as_one_sequence():
    exploration = jf.explore_attention(**SIDES, **NAMES)
    (side,) = exploration.sides
    (example,) = side.examples
    expected = jf.attribute_attention(
        {f"{name}s": value for name, value in SIDES.items()}, SOURCE, target_tokens=TARGET, queries=None
    )[0]
    assert example.tokens == expected.tokens
    # Streams that do not move pass whole, as in the graph of an encoder-decoder.
    for method in ("rollout", "flow"):
        np.testing.assert_allclose(example.relevance[method], expected.relevance[method], atol=1e-6)
    assert exploration.settings["layers"] == "layers 1 to 2 are the encoder's, then self and cross attention in turn"
    np.testing.assert_allclose(side.attention[0].sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize(("name", "tokens"), [("encoder", SOURCE), ("decoder", TARGET)])
def test_one_side_alone(name, tokens):
    given = {f"{name}_attention": SIDES[f"{name}_attention"], f"{name}_tokens": tokens}
    (side,) = jf.explore_attention(**given, methods="rollout").sides
    expected = jf.attribute_attention(SIDES[f"{name}_attention"], tokens, queries=None)[0].relevance["rollout"]
    np.testing.assert_allclose(side.examples[0].relevance["rollout"], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "attentions"),
        ({"attention": SELF}, "tokens"),
        ({"attention": SELF, "tokens": TOKENS, "layer": 3}, "layer"),
        ({"attention": SELF, "tokens": TOKENS, "heads": [4]}, "heads"),
        ({"attention": SELF, "tokens": TOKENS, "heads": "max"}, "heads"),
        ({"attention": SELF, "tokens": TOKENS, "sentence_b_start": 0}, "sentence_b_start"),
        ({"attention": SELF, "tokens": TOKENS, **NAMES}, "encoder_tokens"),
        ({"cross_attention": SIDES["cross_attention"], **NAMES}, "encoder_attention"),
        ({**SIDES, "encoder_tokens": SOURCE}, "decoder_tokens"),
    ],
)
def test_what_is_wrong_is_named(arguments, named):
    with pytest.raises(jf.InputError) as error:
        jf.explore_attention(**arguments)
    assert error.value.argument == named


def test_the_page_begins_with_the_layer_and_head(context, tmp_path):
    found = jf.explore_attention(SELF, TOKENS, layer=1, heads=[2], include_layers=[0, 1], methods="rollout")
    opened = Opened(context, write_explorer(found, tmp_path / "one.html"))
    assert [opened.state(name) for name in ("layer", "head", "from", "to")] == [2, 3, 1, 2]
    assert {row["head"] for row in opened.table("heat")} == {"3"}
    opened.close()
    found = jf.explore_attention(SELF, TOKENS, layer=0, heads=[0, 3], methods="rollout")
    opened = Opened(context, write_explorer(found, tmp_path / "several.html"))
    rows = {(int(row["position"]), int(row["token"])): float(row["value"]) for row in opened.table("heat")}
    expected = SELF[0][0, [0, 3]].mean(0).numpy()
    assert rows[2, 4] == pytest.approx(float(expected[2, 4]), abs=0.01)
    # Chosen in the page, and kept in its address.
    opened.set(heads="")
    assert "heads=" in opened.run("jaxflow.link()")
    opened.close()
