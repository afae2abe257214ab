"""Measures against known evidence: brute force over orders and thresholds."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from jaxflow import InputError
from jaxflow.evaluation import ground_truth


def by_orders(values, truth):
    """Hits and hit@1, averaged over every order that sorts the values."""
    count, hits, first = truth.sum(), [], []
    for order in permutations(range(len(values))):
        if all(values[a] >= values[b] for a, b in pairwise(order)):
            hits.append(truth[list(order[:count])].mean())
            first.append(float(truth[order[0]]))
    return np.mean(hits), np.mean(first)


def by_thresholds(values, truth):
    """Average precision by its definition: the sum of precision times the step in recall, over thresholds."""
    recall, total = 0.0, 0.0
    for threshold in sorted(set(values), reverse=True):
        taken = values >= threshold
        now = (taken & truth).sum() / truth.sum()
        total += (now - recall) * truth[taken].mean()
        recall = now
    return total


@pytest.mark.parametrize("levels", [2, 3, 50])
def test_measures_are_those_of_brute_force(levels):
    rng = np.random.default_rng(levels)
    for _ in range(25):
        tokens = int(rng.integers(2, 7))
        values = rng.integers(0, levels, size=(3, 2, tokens)) / 7
        truth = np.zeros((3, tokens), bool)
        for row in truth:
            row[rng.choice(tokens, int(rng.integers(1, tokens)), replace=False)] = True
        measured = ground_truth(values, truth)
        for example in range(3):
            for row in range(2):
                one, known = values[example, row], truth[example]
                hits, first = by_orders(one, known)
                assert measured.hits[example, row] == pytest.approx(hits)
                assert measured.hit_at_1[example, row] == pytest.approx(first)
                assert measured.average_precision[example, row] == pytest.approx(by_thresholds(one, known))
                share = one[~known].sum() / one.sum() if one.sum() else (~known).mean()
                assert measured.irrelevant[example, row] == pytest.approx(share)
        np.testing.assert_array_equal(measured.evidence, truth.sum(-1))


def test_padding_and_tokens_without_a_part_change_nothing():
    rng = np.random.default_rng(0)
    values, truth = rng.integers(0, 4, size=(5, 3, 6)).astype(float), rng.random((5, 6)) < 0.4
    truth[:, 0], truth[:, 1] = True, False
    places = [1, 3, 4, 6, 7, 8]
    wide, wide_truth, mask = np.full((5, 3, 10), np.nan), np.zeros((5, 10), bool), np.zeros((5, 10), bool)
    wide[..., places], wide_truth[:, places], mask[:, places] = values, truth, True
    narrow, padded = ground_truth(values, truth), ground_truth(wide, wide_truth, mask)
    for name in ("hits", "hit_at_1", "average_precision", "irrelevant", "tokens"):
        np.testing.assert_allclose(getattr(padded, name), getattr(narrow, name))


def test_absolute_sizes_share_out_and_values_that_nearly_tie_may_count_as_tied():
    values = np.array([[0.5, -0.25, 0.5 + 1e-12, 0.0]])
    truth = np.array([[True, False, False, False]])
    assert ground_truth(values, truth).hit_at_1[0] == 0
    tied = ground_truth(values, truth, tol=1e-9)
    assert (tied.hit_at_1[0], tied.average_precision[0]) == (0.5, 0.5)
    assert tied.irrelevant[0] == pytest.approx(0.6)


def test_examples_where_nothing_can_be_ranked_have_no_measure():
    truth = np.array([[True, True, False], [False, False, False], [True, False, False]])
    mask = np.array([[True, True, False], [True, True, True], [True, True, False]])
    measured = ground_truth(np.ones((3, 4, 3)), truth, mask)
    assert np.isnan(measured.hits[:2]).all()
    assert np.isnan(measured.irrelevant[:2]).all()
    np.testing.assert_allclose(measured.hits[2], 0.5)
    np.testing.assert_array_equal(measured.tokens, [2, 3, 2])


@pytest.mark.parametrize(
    ("relevance", "evidence", "mask", "named"),
    [
        (np.ones((2, 3)), np.ones((2, 3)), None, "evidence"),
        (np.ones((2, 4)), np.ones((2, 3), bool), None, "relevance"),
        (np.ones((2, 0, 3)), np.ones((2, 3), bool), None, "relevance"),
        (np.ones((2, 3)), np.ones((2, 3), bool), np.ones(3, bool), "mask"),
        (np.ones((2, 3)), np.ones((2, 3), bool), np.array([[True, True, True], [True, False, True]]), "evidence"),
        (np.array([[1, np.nan, 1]]), np.array([[True, False, False]]), None, "relevance"),
        (np.array([["a", "b"]]), np.array([[True, False]]), None, "relevance"),
    ],
)
def test_what_does_not_fit_is_named(relevance, evidence, mask, named):
    with pytest.raises(InputError, match=f"`{named}`"):
        ground_truth(relevance, evidence, mask)
