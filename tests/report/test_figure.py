"""The figure draws the numbers it is given, whatever the tokens are."""

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from tests.tiny_text_model import LAYERS, model_folder


@pytest.fixture(scope="module")
def example():
    encoder = jf.load_encoder(str(model_folder()))
    return jf.attribute(encoder, ["the key costs $5 or $x^2$ _{ <b>"], queries=[3, 0])[0]


@pytest.mark.parametrize("query", [None, 0])
def test_the_figure_draws_every_method_layer_by_layer(example, query, tmp_path):
    figure = jf.plot_relevance(example, query)
    panels = [panel for panel in figure.axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == ["raw", "rollout", "flow"]
    for panel in panels:
        values = example.relevance[panel.get_title()][:, 0 if query is None else 1]
        np.testing.assert_array_equal(panel.images[0].get_array(), values)
    assert [label.get_text() for label in panels[0].get_yticklabels()] == [str(i + 1) for i in range(LAYERS)]
    assert len(panels[0].get_xticklabels()) == len(example.tokens)
    figure.savefig(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 1000


def test_a_position_that_was_not_asked_for(example):
    with pytest.raises(InputError, match=r"among the positions that were asked for, \[3, 0\], got 1"):
        jf.plot_relevance(example, 1)
