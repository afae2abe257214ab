"""The graph against a plain loop that follows the definition, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.graph import values as _values
from tests.problems import masks, softmax_attention


def by_the_definition(attention, mask, fuse, residual):
    """Mixing of one example, entry by entry."""
    layers, _, tokens, _ = attention.shape
    mixing = np.zeros((layers, tokens, tokens))
    for layer in range(layers):
        for i in np.flatnonzero(mask):
            row = np.array([fuse(attention[layer, :, i, j]) if mask[j] else 0.0 for j in range(tokens)])
            row = row / row.sum() if row.sum() > 0 else np.eye(tokens)[i]
            mixing[layer, i] = residual * np.eye(tokens)[i] + (1 - residual) * row
    return mixing


WEIGHTS = np.array([0.5, 0.0, 2.0])


@pytest.mark.parametrize(
    ("heads", "fuse"),
    [("mean", np.mean), ("max", np.max), ("min", np.min), (WEIGHTS, lambda values: values @ WEIGHTS)],
    ids=["mean", "max", "min", "weights"],
)
@pytest.mark.parametrize("residual", [0.0, 0.3, 1.0])
def test_mixing_follows_the_definition(heads, fuse, residual):
    mask = masks(1, 10, 7)
    attention = softmax_attention(2, (10, 3, 3, 7, 7), mask=mask)
    graph = jf.attention_graph(attention, mask, heads=heads, residual=residual)
    for example in range(10):
        expected = by_the_definition(attention[example], mask[example], fuse, residual)
        np.testing.assert_allclose(graph.capacity[example], expected, atol=2e-7)


def test_padding_is_exactly_zero_and_real_rows_sum_to_one():
    mask = masks(3, 15, 9)
    # The model was not told of the padding, so that it attends to it.
    graph = jf.attention_graph(softmax_attention(4, (15, 4, 2, 9, 9)), mask)
    mixing = np.asarray(graph.capacity)
    assert np.all(mixing[~np.broadcast_to(mask[:, None, :], mixing.shape[:-1])] == 0)
    assert np.all(np.swapaxes(mixing, -1, -2)[~np.broadcast_to(mask[:, None, :], mixing.shape[:-1])] == 0)
    np.testing.assert_allclose(mixing.sum(-1), np.broadcast_to(mask[:, None, :], mixing.shape[:-1]), atol=1e-6)


def test_a_row_left_empty_becomes_the_identitys():
    attention = np.zeros((1, 1, 3, 3))
    attention[..., 2] = 1  # all attend to the last token, which is then masked out
    graph = jf.attention_graph(attention, np.array([1, 1, 0]), residual=0.0)
    np.testing.assert_array_equal(jf.raw_attention(graph)[0], np.diag([1.0, 1.0, 0.0]))


def test_any_number_of_batch_axes():
    attention = softmax_attention(5, (2, 3, 4, 2, 5, 5))
    mask = masks(6, 6, 5).reshape(2, 3, 5)
    graph = jf.attention_graph(attention, mask)
    for index in np.ndindex(2, 3):
        alone = jf.attention_graph(attention[index], mask[index])
        np.testing.assert_array_equal(graph.capacity[index], alone.capacity)


@pytest.mark.parametrize("layers_in", ["tuple", "list of jax", "torch", "torch bfloat16", "nested lists", "float16"])
def test_attention_of_any_framework(layers_in):
    attention = softmax_attention(7, (2, 3, 2, 4, 4)).astype(np.float32)
    given, tolerance = {
        "tuple": (tuple(np.moveaxis(attention, 1, 0)), 0.0),
        "list of jax": ([jnp.asarray(layer) for layer in np.moveaxis(attention, 1, 0)], 0.0),
        "torch": (tuple(torch.tensor(layer, requires_grad=True) for layer in np.moveaxis(attention, 1, 0)), 0.0),
        "torch bfloat16": (torch.tensor(attention).bfloat16(), 1e-2),
        "nested lists": ([layer.tolist() for layer in np.moveaxis(attention, 1, 0)], 0.0),
        "float16": (attention.astype(np.float16), 1e-3),
    }[layers_in]
    np.testing.assert_allclose(
        jf.attention_graph(given).capacity, jf.attention_graph(attention).capacity, atol=tolerance
    )


def test_one_residual_an_example():
    attention = softmax_attention(8, (3, 2, 2, 4, 4))
    graph = jf.attention_graph(attention, residual=[0.0, 0.5, 1.0])
    for example, residual in enumerate((0.0, 0.5, 1.0)):
        expected = jf.attention_graph(attention[example], residual=residual).capacity
        np.testing.assert_allclose(graph.capacity[example], expected, atol=1e-7)


def test_the_graph_goes_through_jit_vmap_and_grad():
    attention = jnp.asarray(softmax_attention(9, (3, 2, 2, 4, 4)), jnp.float32)
    mask = jnp.asarray(masks(10, 3, 4))
    together = jf.attention_graph(attention, mask)
    mapped = jax.jit(jax.vmap(jf.attention_graph))(attention, mask)
    np.testing.assert_allclose(mapped.capacity, together.capacity, atol=1e-7)
    again = jax.vmap(lambda graph: graph.capacity)(together)
    np.testing.assert_allclose(again, together.capacity, atol=1e-7)
    gradient = jax.grad(lambda a: jf.attention_graph(a, mask).capacity[0, 0, 0, 0])(attention)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[0, 0]).sum() > 0
    assert np.abs(gradient[1:]).sum() == 0


GOOD = softmax_attention(11, (2, 3, 2, 4, 4))


def with_entry(value):
    attention = GOOD.copy()
    attention[1, 2, 0, 3, 1] = value
    return attention


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attentions": with_entry(np.nan)}, "finite, got nan at example 1, layer 3, head 1, query 3, key 1"),
        ({"attentions": with_entry(np.inf)}, "finite, got inf"),
        ({"attentions": with_entry(-0.1)}, "not negative, got -0.1 at example 1, layer 3"),
        ({"attentions": GOOD * 1.01}, r"sum to 1, got 1.01 at example 0, layer 1.*normalize=True"),
        ({"attentions": GOOD[0, 0]}, r"shape \(\*batch, layer, head, query, key\), got \(2, 4, 4\)"),
        ({"attentions": GOOD[..., :3]}, "as many queries as keys"),
        ({"attentions": GOOD[:, :0]}, "must not be empty"),
        ({"attentions": "text"}, "must be an array of numbers, got str"),
        ({"attentions": [GOOD[:, 0], GOOD[:, 1, :1]]}, "same shape in every layer"),
        ({"mask": np.ones(4)}, r"`mask` must have shape \(2, 4\), got \(4,\)"),
        (
            {"mask": np.array([[1, 1, 0, 0], [0, 0, 0, 0]])},
            "at least one real token in every example, got none in .* 1",
        ),
        ({"mask": np.full((2, 4), 2)}, "and nothing else"),
        ({"residual": 1.5}, r"`residual` must lie in \[0, 1\], got 1.5"),
        ({"residual": -0.1}, "`residual`"),
        ({"residual": float("nan")}, "`residual`"),
        ({"residual": "half"}, "`residual` must be a number"),
        ({"residual": [0.1, 0.2, 0.3]}, "`residual` must be one number or have shape"),
        ({"heads": "median"}, "`heads` must be one of 'mean', 'max', 'min', got 'median'"),
        (
            {"heads": np.ones(3)},
            r"`heads` must have shape \(2,\) or \(3, 2\) or \(2, 3, 2\) where they are weights, got",
        ),
        ({"heads": np.array([1.0, -1.0])}, "not negative"),
        ({"heads": np.zeros(2)}, "at least one head in every layer"),
        ({"mask": "abc"}, "`mask` must be an array of numbers, got str"),
    ],
)
def test_bad_input_gets_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        jf.attention_graph(**{"attentions": GOOD, **arguments})
    assert "\n" not in str(caught.value)


def test_rows_of_any_sum_where_asked_for():
    scaled = GOOD * np.array([3.0, 1.0])[:, None, None]
    graph = jf.attention_graph(scaled, residual=0.0, normalize=True)
    np.testing.assert_allclose(jf.raw_attention(graph), (GOOD * [[[3.0]], [[1.0]]]).sum(-3) / 4, atol=1e-6)


@pytest.mark.parametrize(
    ("scale", "held_by"),
    # Not 1e-40 on a device: it takes what single precision has no normal number for as 0.
    [(1e38, "host"), (1e-40, "host"), (1e200, "host"), (1e-300, "host"), (1e38, "device")],
)
def test_rows_at_the_ends_of_the_format(scale, held_by):
    scales = np.ones((2, 1, 1, 4, 1))
    scales[1, :, :, 2] = scale
    weights = 3 * GOOD * scales
    if held_by == "device":
        weights = jnp.asarray(weights.clip(max=3.4e38), jnp.float32)
    graph = jf.attention_graph(weights, normalize=True)
    expected = jf.attention_graph(GOOD if held_by == "host" else np.float64(weights) / scales / 3, normalize=True)
    np.testing.assert_allclose(jf.raw_attention(graph), jf.raw_attention(expected), rtol=1e-5)
    gradient = jax.grad(lambda w: jf.attention_graph(w, normalize=True, residual=0.0).weights[0, 0, 1, 2])(
        jnp.float32(GOOD)
    )
    total = GOOD[0, 0, :, 1].sum()
    slope = (np.eye(4)[2] - GOOD[0, 0, :, 1].sum(0)[2] / total) / total
    np.testing.assert_allclose(gradient[0, 0, 0, 1], slope, atol=1e-5)


def test_only_proportions_of_head_weights_count():
    expected = jf.attention_graph(GOOD, heads=[1.0, 3.0]).weights
    for scale in (1e38, 1e-37):
        found = jf.attention_graph(GOOD, heads=jnp.asarray([1.0, 3.0], jnp.float32) * scale).weights
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("axes", [jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit])
def test_attention_that_devices_hold_is_checked_there(axes, monkeypatch):
    mesh = jax.make_mesh((2,), ("example",), axis_types=(axes,))
    sharding = jax.NamedSharding(mesh, jax.P("example"))
    with pytest.raises(InputError, match="finite, got nan at example 1, layer 3, head 1, query 3, key 1"):
        jf.attention_graph(jax.device_put(jnp.asarray(with_entry(np.nan), jnp.float32), sharding))
    with pytest.raises(InputError, match=r"sum to 1, got 1.01 at example 0, layer 1"):
        jf.attention_graph(jax.device_put(jnp.asarray(GOOD * 1.01, jnp.float32), sharding))
    monkeypatch.setattr(_values, "_check_values", None)  # not called: nothing is fetched
    graph = jf.attention_graph(jax.device_put(jnp.asarray(GOOD, jnp.float32), sharding))
    assert len(graph.weights.sharding.device_set) == 2
    jf.attention_graph(jax.device_put(jnp.asarray(GOOD, jnp.bfloat16), sharding))


def test_what_is_not_a_number_never_passes_for_an_empty_row():
    attention = jnp.asarray(with_entry(np.nan), jnp.float32)
    graph = jax.jit(jf.attention_graph)(attention)
    assert np.isnan(graph.weights[1, 2, 3]).all()
    assert np.isfinite(graph.weights[0]).all()


def test_what_stands_on_padding_is_never_looked_at():
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    attention = GOOD.copy()
    attention[0, ..., :, 3] = 0
    attention[0] /= attention[0].sum(-1, keepdims=True)
    expected = jf.attention_graph(attention, mask)
    attention[0, ..., 3, :] = np.nan
    attention[0, ..., :, 3] = np.nan
    np.testing.assert_array_equal(jf.attention_graph(attention, mask).capacity, expected.capacity)
