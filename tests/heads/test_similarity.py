"""Similarity of heads: against direct loops over heads and texts, and a matching against all permutations."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow._checks import InputError
from jaxflow.compare import correlation, head_products, linear_cka, match_heads
from tests.statistics.test_distances import attention


def heads_of(rng, texts, count, tokens):
    """Attention of heads and a mask: texts of different lengths, padding on the right, garbage in its rows."""
    lengths = rng.integers(3, tokens + 1, size=texts)
    mask = np.arange(tokens) < lengths[:, None]
    weights = attention(rng, (texts, count, tokens, tokens), 2, mask[:, None, None, :])
    return weights, mask


def test_correlation_is_pearsons_of_all_weights_of_a_text():
    rng = np.random.default_rng(0)
    one, mask = heads_of(rng, 5, 3, 9)
    two = attention(rng, (5, 4, 9, 9), 1, mask[:, None, None, :])
    products = head_products(jnp.asarray(one), jnp.asarray(two), jnp.asarray(mask))
    found = correlation(products.cross, products.first, products.second)
    assert found.shape == (5, 3, 4)
    for text, real in enumerate(mask):
        n = real.sum()
        for first, second in itertools.product(range(3), range(4)):
            flat = [
                weights[text, head, :n, :n].ravel().astype(np.float64)
                for weights, head in ((one, first), (two, second))
            ]
            np.testing.assert_allclose(found[text, first, second], np.corrcoef(*flat)[0, 1], atol=1e-5)


def test_correlation_over_texts_is_that_of_all_weights_less_the_even_share():
    rng = np.random.default_rng(1)
    one, mask = heads_of(rng, 6, 2, 8)
    two = attention(rng, one.shape, 1, mask[:, None, None, :])
    products = head_products(jnp.asarray(one), jnp.asarray(two), jnp.asarray(mask))
    found = correlation(
        *(np.asarray(part, np.float64).sum(axis=0) for part in (products.cross, products.first, products.second))
    )
    for first, second in itertools.product(range(2), range(2)):
        x, y = (
            np.concatenate(
                [weights[text, head, :n, :n].ravel() - 1 / n for text, n in enumerate(mask.sum(axis=1))]
            ).astype(np.float64)
            for weights, head in ((one, first), (two, second))
        )
        np.testing.assert_allclose(found[first, second], x @ y / np.sqrt((x @ x) * (y @ y)), atol=1e-5)


def test_cka_is_that_of_centred_rows():
    rng = np.random.default_rng(2)
    one, mask = heads_of(rng, 4, 3, 7)
    two = attention(rng, (4, 2, 7, 7), 1, mask[:, None, None, :])
    found = np.asarray(linear_cka(jnp.asarray(one), jnp.asarray(two), jnp.asarray(mask)))
    for text, n in enumerate(mask.sum(axis=1)):
        for first, second in itertools.product(range(3), range(2)):
            x, y = (weights[text, head, :n, :n].astype(np.float64) for weights, head in ((one, first), (two, second)))
            x, y = x - x.mean(axis=0), y - y.mean(axis=0)
            parts = [np.linalg.norm(a.T @ b) for a, b in ((x, y), (x, x), (y, y))]
            np.testing.assert_allclose(found[text, first, second], parts[0] ** 2 / (parts[1] * parts[2]), atol=1e-5)


def test_a_head_that_attends_from_everywhere_alike_has_no_cka_and_an_even_one_no_correlation():
    rows = jnp.full((1, 5, 5), 0.2)
    mask = jnp.ones(5, bool)
    assert np.isnan(linear_cka(rows, rows, mask)).all()
    products = head_products(rows, rows, mask)
    # In float32 an even share is 1/n to the last bit here.
    assert np.isnan(correlation(products.cross, products.first, products.second)).all()


def test_the_matching_is_the_best_of_all_permutations():
    rng = np.random.default_rng(3)
    for _ in range(20):
        similarity = rng.normal(size=(2, 4, 4))
        found = match_heads(similarity)
        for layer in range(2):
            best = max(
                itertools.permutations(range(4)),
                key=lambda order: sum(similarity[layer, h, o] for h, o in enumerate(order)),
            )
            assert tuple(found[layer]) == best


def test_heads_without_a_number_are_matched_last_and_heads_too_many_not_at_all():
    similarity = np.array([[[0.9, np.nan], [0.8, 0.1], [np.nan, 0.7]]])
    np.testing.assert_array_equal(match_heads(similarity), [[0, -1, 1]])
    with pytest.raises(InputError, match="layer, head, other"):
        match_heads(similarity[0])
