"""Bootstrap intervals: against SciPy on the plain sample, coverage, clusters."""

import numpy as np
import pytest
import scipy.stats

from jaxflow._checks import InputError
from jaxflow.evaluation import mean_interval


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_equals_scipys_interval_of_the_plain_mean(method, level):
    sample = np.random.default_rng(1).gamma(0.5, size=(60, 2))
    found = mean_interval(sample, method=method, level=level, resamples=2000)
    np.testing.assert_allclose(found.mean, sample.mean(axis=0))
    for column in range(2):
        theirs = scipy.stats.bootstrap(
            (sample[:, column],),
            np.mean,
            confidence_level=level,
            n_resamples=2000,
            method="BCa" if method == "bca" else method,
            rng=np.random.default_rng(0).spawn(2)[column],
        )
        # The same draws, so the same interval.
        np.testing.assert_allclose([found.low[column], found.high[column]], theirs.confidence_interval, rtol=1e-9)


def test_a_seed_is_a_result_and_columns_are_their_own():
    sample = np.random.default_rng(2).normal(size=(30, 2, 3))
    one, again, other = (mean_interval(sample, resamples=200, seed=seed) for seed in (0, 0, 1))
    assert one.mean.shape == (2, 3)
    np.testing.assert_array_equal(one.low, again.low)
    assert (one.low != other.low).all()
    assert (one.low < one.mean).all()
    assert (one.mean < one.high).all()


def test_what_is_undefined_is_left_out_and_counted():
    sample = np.random.default_rng(3).normal(size=(20, 3))
    sample[4:8, 1] = np.nan
    sample[:, 2] = np.nan
    found = mean_interval(sample, resamples=200)
    np.testing.assert_array_equal(found.undefined, [0, 4, 20])
    np.testing.assert_array_equal(found.count, [20, 16, 0])
    np.testing.assert_allclose(found.mean[:2], [sample[:, 0].mean(), np.nanmean(sample[:, 1])])
    assert np.isnan([found.mean[2], found.low[2], found.high[2]]).all()


def test_constant_values_have_no_width_and_one_example_no_interval():
    found = mean_interval(np.full(10, 0.3), resamples=50)
    assert found.low == found.mean == found.high
    alone = mean_interval(np.array([0.3]), resamples=50)
    assert alone.mean == 0.3
    assert np.isnan(alone.low)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_examples_that_move_in_clusters_widen_the_interval(method):
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(12), rng.integers(5, 40, 12))
    values = rng.normal(size=12)[clusters] + 0.01 * rng.normal(size=len(clusters))
    plain = mean_interval(values, method=method, resamples=2000)
    clustered = mean_interval(values, method=method, resamples=2000, clusters=[f"seed {c}" for c in clusters])
    assert plain.mean == clustered.mean == pytest.approx(values.mean())
    assert clustered.high - clustered.low > 2.5 * (plain.high - plain.low)
    # Whole clusters by hand: the spread of the ratio of sums to sizes.
    draws = rng.integers(0, 12, (4000, 12))
    sums, sizes = np.bincount(clusters, values), np.bincount(clusters)
    expected = np.quantile(sums[draws].sum(1) / sizes[draws].sum(1), [0.025, 0.975])
    if method == "percentile":
        np.testing.assert_allclose([clustered.low, clustered.high], expected, atol=0.1)


def test_intervals_cover_the_mean_about_as_often_as_they_say():
    samples = np.random.default_rng(5).exponential(size=(40, 120))
    found = mean_interval(samples, resamples=200, level=0.9)
    covered = ((found.low <= 1) & (found.high >= 1)).mean()
    assert 0.8 < covered < 0.95


def test_bad_input_is_refused_by_name():
    values = np.arange(4.0)
    with pytest.raises(InputError, match="`level` must be"):
        mean_interval(values, level=95.0)
    with pytest.raises(InputError, match="`resamples` must be"):
        mean_interval(values, resamples=0)
    with pytest.raises(InputError, match="`method` must be one of 'bca', 'percentile'"):
        mean_interval(values, method="normal")
    with pytest.raises(InputError, match="one cluster for each of 4 examples"):
        mean_interval(values, clusters=[1, 2])
    with pytest.raises(InputError, match="`values` must be finite numbers or NaN"):
        mean_interval(np.array([1.0, np.inf]))
