"""Intervals and tests on sums of a stream: against SciPy and against chance itself."""

import itertools

import numpy as np
import pytest
import scipy.stats

from jaxflow._checks import InputError
from jaxflow.compare import adjusted, block_interval, sign_flip
from jaxflow.evaluation import mean_interval
from jaxflow.statistics.blocks import Blocks, NamedBlocks
from jaxflow.statistics.tests import named_intervals


def blocks_of(values, most=1024):
    blocks = Blocks(most)
    for row in values:
        blocks.add(row)
    return blocks


@pytest.mark.parametrize("texts", [1, 7, 16, 17, 40, 100])
def test_sums_are_those_of_all_texts_and_memory_is_bounded(texts):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(texts, 3))
    values[rng.random(values.shape) < 0.2] = np.nan
    blocks = blocks_of(values, most=16)
    assert len(blocks) <= 16
    assert blocks.texts == texts
    known = ~np.isnan(values)
    np.testing.assert_array_equal(blocks.total, known.sum(axis=0))
    with np.errstate(invalid="ignore"):
        expected = np.where(known, values, 0).sum(axis=0) / known.sum(axis=0)
    np.testing.assert_allclose(blocks.mean, expected)
    # Blocks are runs of one size, the last one as long as there are texts for it.
    size = -(-texts // len(blocks)) if texts > 16 else 1
    size = 1 << (size - 1).bit_length()
    runs = [np.where(known, values, 0)[start : start + size].sum(axis=0) for start in range(0, texts, size)]
    np.testing.assert_allclose(blocks.sums, runs, atol=1e-12)


def test_an_interval_is_that_of_scipys_bootstrap():
    rng = np.random.default_rng(1)
    values = np.stack([rng.normal(0.3, 1, size=80), rng.exponential(size=80), np.full(80, 2.5)], axis=1)
    found = block_interval(blocks_of(values), resamples=9999)
    other = mean_interval(values, method="percentile", resamples=9999)
    np.testing.assert_allclose(found.mean, other.mean)
    # Two sets of 9999 draws: ends differ by a few per cent of the width.
    width = (other.high - other.low)[:2]
    np.testing.assert_array_less(np.abs(found.low - other.low)[:2] / width, 0.03)
    np.testing.assert_array_less(np.abs(found.high - other.high)[:2] / width, 0.03)
    assert found.low[2] == found.high[2] == found.mean[2] == 2.5
    assert (found.count == 80).all()


def test_joined_blocks_keep_the_interval_about_as_wide():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(2000, 30))
    whole, joined = (block_interval(blocks_of(values, most)) for most in (4096, 128))
    ratio = (joined.high - joined.low) / (whole.high - whole.low)
    # 63 blocks give a width that is right to about a tenth; its mean over columns is right.
    assert 0.93 < ratio.mean() < 1.07


def test_a_column_with_one_value_or_none_has_no_interval():
    values = np.full((4, 2), np.nan)
    values[1, 0] = 3.0
    found = block_interval(blocks_of(values))
    assert found.mean[0] == 3
    assert np.isnan([found.low[0], found.high[0], found.mean[1], found.low[1]]).all()
    assert found.undefined.tolist() == [3, 4]


def test_few_texts_are_swapped_in_all_ways():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(7, 4))
    values[:, 3] = 0
    found = sign_flip(blocks_of(values))
    for column in range(4):
        sums = [abs(np.dot(signs, values[:, column])) for signs in itertools.product((1, -1), repeat=7)]
        expected = np.mean(np.asarray(sums) >= abs(values[:, column].sum()) - 1e-9)
        assert found[column] == pytest.approx(expected)
    assert found[3] == 1


def test_many_texts_agree_with_scipys_permutation_test():
    rng = np.random.default_rng(4)
    values = rng.normal(0.15, 1, size=(60, 1))
    found = sign_flip(blocks_of(values)).item()
    theirs = scipy.stats.permutation_test(
        (values[:, 0],), np.sum, permutation_type="samples", n_resamples=9999, rng=np.random.default_rng(0)
    ).pvalue
    assert found == pytest.approx(theirs, abs=0.02)


def test_as_many_blocks_as_there_can_be():
    # 2^1024 is no double: all sign changes of so many blocks can be counted, not floated.
    values = np.random.default_rng(8).normal(0.1, 1, size=(1024, 2))
    blocks = blocks_of(values)
    assert len(blocks.sums) == 1024
    found = sign_flip(blocks, resamples=499)
    t = scipy.stats.ttest_1samp(values, 0).pvalue
    # 499 draws tell a p-value to .022, one standard deviation; the t-test's is that of many draws.
    np.testing.assert_allclose(found, t, atol=0.06)


def test_p_values_are_uniform_by_chance_alone():
    rng = np.random.default_rng(5)
    # Columns share swaps, so many data sets rather than many columns; skewed sizes, symmetric signs.
    found = [
        sign_flip(blocks_of(rng.exponential(size=(40, 5)) * rng.choice([-1, 1], size=(40, 5)), most=32), resamples=499)
        for _ in range(80)
    ]
    p = np.concatenate(found)
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01
    assert abs(np.mean(p < 0.1) - 0.1) < 0.05


def test_a_true_difference_is_found():
    rng = np.random.default_rng(6)
    assert sign_flip(blocks_of(rng.normal(1, 1, size=(100, 2)))).max() == pytest.approx(1e-4)


def test_corrections_against_scipy_and_by_hand():
    rng = np.random.default_rng(7)
    p = rng.random((5, 4)) ** 3
    p[2, 1] = np.nan
    known = p[~np.isnan(p)]
    found = adjusted(p)
    np.testing.assert_allclose(found[~np.isnan(p)], scipy.stats.false_discovery_control(known))
    assert np.isnan(found[2, 1])
    holm = adjusted(p, "holm")[~np.isnan(p)]
    order = np.argsort(known)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, known[index] * (len(known) - rank)))
        assert holm[index] == pytest.approx(running)
    np.testing.assert_array_equal(adjusted(p, "none"), p)
    with pytest.raises(InputError, match="correction"):
        adjusted(p, "bonferroni")
    with pytest.raises(InputError, match="probabilities"):
        adjusted([1.5])


def test_arrays_of_one_table_have_the_intervals_that_each_has_alone(monkeypatch):
    rng = np.random.default_rng(8)
    texts = [
        {"layer": rng.normal(size=3), "head": rng.normal(size=(3, 4)), "all": rng.normal(size=())} for _ in range(9)
    ]
    texts[2]["head"][1, 2] = np.nan
    table = NamedBlocks()
    for arrays in texts:
        table.add({name: np.asarray(array) for name, array in arrays.items()})
    # Columns are gone through some at a time, and that shows nowhere.
    monkeypatch.setattr("jaxflow.statistics.tests.COLUMNS", 5)
    found = named_intervals(table.only(["all", "head"]), seed=3)
    assert list(found) == ["all", "head"]
    for name, interval in found.items():
        alone = block_interval(blocks_of([arrays[name] for arrays in texts]), seed=3)
        for field, values in vars(interval).items():
            np.testing.assert_allclose(values, getattr(alone, field), rtol=1e-12, err_msg=f"{name} {field}")


def test_draws_are_numpys_whatever_was_asked_before():
    # Tables share draws: another seed and other numbers of blocks in between change nothing.
    values = np.random.default_rng(9).normal(size=(30, 2))
    drawn = np.random.default_rng(4).multinomial(30, np.full(30, 1 / 30), size=199)
    expected = np.quantile(drawn @ values / 30, [0.05, 0.95], axis=0)
    for _ in range(2):
        found = block_interval(blocks_of(values), level=0.9, resamples=199, seed=4)
        np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-12)
        for seed, number in ((5, 30), (4, 29), (4, 7)):
            _ = block_interval(blocks_of(values[:number]), resamples=199, seed=seed)


@pytest.mark.parametrize("number", [1, 2, 5, 13])
def test_few_swaps_are_all_gone_through(number):
    values = np.random.default_rng(number).integers(-3, 4, size=(number, 6)).astype(float)
    signs = np.array(list(itertools.product([-1, 1], repeat=number)))
    reached = np.abs(signs @ values) >= np.abs(values.sum(axis=0))
    np.testing.assert_array_equal(sign_flip(blocks_of(values)), reached.mean(axis=0))
