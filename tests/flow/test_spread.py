"""Examples spread over devices: each device solves its own, and no program asks another device for anything."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow.flow import auto, exact
from jaxflow.flow.device import solvers
from jaxflow.flow.device.relaxed import Relaxed
from tests.problems import softmax_attention

COLLECTIVE = re.compile(r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\(")
QUICK = Relaxed(passes=60)


@pytest.fixture(scope="module")
def graph():
    return jf.attention_graph(softmax_attention(3, (8, 3, 1, 5, 5), sharpness=5.0))


@pytest.fixture(scope="module")
def spread(graph):
    mesh = jax.make_mesh((4,), ("example",), axis_types=(jax.sharding.AxisType.Auto,))
    return jax.device_put(graph, jax.NamedSharding(mesh, jax.P("example")))


@pytest.mark.slow
def test_no_device_waits_for_another(graph, spread):
    queries = jax.device_put(jnp.zeros((8, 1), jnp.int32), spread.weights.sharding)

    def collectives(apart):
        program = solvers.on_device.lower(spread, queries, (3,), 1e-6, QUICK, apart).compile()
        return set(COLLECTIVE.findall(program.as_text()))

    # Left to the compiler, a round of pushing ends on all devices at once.
    assert collectives(None) == {"all-reduce"}
    assert collectives(solvers.spread_of(spread)) == set()
    found, alone = (jf.attention_flow(each, queries=0, method=QUICK) for each in (spread, graph))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("examples", [8, 2])
def test_a_device_relaxes_the_pairs_of_its_own_examples(graph, spread, examples, monkeypatch):
    monkeypatch.setattr(auto, "SHORTEST_LIST", 4)
    monkeypatch.setattr(auto, "LONGEST_LIST", 8)
    rng = np.random.default_rng(0)
    # With pairs of the first two examples alone, three devices have none; of all, lists differ in length.
    pairs = rng.integers(examples, size=30), np.full(30, 3), rng.integers(5, size=30), rng.integers(5, size=30)
    lower, upper = auto._relaxed(spread, 3, pairs, QUICK)
    for one, other in zip((lower, upper), auto._relaxed(graph, 3, pairs, QUICK), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    every = exact.max_flow(np.asarray(graph.capacity, np.float64), np.tile(np.arange(5), (8, 1)), (3,)).value
    value = every[pairs[0], 0, pairs[2], pairs[3]]
    assert (lower <= value + 1e-12).all()
    assert (value <= upper + 1e-12).all()
    listed = tuple(jnp.zeros((4 * 8,), jnp.int32) for _ in pairs)
    program = auto._relaxed_list.lower(spread, listed, depth=3, solver=QUICK, apart=solvers.spread_of(spread))
    assert not COLLECTIVE.findall(program.compile().as_text())


def test_parts_of_one_example_are_left_to_the_compiler(graph, spread):
    assert solvers.spread_of(graph) is None
    assert solvers.spread_of(spread) == jax.NamedSharding(spread.weights.sharding.mesh, jax.P("example"))
    for spec in (jax.P(), jax.P(None, None, None, None), jax.P("example", None, "part")):
        mesh = jax.make_mesh((4, 1), ("example", "part"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
        weights = jax.device_put(graph.weights, jax.NamedSharding(mesh, spec))
        assert solvers.spread_of(dataclasses.replace(graph, weights=weights)) is None
