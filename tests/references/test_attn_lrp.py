"""AttnLRP against its rules in torch's backward pass over transformers' own models, for all families."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.models import TokenBatch
from jaxflow.references.attn_lrp import AttnLrpRules, embedding_relevance
from jaxflow.references.decompx import Decomposed
from tests.references.lrp_oracle import attn_lrp
from tests.references.tiny_families import CLASSES, FAMILIES, GATED, tiny

GOLDEN = Path(__file__).parent / "golden"


@jax.jit
def relevance(module, batch, classes):
    return embedding_relevance(module, batch, lambda logits: jnp.take_along_axis(logits, classes[:, None], -1)[:, 0])


@pytest.mark.parametrize(
    "model_type",
    [pytest.param(name, marks=[] if name in ("bert", "mpnet") else pytest.mark.slow) for name in FAMILIES],
)
def test_relevance_equals_torch(model_type):
    model = tiny(model_type)
    theirs, sizes, used = attn_lrp(model.torch, model.inputs, CLASSES)
    # Every layer's two norms and products, and its activation, went by the rules in torch as well.
    depth = model.ours.layers
    assert used["product"] == 2 * depth
    assert used["norm"] >= 2 * depth + 1
    assert used["activation"] >= depth + 1
    ours = relevance(model.ours.module, model.batch, CLASSES)
    for text, length in enumerate(np.asarray(model.batch.mask).sum(-1)):
        # A score is a sum over the embedding, whose terms may cancel: rounding goes by their sizes.
        near = 5e-6 * sizes[text].max()
        np.testing.assert_allclose(ours[text, :length], theirs[text, :length], atol=near, rtol=0)
        assert not np.asarray(ours)[text, length:].any()


@pytest.mark.parametrize(
    "model_type", [*(pytest.param(n, marks=pytest.mark.slow) for n in GATED if n != "llama"), "llama"]
)
def test_relevance_of_gated_models_equals_torch(model_type):
    model = tiny(model_type)
    ours = relevance(model.ours.module, model.batch, CLASSES)
    for text, length in enumerate(np.asarray(model.batch.mask).sum(-1)):
        # Alone, as torch's decoders read the last position where they are given embeddings.
        inputs = {name: value[text : text + 1, :length] for name, value in model.inputs.items()}
        theirs, sizes, used = attn_lrp(model.torch, inputs, CLASSES[text : text + 1])
        depth = model.ours.layers
        assert (used["gate"], used["activation"], used["product"]) == (depth, depth, 2 * depth)
        assert used["norm"] >= 2 * depth + 1
        np.testing.assert_allclose(ours[text, :length], theirs[0], atol=5e-6 * sizes[0].max(), rtol=0)
        assert not np.asarray(ours)[text, length:].any()


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama", "qwen3"])
def test_relevance_equals_the_authors_package(model_type):
    """LXT's own numbers, kept in a file: it needs another transformers (`golden/attn_lrp.py` makes them)."""
    made = json.loads((GOLDEN / "attn_lrp.json").read_text())
    ours = jf.load_model(GOLDEN / model_type, tokenizer=False)
    texts, classes = made[model_type], np.asarray(made["classes"])
    # LXT ran each text alone; here they are a padded batch.
    ids = np.zeros((len(texts), max(len(text["ids"]) for text in texts)), np.int32)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text["ids"])] = text["ids"]
    batch = TokenBatch(jnp.asarray(ids), jnp.asarray(ids != 0), jnp.zeros_like(ids))
    found, logits = relevance(ours.module, batch, classes), ours.module(batch).logits
    for row, text in enumerate(texts):
        np.testing.assert_allclose(logits[row], text["logits"], atol=1e-5)
        length, near = len(text["ids"]), 5e-6 * max(text["sizes"])
        np.testing.assert_allclose(found[row, :length], text["relevance"], atol=near, rtol=0)
        assert not np.asarray(found)[row, length:].any()


@pytest.mark.parametrize("name", ["decompx", "decompx-norms"])
def test_decompx_of_gates_is_refused_with_its_reason(name):
    with pytest.raises(InputError, match=r"DecompX with .*gated.*'attn-lrp'") as caught:
        jf.attribute(tiny("llama").ours, ["the key"], methods=name)
    assert len(str(caught.value).splitlines()) == 1


def test_method_gives_the_relevance():
    model = tiny("bert")
    texts = ["the key to the cabinets is lost", "table", "she knows"]
    result = jf.attribute(model.ours, texts, methods="attn-lrp", queries=(0, 1), target=1)
    wanted = relevance(model.ours.module, model.ours.pad(model.ours.tokenize(texts)), np.array([1, 1, 1]))
    for text, example in enumerate(result):
        found = example.relevance["attn-lrp"]
        assert found.shape == (3, 2, len(example.tokens))
        # The same at every layer and query.
        np.testing.assert_allclose(found, np.broadcast_to(wanted[text, : found.shape[-1]], found.shape), atol=1e-6)


def test_values_stay_the_models():
    model = tiny("bert")
    plain = model.ours.module(model.batch).logits
    for rules in (AttnLrpRules(), Decomposed()):
        changed = model.ours.module.under(rules)
        np.testing.assert_allclose(changed(model.batch).logits, plain, atol=1e-5)
    # The given module keeps its derivatives.
    assert model.ours.module.layers.rules != changed.layers.rules
