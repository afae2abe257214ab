"""The entry to attention flow: methods agree, cuts prove and differentiate, and bad requests are named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.flow import solve
from tests.problems import masks, softmax_attention


def padded_graph(seed=1, batch=5, layers=4, tokens=7):
    mask = masks(seed, batch, tokens)
    return jf.attention_graph(softmax_attention(seed, (batch, layers, 2, tokens, tokens), mask=mask), mask)


@pytest.mark.parametrize("on_accelerator", [False, True])
@pytest.mark.parametrize("tol", [1e-6, 1e-3, 0.05])
def test_auto_is_exact_within_tol_and_certified(tol, on_accelerator, monkeypatch):
    # As if an accelerator held the graph: then the device's bounds come first.
    monkeypatch.setattr(solve, "_is_on_accelerator", lambda graph: on_accelerator)
    graph = padded_graph()
    exact = jf.attention_flow(graph, method="exact")
    auto = jf.attention_flow(graph, method="auto", tol=tol)
    assert np.all(exact.certified)
    assert np.all(auto.certified)
    np.testing.assert_allclose(auto.value, exact.value, atol=tol)
    assert np.all(auto.lower <= exact.value + 1e-12)
    assert np.all(exact.value <= auto.upper + 1e-12)
    for solution in (exact, auto):
        assert all(isinstance(x, np.ndarray) for x in (solution.value, solution.lower, solution.upper))
        assert solution.value.dtype == np.float64


def test_exact_is_right_at_the_first_two_layers():
    graph = padded_graph(2)
    mixing = np.float64(graph.capacity)
    flow = jf.attention_flow(graph, layers=[1, 2], method="exact")
    np.testing.assert_array_equal(flow.value[:, 0], mixing[:, 0])
    products = np.minimum(mixing[:, 1, :, :, None], mixing[:, 0, None, :, :]).sum(-2)
    np.testing.assert_allclose(flow.value[:, 1], products, atol=1e-12)


@pytest.mark.parametrize("method", ["exact", "auto"])
def test_a_padded_batch_agrees_with_the_sentence_alone(method):
    lengths = np.array([6, 2, 8])
    attention = softmax_attention(3, (3, 4, 2, 8, 8))
    mask = np.arange(8) < lengths[:, None]
    together = jf.attention_flow(jf.attention_graph(attention, mask), method=method)
    for example, length in enumerate(lengths):
        own = attention[example, ..., :length, :length]
        alone = jf.attention_flow(jf.attention_graph(own, normalize=True), method=method)
        np.testing.assert_allclose(together.value[example, :, :length, :length], alone.value, atol=2e-6)
        assert np.all(together.value[example, :, length:] == 0)
        assert np.all(together.value[example, :, :, length:] == 0)


@pytest.mark.parametrize(
    ("queries", "layers", "rows", "levels"),
    [
        (None, None, slice(None), slice(None)),
        (0, 4, [0], [3]),
        (6, [1, 3], [6], [0, 2]),
        ([2, 0, 2], np.array([3]), [2, 0, 2], [2]),
        (np.int64(1), (4, 1), [1], [3, 0]),
    ],
)
def test_queries_and_layers_keep_their_axes(queries, layers, rows, levels):
    graph = padded_graph(4)
    whole = jf.attention_flow(graph, method="exact").value
    some = jf.attention_flow(graph, queries=queries, layers=layers, method="exact").value
    np.testing.assert_allclose(some, whole[:, levels][:, :, rows], atol=1e-12)


def test_queries_may_differ_from_example_to_example():
    graph = padded_graph(5)
    whole = jf.attention_flow(graph, method="exact").value
    positions = np.array([[0, 3], [6, 1], [2, 2], [4, 5], [1, 0]])
    some = jf.attention_flow(graph, queries=positions, method="exact").value
    np.testing.assert_allclose(some, np.take_along_axis(whole, positions[:, None, :, None], axis=2), atol=1e-12)


def test_any_number_of_batch_axes():
    attention = softmax_attention(6, (2, 3, 3, 2, 5, 5))
    whole = jf.attention_flow(jf.attention_graph(attention), method="auto")
    assert whole.value.shape == (2, 3, 3, 5, 5)
    alone = jf.attention_flow(jf.attention_graph(attention[1, 2]), method="auto")
    assert alone.value.shape == (3, 5, 5)
    np.testing.assert_allclose(whole.value[1, 2], alone.value, atol=2e-6)


def test_the_cut_proves_the_flow_and_carries_its_derivative():
    attention = jnp.asarray(softmax_attention(7, (2, 4, 2, 6, 6)), jnp.float32)
    graph = jf.attention_graph(attention)
    flow = jf.attention_flow(graph, layers=[2, 4], method="exact", cuts=True)
    assert flow.cut.shape == (2, 2, 6, 6, 5, 6)
    assert flow.cut.dtype == bool
    capacity = jax.jit(jf.cut_capacity)(graph, flow.cut)
    np.testing.assert_allclose(capacity, flow.value, atol=2e-6)
    mapped = jax.vmap(jf.cut_capacity)(graph, jnp.asarray(flow.cut))
    np.testing.assert_allclose(mapped, capacity, atol=1e-6)

    def pair_capacity(scores, cut):
        return jf.cut_capacity(jf.attention_graph(jax.nn.softmax(scores)), cut)[1, 1, 2, 3]

    scores = jnp.log(attention)
    gradient = jax.jit(jax.grad(pair_capacity))(scores, flow.cut)
    direction = jnp.asarray(np.random.default_rng(1).normal(size=scores.shape), jnp.float32)
    step = 3e-3
    ends = []
    for side in (1, -1):
        moved = jf.attention_graph(jax.nn.softmax(scores + side * step * direction))
        ends.append(jf.attention_flow(moved, queries=2, layers=4, method="exact").value[1, 0, 0, 3])
    np.testing.assert_allclose(jnp.vdot(gradient, direction), (ends[0] - ends[1]) / (2 * step), rtol=0.05, atol=2e-3)


def test_a_cut_bounds_the_flow_of_other_weights():
    before, after = (jf.attention_graph(softmax_attention(seed, (3, 4, 2, 6, 6))) for seed in (8, 9))
    cut = jf.attention_flow(before, method="exact", cuts=True).cut
    flow = jf.attention_flow(after, method="exact").value
    assert np.all(np.asarray(jf.cut_capacity(after, cut)) >= flow - 1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "magic"}, "`method` must be one of 'auto', 'bounds', 'relaxed', 'smooth', 'exact', got 'magic'"),
        ({"layers": 0}, "`layers` must be from 1 to 4.*got 0"),
        ({"layers": [2, 5]}, "`layers` must be from 1 to 4.*got 5"),
        ({"layers": []}, "`layers` must be one integer or more"),
        ({"layers": [[1, 2]]}, "`layers` must be an int or a sequence"),
        ({"layers": 1.5}, "`layers` must be one integer or more"),
        ({"layers": True}, "`layers` must be one integer or more"),
        ({"queries": 7}, "`queries` must be positions from 0 to 6, got 7"),
        ({"queries": -1}, "`queries` must be positions from 0 to 6, got -1"),
        ({"queries": [[0, 1]]}, "`queries` must be an int, a sequence of ints"),
        ({"queries": []}, "`queries` must be one integer or more"),
        ({"queries": "first"}, "`queries` must be one integer or more, 'last', or None, got 'first'"),
        ({"queries": "classifier"}, "got 'classifier'; `jaxflow.attribute` takes the words that need a model"),
        ({"tol": -1.0}, "`tol` must be a number, 0 or more"),
        ({"tol": float("nan")}, "`tol` must be a number"),
        (
            {"method": "bounds", "cuts": True},
            "`cuts` must be False where nothing is solved, got True; pass `method='exact'`",
        ),
    ],
)
def test_bad_requests_get_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message):
        jf.attention_flow(padded_graph(), **arguments)


READERS = {
    "exact": lambda graph, queries: jf.attention_flow(graph, queries, method="exact").value,
    "bounds": lambda graph, queries: jf.attention_flow(graph, queries, method="bounds").value,
    "traced": jax.jit(
        lambda graph, queries: jf.attention_flow(graph, queries, method="bounds").value, static_argnums=1
    ),
    "joint": lambda graph, queries: jf.joint_flow(graph, queries).value,
    "traced joint": jax.jit(lambda graph, queries: jf.joint_flow(graph, queries).value, static_argnums=1),
    "widest": jf.widest_path,
    "shapley": lambda graph, queries: jf.flow_shapley(graph, queries).share,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_last_position_is_each_examples_own(reader, side):
    lengths = np.array([3, 1, 5])
    mask = np.arange(5) < lengths[:, None]
    last = lengths - 1
    if side == "left":
        mask, last = mask[:, ::-1], np.full(3, 4)
    graph = jf.attention_graph(softmax_attention(3, (3, 3, 2, 5, 5), mask=mask), mask)
    read = READERS[reader]
    found, every = np.asarray(read(graph, "last")), np.asarray(read(graph, None))
    axis = -1 if "joint" in reader else -2
    own = np.stack([every[example].take([at], axis) for example, at in enumerate(last)])
    np.testing.assert_allclose(found, own, rtol=1e-6, atol=1e-9)


def test_a_graph_on_the_host_is_solved_as_well():
    graph = padded_graph()
    flow = jf.attention_flow(jax.device_get(graph), queries=0)
    np.testing.assert_array_equal(flow.value, jf.attention_flow(graph, queries=0).value)


@pytest.mark.parametrize("method", ["exact", "auto"])
def test_host_methods_say_that_they_cannot_be_traced(method):
    with pytest.raises(
        InputError, match=r"`method` must run on the device under jit, vmap or grad, got .*; pass `method='bounds'`"
    ):
        jax.jit(lambda graph: jf.attention_flow(graph, method=method).value)(padded_graph())


def test_a_cut_of_another_shape_is_refused():
    graph = padded_graph()
    with pytest.raises(InputError, match="`cut` must have shape"):
        jf.cut_capacity(graph, np.zeros((5, 3, 7), bool))
