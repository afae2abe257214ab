"""Bounds on the device: they bracket the exact flow, meet it where they say, and differentiate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from tests.problems import masks, softmax_attention

# Examples and layers of every problem but the long one, and tokens of most: all are filled up to one shape, for which
# one program is compiled.
SHAPE = (5, 6, 2, 8, 8)
# name: (attention, mask, residual); a batch of different problems each
PROBLEMS = {
    "diffuse": (softmax_attention(1, SHAPE, sharpness=1.0), None, 0.5),
    "peaked": (softmax_attention(2, SHAPE, sharpness=12.0), None, 0.5),
    "padded": (softmax_attention(3, SHAPE, mask=masks(3, 5, 8)), masks(3, 5, 8), 0.5),
    "causal": (softmax_attention(4, SHAPE, causal=True), None, 0.5),
    "no residual": (softmax_attention(5, SHAPE, sharpness=6.0), None, 0.0),
    "residual alone": (softmax_attention(6, (5, 6, 1, 6, 6)), None, 1.0),
    "one token": (softmax_attention(7, (5, 6, 1, 1, 1)), None, 0.5),
    "long": (softmax_attention(8, (1, 4, 2, 40, 40), sharpness=5.0), None, 0.5),
}


def graph_of(name):
    attention, mask, residual = PROBLEMS[name]
    return jf.attention_graph(attention, mask, residual=residual)


@pytest.mark.parametrize("name", PROBLEMS)
def test_bounds_bracket_the_exact_flow(name):
    graph = graph_of(name)
    exact = jf.attention_flow(graph, method="exact")
    bounds = jf.attention_flow(graph, method="bounds")
    lower, upper = np.float64(bounds.lower), np.float64(bounds.upper)
    assert np.all(lower <= exact.value + 1e-12)
    assert np.all(exact.value <= upper + 1e-12)
    np.testing.assert_allclose(np.float64(bounds.value)[bounds.certified], exact.value[bounds.certified], atol=1e-6)
    assert np.all(upper <= np.float64(bounds.value) + 1e-6)
    # One pass is already close from above; how close on real attention is measured in the benchmark.
    if name != "no residual":
        reached = exact.value > 0
        assert np.mean((upper - exact.value)[reached] / exact.value[reached]) < 0.05


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_first_two_layers_are_exact(name):
    graph = graph_of(name)
    mixing = np.float64(graph.capacity)
    bounds = jf.attention_flow(graph, layers=[1, 2], method="bounds")
    assert np.all(bounds.certified)
    np.testing.assert_array_equal(np.float64(bounds.value)[..., 0, :, :], mixing[..., 0, :, :])
    products = np.minimum(mixing[..., 1, :, :, None], mixing[..., 0, None, :, :]).sum(-2)
    np.testing.assert_allclose(bounds.value[..., 1, :, :], products, rtol=3e-7)


@pytest.mark.slow
def test_a_padded_batch_agrees_with_the_sentence_alone():
    lengths = np.array([5, 2, 9, 7])
    attention = softmax_attention(9, (4, 4, 2, 9, 9))
    mask = np.arange(9) < lengths[:, None]
    together = jf.attention_flow(jf.attention_graph(attention, mask), method="bounds")
    for example, length in enumerate(lengths):
        own = attention[example, ..., :length, :length]
        expected = jf.attention_flow(jf.attention_graph(own, normalize=True), method="bounds")
        # A flow that was built leaves room for rounding in proportion to the number of positions, padding included.
        for field, slack in (("value", 2e-6), ("lower", 1e-5), ("upper", 2e-6)):
            ours = getattr(together, field)[example, :, :length, :length]
            np.testing.assert_allclose(ours, getattr(expected, field), atol=slack)
        assert np.all(together.upper[example, :, length:] == 0)
        assert np.all(together.upper[example, :, :, length:] == 0)


def test_chosen_queries_and_layers_are_rows_of_the_whole():
    graph = graph_of("padded")
    whole = jf.attention_flow(graph, method="bounds")
    positions = np.random.default_rng(0).integers(0, 8, (5, 3))
    some = jf.attention_flow(graph, queries=positions, layers=[4, 2], method="bounds")
    expected = np.take_along_axis(np.asarray(whole.upper)[:, [3, 1]], positions[:, None, :, None], axis=2)
    np.testing.assert_allclose(some.upper, expected, atol=2e-6)


def test_jit_and_vmap_change_nothing():
    graph = graph_of("peaked")
    plain = jf.attention_flow(graph, method="bounds")
    mapped = jax.jit(jax.vmap(lambda one: jf.attention_flow(one, method="bounds")))(graph)
    np.testing.assert_allclose(mapped.upper, plain.upper, atol=1e-6)
    np.testing.assert_allclose(mapped.lower, plain.lower, atol=1e-6)


@pytest.mark.parametrize("axes", [jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit])
def test_bounds_are_the_same_on_several_devices(axes):
    graph = jf.attention_graph(softmax_attention(10, (8, 4, 2, 6, 6)))
    plain = jf.attention_flow(graph, method="bounds")
    mesh = jax.make_mesh((4,), ("example",), axis_types=(axes,))
    spread = jax.device_put(graph, jax.NamedSharding(mesh, jax.P("example")))
    sharded = jf.attention_flow(spread, method="bounds")
    assert len(sharded.upper.sharding.device_set) == 4
    np.testing.assert_allclose(sharded.upper, plain.upper, atol=1e-6)
    cut = jax.device_put(np.ones((8, 5, 6), bool), spread.weights.sharding)
    np.testing.assert_array_equal(jf.cut_capacity(spread, cut), np.zeros(8))
    np.testing.assert_allclose(jf.attention_rollout(spread), jf.attention_rollout(graph), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diffuse", "peaked", "causal"])
def test_the_gradient_is_the_slope_where_the_bound_is_smooth(name):
    attention, _, residual = PROBLEMS[name]
    scores = jnp.log(jnp.asarray(attention[0, :4], jnp.float32) + 1e-12)

    def total(scores, pair):
        graph = jf.attention_graph(jax.nn.softmax(scores), residual=residual)
        return jf.attention_flow(graph, layers=[4], method="bounds").value[0][pair]

    value_and_gradient = jax.jit(jax.value_and_grad(total), static_argnums=1)
    direction = jnp.asarray(np.random.default_rng(1).normal(size=scores.shape), jnp.float32)
    step, smooth = 2e-3, 0
    for pair in [(0, 1), (2, 0), (3, 3), (5, 2), (7, 4)]:
        slopes = [
            float(jnp.vdot(value_and_gradient(scores + side * step * direction, pair)[1], direction))
            for side in (-1, 1)
        ]
        high, low = (float(value_and_gradient(scores + side * step * direction, pair)[0]) for side in (1, -1))
        slope = (high - low) / (2 * step)
        gradient = float(jnp.vdot(value_and_gradient(scores, pair)[1], direction))
        # Between two bends the bound is linear in the mixing; slopes that agree on both sides say that none is near.
        if abs(slopes[0] - slopes[1]) < 0.02 * max(map(abs, slopes)):
            smooth += 1
            np.testing.assert_allclose(gradient, slope, rtol=0.05, atol=2e-3)
    assert smooth >= 2
