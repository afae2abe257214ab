"""DecompX: parts against the paper's equations in torch, and their sums against the model itself, for all families."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow.models.packing import pack
from jaxflow.references import DecompX
from jaxflow.references.decompx import even_parts, parts
from tests.references.decompx_oracle import decompx
from tests.references.tiny_families import FAMILIES, tiny

# Relative to the largest number of an array, as float32 sums have it.
NEAR = 1e-5


@jax.jit
def all_parts(module, batch):
    """Parts of all states and of the logits: `source text state position width`, `source text label`."""

    def read(module, options):
        output = module(batch, options)
        return output.hidden_states, output.logits

    return parts(module, batch, read)


@jax.jit
def packed_parts(module, batch, packing):
    return parts(module, batch, lambda module, options: module(batch, options).hidden_states, packing)


@pytest.mark.parametrize(
    "model_type",
    ["bert", "distilbert"]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("roberta", "electra", "albert", "mpnet")],
)
def test_parts_equal_the_papers_equations(model_type):
    model = tiny(model_type)
    states, logits, theirs = decompx(model.torch, model.inputs)
    # The oracle itself recomposes transformers' model.
    np.testing.assert_allclose(logits.sum(-2), theirs.logits, atol=1e-10)
    ours, our_logits = (np.asarray(each) for each in all_parts(model.ours.module, model.batch))
    for text, length in enumerate(np.asarray(model.batch.mask).sum(-1)):
        for layer, state in enumerate(states):
            wanted = state[text, :length, :length].permute(1, 0, 2).numpy()
            found = ours[:length, text, layer, :length]
            np.testing.assert_allclose(found, wanted, atol=NEAR * np.abs(wanted).max())
        wanted = logits[text, :length].numpy()
        np.testing.assert_allclose(our_logits[:length, text], wanted, atol=NEAR * np.abs(wanted).max())


@pytest.mark.parametrize(
    "model_type",
    [pytest.param(name, marks=[] if name in ("bert", "deberta-v2") else pytest.mark.slow) for name in FAMILIES],
)
def test_parts_sum_to_states_and_logits(model_type):
    model = tiny(model_type)
    states, logits = (np.asarray(each) for each in all_parts(model.ours.module, model.batch))
    output = model.ours.module(model.batch)
    np.testing.assert_allclose(logits.sum(0), output.logits, atol=1e-4)
    for text, length in enumerate(np.asarray(model.batch.mask).sum(-1)):
        wanted = np.asarray(output.hidden_states)[text, :, :length]
        np.testing.assert_allclose(states[:length, text, :, :length].sum(0), wanted, atol=1e-4)
        # Padding has no part in a real token, nor in the logits.
        assert not states[length:, text, :, :length].any()
        assert not logits[length:, text].any()


def test_packed_and_single_texts_have_the_same_parts():
    model = tiny("bert")
    states, _ = all_parts(model.ours.module, model.batch)
    packed = packed_parts(model.ours.module, model.batch, pack(model.batch.mask, 14))
    for text, length in enumerate(np.asarray(model.batch.mask).sum(-1)):
        np.testing.assert_allclose(packed[:, text, :, :length], states[:, text, :, :length], atol=1e-5)
    alone = jax.tree.map(lambda array: array[:1, :7], model.batch)
    np.testing.assert_allclose(all_parts(model.ours.module, alone)[0][:, 0], states[:7, 0, :, :7], atol=1e-5)


def test_methods_give_the_parts():
    """In one question, of the class that each text predicts."""
    model = tiny("bert")
    texts = ["the key to the cabinets is lost", "table", "she knows"]
    question = jf.Question(methods=("decompx", "decompx-norms"), queries=(0, 1), layers=(3, 1))
    result = jf.attribute(model.ours, texts, question)
    batch = model.ours.pad(model.ours.tokenize(texts))
    states, logits = (np.asarray(each) for each in all_parts(model.ours.module, batch))
    whole = np.asarray(model.ours.module(batch).logits)
    assert whole.argmax(-1).tolist() == [2, 0, 2]
    for text, example in enumerate(result):
        count = len(example.tokens)
        signed, sizes = example.relevance["decompx"], example.relevance["decompx-norms"]
        assert signed.shape == sizes.shape == (2, 2, count)
        # The class's own parts, the same at every layer and query; they sum to its logit.
        wanted = logits[:count, text, whole[text].argmax()]
        np.testing.assert_allclose(signed, np.broadcast_to(wanted, signed.shape), atol=1e-5)
        np.testing.assert_allclose(signed.sum(-1), np.full((2, 2), whole[text].max()), atol=1e-4)
        # After layers 3 and 1, at positions 0 and 1.
        wanted = np.linalg.norm(states[:count, text][:, [3, 1], :2], axis=-1)
        np.testing.assert_allclose(sizes, np.moveaxis(wanted, 0, -1), atol=1e-5)


@jax.jit
def all_even_parts(module, batch, packing):
    """Parts of the first class's logit."""
    return even_parts(module, batch, lambda module, options: module(batch, options).logits[..., 0], packing)


@pytest.mark.parametrize(
    "model_type",
    ["bert"]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("distilbert", "roberta", "electra", "albert", "mpnet")],
)
def test_one_backward_pass_gives_the_parts_with_even_biases(model_type):
    """As the equations do, one token after the other; packed texts too."""
    model = tiny(model_type)
    _, logits, _ = decompx(model.torch, model.inputs, even=True)
    wanted = logits[..., 0].numpy()
    found = np.asarray(all_even_parts(model.ours.module, model.batch, None))
    np.testing.assert_allclose(found, wanted, atol=NEAR * np.abs(wanted).max())
    packed = np.asarray(all_even_parts(model.ours.module, model.batch, pack(model.batch.mask, 14)))
    np.testing.assert_allclose(packed, wanted, atol=NEAR * np.abs(wanted).max())


def test_even_biases_in_a_question():
    """By name beside the paper's own, and by value; both sum to the class's logit."""
    model = tiny("bert")
    texts = ["the key to the cabinets is lost", "table"]
    named = jf.attribute(model.ours, texts, jf.Question(methods=("decompx-even", "decompx"), queries=(0,)))
    valued = jf.attribute(model.ours, texts, jf.Question(methods=(DecompX("even", name="mine"),), queries=(0,)))
    for example, same in zip(named, valued, strict=True):
        even, published = (example.relevance[name][-1, 0] for name in ("decompx-even", "decompx"))
        np.testing.assert_allclose(even.sum(), published.sum(), atol=1e-4)
        np.testing.assert_array_equal(same.relevance["mine"][-1, 0], even)
        # The biases matter to a single token's part.
        assert np.abs(even - published).max() > 1e-3
    with pytest.raises(jf.InputError, match=r"`biases` must be one of 'product', 'even'"):
        DecompX("none")


def test_a_bias_without_a_product_is_no_ones():
    """A dead head: no part reaches the last map, whose bias alone makes the logits."""
    model = tiny("distilbert")
    module = jax.tree.map(lambda leaf: leaf, model.ours.module)
    module.head.dense.bias[...] = jnp.full(16, -1e3)
    _, logits = all_parts(module, model.batch)
    assert not np.asarray(logits).any()
