"""The figure draws the numbers it is given, whatever the tokens are."""

import io
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.pages.figure import printable
from tests.tiny_text_model import LAYERS, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")


@pytest.fixture(scope="module")
def example():
    encoder = jf.load_model(str(model_folder()))
    methods = ("raw", "rollout", "flow")
    return jf.attribute(encoder, ["the key costs $5 or $x^2$ _{ <b>"], queries=[3, 0], methods=methods)[0]


@pytest.mark.parametrize("query", [None, 0])
def test_the_figure_draws_every_method_layer_by_layer(example, query, tmp_path):
    figure = jf.plot_relevance(example, query)
    panels = [panel for panel in figure.axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == ["raw", "rollout", "flow"]
    for panel in panels:
        values = example.relevance[panel.get_title()][:, 0 if query is None else 1]
        np.testing.assert_array_equal(panel.images[0].get_array(), values)
    assert [label.get_text() for label in panels[0].get_yticklabels()] == [str(i + 1) for i in range(LAYERS)]
    # Of panels below one another the last one has the names.
    assert [label.get_text() for label in panels[-1].get_xticklabels()] == printable(example.tokens)
    figure.savefig(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 1000


@pytest.mark.parametrize("tokens", [3, 9, 41, 466])
@pytest.mark.parametrize("methods", [1, 3])
def test_a_figure_of_a_long_text_can_be_read(example, tokens, methods):
    long = replace(
        example,
        text="x " * tokens,
        tokens=("word",) * tokens,
        offsets=tuple((2 * place, 2 * place + 1) for place in range(tokens)),
        source=(0,) * tokens,
        queries=np.array([0]),
        relevance={f"m{number}": np.full((LAYERS, 1, tokens), 0.5) for number in range(methods)},
        saturation={},
        certified=None,
    )
    figure = jf.plot_relevance(long)
    width, height = figure.get_size_inches()
    assert width <= 16
    assert 2 <= height <= 9
    panels = [panel for panel in figure.axes if panel.images]
    assert len(panels) == methods
    # Names stand a line apart, and the first is written.
    ticks = panels[-1].get_xticks()
    columns = len({panel.get_subplotspec().colspan.start for panel in panels})
    assert ticks[0] == 0
    assert len(ticks) == tokens or np.diff(ticks).min() * (width / columns) / tokens >= 0.13


def test_layers_methods_and_special_tokens_are_chosen(example):
    figure = jf.plot_relevance(example, layers=[3, 1], methods=["flow", "raw"], special=False)
    panels = [panel for panel in figure.axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == ["flow", "raw"]
    words = [place for place, source in enumerate(example.source) if source >= 0]
    for panel in panels:
        expected = example.relevance[panel.get_title()][[2, 0], 0][:, words]
        np.testing.assert_array_equal(panel.images[0].get_array(), expected)
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["3", "1"]
    assert [label.get_text() for label in panels[-1].get_xticklabels()] == printable(
        tuple(example.tokens[place] for place in words)
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": [4]}, "`layers` must be among those that were asked for"),
        ({"methods": ["alti"]}, "`methods` must be among those that were asked for, raw, rollout, flow"),
        ({"methods": []}, "`methods` must name at least one"),
        ({"layer": 1}, "pass `layers`"),
    ],
)
def test_layers_and_methods_that_are_not_there(example, options, said):
    with pytest.raises(InputError, match=said):
        jf.plot_relevance(example, **options)
    with pytest.raises(InputError, match="`methods` must be left out but for an attribution"):
        jf.plot_relevance(RELEVANCE, methods=["raw"])


def test_a_position_that_was_not_asked_for(example):
    with pytest.raises(InputError, match=r"among the positions that were asked for, \[3, 0\], got 1"):
        jf.plot_relevance(example, 1)


def test_relevance_with_a_sign_has_two_hues_around_zero(example):
    signed = np.where(np.arange(len(example.tokens)) % 2, -2.0, 1.0) * example.relevance["raw"]
    figure = jf.plot_relevance(replace(example, relevance={"raw": example.relevance["raw"], "signed": signed}))
    plain, panel = (panel.images[0] for panel in figure.axes if panel.get_title())
    assert panel.norm.vmin == -panel.norm.vmax < 0 == plain.norm.vmin
    # Zero is white, and what speaks against the explained number is told from what speaks for it.
    zero, against, for_ = (
        np.array(panel.cmap(panel.norm(value))[:3]) for value in (0, panel.norm.vmin, panel.norm.vmax)
    )
    assert zero.min() > 0.95
    assert np.abs(against - for_).max() > 0.3


def test_an_array_with_a_sign_is_drawn_in_two_hues():
    signed = RELEVANCE - 0.2
    drawn = jf.plot_relevance(signed, 0).axes[0].images[0]
    np.testing.assert_array_equal(drawn.get_array(), signed[:, 0])
    assert drawn.norm.vmin == -drawn.norm.vmax < 0
    # Integers below 0 as well.
    whole = jf.plot_relevance([[1, -3], [2, 0]]).axes[0].images[0]
    assert whole.norm.vmin == -3


def test_saturated_flows_are_marked_and_said(example):
    """With the paper's capacities deep flows of a tiny model fill trivial cuts; class-specific ones need not."""
    saturated = example.saturation["flow"]
    assert saturated.any()
    figure = jf.plot_relevance(example, 0)
    panels = {panel.get_title(): panel for panel in figure.axes if panel.get_title()}
    assert not panels["raw"].collections
    # Crosses lie on the cells, `token layer`, that are saturated, and on no others.
    marked = np.zeros_like(saturated[:, 1])
    token, layer = np.asarray(panels["flow"].collections[-1].get_offsets()).astype(int).T
    marked[layer, token] = True
    np.testing.assert_array_equal(marked, saturated[:, 1])
    told = int((~saturated[-1, 1]).sum())
    said = figure.get_supxlabel()
    assert "crosses: saturated" in said
    assert f"layer {LAYERS}: flow tells {told} of {len(example.tokens)} tokens apart here" in said
    # Where nothing is saturated, nothing is said.
    clear = replace(example, saturation={"flow": np.zeros_like(saturated)})
    figure = jf.plot_relevance(clear, 0)
    assert "saturated" not in figure.get_supxlabel()
    assert not any(panel.collections for panel in figure.axes if panel.get_title())


RELEVANCE = np.random.default_rng(0).dirichlet(np.ones(5), size=(3, 5))


@pytest.mark.parametrize("hold", [np.asarray, jnp.asarray, torch.tensor, lambda array: array.tolist()])
def test_an_array_of_relevance_is_drawn(hold, tmp_path):
    figure = jf.plot_relevance(hold(RELEVANCE), 2, tokens=["the", "key", "$5", "<b>", "."])
    (panel,) = (panel for panel in figure.axes if panel.images and panel.get_title())
    np.testing.assert_allclose(panel.images[0].get_array(), RELEVANCE[:, 2], rtol=1e-6)
    assert [label.get_text() for label in panel.get_yticklabels()] == ["1", "2", "3"]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["the", "key", r"\$5", "<b>", "."]
    assert panel.images[0].norm.vmax == pytest.approx(np.delete(RELEVANCE[:, 2], 2, axis=1).max())
    figure.savefig(tmp_path / "figure.svg")
    rows = jf.plot_relevance(hold(RELEVANCE[1]))
    np.testing.assert_allclose(rows.axes[0].images[0].get_array(), RELEVANCE[1], rtol=1e-6)
    row = jf.plot_relevance(hold(RELEVANCE[1]), 4)
    np.testing.assert_allclose(row.axes[0].images[0].get_array(), RELEVANCE[1, 4:], rtol=1e-6)


def test_a_methods_own_array_is_drawn():
    graph = jf.attention_graph(RELEVANCE[:, None])
    np.testing.assert_allclose(
        jf.plot_relevance(jf.attention_rollout(graph)).axes[0].images[0].get_array(),
        np.asarray(jf.attention_rollout(graph))[:, 0],
        rtol=1e-6,
    )
    flow = jf.attention_flow(graph, queries=[1, 3]).value
    np.testing.assert_allclose(jf.plot_relevance(flow, 1).axes[0].images[0].get_array(), flow[:, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((RELEVANCE[None],), r"got shape \(1, 3, 5, 5\); pick one text"),
        ((RELEVANCE[0, 0],), r"got shape \(5,\)"),
        ((np.zeros((0, 5)),), "got shape"),
        ((None,), "got None"),
        (("text",), "got 'text'"),
        ((RELEVANCE * 1j,), "real numbers"),
        ((np.full((2, 2), np.nan),), "`example` must hold finite numbers, got nan"),
        ((np.array([[1.0, -np.inf], [0, 0]]),), "finite numbers, got -inf"),
        ((RELEVANCE, 5), "`query` must be a row of the array's query axis, from 0 to 4, got 5"),
        ((RELEVANCE, "1"), "`query` must be a row"),
        ((RELEVANCE, 0, ["a", "b"]), "`tokens` must be a list of 5 strings, one a token, got"),
        ((RELEVANCE, 0, "abcde"), "`tokens` must be a list of 5 strings"),
        ((RELEVANCE, 0, 5), "`tokens` must be a list of 5 strings"),
    ],
)
def test_what_is_no_relevance_of_one_text_gets_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        jf.plot_relevance(*arguments)
    assert "\n" not in str(caught.value)


def test_results_that_hold_relevance_say_what_to_pass(example):
    graph = jf.attention_graph(RELEVANCE[:, None])
    for value, message in (
        (graph, r"got a graph; pass .*attention_rollout\(graph\)"),
        (jf.attention_flow(graph), r"got a FlowSolution; pass its values, flow.value"),
        (jf.Attribution((example, example)), r"an attribution of 2 texts; pass one, result\[0\]"),
    ):
        with pytest.raises(InputError, match=message):
            jf.plot_relevance(value)
    with pytest.raises(InputError, match="`tokens` must be left out"):
        jf.plot_relevance(example, tokens=["a"])


def test_captions_stay_within_narrow_figures():
    figure = jf.plot_relevance(np.full((2, 2, 2), 0.5), tokens=["one", "another"])
    figure.savefig(io.BytesIO())
    box = figure._supxlabel.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert figure.get_supxlabel().replace("\n", " ") == "what each token contributed to position 0, one"
