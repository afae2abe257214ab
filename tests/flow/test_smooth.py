"""Smooth flow: below the exact flow by no more than is proven, the best potentials found, derivatives its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import jaxflow as jf
from jaxflow.flow import exact
from jaxflow.flow.device.smooth import Smooth
from tests.flow.families import FAMILIES
from tests.problems import masks, softmax_attention

LAYERS, TOKENS = 4, 5
SOURCES = (1, 2, 3, 4)
# All but those of capacities that no softmax gives, and one of two groups twice: ties and zeros are among them.
NAMES = [name for name in FAMILIES if name not in ("mixed_scales", "only_residual")]
GENERIC = [NAMES.index(name) for name in ("diffuse", "peaked", "local", "strong_sink", "causal")]


def problems():
    """One problem of each family, rows summing to at most 1."""
    made = [FAMILIES[name](np.random.default_rng(seed), LAYERS, TOKENS) for seed, name in enumerate(NAMES)]
    return np.stack([mixing / max(1, mixing.sum(-1).max()) for mixing in made])


def flows(mixing, temperature=0.05):
    queries = jnp.broadcast_to(jnp.asarray([1, 3], jnp.int32), (*mixing.shape[:-3], 2))
    return Smooth(temperature)(mixing, queries, SOURCES, 1e-6)


def weighted(mixing):
    """One number for each problem, in which every pair has a say of its own."""
    shares = np.random.default_rng(0).uniform(0.5, 1.5, size=(len(SOURCES), 2, TOKENS))
    return jnp.einsum("...lqt,lqt->...", flows(mixing).value, jnp.asarray(shares, mixing.dtype))


@jax.jit
def slopes(mixing):
    """The gradient, and the values that go with it."""
    values, pull = jax.vjp(weighted, mixing)
    return pull(jnp.ones_like(values))[0], values


def price(fall, t):
    down = np.maximum(fall, 0)
    return (1 - t) * np.where(down < t, down**2 / (2 * t), down - t / 2) + t * down**2 / 2


@pytest.fixture(scope="module")
def exactly():
    queries = np.broadcast_to([1, 3], (len(NAMES), 2))
    return exact.max_flow(problems(), queries, SOURCES).value


@pytest.mark.parametrize(("temperature", "double"), [(0.1, True), (0.05, False)])
def test_the_value_lies_between_proven_bounds_and_tends_to_the_flow(exactly, temperature, double):
    with jax.enable_x64(double):
        mixing = jnp.asarray(problems(), jnp.float64 if double else jnp.float32)
        found = jax.jit(flows, static_argnums=1)(mixing, temperature)
        value, lower, upper = (np.float64(x) for x in (found.value, found.lower, found.upper))
    # The same weights, as they were rounded.
    if not double:
        exactly = exact.max_flow(np.float64(mixing), np.broadcast_to([1, 3], (len(NAMES), 2)), SOURCES).value
    rounding = 1e-12 if double else 2e-6
    assert np.all(lower <= value)
    assert np.all(value <= upper)
    assert np.all(lower <= exactly + 1e-12)
    assert np.all(exactly <= upper + 1e-12)
    assert np.all(value <= exactly + rounding)
    depth = np.array(SOURCES)[:, None, None]
    least = depth * price(1 / depth, temperature) / price(1.0, temperature)
    assert np.all(value >= exactly * least - rounding)
    assert np.all(exactly - value <= 0.5 * depth * temperature * exactly + rounding)


def test_no_other_potentials_are_cheaper():
    mixing, temperature, layer, query, token = problems(), 0.1, 3, 3, 2
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(flows, static_argnums=1)(jnp.asarray(mixing), temperature).value)
    checked = 0
    for index in GENERIC:
        arcs = mixing[index, :layer].copy()
        arcs[-1] *= np.arange(TOKENS)[:, None] == query
        arcs[0] *= np.arange(TOKENS) == token

        def cost(inner, arcs=arcs):
            ends = np.ones((1, TOKENS))
            nodes = np.concatenate([0 * ends, inner.reshape(layer - 1, TOKENS), ends])
            fall = nodes[1:, :, None] - nodes[:-1, None, :]
            return (arcs * price(fall, temperature)).sum() / price(1.0, temperature)

        start = np.repeat(np.arange(1, layer) / layer, TOKENS)
        best = scipy.optimize.minimize(cost, start, bounds=[(0, 1)] * start.size, options={"ftol": 1e-15, "gtol": 1e-9})
        ours = found[index, SOURCES.index(layer), 1, token]
        assert ours <= best.fun + 1e-12
        np.testing.assert_allclose(ours, best.fun, rtol=1e-5)
        checked += ours > 0
    assert checked > 2


@pytest.mark.slow
def test_the_gradient_is_the_slope_at_ties_and_beside_zeros_too():
    with jax.enable_x64(True):
        mixing = jnp.asarray(problems())
        gradient, values = slopes(mixing)
        np.testing.assert_allclose((gradient * mixing).sum((1, 2, 3)), values, rtol=1e-9)
        forward = jax.jit(lambda m, d: jax.jvp(weighted, (m,), (d,))[1])
        rng = np.random.default_rng(2)
        for _ in range(3):
            direction = jnp.asarray(rng.normal(size=mixing.shape)) * mixing
            step = 1e-7
            ends = [slopes(mixing + side * step * direction)[1] for side in (1, -1)]
            measured = (ends[0] - ends[1]) / (2 * step)
            ours = (gradient * direction).sum((1, 2, 3))
            np.testing.assert_allclose(ours, measured, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(forward(mixing, direction), ours, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_single_precision_has_the_same_gradient():
    with jax.enable_x64(True):
        doubled = np.asarray(slopes(jnp.asarray(np.float32(problems()), jnp.float64))[0])
    single = np.asarray(slopes(jnp.asarray(problems(), jnp.float32))[0])
    mixing = np.float32(problems())
    np.testing.assert_allclose(single[mixing > 1e-4], doubled[mixing > 1e-4], atol=1e-4)
    # Nodes that only tiny capacities hold are not placed well in single precision; their arcs bear little on the flow.
    np.testing.assert_allclose(single * mixing, doubled * mixing, atol=1e-4)


@pytest.mark.slow
def test_the_second_derivative_is_the_slope_of_the_gradient():
    with jax.enable_x64(True):
        mixing = jnp.asarray(problems()[GENERIC])
        rng, step = np.random.default_rng(3), 1e-7
        direction = jnp.asarray(rng.normal(size=mixing.shape)) * mixing
        second = jax.jit(lambda m, d: jax.jvp(lambda x: slopes(x)[0], (m,), (d,))[1])(mixing, direction)
        measured = (slopes(mixing + step * direction)[0] - slopes(mixing - step * direction)[0]) / (2 * step)
        assert float(jnp.abs(measured).max()) > 0.1
        np.testing.assert_allclose(
            jnp.where(mixing > 0, second, 0.0), jnp.where(mixing > 0, measured, 0.0), rtol=1e-3, atol=1e-4
        )


@pytest.mark.slow
def test_it_goes_through_the_entry_under_jit_vmap_and_grad():
    mask = masks(3, 3, 6)
    scores = jnp.asarray(np.random.default_rng(4).normal(size=(3, 3, 2, 6, 6)), jnp.float32)

    def value(scores, mask):
        keys = jnp.where(mask[..., None, None, None, :], scores, -1e30)
        graph = jf.attention_graph(jax.nn.softmax(keys), mask)
        return jf.attention_flow(graph, queries=0, layers=3, method="smooth").value

    together = jax.jit(value)(scores, mask)
    np.testing.assert_allclose(jax.jit(jax.vmap(value))(scores, mask), together, atol=1e-5)
    real = mask[:, None, :1, None] & mask[:, None, None, :]
    np.testing.assert_array_equal(np.asarray(together)[~real], 0)
    gradient = jax.jit(jax.grad(lambda s, m: value(s, m).sum()))(scores, mask)
    assert np.all(np.isfinite(gradient))
    np.testing.assert_array_equal(
        np.asarray(gradient)[~np.broadcast_to(mask[:, None, None, None, :], gradient.shape)], 0
    )


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.5])
def test_a_temperature_out_of_range_is_refused(wrong):
    with pytest.raises(jf.InputError, match="`temperature` must be above 0 and at most 1"):
        Smooth(wrong)


def test_a_sharp_graph_is_no_harder_than_a_diffuse_one():
    graph = jf.attention_graph(softmax_attention(5, (3, 2, 6, 6), sharpness=12.0))
    found = jf.attention_flow(graph, queries=[0, 2], layers=3, method=Smooth(0.02))
    flow = jf.attention_flow(graph, queries=[0, 2], layers=3, method="exact").value
    np.testing.assert_allclose(found.value, flow, rtol=0.03, atol=1e-5)
