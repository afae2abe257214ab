"""Saved models load in transformers and here, and give the same again; new heads and new models train and save."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from jaxflow._checks import InputError
from jaxflow.models import load_model, new_encoder, save_encoder, supported_models, supported_table, with_head
from jaxflow.models.encoder_decoder.families import FAMILIES as PAIRS
from jaxflow.models.families import ENCODERS, FAMILIES

SMALL = {
    "vocab_size": 27,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "initializer_range": 0.4,
    "pad_token_id": 1,
    "embedding_size": 4,
}
OWN = {
    "distilbert": {"dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 12},
    "deberta-v2": {
        "relative_attention": True,
        "position_buckets": 4,
        "pos_att_type": ["c2p", "p2c"],
        "norm_rel_ebd": "layer_norm",
        "conv_kernel_size": 3,
    },
}


def config_of(model_type, **changes):
    return transformers.AutoConfig.for_model(model_type, **{**SMALL, **OWN.get(model_type, {}), **changes})


def shaken(encoder, seed=0):
    """The same encoder with every weight moved, so that no two tensors of it are alike."""
    rng = np.random.default_rng(seed)
    noise = jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.3, x.shape), x.dtype), encoder.module)
    return dataclasses.replace(encoder, module=jax.tree.map(jnp.add, encoder.module, noise))


@pytest.mark.parametrize("head", ["masked_lm", "sequence_classification"])
@pytest.mark.parametrize("model_type", ENCODERS)
def test_transformers_loads_what_we_save(tiny, batches, as_torch, tmp_path, model_type, head):
    encoder = shaken(new_encoder(config_of(model_type, num_labels=3), tiny.tokenizer(pad=1), head=head))
    save_encoder(encoder, tmp_path / "saved")
    architecture = getattr(transformers, ENCODERS[model_type].heads[head].architecture)
    model, notes = architecture.from_pretrained(
        tmp_path / "saved", attn_implementation="eager", output_loading_info=True
    )
    assert not notes["missing_keys"]
    assert not notes["unexpected_keys"]
    batch = batches("right", encoder.config.pad_id, encoder.config.segments)
    ours = encoder(batch)
    with torch.no_grad():
        theirs = model(**as_torch(batch, encoder.config.segments > 0), output_attentions=True)
    mask = np.asarray(batch.mask)
    rows = mask[:, None, None, :, None]
    attention = torch.stack(theirs.attentions, 1).numpy()
    np.testing.assert_allclose(np.where(rows, ours.attention, 0), np.where(rows, attention, 0), atol=1e-5)
    keep = mask[..., None] if head == "masked_lm" else True
    logits = theirs.logits.numpy()
    np.testing.assert_allclose(np.where(keep, ours.logits, 0), np.where(keep, logits, 0), atol=1e-4)
    again = load_model(tmp_path / "saved")
    for one, two in zip(jax.tree.leaves(again.module), jax.tree.leaves(encoder.module), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("head", ENCODERS["electra"].heads)
def test_every_head_is_saved_under_its_name(tiny, tmp_path, head):
    encoder = new_encoder(config_of("electra"), tiny.tokenizer(pad=1), head=head)
    again = load_model(save_encoder(encoder, tmp_path / "saved"))
    assert again.config == encoder.config
    assert again.tokenizer.get_vocab() == encoder.tokenizer.get_vocab()


def test_bfloat16_is_saved_as_it_is(tiny, tmp_path):
    half = load_model(tiny.bert().folder, dtype="bfloat16")
    again = load_model(save_encoder(half, tmp_path / "saved"), dtype="bfloat16")
    np.testing.assert_array_equal(again.module.layers.up.kernel[...], half.module.layers.up.kernel[...])
    assert transformers.AutoModel.from_pretrained(tmp_path / "saved").dtype == torch.bfloat16


def test_a_new_head_keeps_the_layers(tiny, batch, tmp_path):
    model = tiny.bert("BertForMaskedLM")
    encoder = with_head(model.ours, "sequence_classification", labels=("singular", "plural"))
    np.testing.assert_array_equal(encoder(batch).attention, model.ours(batch).attention)
    assert encoder(batch).logits.shape == (3, 2)
    again = load_model(save_encoder(encoder, tmp_path / "saved"))
    assert again.labels == ("singular", "plural")
    np.testing.assert_array_equal(again(batch).logits, encoder(batch).logits)
    with pytest.raises(InputError, match="`labels` must name the classes"):
        with_head(model.ours, "token_classification")
    with pytest.raises(InputError, match="`head` must be one of"):
        with_head(model.ours, "discriminator")


def test_whoever_may_read_new_folders_may_read_a_saved_model(tiny, tmp_path):
    (tmp_path / "plain").mkdir()
    saved = save_encoder(tiny.bert().ours, tmp_path / "saved")
    assert saved.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "saved"]


def test_where_a_model_cannot_be_saved(tiny, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="`folder` must be new or empty"):
        save_encoder(tiny.bert().ours, tmp_path / "full")
    with pytest.raises(InputError, match="must be a folder that can be written"):
        save_encoder(tiny.bert().ours, tmp_path / "full" / "notes.txt" / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    with pytest.raises(InputError, match="`folder` must be a path, got '~no-such-user/x', and no such user"):
        save_encoder(tiny.bert().ours, "~no-such-user/x")


def test_only_supported_families_are_made():
    with pytest.raises(InputError, match=r"`source` must be a configuration of bert, .*, got 't5'"):
        new_encoder(transformers.T5Config())


def test_the_table_of_supported_models_is_the_families():
    rows = {row.model_type: row for row in supported_models()}
    assert rows.keys() == FAMILIES.keys() | PAIRS.keys()
    assert rows["t5"].heads == rows["bart"].heads == ("bare", "next token")
    assert rows["electra"].heads[-1] == "discriminator"
    assert "summed before the softmax" in rows["deberta-v2"].note
    lines = supported_table().splitlines()
    assert len({line.count("|") for line in lines[: 2 + len(rows)]}) == 1
    assert sum(line.count("yes") for line in lines) == sum(len(row.heads) for row in rows.values())
