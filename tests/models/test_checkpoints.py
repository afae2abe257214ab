"""Every way in which transformers and safetensors write a checkpoint, for every family, against torch's attention."""

import json
import shutil

import jax
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file, save_model

from jaxflow.models import load_model
from jaxflow.models.families import ENCODERS

SIZES = {
    "vocab_size": 27,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 16,
    "initializer_range": 0.4,
    "pad_token_id": 1,
    "embedding_size": 16,
}
OWN = {
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24},
    "electra": {"embedding_size": 8},
    "albert": {"embedding_size": 8},
    "deberta-v2": {"relative_attention": True, "position_buckets": 4, "pos_att_type": ["c2p", "p2c"]},
}


def made(model_type, head, **changes):
    """A random model, every tensor of which differs from every other."""
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(model_type, **{**SIZES, **OWN.get(model_type, {}), **changes})
    model = getattr(transformers, ENCODERS[model_type].heads[head].architecture)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.config._attn_implementation = "eager"
    return model.eval()


def rewritten(folder, change):
    """Write the folder's weights again after `change(tensors)`, which gives the new ones."""
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})


def old_names(tensors):
    """Norms as they were called before 2020."""

    def name(key):
        if "norm" not in key.lower():
            return key
        return key.replace(".weight", ".gamma").replace(".bias", ".beta")

    return {name(key): tensor for key, tensor in tensors.items()}


def by_save_pretrained(model, folder):
    model.save_pretrained(folder)


def in_shards(model, folder):
    model.save_pretrained(folder, max_shard_size="6KB")
    # ALBERT's layers share their weights, so that it fills two.
    assert len(list(folder.glob("model-*.safetensors"))) > 1


def by_save_model(model, folder):
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    save_model(model, str(folder / "model.safetensors"))


def by_save_model_without_metadata(model, folder):
    by_save_model(model, folder)
    rewritten(folder, dict)


def as_two_names(model, folder):
    """As `save_file` of a whole state writes it: the tied matrix and the tied bias stand there twice."""
    by_save_model(model, folder)
    save_file({key: value.clone() for key, value in model.state_dict().items()}, folder / "model.safetensors")


def with_old_names(model, folder):
    model.save_pretrained(folder)
    rewritten(folder, old_names)


def without_prefix(model, folder):
    model.save_pretrained(folder)
    prefix = f"{model.base_model_prefix}."
    rewritten(folder, lambda tensors: {key.removeprefix(prefix): tensor for key, tensor in tensors.items()})


def with_prefix(model, folder):
    """A bare encoder's weights under the names that they have in a model with a head."""
    model.save_pretrained(folder)
    prefix = f"{model.base_model_prefix}."
    rewritten(folder, lambda tensors: {prefix + key: tensor for key, tensor in tensors.items()})


def with_buffers(model, folder):
    """With the position numbers that older versions of transformers wrote."""
    model.save_pretrained(folder)
    prefix = f"{model.base_model_prefix}." if "Model" not in type(model).__name__[-5:] else ""
    numbers = {f"{prefix}embeddings.{name}": torch.arange(16)[None] for name in ("position_ids", "token_type_ids")}
    rewritten(folder, lambda tensors: {**tensors, **numbers})


def in_type(dtype):
    def write(model, folder):
        # Both sides then start from the same rounded numbers, and both calculate in float32.
        rounded = model.to(dtype)
        rounded.save_pretrained(folder)
        _ = rounded.to(torch.float32)

    return write


WAYS = {
    "save_pretrained": by_save_pretrained,
    "shards": in_shards,
    "save_model": by_save_model,
    "save_model without metadata": by_save_model_without_metadata,
    "two names": as_two_names,
    "old names": with_old_names,
    "no prefix": without_prefix,
    "prefix": with_prefix,
    "buffers": with_buffers,
    "float16": in_type(torch.float16),
    "bfloat16": in_type(torch.bfloat16),
    "float64": in_type(torch.float64),
}
HEADS = ("bare", "masked_lm", "sequence_classification")


@jax.jit
def run(module, batch):
    return module(batch)


def check(model, encoder, batches, as_torch, head):
    batch = batches("right", encoder.config.pad_id, encoder.config.segments)
    with torch.no_grad():
        theirs = model(**as_torch(batch, encoder.config.segments > 0), output_attentions=True)
    ours = run(encoder.module, batch)
    mask = np.asarray(batch.mask)
    rows = mask[:, None, None, :, None]
    attention = torch.stack(theirs.attentions, 1).numpy()
    np.testing.assert_allclose(np.where(rows, ours.attention, 0), np.where(rows, attention, 0), atol=1e-5, rtol=0)
    if head != "bare":
        keep = mask[..., None] if head == "masked_lm" else True
        logits = np.where(keep, theirs.logits.numpy(), 0)
        np.testing.assert_allclose(np.where(keep, ours.logits, 0), logits, atol=1e-4, rtol=1e-5)


# Every family in the way that loses the embeddings' name, and every way once.
SOME = [(family, "save_model", "masked_lm") for family in ENCODERS] + [
    ("mpnet", "save_model without metadata", "masked_lm"),
    ("camembert", "shards", "masked_lm"),
    ("roberta", "two names", "masked_lm"),
    ("bert", "old names", "sequence_classification"),
    ("electra", "no prefix", "sequence_classification"),
    ("deberta-v2", "prefix", "bare"),
    ("distilbert", "buffers", "bare"),
    ("albert", "float16", "bare"),
    ("xlm-roberta", "bfloat16", "sequence_classification"),
    ("roberta-prelayernorm", "float64", "bare"),
]
ALL = [(family, way, head) for family in ENCODERS for way in WAYS for head in HEADS]


def loads(model_type, way, head, folder, batches, as_torch):
    if way == "prefix" and head != "bare":
        head = "bare"
    model = made(model_type, head)
    WAYS[way](model, folder)
    encoder = load_model(folder, tokenizer=False)
    assert encoder.config.head.name == head
    check(model, encoder, batches, as_torch, head)


@pytest.mark.parametrize(("model_type", "way", "head"), SOME)
def test_a_checkpoint_gives_torchs_attention(batches, as_torch, tmp_path, model_type, way, head):
    loads(model_type, way, head, tmp_path, batches, as_torch)


@pytest.mark.slow
@pytest.mark.parametrize(("model_type", "way", "head"), ALL)
def test_every_checkpoint_gives_torchs_attention(batches, as_torch, tmp_path, model_type, way, head):
    loads(model_type, way, head, tmp_path, batches, as_torch)


@pytest.mark.parametrize("model_type", ["bert", "roberta", "deberta-v2"])
@pytest.mark.parametrize("way", ["save_pretrained", "save_model"])
def test_an_untied_decoder_stays_its_own(batches, as_torch, tmp_path, model_type, way):
    model = made(model_type, "masked_lm", tie_word_embeddings=False)
    WAYS[way](model, tmp_path)
    encoder = load_model(tmp_path, tokenizer=False)
    assert not encoder.config.head.tied
    check(model, encoder, batches, as_torch, "masked_lm")


@pytest.mark.parametrize("model_type", ["roberta", "mpnet", "deberta-v2"])
def test_an_encoder_alone_takes_its_embeddings_from_the_decoders_name(batches, as_torch, tmp_path, model_type):
    model = made(model_type, "masked_lm")
    by_save_model_without_metadata(model, tmp_path)
    assert not [key for key in load_file(tmp_path / "model.safetensors") if "word_embeddings" in key]
    encoder = load_model(tmp_path, head="bare", tokenizer=False)
    check(model, encoder, batches, as_torch, "bare")


def test_one_file_goes_before_an_index_as_in_transformers(batches, as_torch, tmp_path):
    """An index may be left from an earlier save."""
    in_shards(made("bert", "bare"), tmp_path)
    model = made("bert", "bare", initializer_range=0.1)
    single = tmp_path / "new"
    model.save_pretrained(single)
    _ = shutil.copy(single / "model.safetensors", tmp_path)
    expected = transformers.BertModel.from_pretrained(tmp_path, attn_implementation="eager")
    torch.testing.assert_close(expected.embeddings.word_embeddings.weight, model.embeddings.word_embeddings.weight)
    check(expected, load_model(tmp_path, tokenizer=False), batches, as_torch, "bare")


def test_an_old_head_under_its_old_names(batches, as_torch, tmp_path):
    """DeBERTa-v3's own head, which transformers calls not legacy."""
    model = made("deberta-v2", "masked_lm", legacy=False)
    by_save_pretrained(model, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["legacy"] is False
    assert any(key.startswith("lm_predictions.") for key in load_file(tmp_path / "model.safetensors"))
    check(model, load_model(tmp_path, tokenizer=False), batches, as_torch, "masked_lm")
