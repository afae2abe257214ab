"""Every family with every head against Hugging Face's torch models, eager and in float32."""

import jax
import numpy as np
import pytest
import torch
import transformers

from jaxflow._checks import InputError
from jaxflow.models import load_model
from jaxflow.models.config import UNLIMITED
from jaxflow.models.families import ENCODERS

SIZES = {
    "vocab_size": 27,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 16,
    "initializer_range": 0.4,
    "num_labels": 3,
    "pad_token_id": 1,
}
# What tiny models need beyond that to show what their family does differently.
OWN = {
    "bert": {"pad_token_id": 0},
    "distilbert": {"hidden_dim": 24, "pad_token_id": 0},
    "electra": {"embedding_size": 8, "pad_token_id": 0},
    "albert": {
        "embedding_size": 8,
        "num_hidden_layers": 4,
        "num_hidden_groups": 2,
        "inner_group_num": 2,
        "pad_token_id": 0,
    },
    "deberta-v2": {
        "relative_attention": True,
        "position_buckets": 4,
        "norm_rel_ebd": "layer_norm",
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 2,
        "pad_token_id": 0,
    },
}
VARIANTS = {
    "electra-unprojected": ("electra", {"embedding_size": 16}),
    "albert-one-layer": ("albert", {"num_hidden_groups": 1, "inner_group_num": 1}),
    "deberta-v2-shared": ("deberta-v2", {"share_att_key": True, "norm_rel_ebd": "none", "position_buckets": -1}),
    "deberta-v2-convolution": (
        "deberta-v2",
        {"conv_kernel_size": 3, "conv_act": "gelu", "embedding_size": 8, "type_vocab_size": 0},
    ),
    "deberta-v2-positions": ("deberta-v2", {"position_biased_input": True, "pos_att_type": ["c2p"]}),
    "deberta-v2-absolute": (
        "deberta-v2",
        {"relative_attention": False, "pos_att_type": None, "position_biased_input": True, "norm_rel_ebd": "none"},
    ),
}
CASES = [(model_type, head) for model_type, family in ENCODERS.items() for head in family.heads]


def make(model_type, head, folder, tiny, **changes):
    """A random model of that family and head, as transformers has it and as we load it."""
    torch.manual_seed(1)
    settings = {**SIZES, **OWN.get(model_type, {}), **changes}
    if head == "question_answering":
        settings["num_labels"] = 2
    if model_type == "distilbert":
        settings["dim"], settings["n_layers"], settings["n_heads"] = 16, 3, 2
    config = transformers.AutoConfig.for_model(model_type, **settings)
    model = getattr(transformers, ENCODERS[model_type].heads[head].architecture)(config)
    model.config._attn_implementation = "eager"
    tiny.save(folder, model, tiny.tokenizer(pad=config.pad_token_id))
    return model, load_model(folder)


@jax.jit
def run(module, batch):
    return module(batch)


def their_logits(theirs, head):
    if head == "question_answering":
        return torch.stack([theirs.start_logits, theirs.end_logits], -1).numpy()
    return theirs.logits.numpy()


def check(model, ours, batch, head, agree, as_torch):
    segments = ours.config.segments > 0
    with torch.no_grad():
        theirs = model(**as_torch(batch, segments), output_attentions=True, output_hidden_states=True)
    # Unpacked, so that both sides of padding share one program; packed batches have tests of their own.
    output = run(ours.module, batch)
    agree(output, theirs, batch.mask)
    if head == "bare":
        assert output.logits is None
        pooled = getattr(theirs, "pooler_output", None)
        assert (output.pooled is None) == (pooled is None)
        if pooled is not None:
            np.testing.assert_allclose(output.pooled, pooled.numpy(), atol=1e-5, rtol=0)
        return
    assert output.pooled is None
    logits = their_logits(theirs, head)
    assert output.logits.shape == logits.shape
    tokens = head in ("masked_lm", "token_classification", "question_answering", "discriminator")
    mask = np.asarray(batch.mask)
    keep = mask.reshape(mask.shape + (1,) * (logits.ndim - 2)) if tokens else True
    np.testing.assert_allclose(np.where(keep, output.logits, 0), np.where(keep, logits, 0), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("model_type", "head"), [case for case in CASES if case[1] != "multiple_choice"])
def test_equals_torch(tiny, batches, as_torch, agree, tmp_path, model_type, head):
    model, ours = make(model_type, head, tmp_path, tiny)
    for side in ("right", "left"):
        batch = batches(side, ours.config.pad_id, ours.config.segments)
        check(model, ours, batch, head, agree, as_torch)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_equal_torch(tiny, batches, as_torch, agree, tmp_path, variant):
    model_type, changes = VARIANTS[variant]
    model, ours = make(model_type, "masked_lm", tmp_path, tiny, **changes)
    for side, length in (("right", 9), ("left", 16)):
        batch = batches(side, ours.config.pad_id, ours.config.segments, length)
        check(model, ours, batch, "masked_lm", agree, as_torch)


@pytest.mark.parametrize("model_type", ENCODERS)
def test_multiple_choice_equals_torch(tiny, batches, as_torch, tmp_path, model_type):
    model, ours = make(model_type, "multiple_choice", tmp_path, tiny)
    batch = batches("right", ours.config.pad_id, ours.config.segments)
    batch = jax.tree.map(lambda x: jax.numpy.stack([x, x[::-1]]), batch)
    with torch.no_grad():
        theirs = model(**as_torch(batch, ours.config.segments > 0), output_attentions=True)
    output = ours(batch)
    np.testing.assert_allclose(output.logits, theirs.logits.numpy(), atol=1e-4, rtol=0)
    attention = torch.stack(theirs.attentions, 1).numpy()
    real = np.asarray(batch.mask)[:, :, None, None, :, None]
    flat = np.where(real, output.attention, 0).reshape(attention.shape)
    np.testing.assert_allclose(
        flat, np.where(real, attention.reshape(output.attention.shape), 0).reshape(flat.shape), atol=1e-5
    )


@pytest.mark.parametrize("model_type", ENCODERS)
def test_longest_sequence(tiny, batches, as_torch, agree, tmp_path, model_type):
    model, ours = make(model_type, "bare", tmp_path, tiny)
    length = ours.max_length
    if model_type == "deberta-v2":
        assert length == UNLIMITED
        length = 16
    offset = model_type in ("roberta", "xlm-roberta", "camembert", "roberta-prelayernorm", "mpnet")
    assert length == (14 if offset else 16)
    batch = batches("right", ours.config.pad_id, ours.config.segments, length)
    batch = type(batch)(batch.input_ids.at[:].set(9), batch.mask.at[:].set(True), batch.segments)
    check(model, ours, batch, "bare", agree, as_torch)


def test_without_a_table_of_positions_no_text_is_too_long(tiny, as_torch, agree, tmp_path):
    """DeBERTa-v3: `max_position_embeddings` is 16, and torch reads 52 tokens all the same."""
    model, ours = make("deberta-v2", "bare", tmp_path, tiny, position_buckets=8, share_att_key=True)
    batch = ours.pad(ours.tokenize(["the key to the cabinets " * 10, "she knows"]))
    assert batch.input_ids.shape == (2, 52)
    check(model, ours, batch, "bare", agree, as_torch)
    model, ours = make("deberta-v2", "bare", tmp_path / "absolute", tiny, position_biased_input=True)
    with pytest.raises(InputError, match="must have at most 16 tokens, got 52"):
        ours.tokenize(["the key to the cabinets " * 10])


@pytest.mark.parametrize("model_type", ["mpnet", "deberta-v2"])
def test_buckets_of_distances_equal_torch(model_type):
    from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

    from jaxflow.models.families import deberta, mpnet

    distance = np.arange(600)[:, None] - np.arange(600)[None, :]
    if model_type == "mpnet":
        theirs = MPNetEncoder.relative_position_bucket(torch.tensor(-distance)).numpy()
        np.testing.assert_array_equal(mpnet.buckets(600), theirs)
        return
    for buckets, farthest in ((256, 512), (32, 512), (4, 16)):
        kind = deberta.Disentangled(buckets, buckets, farthest, True, True, True, True)
        theirs = make_log_bucket_position(torch.tensor(distance), buckets, farthest).long().numpy()
        np.testing.assert_array_equal(kind.bucketed(distance), theirs)
