"""Chefer et al.'s mixing (2021a) against their rules in torch's backward pass, for the families that they fit."""

import jax
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.evaluation.target import Explained
from jaxflow.mixing import CheferRelevance
from jaxflow.running import Forward, Inputs
from jaxflow.running.readers import KeptGraph
from tests.references.chefer_oracle import chefer_weights
from tests.references.tiny_families import CLASSES, FAMILIES, tiny

pytestmark = pytest.mark.usefixtures("few_sizes")

TARGET = Explained("identity", predicts=False, against=None)


@jax.jit
def graph(module, batch, classes):
    program = Forward((KeptGraph(),), CheferRelevance(own="identity"), TARGET)
    return program(module, Inputs(batch, (None, (classes, None)), None))[0]


@pytest.mark.parametrize(
    "model_type",
    [
        pytest.param(name, marks=[] if name in ("bert", "distilbert") else pytest.mark.slow)
        for name in FAMILIES
        if name != "deberta-v2"
    ],
)
def test_weights_equal_torch(model_type):
    model = tiny(model_type)
    theirs, relevance = chefer_weights(model.torch, model.inputs, CLASSES)
    # The rules divide by sums that may be near 0, where float32 is no better than this in torch either.
    single, _ = chefer_weights(model.torch.float(), model.inputs, CLASSES)
    _ = model.torch.double()
    ours = graph(model.ours.module, model.batch, CLASSES)
    # layer: the largest weight, and the largest error.
    largest, rounding = theirs.max((0, 2, 3)), np.abs(single - theirs).max((0, 2, 3))
    near = np.maximum(1e-5 * largest, 4 * rounding)
    assert (near < 1e-2 * largest).all()
    for text, length in enumerate(np.asarray(model.batch.mask).sum(-1)):
        found = np.asarray(ours.weights)[text]
        difference = np.abs(found - theirs[text])[:, :length, :length]
        assert (difference <= near[:, None, None]).all()
        assert not found[:, length:].any()
        assert not found[:, :, length:].any()
    np.testing.assert_array_equal(ours.own, np.broadcast_to(np.asarray(model.batch.mask)[:, None], ours.own.shape))
    # Relevance is shared out: half of it at most reaches a layer's attention, of the one that the class starts with.
    assert (np.abs(relevance.sum((-3, -2, -1))) < 1).all()


def test_rollout_is_the_papers_product():
    model = tiny("bert")
    texts = ["the key to the cabinets is lost", "table", "she knows"]
    question = jf.Question(methods="rollout", mixing=CheferRelevance(own="identity"), target=1, queries=None)
    batch = model.ours.pad(model.ours.tokenize(texts))
    weights = np.asarray(graph(model.ours.module, batch, np.array([1, 1, 1])).weights)
    for text, example in enumerate(jf.attribute(model.ours, texts, question)):
        count = len(example.tokens)
        product = np.eye(count)
        for layer in range(3):
            product = (np.eye(count) + weights[text, layer, :count, :count]) @ product
            np.testing.assert_allclose(example.relevance["rollout"][layer], product, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("asked", [{"mixing": "chefer-relevance"}, {"methods": "flow@chefer-relevance"}])
def test_a_difference_of_classes_is_refused(asked):
    # Its relevance sums to 0 before it is shared out: what is left is rounding, other in every batch.
    with pytest.raises(InputError, match=r"`target` must be one class .*'chefer-relevance', got a difference") as error:
        jf.attribute(tiny("bert").ours, ["table"], target=(0, 1), **asked)
    assert "\n" not in str(error.value)


def test_models_with_parts_without_a_rule_are_refused():
    with pytest.raises(InputError, match="have a rule for each part of the model"):
        jf.attribute(tiny("deberta-v2").ours, ["table"], mixing="chefer-relevance")
