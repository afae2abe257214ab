"""Widest paths: against networkx, under every transformation, and as a bound of the flow."""

import itertools

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution.methods import Streaming
from jaxflow.attribution.registry import METHODS
from jaxflow.flow.widest import max_min
from tests.flow.families import FAMILIES

NAMES = [name for name in FAMILIES if name != "mixed_scales"]


def batch(tokens=5, layers=4):
    made = [FAMILIES[name](np.random.default_rng(seed), layers, tokens) for seed, name in enumerate(NAMES)]
    sizes = np.random.default_rng(0).uniform(0.2, 3, (len(NAMES), layers, tokens, 1))
    mask = np.ones((len(NAMES), tokens), bool)
    mask[1, 0] = mask[3, 2:4] = False
    return jf.capacity_graph(np.float32(made * sizes), 0.1 * np.ones((len(NAMES), layers, tokens), np.float32), mask)


def by_networkx(capacity, layer, query):
    """Widths of the widest paths: along a maximum spanning tree, for the graph without directions cut off above."""
    tokens = capacity.shape[-1]
    widths = np.zeros(tokens)
    # A path that turns would be longer than one that does not: only one of directions down is allowed, so count them.
    graph = nx.DiGraph()
    for below in range(layer):
        for i, j in np.argwhere(capacity[below]):
            graph.add_edge((below + 1, int(i)), (below, int(j)), width=capacity[below, i, j])
    for token in range(tokens):
        if not (graph.has_node((layer, query)) and graph.has_node((0, token))):
            continue
        for width in sorted({data["width"] for _, _, data in graph.edges(data=True)}, reverse=True):
            kept = nx.DiGraph([edge[:2] for edge in graph.edges(data=True) if edge[2]["width"] >= width])
            if (
                kept.has_node((layer, query))
                and kept.has_node((0, token))
                and nx.has_path(kept, (layer, query), (0, token))
            ):
                widths[token] = width
                break
    return widths


def test_widths_are_those_of_the_widest_paths_and_bound_the_flow():
    graph = batch()
    capacity, mask = np.asarray(graph.capacity), np.asarray(graph.mask)
    found = np.asarray(jf.widest_path(graph, [3, 0], [4, 1, 2]))
    assert found.shape == (len(NAMES), 3, 2, 5)
    for example in range(len(NAMES)):
        for (place, layer), (number, query) in itertools.product(enumerate((4, 1, 2)), enumerate((3, 0))):
            expected = by_networkx(capacity[example], layer, query)
            np.testing.assert_array_equal(found[example, place, number], expected)
    assert not found[~mask[:, 3], :, 0].any()
    flow = jf.attention_flow(graph, [3, 0], [4, 1, 2], "exact")
    # No rounding at all: the flow is summed, the path's width is only compared.
    assert (found <= flow.value * (1 + 1e-12)).all()


def test_streamed_widths_are_the_same():
    graph = batch()
    method = METHODS["widest-path"]
    assert isinstance(method, Streaming)
    carry = method.start(graph.mask)
    whole = np.asarray(jf.widest_path(graph))
    for layer in range(graph.num_layers):
        carry, widths = method.step(carry, graph.weights[:, layer], graph.capacity[:, layer])
        np.testing.assert_array_equal(widths, whole[:, layer])


def test_widths_differentiate_under_jit_and_vmap():
    graph = batch()
    weights = jnp.asarray(np.random.default_rng(1).uniform(0.1, 1, graph.weights.shape), jnp.float32)

    def width(weights, mask):
        return jf.widest_path(jf.capacity_graph(weights, mask=mask), 1, 4).sum()

    gradient = jax.jit(jax.vmap(jax.grad(width)))(weights, graph.mask)
    # Each token's widest path has one narrowest arc, and moves along with it alone: by one each.
    tokens = np.where(graph.mask[:, 1], graph.mask.sum(-1), 0)
    np.testing.assert_array_equal(gradient.sum((1, 2, 3)), tokens)
    assert set(np.unique(gradient)) <= set(range(6))
    direction = np.random.default_rng(2).normal(size=weights.shape)
    step = 1e-3 / 64
    with jax.enable_x64(True):
        ends = [jax.vmap(width)(np.float64(weights) + side * step * direction, graph.mask) for side in (1, -1)]
    slope = np.asarray(ends[0] - ends[1]) / (2 * step)
    # A step may cross a kink; of so short a one, few do.
    near = np.abs((np.asarray(gradient) * direction).sum((1, 2, 3)) - slope) < 1e-6
    assert near.mean() > 0.8


def test_bad_requests_are_named():
    with pytest.raises(InputError, match="`layers` must be from 1 to 4"):
        _ = jf.widest_path(batch(), 0, 5)


def test_widths_are_found_without_reading_by_index():
    square = jnp.ones((2, 5, 5))
    # Accelerators read by index slowly; only the derivative does.
    assert "gather" not in str(jax.make_jaxpr(max_min)(square, square))
    assert "gather" in str(jax.make_jaxpr(jax.grad(lambda x: max_min(x, square).sum()))(square))
