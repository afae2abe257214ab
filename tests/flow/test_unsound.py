"""Graphs whose capacities are none: refused where values can be read, never certified where they cannot."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.flow.device.bounds import Bounds
from jaxflow.flow.solution import FlowSolution
from tests.problems import softmax_attention

TOKENS = 5
GOOD = jf.attention_graph(softmax_attention(1, (4, 2, TOKENS, TOKENS)))
# name: where in which array, and what stands there
WRONGS = {
    "NaN": ("weights", (2, 1, 1), np.nan),
    "infinite": ("weights", (0, 3, 2), np.inf),
    "negative": ("weights", (3, 0, 4), -0.25),
    "negative by a hair": ("weights", (1, 2, 2), -1e-45),
    "minus infinity": ("weights", (1, 2, 2), -np.inf),
    "NaN own stream": ("own", (0, 1), np.nan),
    "negative own stream": ("own", (3, 4), -0.1),
    "infinite own stream": ("own", (2, 2), np.inf),
    "sum beyond the format": ("own", (1, 3), np.finfo(np.float32).max),
}


def spoilt(name):
    field, place, value = WRONGS[name]
    arrays = {"weights": np.array(GOOD.weights), "own": np.array(GOOD.own)}
    arrays[field][place] = value
    if name == "sum beyond the format":
        # A weight and an own stream that are finite each.
        arrays["weights"][1, 3, 3] = value
    return jf.AttentionGraph(jnp.asarray(arrays["weights"]), jnp.asarray(arrays["own"]), GOOD.mask)


def together():
    """All kinds of wrong graphs, with a sound one at both ends."""
    graphs = [GOOD, *map(spoilt, WRONGS), GOOD]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *graphs)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("method", ["bounds", "relaxed", "smooth"])
def test_nothing_is_certified_of_an_example_that_is_not_sound(method, mapped):
    def flow(graph):
        return jf.attention_flow(graph, queries=[0, 3], layers=[1, 4], method=method, tol=1.0)

    found = jax.jit(jax.vmap(flow) if mapped else flow)(together())
    certified = np.asarray(found.certified)
    # A tolerance of 1 certifies every pair of a sound graph.
    assert np.all(certified[[0, -1]])
    assert not np.any(certified[1:-1])
    for bound in (found.value, found.lower, found.upper):
        assert np.all(np.isnan(bound[1:-1]))
        np.testing.assert_array_equal(bound[0], bound[-1])
        assert np.all(np.isfinite(bound[0]))


def test_a_solver_of_ones_own_certifies_nothing_that_it_does_not_prove():
    def boasting(mixing, queries, layers, tol):
        shape = (*mixing.shape[:-3], len(layers), queries.shape[-1], mixing.shape[-1])
        lower = jnp.zeros(shape)
        upper = jnp.broadcast_to(jnp.asarray([0.0, 5e-39, 0.5, jnp.nan, jnp.inf], jnp.float32), shape)
        return FlowSolution(value=upper, lower=lower, upper=upper, certified=jnp.ones(shape, bool))

    for tol, expected in ((0.0, 1), (1e-30, 2), (1.0, 3)):
        found = jf.attention_flow(GOOD, queries=0, layers=4, method=boasting, tol=tol)
        assert found.certified.ravel().tolist() == [True] * expected + [False] * (TOKENS - expected)


def test_the_gradient_of_a_sound_example_is_as_if_it_was_alone():
    def total(weights, own, mask):
        graph = jf.AttentionGraph(weights=weights, own=own, mask=mask)
        return jnp.nansum(jf.attention_flow(graph, queries=0, layers=3, method="bounds").value)

    slope = jax.jit(jax.grad(total))
    graphs = together()
    beside = slope(graphs.weights[:4], graphs.own[:4], graphs.mask[:4])
    alone = slope(*(jnp.stack([x] * 4) for x in (GOOD.weights, GOOD.own, GOOD.mask)))
    np.testing.assert_allclose(beside[0], alone[0], atol=1e-6)
    assert np.abs(alone[0]).sum() > 1


@pytest.mark.parametrize("method", ["exact", "auto", "bounds", "relaxed", "smooth"])
@pytest.mark.parametrize("name", WRONGS)
def test_values_that_can_be_read_are_refused(name, method):
    problem = "((finite|non-negative) (weights|own)|numbers whose sum with `own` is finite in float32), got "
    with pytest.raises(InputError, match=f"`graph` must hold {problem}") as error:
        jf.attention_flow(spoilt(name), method=method)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=f"`graph` must hold {problem}"):
        jf.cut_capacity(spoilt(name), np.zeros((5, TOKENS), bool))


@pytest.mark.parametrize("graph", [None, "graph", np.zeros((3, 4, 4)), jf.AttentionGraph, GOOD.weights])
def test_what_is_no_graph_is_refused(graph):
    with pytest.raises(InputError, match="`graph` must be an AttentionGraph, got ") as error:
        jf.attention_flow(graph)
    assert len(str(error.value)) < 300
    with pytest.raises(InputError, match="`graph` must be an AttentionGraph, got "):
        jf.cut_capacity(graph, np.zeros((4, 4), bool))


def nothing(mixing, queries, layers, tol):
    return None


def tuple_of_bounds(mixing, queries, layers, tol):
    found = Bounds()(mixing, queries, layers, tol)
    return found.lower, found.upper


def transposed(mixing, queries, layers, tol):
    return jax.tree.map(lambda x: jnp.swapaxes(x, -1, -2), Bounds()(mixing, queries, layers, tol))


def numbers_for_truths(mixing, queries, layers, tol):
    found = Bounds()(mixing, queries, layers, tol)
    shape, arrays = found.value.shape, (found.value, found.lower, found.upper)
    solution = object.__new__(FlowSolution)
    for field, array in zip(("value", "lower", "upper", "certified"), (*arrays, jnp.ones(shape)), strict=True):
        object.__setattr__(solution, field, array)
    return solution


class List(list):
    def __call__(self, mixing, queries, layers, tol):
        return None


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (nothing, r"the solver nothing must return a FlowSolution with arrays of shape \(2, 1, 5\), got None; "),
        (tuple_of_bounds, r"the solver tuple_of_bounds must return a FlowSolution .*, got \(.*; "),
        (transposed, r"the solver transposed must return a FlowSolution .*, got value of shape \(2, 5, 1\); "),
        (
            numbers_for_truths,
            "the solver numbers_for_truths must return a FlowSolution .*, got certified of float32; ",
        ),
        (Bounds, r"`method` must be a name or a solver's value, got the class Bounds; pass `method=Bounds\(\)`"),
        (List([1]), r"`method` must be hashable, got \[1\]; "),
        (None, "`method` must be one of 'auto', .*, got None"),
        (3, "`method` must be one of 'auto', .*, got 3"),
    ],
)
def test_what_is_no_solver_gets_one_line(method, message):
    with pytest.raises(InputError, match=message) as error:
        jf.attention_flow(GOOD, queries=0, layers=[1, 2], method=method)
    assert "\n" not in str(error.value)
