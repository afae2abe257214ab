"""Class-specific attention: gradients against PyTorch's and finite differences, matrices against a loop."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.compare import class_attention, head_importance
from tests.compare.models import TEXTS, model
from tests.tiny_text_model import LABELS, LAYERS, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TINY = ["the key to the cabinets", "keys on the", "tables on the"]


@pytest.fixture(scope="module")
def encoder():
    return jf.load_model(str(model_folder()))


@pytest.fixture(scope="module")
def theirs():
    # In float64, so that what differs is the library's rounding alone.
    found = transformers.AutoModelForSequenceClassification.from_pretrained(model_folder(), attn_implementation="eager")
    return found.double().eval()


def by_torch(theirs, ids, label):
    """Attention and the gradient of a class's logit in it, as hooks in PyTorch read it."""
    out = theirs(input_ids=torch.tensor([ids]), output_attentions=True)
    gradient = torch.autograd.grad(out.logits[0, label], out.attentions)
    stacked = [torch.stack(each)[:, 0].detach().numpy() for each in (out.attentions, gradient)]
    return stacked[0], stacked[1], out.logits[0].detach().numpy()


@pytest.mark.parametrize("label", [0, 2])
def test_weights_are_relu_of_gradient_times_attention_by_a_loop_over_heads(encoder, theirs, label):
    found = class_attention(encoder, TINY, target=LABELS[label])
    assert (found.classes == label).all()
    for index, encoding in enumerate(encoder.tokenize(TINY)):
        attention, gradient, logits = by_torch(theirs, list(encoding.input_ids), label)
        tokens = len(encoding)
        assert found.mask[index].sum() == tokens
        expected = np.zeros((LAYERS, tokens, tokens))
        for layer in range(LAYERS):
            for head in range(attention.shape[1]):
                product = attention[layer, head].astype(np.float64) * gradient[layer, head]
                expected[layer] += np.where(product > 0, product, 0) / attention.shape[1]
        np.testing.assert_allclose(found.weights[index, :, :tokens, :tokens], expected, atol=2e-6)
        assert not found.weights[index, :, tokens:].any()
        assert not found.weights[index, :, :, tokens:].any()
        assert found.value[index] == pytest.approx(logits[label], abs=2e-5)
        # The generic rule, and the product that it comes to.
        relevance, product = np.eye(tokens), np.eye(tokens)
        own = np.asarray(found.relevance())[index, :, :tokens, :tokens]
        for layer in range(LAYERS):
            relevance = relevance + expected[layer] @ relevance
            product = (np.eye(tokens) + expected[layer]) @ product
            np.testing.assert_allclose(own[layer], relevance, atol=1e-5)
            np.testing.assert_allclose(own[layer], product, atol=1e-5)


def test_the_graph_is_made_of_it_as_any_other_and_differs_from_class_to_class(encoder):
    graphs = [class_attention(encoder, TINY, target=label).graph(residual=0.3) for label in (0, 1)]
    flows = []
    for graph in graphs:
        sums = np.asarray(jf.raw_attention(graph).sum(axis=-1))
        np.testing.assert_allclose(sums, np.broadcast_to(np.asarray(graph.mask)[:, None], sums.shape), atol=1e-5)
        # The class is read off the first position, so the last layer's other rows carry nothing.
        tokens = np.arange(graph.num_tokens)
        last = np.asarray(jf.raw_attention(graph)[:, -1])
        for index, real in enumerate(np.asarray(graph.mask)):
            np.testing.assert_array_equal(last[index][1:][real[1:]], np.eye(len(tokens))[1:][real[1:]])
        rollout = jf.attention_rollout(graph)[:, -1, 0]
        np.testing.assert_allclose(rollout.sum(axis=-1), 1, atol=1e-5)
        flows.append(jf.attention_flow(graph, queries=0, layers=LAYERS, method="exact").value)
    assert np.abs(flows[0] - flows[1]).max() > 0.05


def test_gates_are_the_derivative_of_what_the_model_says(encoder):
    labels = [0, 2, 1]
    importance = head_importance(encoder, TINY, classes=labels)
    batch = encoder.pad(encoder.tokenize(TINY))
    attention = encoder(batch).attention
    step = 1e-2

    def log_probability(shift):
        logits = np.asarray(encoder(batch, attention_shift=shift).logits, np.float64)
        return scipy.special.log_softmax(logits, axis=-1)[np.arange(len(TINY)), labels]

    for layer, head in ((0, 0), (1, 1), (LAYERS - 1, 0)):
        here = np.zeros((1, LAYERS, 2, 1, 1), np.float32)
        here[0, layer, head] = step
        up, down = (log_probability(attention * jnp.asarray(sign * here)) for sign in (1, -1))
        expected = (up - down) / (2 * step)
        np.testing.assert_allclose(importance.signed[:, layer, head], expected, rtol=2e-2, atol=1e-3)


def test_ablation_is_the_fall_when_torch_prunes_the_head(encoder, theirs):
    importance = head_importance(encoder, TINY, "ablation", classes="good")
    label = LABELS.index("good")
    for index, encoding in enumerate(encoder.tokenize(TINY)):
        ids = torch.tensor([encoding.input_ids])
        with torch.no_grad():
            whole = torch.log_softmax(theirs(input_ids=ids).logits[0].double(), 0)[label]
            for layer, head in ((0, 1), (LAYERS - 1, 0)):
                width = 8

                def silence(module, inputs, output, head=head, width=width):
                    changed = output[0].clone()
                    changed[..., head * width : (head + 1) * width] = 0
                    return (changed, *output[1:])

                hook = theirs.bert.encoder.layer[layer].attention.self.register_forward_hook(silence)
                left = torch.log_softmax(theirs(input_ids=ids).logits[0].double(), 0)[label]
                hook.remove()
                assert importance.signed[index, layer, head] == pytest.approx((whole - left).item(), abs=2e-5)
    np.testing.assert_allclose(importance.mean, np.abs(importance.signed).mean(axis=0))
    interval = importance.interval(resamples=99)
    assert (interval.low <= importance.mean).all()
    assert (importance.mean <= interval.high).all()


def test_importance_weighs_heads_of_a_graph(encoder):
    weights = head_importance(encoder, TINY).weights
    assert weights.max(axis=-1) == pytest.approx(np.ones(LAYERS))
    out = encoder(encoder.pad(encoder.tokenize(TINY)[:1])).attention
    graph = jf.attention_graph(out, heads=weights)
    by_hand = np.einsum("lhqk,lh->lqk", np.asarray(out[0], np.float64), weights)
    np.testing.assert_allclose(jf.raw_attention(graph)[0], by_hand / by_hand.sum(-1, keepdims=True), atol=1e-6)
    found = jf.compare_models(encoder, encoder, TINY[:1], methods="raw", mixing=jf.mixing.Attention(weights))
    np.testing.assert_allclose(found[0].a.attention, jf.raw_attention(graph)[0], atol=2e-6)


def test_models_without_classes_are_refused(encoder):
    with pytest.raises(InputError, match="classifies texts"):
        class_attention(model(head="bare"), TEXTS)
    with pytest.raises(InputError, match="`method`"):
        head_importance(encoder, TINY, "guess")
