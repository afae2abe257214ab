"""Flows along residual chains: steps that a block of pairs leaves out, and no derivative."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxflow as jf
from jaxflow.flow.device.chains import chain_flows
from tests.flow.families import diffuse

LAYERS, TOKENS = 6, 5
# As one program: step by step, each of JAX's primitives would be compiled.
flows_of = jax.jit(chain_flows)


def pairs_of(layer):
    """Every query and token at a layer, the first in a layer of its own."""
    query, token = np.divmod(np.arange(TOKENS**2, dtype=np.int32), TOKENS)
    return np.full(TOKENS**2, layer, np.int32), query, token


def capacity_of(seed):
    # Rows that sum to 1 at most, rounding included.
    return np.asarray(diffuse(np.random.default_rng(seed), LAYERS, TOKENS)) * (1 - 1e-6)


def test_steps_that_no_pair_of_a_block_may_use_would_move_nothing():
    capacity = np.float32(capacity_of(0))
    for layer in (1, 2, 3, 4, 5):
        layers, query, token = pairs_of(layer)
        alone = np.asarray(flows_of(capacity, layers, query, token))
        # One pair of the top layer has the whole block go through all the steps.
        layers[0] = LAYERS
        beside = np.asarray(flows_of(capacity, layers, query, token))
        assert alone[0] != beside[0]
        np.testing.assert_array_equal(alone[1:], beside[1:])
        assert alone.min() > 0


def test_lower_bounds_by_chains_have_no_derivative():
    weights = jnp.asarray(capacity_of(1), jnp.float32)

    def least(weights):
        graph = jf.capacity_graph(weights)
        return jf.attention_flow(graph, queries=2, layers=4, method="bounds").lower

    value, slope = jax.jvp(least, (weights,), (jnp.ones_like(weights),))
    flows = flows_of(weights, *(jnp.asarray(each[10:15]) for each in pairs_of(4)))
    # Where chains give the better bound; elsewhere it is that of flows in proportion to the weights.
    chains = np.abs(value[0, 0] - flows) < 1e-6
    assert chains.any()
    np.testing.assert_array_equal(slope[0, 0][chains], 0)
    assert np.isfinite(slope).all()
