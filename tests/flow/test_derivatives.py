"""Derivatives of every kind of flow, and that following them raises the exact flow."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxflow as jf
from jaxflow.flow import exact
from tests.flow.families import FAMILIES
from tests.problems import softmax_attention

LAYERS, TOKENS, QUERY, TOKEN = 4, 5, 1, 3
NAMES = ("diffuse", "peaked", "local", "strong_sink", "causal", "uniform", "tied", "permutation")


def graph_of(mixing):
    """A graph whose mixing is the given one: no residual, one head."""
    return jf.attention_graph(mixing[..., None, :, :], residual=0.0)


def problems():
    """Problems whose rows sum to 1, so that the graph takes them as they are."""
    made = np.stack([FAMILIES[name](np.random.default_rng(seed), LAYERS, TOKENS) for seed, name in enumerate(NAMES)])
    made = made + 1e-3 * (made.sum(-1, keepdims=True) == 0)
    return made / made.sum(-1, keepdims=True)


def flow_of(attention):
    """Exact flow of one pair by an independent path, of each problem."""
    mixing = np.asarray(graph_of(attention).capacity, np.float64)
    return exact.max_flow(mixing, np.full((len(mixing), 1), QUERY), (LAYERS,)).value[:, 0, 0, TOKEN]


def moved(scores, direction, step):
    return jax.nn.softmax(scores + step * direction)


def test_a_cuts_capacity_has_the_flows_slope_and_is_a_supergradient_at_ties():
    attention = problems()
    with jax.enable_x64(True):
        scores = jnp.log(jnp.asarray(attention) + 1e-30)
        found = jf.attention_flow(graph_of(jax.nn.softmax(scores)), queries=QUERY, layers=LAYERS, cuts=True)
        cut = jnp.asarray(found.cut[:, 0, 0, TOKEN])

        def capacity(scores):
            return jf.cut_capacity(graph_of(jax.nn.softmax(scores)), cut)

        value, pull = jax.vjp(jax.jit(capacity), scores)
        np.testing.assert_allclose(value, found.value[:, 0, 0, TOKEN], rtol=1e-9)
        gradient = pull(jnp.ones_like(value))[0]
        rng, step, smooth = np.random.default_rng(0), 1e-5, NAMES.index("uniform")
        for _ in range(3):
            direction = jnp.asarray(rng.normal(size=scores.shape))
            ends = [flow_of(moved(scores, direction, side * step)) for side in (1, -1)]
            ours = np.asarray((gradient * direction).sum((1, 2, 3)))
            slope = (ends[0] - ends[1]) / (2 * step)
            np.testing.assert_allclose(ours[:smooth], slope[:smooth], rtol=1e-3, atol=1e-6)
            np.testing.assert_allclose(jax.jvp(capacity, (scores,), (direction,))[1], ours, rtol=1e-9, atol=1e-12)
            # At ties the flow has a kink: it falls off to both sides of what one of its supergradients says.
            assert np.all(ends[0] <= value + step * ours + 1e-8)
            assert np.all(ends[1] <= value - step * ours + 1e-8)


@pytest.mark.parametrize("method", ["bounds", pytest.param("relaxed", marks=pytest.mark.slow)])
def test_the_upper_bounds_have_their_own_slope(method):
    generic = NAMES.index("uniform")
    with jax.enable_x64(True):
        scores = jnp.log(jnp.asarray(problems()[:generic]) + 1e-30)

        @jax.jit
        def upper(scores):
            found = jf.attention_flow(graph_of(jax.nn.softmax(scores)), queries=QUERY, layers=LAYERS, method=method)
            return found.upper[:, 0, 0, TOKEN]

        gradient = jax.jit(jax.grad(lambda s: upper(s).sum()))(scores)
        direction, step = jnp.asarray(np.random.default_rng(1).normal(size=scores.shape)), 1e-6
        slope = (upper(scores + step * direction) - upper(scores - step * direction)) / (2 * step)
        ours = (gradient * direction).sum((1, 2, 3))
        np.testing.assert_allclose(ours, slope, rtol=1e-3, atol=1e-6)
        forward = jax.jit(lambda s, d: jax.jvp(upper, (s,), (d,))[1])
        np.testing.assert_allclose(forward(scores, direction), ours, rtol=1e-9, atol=1e-12)
        # One problem at a time, by vmap, has the gradient that it has in the batch.
        alone = jax.jit(jax.vmap(jax.grad(lambda s: upper(s[None])[0])))(scores)
        np.testing.assert_allclose(alone, gradient, rtol=1e-9, atol=1e-12)


def raised(scores, steps=24, refresh=6):
    """Train scores to raise the flow from TOKEN to QUERY, and give the exact flow before and after each refresh."""
    optimiser = optax.adam(0.1)
    exactly = []

    def graph(scores):
        return jf.attention_graph(jax.nn.softmax(scores))

    @jax.jit
    def step(scores, state, cut):
        def loss(scores):
            return -jf.cut_capacity(graph(scores), cut)

        gradient = jax.grad(loss)(scores)
        with jax.numpy_dtype_promotion("standard"):  # optax's Adam divides by powers of a counter
            updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(scores, updates), state

    def solved(scores):
        found = jf.attention_flow(graph(scores), queries=QUERY, layers=3, method="exact", cuts=True)
        exactly.append(float(found.value[0, 0, TOKEN]))
        return jnp.asarray(found.cut[0, 0, TOKEN])

    state = optimiser.init(scores)
    for count in range(steps):
        if count % refresh == 0:
            cut = solved(scores)
        scores, state = step(scores, state, cut)
    _ = solved(scores)
    return exactly


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_training_along_cuts_raises_the_exact_flow(seed):
    attention = softmax_attention(seed, (3, 2, 6, 6), sharpness=2.0)
    exactly = raised(jnp.log(jnp.asarray(attention, jnp.float32)))
    # The rows sum to 1, so that no flow is larger.
    assert exactly[-1] > min(1.5 * exactly[0], 0.99)
    assert all(after > min(before, 0.99) for before, after in itertools.pairwise(exactly))
