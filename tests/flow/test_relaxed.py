"""The relaxation: its bounds bracket the exact flow at every stop, and close in on it with work."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow.flow.device.relaxed import Relaxed, preflow
from tests.flow.test_bounds import PROBLEMS, graph_of
from tests.problems import softmax_attention


@pytest.mark.parametrize("name", ["diffuse", "peaked", "padded", "causal", "no residual", "one token"])
@pytest.mark.parametrize("passes", [1, pytest.param(150, marks=pytest.mark.slow)])
def test_bounds_bracket_the_exact_flow_at_every_stop(name, passes):
    graph = graph_of(name)
    exact = jf.attention_flow(graph, method="exact").value
    found = jf.attention_flow(graph, method=Relaxed(passes=passes))
    assert np.all(np.float64(found.lower) <= exact + 1e-12)
    assert np.all(exact <= np.float64(found.upper) + 1e-12)
    if passes > 1:
        gap = np.float64(found.upper) - np.float64(found.lower)
        assert np.mean(gap <= 1e-3 * exact + 1e-6) > 0.95


@pytest.mark.parametrize("layers", [1, [2, 1]])
def test_the_first_two_layers_need_no_relaxation(layers):
    graph = graph_of("padded")
    found = jf.attention_flow(graph, layers=layers, method="relaxed")
    assert np.all(found.certified)


@pytest.mark.slow
def test_more_work_brings_the_bounds_closer():
    graph = graph_of("peaked")
    gaps = []
    for method in ("bounds", Relaxed(passes=1), "relaxed"):
        found = jf.attention_flow(graph, layers=[3, 4, 5, 6], method=method)
        gaps.append(float(jnp.mean(found.upper - found.lower)))
    assert gaps[0] > 1.5 * gaps[1] > 10 * gaps[2]


def test_what_it_returns_is_a_flow_and_a_cut():
    graph = jf.attention_graph(softmax_attention(1, (5, 2, 8, 8), sharpness=6.0))
    mixing = graph.capacity
    rng = np.random.default_rng(0)
    solve = jax.jit(partial(preflow, rounds=8))
    for layer, query, token in zip(
        rng.integers(1, 6, 12), rng.integers(8, size=12), rng.integers(8, size=12), strict=True
    ):
        pair = tuple(jnp.asarray(int(x)) for x in (layer, query, token))
        arcs, side, _ = solve(mixing, *pair)
        arcs, side = np.float64(arcs), np.asarray(side)
        assert np.all(arcs >= 0)
        assert np.all(arcs <= np.float64(mixing) * (1 + 1e-6))
        assert np.all(arcs[layer:] == 0)
        assert np.all(np.delete(arcs[layer - 1], query, axis=0) == 0)
        assert np.all(np.delete(arcs[0], token, axis=1) == 0)
        for level in range(1, layer):
            np.testing.assert_allclose(arcs[level].sum(0), arcs[level - 1].sum(1), atol=1e-6)
        assert side[layer, query]
        assert not side[0, token]
        assert side[layer].sum() == 1
        np.testing.assert_array_equal(side[layer + 1 :], False)


@pytest.mark.slow
def test_it_goes_through_jit_vmap_and_grad():
    attention, _, _ = PROBLEMS["diffuse"]
    scores = jnp.log(jnp.asarray(attention[:2, :3], jnp.float32))

    def value(scores):
        graph = jf.attention_graph(jax.nn.softmax(scores))
        return jf.attention_flow(graph, queries=1, layers=3, method="relaxed").value

    together = jax.jit(value)(scores)
    np.testing.assert_allclose(jax.vmap(value)(scores), together, atol=1e-6)
    gradient = jax.grad(lambda s: value(s)[0, 0, 0, 2])(scores)
    direction = jnp.asarray(np.random.default_rng(1).normal(size=scores.shape), jnp.float32)
    step = 3e-3
    ends = [float(value(scores + side * step * direction)[0, 0, 0, 2]) for side in (1, -1)]
    np.testing.assert_allclose(jnp.vdot(gradient, direction), (ends[0] - ends[1]) / (2 * step), rtol=0.05, atol=2e-3)
    assert np.abs(gradient[1]).sum() == 0
