"""The min-sum product: its rounding error at any length, and its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.flow.device.minsum import min_sum, min_sum_down, min_sum_up


def in_float64(left, right):
    return np.minimum(np.float64(left)[..., :, :, None], np.float64(right)[..., None, :, :]).sum(-2)


def operands(seed, queries, middle, tokens, batch=()):
    rng = np.random.default_rng(seed)
    # Entries over many orders of magnitude, ties and zeros among them.
    left = 10 ** rng.uniform(-12, 0, (*batch, queries, middle)) * (rng.random((*batch, queries, middle)) < 0.9)
    right = 10 ** rng.uniform(-12, 0, (*batch, middle, tokens))
    right = np.where(rng.random(right.shape) < 0.1, left[..., :1, :].swapaxes(-1, -2), right)
    return jnp.asarray(left, jnp.float32), jnp.asarray(right, jnp.float32)


@pytest.mark.parametrize("middle", [1, 15, 16, 17, 100, 3000])
def test_outward_rounding_brackets_the_product_closely(middle):
    left, right = operands(middle, 7, middle, 9, batch=(3,))
    exact = in_float64(left, right)
    up, down = np.float64(min_sum_up(left, right)), np.float64(min_sum_down(left, right))
    assert np.all(down <= exact)
    assert np.all(exact <= up)
    np.testing.assert_allclose(up, exact, rtol=1e-6)
    np.testing.assert_allclose(down, exact, rtol=1e-6)


def test_derivatives_follow_the_smaller_operand_both_ways():
    left, right = operands(1, 5, 20, 6)
    rng = np.random.default_rng(2)
    tangents = [jnp.asarray(rng.normal(size=x.shape), jnp.float32) for x in (left, right)]
    _, forward = jax.jvp(min_sum, (left, right), tuple(tangents))
    smaller = np.asarray(left)[:, :, None] < np.asarray(right)[None]
    tied = np.asarray(left)[:, :, None] == np.asarray(right)[None]
    share = smaller + 0.5 * tied
    expected = (share * np.asarray(tangents[0])[:, :, None] + (1 - share) * np.asarray(tangents[1])[None]).sum(1)
    np.testing.assert_allclose(forward, expected, atol=1e-5)
    weights = jnp.asarray(rng.normal(size=forward.shape), jnp.float32)
    _, pull = jax.vjp(min_sum, left, right)
    backward = sum(jnp.vdot(g, t) for g, t in zip(pull(weights), tangents, strict=True))
    np.testing.assert_allclose(backward, jnp.vdot(weights, forward), rtol=1e-4)


def test_it_maps_over_a_batch():
    left, right = operands(3, 4, 18, 5, batch=(6,))
    np.testing.assert_array_equal(jax.vmap(min_sum)(left, right), min_sum(left, right))
