"""Pairwise flow on graphs whose capacities keep their size, as those of class-specific mixings, against OR-Tools."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow.flow import exact
from tests.flow.families import UNNORMALISED
from tests.flow.joint_oracles import joint_value
from tests.flow.oracles import OrTools

NAMES = tuple(UNNORMALISED)
LAYERS, TOKENS, EXAMPLES = 4, 7, 4


def scale_of(capacity):
    """The largest sum of a row."""
    return max(capacity.sum(-1).max(), 1e-300)


def check_against_ortools(seeds):
    positive = saturated = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        layers, tokens = int(rng.integers(2, 7)), int(rng.integers(3, 25))
        capacity = UNNORMALISED[NAMES[seed % len(NAMES)]](rng, layers, tokens)
        layer = int(rng.integers(1, layers + 1))
        # A row that something leaves, and any other.
        queries = [int(capacity[layer - 1].sum(1).argmax()), int(rng.integers(tokens))]
        found = exact.max_flow(capacity[None], np.array([queries]), (layer,), threads=1)
        oracle, scale = OrTools(capacity, layer), scale_of(capacity)
        for number, source in enumerate(queries):
            for token in rng.choice(tokens, min(tokens, 8), replace=False).tolist():
                flow, at = oracle(source, token), (0, 0, number, token)
                assert abs(found.value[at] - flow) <= 1e-8 * scale
                assert found.lower[at] <= flow + 1e-11 * scale
                assert found.upper[at] >= flow - 1e-11 * scale
                assert found.upper[at] - found.lower[at] <= 1e-11 * found.upper[at]
                positive += flow > 0
                ends = min(capacity[layer - 1, source].sum(), capacity[0, :, token].sum())
                saturated += flow >= ends * (1 - 1e-9) > 0
    return positive, saturated


def test_exact_flow_is_that_of_ortools():
    positive, saturated = check_against_ortools(range(300))
    # Neither all of them trivial, nor none.
    assert positive > 1000
    assert 100 < saturated < positive - 100


@pytest.mark.slow
def test_exact_flow_is_that_of_ortools_on_two_thousand_graphs():
    _ = check_against_ortools(range(300, 2300))


def batch_of(seed):
    """Padded graphs of all families in one batch, at scales far from 1."""
    rng = np.random.default_rng(seed)
    capacity = np.stack([UNNORMALISED[name](rng, LAYERS, TOKENS) for name in NAMES for _ in range(EXAMPLES)])
    capacity *= rng.choice([1e-12, 1.0, 1e12], (len(capacity), 1, 1, 1))
    mask = rng.random((len(capacity), TOKENS)) < 0.85
    mask[:, 2] = True
    # Own streams apart from weights, as mixings give them.
    own = capacity[..., np.arange(TOKENS), np.arange(TOKENS)] / 2
    weights = capacity - own[..., None] * np.eye(TOKENS)
    return jf.capacity_graph(np.float32(weights), np.float32(own), mask)


METHODS = ["exact", "auto", "bounds", *(pytest.param(name, marks=pytest.mark.slow) for name in ("relaxed", "smooth"))]


@pytest.mark.parametrize("method", METHODS)
def test_brackets_and_saturation_hold(method):
    certified = saturated = 0
    for seed in range(3):
        graph = batch_of(seed)
        capacity, mask = np.float64(graph.capacity), np.asarray(graph.mask)
        found = jf.attention_flow(graph, layers=[2, LAYERS], method=method)
        value, lower, upper = (np.float64(x) for x in (found.value, found.lower, found.upper))
        assert np.all((lower <= value) & (value <= upper))
        fills, proven = np.asarray(found.saturated), np.asarray(found.certified)
        assert proven.all() or method not in ("exact", "auto")
        for example, (place, layer) in itertools.product(range(len(capacity)), enumerate((2, LAYERS))):
            oracle, scale = OrTools(capacity[example], layer), scale_of(capacity[example])
            leaving, entering = capacity[example, layer - 1].sum(1), capacity[example, 0].sum(0)
            for query, token in np.ndindex(TOKENS, TOKENS):
                at, flow, slack = (example, place, query, token), oracle(query, token), 1e-12 * scale
                assert lower[at] <= flow + slack
                assert upper[at] >= flow - slack
                if proven[at]:
                    assert upper[at] - lower[at] <= 1e-6 * scale
                # Saturated: the flow fills all that leaves the query or all that enters the token, within tol.
                end = min(leaving[query], entering[token])
                real = mask[example, query] and mask[example, token]
                if fills[at]:
                    assert real
                    assert flow >= end * (1 - 1e-6) - 1e-6 * scale
                elif real and proven[at]:
                    assert flow < end
        certified += proven.sum()
        saturated += fills.sum()
    assert certified
    assert saturated


def test_flow_of_a_real_classifier_is_that_of_ortools():
    model = jf.load_model("verb-number")
    graph = jf.build_graph(model, ["the keys to the old cabinet", "the man that the girls like"], "attention-gradient")
    capacity = np.float64(graph.capacity)
    found = jf.attention_flow(graph, 0, method="exact")
    joint = jf.joint_flow(graph, 0)
    bounds = jf.attention_flow(graph, 0, method="bounds")
    for example, below in np.ndindex(len(capacity), graph.num_layers):
        oracle, scale = OrTools(capacity[example], below + 1), scale_of(capacity[example])
        for token in np.flatnonzero(np.asarray(graph.mask)[example]):
            at, flow = (example, below, 0, int(token)), oracle(0, int(token))
            assert abs(found.value[at] - flow) <= 1e-8 * scale
            assert bounds.lower[at] <= flow + 1e-12 * scale
            assert bounds.upper[at] >= flow - 1e-12 * scale
        expected = joint_value(capacity[example], below + 1, 0)
        assert abs(joint.value[example, below, 0] - expected) <= 1e-8 * scale
    assert (joint.gap <= 1e-9).all()
    # Class-specific capacities tell tokens apart: no query's or token's own arcs are all that binds.
    assert not found.saturated[:, -1].all()


def test_cuts_of_class_graphs_have_the_slope_of_the_exact_flow():
    rng, step, query, token = np.random.default_rng(4), 1e-6, 1, 3
    made = np.stack([UNNORMALISED["own_a_layer"](rng, LAYERS, TOKENS) for _ in range(6)])
    direction = rng.normal(size=made.shape) * made

    def flow(capacity):
        return exact.max_flow(capacity, np.full((len(made), 1), query), (LAYERS,)).value[:, 0, 0, token]

    with jax.enable_x64(True):
        graph = jf.capacity_graph(jnp.asarray(made))
        cut = jnp.asarray(jf.attention_flow(graph, query, LAYERS, cuts=True).cut[:, 0, 0, token])

        def value(capacity, cut):
            return jf.cut_capacity(jf.capacity_graph(capacity), cut)

        values, gradient = jax.jit(jax.vmap(jax.value_and_grad(value)))(jnp.asarray(made), cut)
    np.testing.assert_allclose(values, flow(made), rtol=1e-9)
    slope = (flow(made + step * direction) - flow(made - step * direction)) / (2 * step)
    np.testing.assert_allclose((np.asarray(gradient) * direction).sum((1, 2, 3)), slope, rtol=1e-5, atol=1e-9)
    assert np.any(slope)
