"""The whole chain on a pretrained BERT: attention as torch's, rollout and flow as independent oracles'."""

import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow.flow import solve
from jaxflow.models import fetch
from tests.flow.oracles import OrTools
from tests.sentences import SENTENCES

pytestmark = [pytest.mark.slow, pytest.mark.optimised]


@pytest.fixture(scope="module")
def minilm():
    folder = fetch("minilm")
    torch_model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager")
    return jf.load_model("minilm"), torch_model.eval()


@pytest.fixture(scope="module")
def batch(minilm):
    encoder, _ = minilm
    encodings = encoder.tokenize(SENTENCES)
    return encodings, encoder.pad(encodings)


def test_attention_equals_torchs_on_real_sentences(minilm, batch):
    encoder, torch_model = minilm
    encodings, tokens = batch
    ours = encoder(tokens)
    with torch.no_grad():
        theirs = torch_model(
            input_ids=torch.tensor(np.asarray(tokens.input_ids)),
            attention_mask=torch.tensor(np.asarray(tokens.mask)).long(),
            token_type_ids=torch.tensor(np.asarray(tokens.segments)),
            output_attentions=True,
        )
    for example, encoding in enumerate(encodings):
        real = slice(len(encoding))
        expected = np.stack([layer[example, :, real, real].numpy() for layer in theirs.attentions])
        np.testing.assert_allclose(ours.attention[example, :, :, real, real], expected, atol=1e-5)
        hidden = theirs.last_hidden_state[example, real].numpy()
        np.testing.assert_allclose(ours.hidden_states[example, -1, real], hidden, atol=1e-4)


def test_flow_equals_ortools_at_all_layers_of_fifty_sentences(minilm, batch, monkeypatch):
    encoder, _ = minilm
    encodings, tokens = batch
    graph = jf.attention_graph(encoder(tokens).attention, tokens.mask)
    exact = jf.attention_flow(graph, method="exact")
    monkeypatch.setattr(solve, "_is_on_accelerator", lambda graph: True)
    auto = jf.attention_flow(graph, queries=[0], method="auto")  # a CPU takes milliseconds a pair where it stands in
    bounds = jf.attention_flow(graph, method="bounds")
    assert exact.certified.all()
    assert auto.certified.all()
    np.testing.assert_allclose(auto.value, exact.value[:, :, :1], atol=1e-6)
    assert np.all(np.float64(bounds.lower) <= exact.value + 1e-12)
    assert np.all(exact.value <= np.float64(bounds.upper) + 1e-12)
    mixing = np.float64(graph.capacity)
    rng = np.random.default_rng(0)
    for example, encoding in enumerate(encodings):
        length = len(encoding)
        for layer in range(1, graph.num_layers + 1):
            oracle = OrTools(mixing[example, :, :length, :length], layer)
            for source in rng.choice(length, 3, replace=False):
                theirs = [oracle(source, sink) for sink in range(length)]
                np.testing.assert_allclose(exact.value[example, layer - 1, source, :length], theirs, atol=1e-8)


def test_rollout_equals_numpy_on_real_attention(minilm, batch):
    encoder, _ = minilm
    encodings, tokens = batch
    attention = np.float64(encoder(tokens).attention)
    rolled = jf.attention_rollout(jf.attention_graph(attention, tokens.mask))
    for example, encoding in enumerate(encodings):
        real = slice(len(encoding))
        product = np.eye(len(encoding))
        for layer, fused in enumerate(attention[example, :, :, real, real].mean(1)):
            product = (0.5 * np.eye(len(encoding)) + 0.5 * fused / fused.sum(-1, keepdims=True)) @ product
            np.testing.assert_allclose(rolled[example, layer, real, real], product, atol=1e-5)


def test_attribute_agrees_with_the_graph_by_hand(minilm, batch):
    encoder, _ = minilm
    _, tokens = batch
    graph = jf.attention_graph(encoder(tokens).attention, tokens.mask)
    flow = jf.attention_flow(graph, queries=0, method="exact").value
    result = jf.attribute(encoder, SENTENCES)
    for example, found in enumerate(result):
        length = len(found.tokens)
        np.testing.assert_allclose(found.relevance["flow"], flow[example, :, :, :length], atol=1e-5)
        expected = jf.attention_rollout(graph)[example, :, :1, :length]
        np.testing.assert_allclose(found.relevance["rollout"], expected, atol=1e-5)
        assert found.certified.all()
