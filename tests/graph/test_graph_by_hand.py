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
    leaves = {"attention": GRAPH.attention, "residual": GRAPH.residual, "mask": GRAPH.mask, **parts}
    return jax.tree.unflatten(jax.tree.structure(GRAPH), list(leaves.values()))


def with_entry(value, hold=np.asarray):
    attention = np.array(GRAPH.attention)
    attention[1, 2, 3, 0] = value
    return by_hand(attention=hold(attention))


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
    message = rf"^`graph` must be an AttentionGraph, got {got}; make it with attention_graph\(attentions, mask\)$"
    with pytest.raises(InputError, match=message):
        functional(value)


@pytest.mark.parametrize("functional", FUNCTIONALS.values(), ids=FUNCTIONALS)
@pytest.mark.parametrize("hold", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    ("value", "problem"), [(np.nan, "finite"), (np.inf, "finite"), (-np.inf, "finite"), (-1e-3, "non-negative")]
)
def test_graphs_that_are_not_finite_or_negative(functional, hold, value, problem):
    message = rf"`graph` must hold {problem} attention, got \S+ at example 1, layer 3, query 3, key 0; make it with"
    with pytest.raises(InputError, match=message):
        functional(with_entry(value, hold))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"residual": np.float32([0.5, 1.5])}, r"a residual in \[0, 1\], got 1.5"),
        ({"residual": np.float32([0.5, np.nan])}, r"a residual in \[0, 1\], got nan"),
        ({"residual": jnp.float32([-0.5, 0.5])}, r"a residual in \[0, 1\], got -0.5"),
        ({"residual": np.float32(0.5)}, r"a residual of shape \(2,\), got \(\)"),
        ({"residual": 0.5}, "arrays: its residual, got 0.5"),
        ({"residual": None}, "arrays: its residual, got None"),
        ({"residual": np.array([1, 0])}, "floating-point numbers as its residual, got int64"),
        ({"mask": np.ones((2, 5), bool)}, r"a mask of shape \(2, 4\), got \(2, 5\)"),
        ({"mask": np.ones((2, 4))}, "booleans as its mask, got float64"),
        ({"attention": np.ones((2, 3, 4, 5))}, r"attention of shape \(\*batch, layer, token, token\), got"),
        ({"attention": np.ones((4, 4))}, "attention of shape"),
        ({"attention": np.ones((2, 0, 4, 4))}, "attention of shape"),
        ({"attention": np.ones((2, 3, 4, 4), int)}, "floating-point numbers as its attention, got int64"),
        ({"attention": np.ones((2, 3, 4, 4), complex)}, "floating-point numbers as its attention, got complex128"),
        ({"attention": [[[0.5]]]}, "arrays: its attention"),
    ],
)
def test_graphs_of_parts_that_do_not_fit(parts, message):
    with pytest.raises(InputError, match=f"`graph` must hold .*{message}") as caught:
        jf.attention_rollout(by_hand(**parts))
    assert "\n" not in str(caught.value)


def test_sound_graphs_pass_as_they_are():
    for graph in (GRAPH, jax.device_get(GRAPH), by_hand(residual=np.float32([0, 1]))):
        assert check_graph(graph) is graph
        assert as_graph(graph) is graph
    with pytest.raises(InputError, match="`upper` must be an AttentionGraph"):
        as_graph(3, "upper")


@pytest.mark.parametrize("kind", [pytest.param(jnp.bfloat16, marks=pytest.mark.slow), np.float16, ">f4", np.longdouble])
def test_numbers_in_formats_in_which_nothing_is_computed_are_widened(kind):
    hold = jnp.asarray if kind is jnp.bfloat16 else np.asarray
    graph = by_hand(attention=hold(GRAPH.attention, kind), residual=hold([0.25, 0.5], kind))
    same = by_hand(attention=jnp.asarray(graph.attention.astype(np.float32)), residual=jnp.float32([0.25, 0.5]))
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
    assert np.isnan(graph.attention[1, 2, 3, 0])
    assert np.isnan(jax.vmap(jf.attention_rollout)(with_entry(np.nan, jnp.asarray))[1, 2, 3]).any()
    with pytest.raises(InputError, match=r"a mask of shape \(2, 4\)"):
        jax.jit(jf.attention_rollout)(by_hand(mask=jnp.ones((2, 3), bool)))
