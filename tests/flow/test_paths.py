"""Flows taken apart into paths: they add up to the flow, fit into the graph, and come strongest first."""

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from tests.flow.families import FAMILIES


def graph_of(name, seed, layers=4, tokens=7, mask=None):
    rng = np.random.default_rng(seed)
    made = FAMILIES[name](rng, layers, tokens) * rng.uniform(0.2, 3, (layers, tokens, 1))
    return jf.capacity_graph(np.float32(made), np.zeros((layers, tokens), np.float32), mask)


def on_arcs(paths, shape):
    """What paths carry over each arc."""
    flow = np.zeros(shape)
    for path in paths:
        assert len(path.positions) == shape[0] + 1
        for above, (i, j) in enumerate(zip(path.positions, path.positions[1:], strict=False)):
            flow[shape[0] - 1 - above, i, j] += path.amount
    return flow


@pytest.mark.parametrize("name", FAMILIES)
def test_paths_of_a_pair_carry_its_flow(name):
    graph = graph_of(name, len(name))
    capacity = np.float64(graph.capacity)
    value = jf.attention_flow(graph, 2, None, "exact").value
    for layer, token in ((4, 2), (4, 5), (2, 1), (1, 2)):
        paths = jf.flow_paths(graph, 2, token, layer)
        amounts = np.array([path.amount for path in paths])
        expected = value[layer - 1, 0, token]
        assert amounts.sum() == pytest.approx(expected, rel=1e-10, abs=1e-300)
        assert (np.diff(amounts) <= 0).all()
        assert all(path.token == token and path.positions[0] == 2 for path in paths)
        assert (on_arcs(paths, (layer, 7, 7)) <= capacity[:layer] + 1e-12 * expected).all()
        assert len({path.positions for path in paths}) == len(paths)
        # The first is no wider than the widest path of the graph.
        if paths:
            widest = np.asarray(jf.widest_path(graph, 2, layer))[0, 0, token]
            assert amounts[0] <= widest * (1 + 1e-7)
            assert jf.flow_paths(graph, 2, token, layer, most=2) == paths[:2]


def test_paths_of_the_joint_flow_end_in_shares():
    for name in ("local", "peaked", "padded", "sparse"):
        graph = graph_of(name, 3)
        joint = jf.joint_flow(graph, 1)
        paths = jf.flow_paths(graph, 1)
        ends = np.zeros(7)
        for path in paths:
            ends[path.token] += path.amount
        np.testing.assert_allclose(ends, joint.share[-1, 0], rtol=0, atol=1e-9 * max(joint.value[-1, 0], 1e-9))
        assert (on_arcs(paths, (4, 7, 7)) <= np.float64(graph.capacity) * (1 + 1e-9)).all()


def test_padding_has_no_paths():
    mask = np.array([1, 1, 0, 1, 1, 1, 1], bool)
    graph = graph_of("diffuse", 1, mask=mask)
    assert jf.flow_paths(graph, 2) == jf.flow_paths(graph, 2, 1) == jf.flow_paths(graph, 1, 2) == ()
    assert jf.flow_paths(graph, 1)


def test_bad_requests_are_named():
    graph = graph_of("diffuse", 1)
    with pytest.raises(InputError, match="`token` must be an int"):
        _ = jf.flow_paths(graph, 1, [2])
    # Each argument by its own name, and by the numbers that it may have.
    tokens, depth = graph.num_tokens, graph.num_layers
    for argument, wrong, least, most in (
        ("query", tokens, 0, tokens - 1),
        ("token", -1, 0, tokens - 1),
        ("layer", 0, 1, depth),
        ("layer", depth + 1, 1, depth),
    ):
        with pytest.raises(InputError, match=f"`{argument}` must be from {least} to {most}, got {wrong}$"):
            _ = jf.flow_paths(graph, **{"query": 1, argument: wrong})
    with pytest.raises(InputError, match="`most` must be None or a number"):
        _ = jf.flow_paths(graph, 1, 2, most=0)
    with pytest.raises(InputError, match="`graph` must be one example"):
        _ = jf.flow_paths(jf.capacity_graph(np.ones((1, 2, 3, 3))), 1)
