"""The static figure's arcs are the library's rollout, path by path."""

import dataclasses

import numpy as np
import pytest

from jaxflow._checks import InputError
from jaxflow.pages.static import _automatic, path_shares, plot_exploration


def test_shares_of_arcs_sum_to_rollout(pair):
    relevance = pair.sides[0].examples[0].relevance
    shares = path_shares(relevance["raw"], 0.5, 3)
    np.testing.assert_allclose(shares.sum(axis=(1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(shares[0].sum(axis=0), relevance["rollout"][-1, 3], atol=1e-6)


@pytest.mark.parametrize("threshold", [None, 0.05])
def test_the_figure_draws_the_arcs_over_the_threshold(pair, threshold, tmp_path):
    figure = plot_exploration(pair, 1, 2, threshold=threshold)
    network, bars = figure.axes
    shares = [path_shares(side.examples[1].relevance["raw"], 0.5, 2) for side in pair.sides]
    if threshold is not None:
        over = np.maximum(*shares) >= threshold
        # Two points an arc; the legend's lines have none, the position's mark one.
        drawn = [line for line in network.lines if len(line.get_xdata()) == 2]
        assert len(drawn) == over.sum() > 0
        solid = [line for line in drawn if line.get_linestyle() == "-"]
        alike = (shares[0] < 2 * shares[1]) & (shares[1] < 2 * shares[0])
        assert len(solid) == (over & alike).sum()
        (legend,) = figure.legends
        names = [side.name for side in pair.sides]
        labels = [text.get_text() for text in legend.get_texts()]
        assert labels == ["alike in both", *(f"stronger in {name}" for name in names), *names]
    heights = [bar.get_height() for bar in bars.patches]
    rows = [side.examples[1].relevance["rollout"][-1, 2] for side in pair.sides]
    np.testing.assert_allclose(heights, np.concatenate(rows), rtol=1e-6)
    figure.savefig(tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").stat().st_size > 1000


def test_a_long_text_is_no_wider_than_a_page_and_some_names_are_written(pair):
    side, size = pair.sides[0], 130
    rows = np.random.default_rng(0).dirichlet(np.ones(size), (3, size)).astype(np.float32)
    names = tuple(f"t{place}" for place in range(size))
    changes = {"tokens": names, "relevance": {"raw": rows, "rollout": rows}, "saturated": {}}
    example = dataclasses.replace(side.examples[0], **changes)
    alone = dataclasses.replace(side, examples=(example,))
    figure = plot_exploration(dataclasses.replace(pair, sides=(alone,), labels=(None,)))
    assert figure.get_size_inches()[0] == 16
    written = {
        int(at): label.get_text()
        for at, label in zip(figure.axes[1].get_xticks(), figure.axes[1].get_xticklabels(), strict=True)
    }
    assert 60 < len(written) < size
    assert written == {place: names[place] for place in written}


@pytest.mark.parametrize(("index", "position", "name"), [(5, 0, "index"), (0, 99, "position")])
def test_a_text_or_position_that_is_not_there(pair, index, position, name):
    with pytest.raises(InputError, match=f"`{name}` must be below"):
        _ = plot_exploration(pair, index, position)


def test_of_few_arcs_none_is_drawn_that_carries_nothing():
    shares = np.zeros((2, 3, 3))
    shares[0, 0, 1], shares[1, 0, 2] = 0.5, 0.25
    assert _automatic([shares]) == 0.25
    assert _automatic([np.zeros((1, 2, 2))]) == 0
