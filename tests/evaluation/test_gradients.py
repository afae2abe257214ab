"""Gradient scores against torch, one example at a time."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxflow._checks import InputError
from jaxflow.evaluation import (
    Gradient,
    GradientNorm,
    GradientTimesInput,
    IntegratedGradients,
    Target,
    gradient_scores,
    token_inputs,
)
from jaxflow.evaluation.gradients import Slopes, _baseline


@dataclass(frozen=True)
class HalfSum:
    """The paper's sum over the first half of the embedding: unlike the whole sum it does not vanish in BERT."""

    absolute: bool = True
    baseline: None = None

    def __call__(self, slope, words, start):
        value, gradient = slope(words)
        half = gradient[..., : words.shape[-1] // 2]
        return Slopes(value, half.sum(-1), jnp.abs(half).sum(-1))


METHODS = {
    HalfSum(): lambda gradient, words: np.abs(gradient[:, :8].sum(-1)),
    GradientNorm(): lambda gradient, words: np.linalg.norm(gradient, axis=-1),
    GradientTimesInput(): lambda gradient, words: (gradient * words).sum(-1),
}


@pytest.mark.parametrize("method", METHODS)
def test_equals_torch(encoder, theirs, short, method):
    scores = gradient_scores(encoder, short, method, target=Target(0, against=1))
    for index, ids in enumerate(theirs.ids[: len(short)]):
        words = theirs.embed(ids)
        gradient, value = theirs.gradient(words, lambda logits: torch.softmax(logits, -1)[:2] @ torch.tensor([1.0, -1]))
        expected = METHODS[method](gradient, words[0].numpy())
        np.testing.assert_allclose(scores[index], expected, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(scores.value[index], value, atol=1e-5)
        assert not scores.values[index, len(ids) :].any()
        assert np.abs(expected).max() > 1e-3
    assert not scores.unresolved.any()
    assert scores.completeness_error is None


def test_each_example_has_its_own_class(encoder, theirs, short, gold):
    gold = gold[: len(short)]
    scores = gradient_scores(encoder, short, GradientNorm(), target=Target(gold, "logit"), positions="words")
    for index, (ids, label) in enumerate(zip(theirs.ids, gold, strict=False)):
        gradient, _ = theirs.gradient(theirs.embed(ids), lambda logits, label=label: logits[label])
        expected = np.linalg.norm(gradient, axis=-1)
        expected[[0, -1]] = 0
        np.testing.assert_allclose(scores[index], expected, atol=1e-5, rtol=1e-5)


def test_the_papers_sum_is_the_derivative_along_ones():
    rng = np.random.default_rng(5)
    weights, words = rng.normal(size=(2, 3, 4, 6))

    def value(words):
        return jnp.tanh(jnp.asarray(weights, jnp.float32) * words).sum(axis=(1, 2))

    def slope(words):
        return value(words), jax.grad(lambda words: value(words).sum())(words)

    words = jnp.asarray(words, jnp.float32)
    found = Gradient()(slope, words, words)
    step = 1e-6
    for token in range(4):
        moved = np.array(words, np.float64)
        moved[:, token] += step
        plain = np.tanh(weights * np.asarray(words, np.float64)).sum(axis=(1, 2))
        expected = (np.tanh(weights * moved).sum(axis=(1, 2)) - plain) / step
        np.testing.assert_allclose(found.signed[:, token], expected, atol=1e-4)
    np.testing.assert_allclose(found.value, value(words), atol=1e-6)


def test_behind_a_layer_norm_the_papers_sum_is_0_and_said_to_be_unresolved(encoder, short):
    scores = gradient_scores(encoder, short, Gradient(), target=Target(0, against=1))
    steep = gradient_scores(encoder, short, GradientNorm(), target=Target(0, against=1))
    assert (scores.values <= 1e-5 * np.maximum(steep.values, 1e-9) * 16).all()
    np.testing.assert_array_equal(scores.unresolved, scores.mask)


def test_integrated_gradients_equal_torch_and_sum_to_the_difference(encoder, theirs, short):
    scores = gradient_scores(encoder, short, IntegratedGradients(24, "blank"), target=2, positions="words")
    points, weights = np.polynomial.legendre.leggauss(24)
    for index, ids in enumerate(theirs.ids[: len(short)]):
        words = theirs.embed(ids)
        start = words.clone()
        start[:, 1:-1] = theirs.embed([1])[0, 0]

        def number(logits):
            return torch.softmax(logits, -1)[2]

        total = 0
        for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
            total = total + weight * theirs.gradient(start + float(point) * (words - start), number)[0]
        expected = (total * (words - start)[0].numpy()).sum(-1)
        np.testing.assert_allclose(scores[index], expected, atol=1e-5, rtol=1e-5)
        way = theirs.gradient(words, number)[1] - theirs.gradient(start, number)[1]
        np.testing.assert_allclose(scores.completeness_error[index], abs(expected.sum() - way), atol=1e-5)
    rough = gradient_scores(encoder, short, IntegratedGradients(1, "blank"), target=2, positions="words")
    assert scores.completeness_error.max() < 1e-4 < rough.completeness_error.max()


@pytest.mark.parametrize("baseline", ["[SEP]", 7, np.int64(7)])
def test_a_baseline_is_a_tokens_embedding(encoder, theirs, baseline):
    found = _baseline(encoder, IntegratedGradients(baseline=baseline))
    np.testing.assert_array_equal(found, theirs.embed([3 if baseline == "[SEP]" else 7])[0, 0].numpy())


def test_a_baseline_is_nothing_or_an_embedding(encoder):
    assert not np.any(_baseline(encoder, IntegratedGradients()))
    numbers = np.linspace(-1, 1, 16)
    np.testing.assert_allclose(_baseline(encoder, IntegratedGradients(baseline=numbers)), numbers, atol=1e-7)
    assert _baseline(encoder, Gradient()) is None


def test_small_batches_change_nothing(encoder, short):
    inputs = token_inputs(encoder, short)
    whole = gradient_scores(encoder, inputs, GradientNorm(), target=Target(against="runner_up"))
    small = gradient_scores(encoder, inputs, GradientNorm(), target=Target(against="runner_up"), batch_tokens=1)
    np.testing.assert_allclose(small.values, whole.values, atol=1e-6)
    logits = np.asarray(encoder(encoder.pad(encoder.tokenize(short))).logits)
    np.testing.assert_array_equal(whole.classes, logits.argmax(-1))
    ordered = np.sort(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True), axis=-1)
    np.testing.assert_allclose(whole.value, ordered[:, -1] - ordered[:, -2], atol=1e-5)


def test_bad_input_is_refused_by_name(encoder, texts):
    with pytest.raises(InputError, match=r"`method` must be a gradient method such as Gradient\(\), got 'gradient'"):
        gradient_scores(encoder, texts, "gradient")
    with pytest.raises(InputError, match="`steps` must be"):
        IntegratedGradients(steps=0)
    with pytest.raises(InputError, match="`baseline` must be 'zero'"):
        IntegratedGradients(baseline=None)
    with pytest.raises(InputError, match="the embedding's 16 numbers, got 3"):
        gradient_scores(encoder, texts, IntegratedGradients(baseline=[1.0, 2.0, 3.0]))
