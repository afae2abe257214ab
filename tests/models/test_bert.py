"""BERT against Hugging Face's torch models, eager and in float32."""

import jax
import numpy as np
import pytest
import torch

HEADS = ("BertModel", "BertForMaskedLM", "BertForSequenceClassification")


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", HEADS)
def test_equals_torch(tiny, batches, as_torch, agree, kind, side):
    model, batch = tiny.bert(kind), batches(side)
    with torch.no_grad():
        theirs = model.torch(**as_torch(batch), output_attentions=True, output_hidden_states=True)
    ours = model.ours(batch)
    agree(ours, theirs, batch.mask)
    if kind == "BertModel":
        assert ours.logits is None
        return
    logits = theirs.logits.numpy()
    keep = np.asarray(batch.mask)[..., None] if kind == "BertForMaskedLM" else True
    np.testing.assert_allclose(np.where(keep, ours.logits, 0), np.where(keep, logits, 0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("length", [1, 12])
def test_any_length_up_to_the_maximum(tiny, as_torch, agree, length):
    model = tiny.bert()
    encodings = model.ours.tokenize(["the key to the cabinets is lost ."], max_length=12)
    batch = jax.tree.map(lambda x: x[:, :length], model.ours.pad(encodings, 12))
    with torch.no_grad():
        theirs = model.torch(**as_torch(batch), output_attentions=True, output_hidden_states=True)
    agree(model.ours(batch), theirs, batch.mask)


def test_pairs_of_texts_have_segments(tiny, as_torch, agree):
    model = tiny.bert("BertForSequenceClassification")
    encodings = model.ours.tokenize(["the key", "she knows"], ["is lost", "he laughed ."])
    assert encodings[1].tokens == ("[CLS]", "she", "knows", "[SEP]", "he", "laugh", "##ed", ".", "[SEP]")
    assert encodings[1].segments == (0, 0, 0, 0, 1, 1, 1, 1, 1)
    assert encodings[1].source == (-1, 0, 0, -1, 1, 1, 1, 1, -1)
    batch = model.ours.pad(encodings)
    with torch.no_grad():
        theirs = model.torch(**as_torch(batch), output_attentions=True, output_hidden_states=True)
    ours = model.ours(batch)
    agree(ours, theirs, batch.mask)
    np.testing.assert_allclose(ours.logits, theirs.logits.numpy(), atol=1e-4, rtol=0)


def test_padding_changes_nothing(tiny, batch):
    model = tiny.bert()
    together = model.ours(batch)
    for row, length in enumerate(np.asarray(batch.mask).sum(axis=1)):
        alone = model.ours(jax.tree.map(lambda x: x[row : row + 1, :length], batch))  # noqa: B023
        np.testing.assert_allclose(
            together.attention[row, ..., :length, :length], alone.attention[0], atol=1e-5, rtol=0
        )
    padded = np.asarray(together.attention)[
        np.broadcast_to(~np.asarray(batch.mask)[:, None, None, None, :], together.attention.shape)
    ]
    assert padded.size
    assert not padded.any()


def test_any_number_of_batch_axes(tiny, batch):
    model = tiny.bert("BertForSequenceClassification")
    run = jax.jit(lambda module, batch: module(batch))
    flat = run(model.ours.module, batch)
    nested = run(model.ours.module, jax.tree.map(lambda x: x[None, :, None], batch))
    single = jax.vmap(run, in_axes=(None, 0))(model.ours.module, batch)
    for field in ("attention", "hidden_states", "logits"):
        np.testing.assert_allclose(getattr(nested, field)[0, :, 0], getattr(flat, field), atol=1e-5, rtol=0)
        np.testing.assert_allclose(getattr(single, field), getattr(flat, field), atol=1e-5, rtol=0)


def test_what_is_not_asked_for_is_none(tiny, batch):
    model = tiny.bert("BertForSequenceClassification")
    full = model.ours(batch, return_values=True)
    assert full.values.shape == (3, 3, 2, 9, 8)
    lean = model.ours(batch, return_attention=False, return_hidden_states=False)
    assert lean.attention is None
    assert lean.hidden_states is None
    assert lean.values is None
    np.testing.assert_allclose(lean.logits, full.logits, atol=1e-5, rtol=0)


def test_values_and_projections_make_the_attention_block(tiny, batch):
    model = tiny.bert()
    out = jax.jit(lambda module: module(batch, return_values=True))(model.ours.module)
    mixed = np.einsum(
        "blhqk,blhkd,lhdw->blqw", out.attention, out.values, model.ours.module.output_projections(), optimize=True
    )
    layer = model.torch.encoder.layer[1].attention.output
    with torch.no_grad():
        expected = layer.LayerNorm(
            torch.tensor(mixed[:, 1]) + layer.dense.bias + torch.tensor(np.asarray(out.hidden_states[:, 1]))
        )
        hidden = model.torch.encoder.layer[1]
        expected = hidden.output(hidden.intermediate(expected), expected).numpy()
    np.testing.assert_allclose(out.hidden_states[:, 2], expected, atol=1e-4, rtol=0)


def test_compile_time_does_not_grow_with_depth(tiny, batch):
    def program(layers):
        model = tiny.bert(num_hidden_layers=layers)
        return jax.jit(lambda module, batch: module(batch)).lower(model.ours.module, batch).as_text()

    assert program(6).count("stablehlo.dot_general") == program(3).count("stablehlo.dot_general")


def test_bfloat16_is_close_and_its_attention_is_float32(tiny, batch):
    from jaxflow.models import load_model

    model = tiny.bert("BertForSequenceClassification")
    half = load_model(model.folder, dtype="bfloat16")(batch)
    full = model.ours(batch)
    assert half.attention.dtype == half.hidden_states.dtype == half.logits.dtype == np.float32
    np.testing.assert_allclose(half.attention.sum(-1), 1, atol=1e-6)
    assert 0 < float(abs(half.attention - full.attention).max()) < 0.2
    assert float(abs(half.attention - full.attention).mean()) < 0.01
