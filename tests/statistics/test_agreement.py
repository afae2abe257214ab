"""Ranks and rank agreement against SciPy, row by row."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxflow._checks import InputError
from jaxflow.evaluation import Kendall, Spearman, padded, rank_agreement
from jaxflow.statistics.ranks import ranks


@st.composite
def problems(draw):
    """Two rankings of rows of different lengths, with few or many ties, and junk where the mask is false."""
    rows, width = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 2, 4, 1000]))
    first, second = rng.integers(0, levels, (2, rows, width)) / 7
    if draw(st.booleans()):
        second = second + rng.normal(size=second.shape)
    mask = rng.random((rows, width)) < draw(st.sampled_from([0.3, 0.8, 1.0]))
    junk = rng.choice([np.nan, np.inf, -np.inf, 0.0], (rows, width))
    return np.where(mask, first, junk), np.where(mask, second, junk), mask


def by_row(function, first, second, mask):
    """SciPy's coefficient of each row; NaN where it warns that the input is constant or too short."""
    found = []
    for one, two, chosen in zip(first, second, mask, strict=True):
        one, two = one[chosen], two[chosen]
        defined = len(one) > 1 and np.ptp(one) > 0 and np.ptp(two) > 0
        found.append(function(one, two).statistic if defined else np.nan)
    return np.array(found)


def paper(one, two):
    """The published formula, written as in pandas: dense ranks."""
    one, two = (scipy.stats.rankdata(x, "dense") for x in (one, two))
    return 1 - 6 * np.sum((one - two) ** 2) / (len(one) * (len(one) ** 2 - 1))


@given(problems())
@settings(max_examples=150, deadline=None)
def test_equals_scipy_row_by_row(problem):
    first, second, mask = problem
    spearman = rank_agreement(first, second, mask)
    expected = by_row(scipy.stats.spearmanr, first, second, mask)
    np.testing.assert_allclose(spearman.value, expected, atol=1e-12)
    kendall = rank_agreement(first, second, mask, Kendall())
    np.testing.assert_allclose(kendall.value, by_row(scipy.stats.kendalltau, first, second, mask), atol=1e-12)
    np.testing.assert_array_equal(spearman.constant, np.isnan(expected))
    assert spearman.undefined() == np.isnan(expected).sum()
    np.testing.assert_array_equal(spearman.count, mask.sum(-1))
    if np.isfinite(expected).any():
        np.testing.assert_allclose(spearman.mean(), np.nanmean(expected), atol=1e-12)
        np.testing.assert_allclose(spearman.std(), np.nanstd(expected), atol=1e-12)
    else:
        assert np.isnan(spearman.mean())
        assert np.isnan(spearman.std())


@given(problems())
@settings(max_examples=100, deadline=None)
def test_the_papers_protocol_is_its_formula(problem):
    first, second, mask = problem
    found = rank_agreement(first, second, mask, Spearman(protocol="paper")).value
    for row, chosen in enumerate(mask):
        if chosen.sum() > 1:
            np.testing.assert_allclose(found[row], paper(first[row, chosen], second[row, chosen]), atol=1e-12)
        else:
            assert np.isnan(found[row])


@given(problems(), st.sampled_from(["average", "dense"]))
@settings(max_examples=100, deadline=None)
def test_ranks_equal_scipy(problem, ties):
    values, _, mask = problem
    found = ranks(values, mask, ties=ties)
    for row, chosen in enumerate(mask):
        np.testing.assert_array_equal(found[row, chosen], scipy.stats.rankdata(values[row, chosen], ties))
        assert not found[row, ~chosen].any()


@given(problems())
@settings(max_examples=100, deadline=None)
def test_tie_rates_equal_counting(problem):
    first, second, mask = problem
    found = rank_agreement(first, second, mask)
    for side, values in enumerate((first, second)):
        for row, chosen in enumerate(mask):
            kept = values[row, chosen]
            equal = (kept[:, None] == kept) & ~np.eye(len(kept), dtype=bool)
            tokens = equal.any(-1).mean() if len(kept) else 0
            pairs = equal.sum() / (len(kept) * (len(kept) - 1)) if len(kept) > 1 else 0
            np.testing.assert_allclose(found.tied_tokens[side][row], tokens)
            np.testing.assert_allclose(found.tied_pairs[side][row], pairs)


def test_the_two_protocols_agree_without_ties_and_differ_with_them():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 50, 9))
    right, published = (
        rank_agreement(one, two, measure=Spearman(protocol)).value for protocol in ("standard", "paper")
    )
    np.testing.assert_allclose(right, published, atol=1e-12)
    tied = np.round(one)
    right, published = (
        rank_agreement(tied, two, measure=Spearman(protocol)).value for protocol in ("standard", "paper")
    )
    assert np.abs(right - published).max() > 0.05
    # Constant rows: no ranking to agree with, though the formula gives a number.
    constant = rank_agreement(np.ones((1, 9)), two[:1], measure=Spearman("paper"))
    assert np.isfinite(constant.value).all()
    assert constant.constant.all()


def test_a_tolerance_ties_what_differs_by_rounding_only():
    flow = np.array([0.3, 0.3 + 1e-12, 0.1, 0.2, 0.3 - 1e-12])
    np.testing.assert_array_equal(ranks(flow, tol=1e-9), [4, 4, 1, 2, 4])
    np.testing.assert_array_equal(ranks(flow, tol=1e-9, ties="dense"), [3, 3, 1, 2, 3])
    np.testing.assert_array_equal(ranks(flow), [4, 5, 1, 2, 3])
    clean = np.round(flow, 6)
    other = np.array([5.0, 1, 2, 3, 4])
    for exact, tolerant in ((Spearman(), Spearman(tol=1e-9)), (Kendall(), Kendall(tol=1e-9))):
        expected = rank_agreement(clean, other, measure=exact)
        found = rank_agreement(flow, other, measure=tolerant)
        np.testing.assert_array_equal(found.value, expected.value)
        np.testing.assert_array_equal(found.tied_pairs, expected.tied_pairs)
        assert found.tied_pairs[0] == 0.3


def test_layers_broadcast_against_one_ranking():
    rng = np.random.default_rng(1)
    relevance, scores = rng.normal(size=(4, 3, 8)), rng.normal(size=(4, 8))
    mask = np.arange(8) < np.array([8, 5, 2, 7])[:, None]
    for measure in (Spearman(), Spearman("paper"), Kendall()):
        found = rank_agreement(relevance, scores[:, None], mask[:, None], measure)
        assert found.value.shape == (4, 3)
        for layer in range(3):
            one = rank_agreement(relevance[:, layer], scores, mask, measure)
            np.testing.assert_array_equal(found.value[:, layer], one.value)
        np.testing.assert_allclose(found.mean(), np.mean(found.value, axis=0))


def test_many_rows_come_in_bounded_parts(monkeypatch):
    rng = np.random.default_rng(2)
    one, two = rng.integers(0, 5, (2, 30, 10)).astype(float)
    whole = rank_agreement(one, two, measure=Kendall()).value
    monkeypatch.setattr("jaxflow.statistics.agreement.PAIRS", 700)
    np.testing.assert_array_equal(rank_agreement(one, two, measure=Kendall()).value, whole)


def test_padded_joins_rows_of_different_lengths():
    rng = np.random.default_rng(3)
    rows = [rng.normal(size=(2, length)) for length in (3, 5, 1)]
    values, mask = padded(rows)
    assert values.shape == (3, 2, 5)
    for index, row in enumerate(rows):
        np.testing.assert_array_equal(values[index][:, mask[index]], row)
        assert not values[index][:, ~mask[index]].any()
    with pytest.raises(InputError, match="differ in their last axis alone"):
        padded([np.ones((2, 3)), np.ones((1, 3))])


def test_bad_input_is_refused_by_name():
    ones = np.ones((2, 3))
    with pytest.raises(InputError, match="must broadcast"):
        rank_agreement(ones, np.ones((2, 4)))
    with pytest.raises(InputError, match=r"`scores` must be finite where the mask is true, got nan at \(1, 2\)"):
        rank_agreement(ones, np.array([[1, 2, 3], [1, 2, np.nan]]))
    with pytest.raises(InputError, match="`mask` must be booleans"):
        rank_agreement(ones, ones, np.ones((2, 3)))
    with pytest.raises(InputError, match="`protocol` must be one of 'standard', 'paper'"):
        Spearman(protocol="pearson")
    with pytest.raises(InputError, match="`tol` must be a number, 0 or more"):
        Kendall(tol=-1.0)
    with pytest.raises(InputError, match="`measure` must be a value such as"):
        rank_agreement(ones, ones, measure="spearman")
    with pytest.raises(InputError, match="`ties` must be one of"):
        ranks(ones, ties="min")
