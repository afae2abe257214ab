"""Mixings of gradients against torch's autograd on Hugging Face's models, and flow over what they give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxflow as jf
from jaxflow.evaluation import Target
from jaxflow.evaluation.target import explained_of
from jaxflow.mixing import AttentionGradient, Gradient
from jaxflow.running import Mixed, run_readers
from jaxflow.running.readers import KeptGraph
from tests.flow.oracles import all_pairs
from tests.models.conftest import torch_inputs
from tests.models.model_from_outside import causal_model
from tests.references.tiny_families import tiny

pytestmark = pytest.mark.usefixtures("few_sizes")

# Of different lengths, so that the batch is padded.
TEXTS = ["the key to the cabinets is lost", "he", "she knows that"]
MIXINGS = (AttentionGradient("identity"), AttentionGradient("none"), Gradient("none"), Gradient(0.25))
slow = pytest.mark.slow
FAMILIES = [
    "bert",
    "distilbert",
    *(pytest.param(each, marks=slow) for each in ("roberta", "electra", "albert", "mpnet")),
]


def graphs_of(model, mixings, target):
    """For each text a graph of each mixing, by one pass over the model."""
    number, given = explained_of(model, target, 1)

    def arrays(texts, rows, length):
        classes = tuple(None if each is None else np.repeat(each, rows) for each in given)
        return (*(None for _ in mixings), classes)

    readers = [Mixed(KeptGraph(), mixing) for mixing in mixings]
    return run_readers(model, model.tokenize(TEXTS), readers, arrays=arrays, target=number)


def torch_attention(twin, inputs, number):
    """Attention of every layer, `row layer head query key`, and the gradient of a number of each row in it."""
    output = twin(**inputs, output_attentions=True)
    gradients = torch.autograd.grad(number(output.logits).sum(), output.attentions)
    return (torch.stack(each, 1).detach().numpy() for each in (output.attentions, gradients))


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_a_difference_of_classes_are_autograds(family):
    models = tiny(family)
    batch = models.ours.pad(models.ours.tokenize(TEXTS))
    inputs = torch_inputs(batch, models.ours.config.segments > 0)
    attention, gradient = torch_attention(models.torch, inputs, lambda logits: logits[:, 1] - logits[:, 0])
    for row, graphs in enumerate(graphs_of(models.ours, MIXINGS, Target(1, "logit", against=0))):
        tokens = int(batch.mask[row].sum())
        real = (row, slice(None), slice(None), slice(tokens), slice(tokens))
        raising = np.maximum(attention[real] * gradient[real], 0).mean(1)
        gradients = np.maximum(gradient[real], 0).mean(1)
        sums = gradients.sum(-1, keepdims=True)
        shares = np.where(sums > 0, gradients / np.where(sums > 0, sums, 1), np.eye(tokens))
        expected = ((raising, 1.0), (raising, 0.0), (gradients, 0.0), (0.75 * shares, 0.25))
        for graph, (weights, own) in zip(graphs, expected, strict=True):
            found, inside = np.asarray(graph.weights), (slice(None), slice(tokens), slice(tokens))
            np.testing.assert_allclose(found[inside], weights, atol=1e-5 * weights.max())
            np.testing.assert_allclose(graph.own[:, :tokens], own)
            # Padding has no arc and no stream.
            assert found.sum() == pytest.approx(found[inside].sum(), rel=1e-6)
            assert not graph.own[:, tokens:].any()
        # Chefer et al.'s rollout, rule 6 of 2021b: R <- R + weights R.
        rolled = np.eye(tokens)
        for layer in raising:
            rolled = rolled + layer @ rolled
        ours = np.asarray(jf.attention_rollout(graphs[0]))[-1, :tokens, :tokens]
        np.testing.assert_allclose(ours, rolled, atol=1e-5 * rolled.max())


@pytest.fixture(scope="module")
def class_graph():
    """Weights of a tiny model's class, and its wide own streams: of the longest text, without padding."""
    model = tiny("bert").ours
    ((graph,), *_) = graphs_of(model, (AttentionGradient(),), Target(1, "logit"))
    tokens = len(model.tokenize(TEXTS)[0])
    return np.asarray(graph.weights, np.float64)[:, :tokens, :tokens], np.asarray(graph.own, np.float64)[:, :tokens]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_flow_of_a_class_is_certified_at_any_size(class_graph, scale):
    weights, own = (np.float32(scale * each) for each in class_graph)
    graph = jf.capacity_graph(weights, own)
    capacity = np.asarray(graph.capacity, np.float64)
    expected = np.stack([all_pairs(capacity, layer) for layer in range(1, len(capacity) + 1)])
    for method in ("exact", "auto"):
        flow = jf.attention_flow(graph, method=method)
        assert flow.certified.all()
        np.testing.assert_allclose(flow.value, expected, atol=1e-6 * capacity.max())
    # Tokens differ, which is what the mixing is for: the classifier's flows to others do not tie.
    assert len(set(np.round(expected[-1, 0, 1:] / expected.max(), 9).tolist())) > 3


def test_the_flow_of_a_class_has_the_slope_of_finite_differences(class_graph):
    weights, own = (jnp.asarray(np.stack([each, each[:, ::-1]]), jnp.float32) for each in class_graph)
    direction = jnp.asarray(np.random.default_rng(0).uniform(0, 1, weights.shape), jnp.float32) * weights

    def bound(weights, own):
        graph = jf.AttentionGraph(weights=weights, own=own, mask=jnp.ones(weights.shape[-1], bool))
        return jf.attention_flow(graph, queries=0, method="bounds").upper[-1, 0, 3]

    slopes = jax.jit(jax.vmap(jax.grad(bound)))(weights, own)
    for row, slope in enumerate(slopes):
        # The bound is piecewise linear, so that steps may be as wide as rounding asks for.
        ends = [bound(weights[row] + side * 1e-2 * direction[row], own[row]) for side in (1, -1)]
        expected = (ends[0] - ends[1]) / 2e-2
        np.testing.assert_allclose((slope * direction[row]).sum(), expected, rtol=1e-2)


def test_gradients_alone_weigh_no_arc_that_a_causal_model_does_not_have():
    model = causal_model()
    texts = ["the keys", "the key is on the table"]
    graph = jf.build_graph(model, texts, mixing=Gradient(), target="yes")
    later = ~np.tri(graph.num_tokens, dtype=bool)
    assert not np.asarray(graph.weights)[..., later].any()
    assert np.asarray(graph.weights)[..., ~later].any()
