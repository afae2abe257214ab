"""Graphs that attention_graph did not make, and what is no graph at all: one line from every function of a graph."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.graph.graph import as_graph, check_graph
from tests.problems import softmax_attention

ATTENTION = softmax_attention(1, (2, 3, 2, 4, 4))
GRAPH = jf.attention_graph(ATTENTION)
OWN = np.asarray(GRAPH.own)
HUGE = np.full((2, 3, 4, 4), np.finfo(np.float32).max)
CUT = np.zeros((2, 4, 4), bool)
FUNCTIONALS = {
    "raw": jf.raw_attention,
    "rollout": jf.attention_rollout,
    "heads": lambda graph: jf.head_rollout(graph, ATTENTION, 1),
    "cut": lambda graph: jf.cut_capacity(graph, CUT),
    "check": check_graph,
}


def by_hand(**parts):
    """A graph with other parts, as a transformation of JAX makes one: its parts are not looked at."""
    leaves = {"weights": GRAPH.weights, "own": GRAPH.own, "mask": GRAPH.mask, **parts}
    return jax.tree.unflatten(jax.tree.structure(GRAPH), list(leaves.values()))


def with_entry(value, hold=np.asarray):
    weights = np.array(GRAPH.weights)
    weights[1, 2, 3, 0] = value
    return by_hand(weights=hold(weights))


@pytest.mark.parametrize("functional", FUNCTIONALS.values(), ids=FUNCTIONALS)
@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "NoneType"),
        (ATTENTION, r"an array of shape \(2, 3, 2, 4, 4\)"),
        (jnp.zeros((3, 4, 4)), r"an array of shape \(3, 4, 4\)"),
        ([[1.0]], "list"),
        (jf.AttentionGraph, "type"),
    ],
    ids=["none", "array", "jax", "list", "class"],
)
def test_what_is_no_graph(functional, value, got):
    message = rf"^`graph` must be an AttentionGraph, got {got}; make it with attention_graph\(attentions, mask\) or "
    with pytest.raises(InputError, match=message):
        functional(value)


@pytest.mark.parametrize("functional", FUNCTIONALS.values(), ids=FUNCTIONALS)
@pytest.mark.parametrize("hold", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    ("value", "problem"), [(np.nan, "finite"), (np.inf, "finite"), (-np.inf, "finite"), (-1e-3, "non-negative")]
)
def test_graphs_that_are_not_finite_or_negative(functional, hold, value, problem):
    message = rf"`graph` must hold {problem} weights, got \S+ at example 1, layer 3, query 3, key 0; make it with"
    with pytest.raises(InputError, match=message):
        functional(with_entry(value, hold))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"own": OWN * np.float32(np.inf)}, "finite own, got inf at example 0, layer 1, position 0"),
        ({"own": OWN * np.float32([[[1]], [[np.nan]]])}, "finite own, got nan at example 1, layer 1"),
        ({"own": jnp.asarray(-OWN)}, "non-negative own, got -0.5"),
        (
            {"own": HUGE[..., 0], "weights": HUGE},
            "sum with `own` is finite in float32, got more at example 0",
        ),
        ({"own": np.float32(0.5)}, r"own of shape \(2, 3, 4\), got \(\)"),
        ({"own": 0.5}, "arrays: its own, got 0.5"),
        ({"own": None}, "arrays: its own, got None"),
        ({"own": np.ones((2, 3, 4), int)}, "floating-point numbers as its own, got int64"),
        ({"mask": np.ones((2, 5), bool)}, r"mask of shape \(2, 4\), got \(2, 5\)"),
        ({"mask": np.ones((2, 4))}, "booleans as its mask, got float64"),
        ({"weights": np.ones((2, 3, 4, 5))}, r"weights of shape \(\*batch, layer, token, token\), got"),
        ({"weights": np.ones((4, 4))}, "weights of shape"),
        ({"weights": np.ones((2, 0, 4, 4))}, "weights of shape"),
        ({"weights": np.ones((2, 3, 4, 4), int)}, "floating-point numbers as its weights, got int64"),
        ({"weights": np.ones((2, 3, 4, 4), complex)}, "floating-point numbers as its weights, got complex128"),
        ({"weights": [[[0.5]]]}, "arrays: its weights"),
    ],
)
def test_graphs_of_parts_that_do_not_fit(parts, message):
    with pytest.raises(InputError, match=f"`graph` must hold .*{message}") as caught:
        jf.attention_rollout(by_hand(**parts))
    assert "\n" not in str(caught.value)


def test_sound_graphs_pass_as_they_are():
    for graph in (GRAPH, jax.device_get(GRAPH), by_hand(own=3e20 * OWN)):
        assert check_graph(graph) is graph
        assert as_graph(graph) is graph
    with pytest.raises(InputError, match="`upper` must be an AttentionGraph"):
        as_graph(3, "upper")


@pytest.mark.parametrize("kind", [pytest.param(jnp.bfloat16, marks=pytest.mark.slow), np.float16, ">f4", np.longdouble])
def test_numbers_in_formats_in_which_nothing_is_computed_are_widened(kind):
    hold = jnp.asarray if kind is jnp.bfloat16 else np.asarray
    graph = by_hand(weights=hold(GRAPH.weights, kind), own=hold(GRAPH.own, kind))
    same = by_hand(weights=jnp.asarray(graph.weights.astype(np.float32)), own=jnp.asarray(GRAPH.own))
    np.testing.assert_array_equal(jf.attention_rollout(graph), jf.attention_rollout(same))
    found, expected = (jf.attention_flow(each, queries=0, layers=[3], method="exact") for each in (graph, same))
    np.testing.assert_array_equal(found.value, expected.value)
    if kind is jnp.bfloat16:
        bounds = jax.jit(lambda graph: jf.attention_flow(graph, queries=0, layers=[3], method="bounds"))(graph)
        assert bounds.upper.dtype == np.float32
        assert np.asarray(bounds.lower <= found.value + 1e-6).all()
        assert np.asarray(bounds.upper >= found.value - 1e-6).all()


def test_values_inside_a_transformation_pass():
    graph = jax.jit(check_graph)(with_entry(np.nan, jnp.asarray))
    assert np.isnan(graph.weights[1, 2, 3, 0])
    assert np.isnan(jax.vmap(jf.attention_rollout)(with_entry(np.nan, jnp.asarray))[1, 2, 3]).any()
    with pytest.raises(InputError, match=r"mask of shape \(2, 4\)"):
        jax.jit(jf.attention_rollout)(by_hand(mask=jnp.ones((2, 3), bool)))
