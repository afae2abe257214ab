"""Bounds on every kind of graph and at every scale: strictly around the exact flow, and met on diffuse attention."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.flow.device.blocks import block_numbers
from jaxflow.flow.device.bounds import flow_bounds
from jaxflow.flow.exact import max_flow
from tests.flow.families import FAMILIES, diffuse

LAYERS, TOKENS, SEEDS = 5, 9, 2
SCALES = {"one": 1.0, "small": 1e-30, "large": 1e30, "subnormal": 1e-38}


@partial(jax.jit, static_argnums=(2,))
def bounds_of(mixing, queries, layers):
    return flow_bounds(mixing, queries, layers, 1e-6)


@pytest.fixture(scope="module")
def mixing():
    rngs = [np.random.default_rng(seed) for seed in range(SEEDS)]
    return np.stack([make(rng, LAYERS, TOKENS) for make in FAMILIES.values() for rng in rngs])


@pytest.mark.parametrize("scale", SCALES)
def test_bounds_lie_on_both_sides_of_the_exact_flow(mixing, scale):
    single: np.ndarray = (mixing * SCALES[scale]).astype(np.float32)
    queries = np.broadcast_to(np.arange(TOKENS, dtype=np.int32), (len(single), TOKENS))
    layers = tuple(range(1, LAYERS + 1))
    # Solved at a scale that the solver keeps every digit at; a power of two changes none.
    exact = max_flow(single.astype(np.float64) * 2.0**100, queries, layers).value * 2.0**-100
    found = bounds_of(jnp.asarray(single), jnp.asarray(queries), layers)
    lower, upper = np.float64(found.lower), np.float64(found.upper)
    assert np.all(lower <= exact * (1 + 1e-14))
    assert np.all(exact * (1 - 1e-14) <= upper)
    if scale == "one":
        assert np.all((found.certified | (exact > 1))[:, :2])
        # Padding and groups that never see one another.
        assert np.all((upper == 0) | (exact > 0))


@pytest.mark.slow
def test_diffuse_attention_is_certified_in_single_precision():
    layers, tokens = 12, 24
    mixing: np.ndarray = np.stack([diffuse(np.random.default_rng(seed), layers, tokens) for seed in range(3)]).astype(
        np.float32
    )
    queries = np.broadcast_to(np.arange(tokens, dtype=np.int32), (3, tokens))
    exact = max_flow(mixing.astype(np.float64), queries, (layers,)).value
    found = bounds_of(jnp.asarray(mixing), jnp.asarray(queries), (layers,))
    assert np.all(np.float64(found.lower) <= exact)
    assert np.all(exact <= np.float64(found.upper))
    assert np.mean(found.certified) > 0.99
    np.testing.assert_allclose(found.upper, exact, atol=2e-6)


def test_memory_stays_bounded_with_all_queries_of_a_batch():
    batch, layers, tokens = 8, 4, 256
    mixing = jax.ShapeDtypeStruct((batch, layers, tokens, tokens), jnp.float32)
    queries = jax.ShapeDtypeStruct((batch, tokens), jnp.int32)
    memory = bounds_of.lower(mixing, queries, tuple(range(1, layers + 1))).compile().memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes <= 8 * mixing.size * 4 + 64 * block_numbers()
