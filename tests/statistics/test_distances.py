"""Distances of distributions: against SciPy in double precision, and what must hold of any distance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.spatial.distance import jensenshannon

from jaxflow.compare import entropy, jensen_shannon, total_variation


def attention(rng, shape, sharpness, real=None):
    scores = rng.normal(size=shape) * sharpness
    scores = scores if real is None else np.where(real, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("sharpness", [0.01, 1, 10, 100])
def test_they_agree_with_scipy_on_padded_rows(sharpness):
    rng = np.random.default_rng(0)
    for _ in range(10):
        real = np.arange(12) < rng.integers(2, 13, size=(6, 1))
        one, two = (attention(rng, (6, 12), sharpness, real) for _ in range(2))
        exact = [row.astype(np.float64) for row in (one, two)]
        expected = jensenshannon(*exact, base=2, axis=-1)
        np.testing.assert_allclose(jensen_shannon(jnp.asarray(one), jnp.asarray(two)), expected, rtol=2e-5, atol=1e-6)
        moved = np.abs(exact[0] - exact[1]).sum(axis=-1) / 2
        np.testing.assert_allclose(total_variation(jnp.asarray(one), jnp.asarray(two)), moved, rtol=1e-5, atol=1e-6)
        spread = scipy.stats.entropy(exact[0], base=2, axis=-1)
        np.testing.assert_allclose(entropy(jnp.asarray(one)), spread, rtol=1e-5, atol=1e-5)


def test_a_tiny_change_is_not_lost_in_rounding():
    rng = np.random.default_rng(1)
    one = attention(rng, (20, 16), 1).astype(np.float64)
    two = one + 1e-4 * one * (rng.normal(size=one.shape))
    one, two = one.astype(np.float32), two.astype(np.float32)
    # The same formula as SciPy's, on the float32 numbers, in extended precision.
    p, q = one.astype(np.longdouble), two.astype(np.longdouble)
    m = (p + q) / 2
    exact = np.sqrt((p * np.log2(p / m) + q * np.log2(q / m)).sum(axis=-1) / 2)
    assert exact.max() < 1e-4
    found = jensen_shannon(jnp.asarray(one), jnp.asarray(two))
    # Rows sum to 1 within float32's rounding only, and so does what the terms of first order leave.
    np.testing.assert_allclose(found, exact.astype(np.float64), rtol=5e-3)


def test_distances_are_exactly_zero_on_equal_rows_and_one_on_disjoint_ones():
    rng = np.random.default_rng(2)
    weights = jnp.asarray(attention(rng, (50, 30), 3))
    assert not np.asarray(jensen_shannon(weights, weights)).any()
    assert not np.asarray(total_variation(weights, weights)).any()
    one, two = jnp.eye(5)[:3], jnp.eye(5)[2:]
    np.testing.assert_allclose(jensen_shannon(one, two), 1, atol=1e-6)
    np.testing.assert_allclose(total_variation(one, two), 1, atol=1e-6)


def test_they_are_distances():
    rng = np.random.default_rng(3)
    one, two, three = (jnp.asarray(attention(rng, (200, 8), 2)) for _ in range(3))
    for distance in (jensen_shannon, total_variation):
        there, back = distance(one, two), distance(two, one)
        np.testing.assert_allclose(there, back, atol=1e-6)
        assert (np.asarray(distance(one, three)) <= np.asarray(there + distance(two, three)) + 1e-6).all()


def test_the_gradient_is_that_of_the_formula_and_zero_on_equal_rows():
    rng = np.random.default_rng(4)
    one, two = (jnp.asarray(attention(rng, (5, 6), 1)) for _ in range(2))

    def total(weights):
        return jensen_shannon(weights, two).sum()

    found = np.asarray(jax.grad(total)(one))
    step = 1e-3
    for index in np.ndindex(5, 6):
        moved = [
            jensenshannon_of_unnormalised(np.asarray(one, np.float64)[index[0]], index[1], sign * step, two[index[0]])
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(found[index], (moved[0] - moved[1]) / (2 * step), rtol=2e-3, atol=1e-4)
    assert not np.asarray(jax.grad(lambda x: jensen_shannon(x, one).sum())(one)).any()


def jensenshannon_of_unnormalised(row, key, step, other):
    """The formula without scaling rows to 1, as the gradient sees it."""
    p, q = row.copy(), np.asarray(other, np.float64)
    p[key] += step
    m = (p + q) / 2
    return np.sqrt((p * np.log2(p / m) + q * np.log2(q / m)).sum() / 2)
