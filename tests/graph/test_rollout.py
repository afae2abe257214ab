"""Raw attention and rollout against independent products in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Rollout
from jaxflow.graph.rollout import product
from tests.problems import masks, softmax_attention


def rollout_in_float64(attention, mask, residual=0.5, start=0):
    """Rollout of one example over its real tokens alone, padding put back as zeros."""
    real = np.flatnonzero(mask)
    fused = attention.mean(axis=1)[:, real][:, :, real]
    fused = fused / fused.sum(axis=-1, keepdims=True)
    product, rolled = np.eye(len(real)), []
    for layer in fused[start:]:
        product = (residual * np.eye(len(real)) + (1 - residual) * layer) @ product
        rolled.append(np.zeros((len(mask), len(mask))))
        rolled[-1][np.ix_(real, real)] = product
    return np.stack(rolled)


@pytest.mark.parametrize("start", [0, 2, 5])
@pytest.mark.parametrize("causal", [False, True])
def test_rollout_equals_a_product_in_float64(start, causal):
    mask = np.ones((10, 11), bool) if causal else masks(1, 10, 11)
    attention = softmax_attention(2, (10, 6, 3, 11, 11), mask=mask, causal=causal)
    graph = jf.attention_graph(attention, mask, residual=0.4)
    rolled = np.asarray(jf.attention_rollout(graph, start=start))
    for example in range(10):
        expected = rollout_in_float64(attention[example], mask[example], 0.4, start)
        np.testing.assert_allclose(rolled[example], expected, atol=1e-5)
    sums = np.broadcast_to(mask[:, None, :], rolled.shape[:-1])
    np.testing.assert_allclose(rolled.sum(-1), sums, atol=1e-5)
    assert np.all(rolled[~sums] == 0)


@pytest.mark.parametrize("kind", ["all see all", "causal", "one of each", "causal, padded on the left"])
def test_rollout_of_long_texts_equals_a_product_in_float64(kind):
    mask = np.ones((2, 300), bool)
    if "padded" in kind:
        mask[1, :70] = False
    attention = softmax_attention(12, (2, 4, 3, 300, 300), mask=mask, causal=kind.startswith("causal"))
    if kind == "one of each":
        attention[1] = softmax_attention(13, (4, 3, 300, 300), causal=True)
    rolled = np.asarray(jf.attention_rollout(jf.attention_graph(attention, mask)))
    for example in range(2):
        expected = rollout_in_float64(attention[example], mask[example])
        np.testing.assert_allclose(rolled[example], expected, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_derivatives_of_a_long_product_are_those_of_all_entries(causal):
    rng = np.random.default_rng(0)
    upper, lower, weights = rng.normal(size=(3, 300, 300))
    upper, lower = (np.tril(upper), np.tril(lower)) if causal else (upper, lower)

    def weighted(upper, lower):
        return jnp.vdot(product(upper, lower), jnp.asarray(weights, jnp.float32))

    arrays = jnp.asarray(upper, jnp.float32), jnp.asarray(lower, jnp.float32)
    value, (by_upper, by_lower) = jax.jit(jax.value_and_grad(weighted, (0, 1)))(*arrays)
    np.testing.assert_allclose(value, np.vdot(upper @ lower, weights), rtol=1e-4)
    # Entries that are 0 have derivatives as well.
    np.testing.assert_allclose(by_upper, weights @ lower.T, atol=1e-3)
    np.testing.assert_allclose(by_lower, upper.T @ weights, atol=1e-3)


def test_what_is_no_number_is_no_triangle():
    matrices = np.tril(np.ones((1, 300, 300), np.float32))
    broken = matrices.copy()
    broken[0, 0, 299] = np.nan
    assert np.isnan(product(jnp.asarray(broken), jnp.asarray(matrices))[0, 0]).any()
    assert np.isnan(product(jnp.asarray(matrices), jnp.asarray(broken))[0, :, 299]).all()


def test_deep_rollout_stays_on_the_simplex():
    graph = jf.attention_graph(softmax_attention(3, (48, 2, 64, 64)))
    np.testing.assert_allclose(jf.attention_rollout(graph)[-1].sum(-1), np.ones(64), atol=1e-5)


@pytest.mark.parametrize(("residual", "expected"), [(1.0, "identity"), (0.0, "attention alone")])
def test_residual_at_its_ends(residual, expected):
    attention = softmax_attention(4, (3, 2, 6, 6))
    rolled = jf.attention_rollout(jf.attention_graph(attention, residual=residual))
    product = np.eye(6)
    for layer, matrix in enumerate(attention.mean(1)):
        product = matrix @ product if expected == "attention alone" else product
        np.testing.assert_allclose(rolled[layer], product, atol=1e-6)


def test_raw_attention_is_the_layers_own_without_residual():
    attention = softmax_attention(5, (2, 3, 4, 6, 6))
    raw = jf.raw_attention(jf.attention_graph(attention, residual=0.9))
    np.testing.assert_allclose(raw, attention.mean(2), atol=1e-6)


def test_a_padded_batch_gives_what_each_sentence_alone_gives():
    lengths = [3, 9, 5, 1]
    attention = softmax_attention(6, (4, 5, 2, 9, 9))
    mask = np.arange(9) < np.array(lengths)[:, None]
    attention = attention * mask[:, None, None, None, :]
    attention /= attention.sum(-1, keepdims=True)
    together = jf.attention_rollout(jf.attention_graph(attention, mask))
    for example, length in enumerate(lengths):
        alone = jf.attention_rollout(jf.attention_graph(attention[example, ..., :length, :length]))
        np.testing.assert_allclose(together[example, :, :length, :length], alone, atol=1e-6)


@pytest.mark.parametrize("layer", [1, 2, 4])
def test_rollout_of_one_layers_heads(layer):
    mask = masks(7, 5, 6)
    attention = softmax_attention(8, (5, 4, 3, 6, 6), mask=mask)
    graph = jf.attention_graph(attention, mask)
    by_head = jf.head_rollout(graph, attention, layer)
    for example, head in np.ndindex(5, 3):
        with_one_head = attention[example].copy()
        with_one_head[layer - 1] = with_one_head[layer - 1, head]
        expected = rollout_in_float64(with_one_head, mask[example])[layer - 1]
        np.testing.assert_allclose(by_head[example, head], expected, atol=1e-5)


def test_rollout_goes_through_jit_vmap_and_grad():
    attention = jnp.asarray(softmax_attention(9, (4, 3, 2, 5, 5)), jnp.float32)
    graph = jf.attention_graph(attention)
    expected = jf.attention_rollout(graph)
    np.testing.assert_allclose(jax.jit(jax.vmap(jf.attention_rollout))(graph), expected, atol=1e-6)

    def share(scores):
        return jf.attention_rollout(jf.attention_graph(jax.nn.softmax(scores)))[0, -1, 0, 2]

    scores, direction = (
        jnp.log(attention),
        jnp.asarray(np.random.default_rng(0).normal(size=attention.shape), jnp.float32),
    )
    step = 1e-2
    slope = (share(scores + step * direction) - share(scores - step * direction)) / (2 * step)
    np.testing.assert_allclose(jnp.vdot(jax.grad(share)(scores), direction), slope, rtol=2e-3)


@pytest.mark.parametrize("start", [-1, 3, True])
def test_a_start_that_is_not_there(start):
    graph = jf.attention_graph(softmax_attention(10, (3, 2, 4, 4)))
    with pytest.raises(InputError, match=r"`start` must be a layer from 0 \(the input\) to 2"):
        jf.attention_rollout(graph, start=start)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_method_still_ranks_tokens_where_a_product_leaves_single_precision(scale):
    rng = np.random.default_rng(0)
    weights, own = np.float32(scale * rng.exponential(size=(2, 24, 6, 6))), np.full((2, 24, 6), 4 * scale, np.float32)
    graph = jf.capacity_graph(weights, own)
    found = np.asarray(Rollout()(graph, jnp.asarray([[0, 2]] * 2), (1, 2, 24)).relevance)
    for row in range(2):
        rolled, size = np.eye(6), 0.0
        for layer, arcs in enumerate(np.float64(weights[row]) + 4 * scale * np.eye(6), 1):
            rolled = arcs @ rolled
            size, rolled = size + np.log2(rolled.max()), rolled / rolled.max()
            if layer in (1, 2, 24):
                ours = found[row, (1, 2, 24).index(layer)]
                expected = rolled[[0, 2]]
                np.testing.assert_allclose(ours / ours.max(), expected / expected.max(), atol=1e-6)
                # Of its own size as long as that is no further than 2^96 from 1.
                if abs(size) < 90:
                    np.testing.assert_allclose(ours, expected * 2**size, rtol=1e-4)
