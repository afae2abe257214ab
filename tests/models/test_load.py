"""What can be wrong with a model, each with one clear line; and what loads all the same."""

import json
import pickle
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from jaxflow._checks import InputError
from jaxflow.models import load_model


@pytest.fixture
def folder(tiny, tmp_path):
    """A copy of a good model, to break."""
    return shutil.copytree(tiny.bert("BertForSequenceClassification").folder, tmp_path / "model")


def refused(name, match, **options):
    with pytest.raises(InputError, match=match) as caught:
        load_model(name, **options)
    assert "\n" not in str(caught.value)


def edit_config(folder, **changes):
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_unknown_names():
    refused(
        "nobody/no-such-model", "must be a built-in name, a folder, or a model in the hub's cache, got .*HF_HUB_OFFLINE"
    )
    refused("nobody/no-such-model", "the hub is off", local_files_only=True, revision="main")
    refused("not a name!", "not a name!.*check the name")
    refused("./no-such-folder", "does not exist")
    refused("a/b/c", "does not exist")
    refused(3, "`name_or_path` must be a model's name or folder, got 3")


def test_a_file_is_not_a_model(folder):
    refused(folder / "config.json", "must be a folder")


def test_config_missing_or_malformed(folder):
    path = folder / "config.json"
    path.write_text("{")
    refused(folder, "is not valid JSON")
    path.write_text("[]")
    refused(folder, "`model_type` must be one of 'bert', .*, got none; add it")
    path.unlink()
    refused(folder, "has no config.json")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"model_type": "mamba"}, "`model_type` must be one of 'bert', .*, got 'mamba'"),
        ({"hidden_size": "wide"}, "config.json: `hidden_size` must be a whole number"),
        ({"hidden_size": 17}, "`hidden_size` must be a multiple of its 2 attention heads, got 17"),
        ({"hidden_act": "mish"}, "`hidden_act` must be one of 'gelu', .* got 'mish'"),
        ({"is_decoder": True}, "decoder"),
        ({"architectures": ["BertForHaiku"]}, "got 'BertForHaiku'; .*pass `head`, one of 'bare'"),
        (
            {"position_embedding_type": "relative_key"},
            "`position_embedding_type` must be 'absolute', got 'relative_key'",
        ),
        ({"hidden_size": 32}, r"must have config.json's shape \(32,\), got \(16,\)"),
        ({"num_hidden_layers": 4}, r"lacks 'encoder.layer.3.*and 13 more"),
        ({"num_hidden_layers": 2}, r"has 'encoder.layer.2.*does not use"),
        ({"vocab_size": 20}, r"must have config.json's shape \(20, 16\)"),
    ],
)
def test_config_that_does_not_fit(folder, changes, match):
    edit_config(folder, **changes)
    refused(folder, match)


def test_weights_missing_or_broken(folder):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    refused(folder, "must be a whole safetensors file, got a damaged one")
    weights.write_bytes(b"nonsense")
    refused(folder, "must be a whole safetensors file, got a damaged one")
    weights.unlink()
    refused(folder, "must hold model.safetensors, or shards")


def test_a_pickle_is_never_opened(folder):
    (folder / "model.safetensors").unlink()

    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was loaded",))

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    refused(folder, r"'pytorch_model.bin', which is never loaded.*scripts/convert_checkpoint.py")


def test_every_key_is_accounted_for(folder):
    edit_weights(folder, lambda weights: weights.pop("bert.encoder.layer.1.output.dense.bias"))
    refused(folder, "lacks 'encoder.layer.1.output.dense.bias', which a BERT encoder")
    edit_weights(folder, lambda weights: weights.update({"bert.encoder.layer.1.output.dense.bias": torch.zeros(16)}))
    edit_weights(folder, lambda weights: weights.update({"bert.adapter.weight": torch.zeros(2)}))
    refused(folder, "has 'adapter.weight', which a BERT encoder with the head 'sequence_classification' does not use")


def test_shapes_and_types_of_weights(folder):
    edit_weights(folder, lambda weights: weights.update({"classifier.bias": torch.zeros(4)}))
    refused(folder, r"'classifier.bias' in .* must have config.json's shape \(3,\), got \(4,\)")
    edit_weights(folder, lambda weights: weights.update({"classifier.bias": torch.zeros(3, dtype=torch.int8)}))
    refused(folder, "must be of floating-point numbers of 16 bits or more, got int8")


def test_tokenizer_missing_or_of_another_model(folder):
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["extra"] = 400
    path.write_text(json.dumps(tokenizer))
    refused(folder, "must have the model's 27 tokens, got ids up to 400")
    path.write_text("{")
    refused(folder, "must be readable, got an error")
    path.unlink()
    refused(folder, "must hold a tokenizer .*tokenizer=False")
    encoder = load_model(folder, tokenizer=False)
    with pytest.raises(InputError, match="must be loaded with its tokenizer; load it with `tokenizer=True`"):
        encoder.tokenize(["the key"])


def test_bad_options(folder):
    refused(folder, "`dtype` must be one of 'float32', 'bfloat16', got 'float16'", dtype="float16")
    refused(folder, "`dtype` must be one of 'float32', 'bfloat16', got '3'", dtype=3)
    refused(folder, "`head` must be one of 'bare'", head="poetry")
    for dtype in (jnp.bfloat16, np.dtype("float32"), "bfloat16"):
        assert load_model(folder, dtype=dtype).module.head.out.kernel[...].dtype == jnp.dtype(dtype)


def test_head_can_be_left_out_or_replaced(tiny, batch):
    model = tiny.bert("BertForSequenceClassification")
    bare = load_model(model.folder, head="bare")(batch)
    assert bare.logits is None
    np.testing.assert_allclose(bare.attention, model.ours(batch).attention, atol=1e-6)
    refused(model.folder, "lacks 'cls.predictions.decoder.bias'", head="masked_lm")


def test_shards_and_half_precision_load(tiny, batch, tmp_path):
    model = tiny.bert("BertForMaskedLM")
    sharded = shutil.copytree(model.folder, tmp_path / "sharded")
    (sharded / "model.safetensors").unlink()
    model.torch.save_pretrained(sharded, max_shard_size="8KB")
    assert len(list(sharded.glob("*.safetensors"))) > 2
    np.testing.assert_array_equal(load_model(sharded)(batch).logits, model.ours(batch).logits)
    half = shutil.copytree(model.folder, tmp_path / "half")
    edit_weights(half, lambda weights: weights.update({k: v.bfloat16() for k, v in weights.items()}))
    kernel = load_model(half).module.layers.up.kernel[...]
    assert kernel.dtype == jnp.float32
    np.testing.assert_allclose(kernel, model.ours.module.layers.up.kernel[...], rtol=1e-2)
    next(sharded.glob("model-00002*")).unlink()
    refused(sharded, "`weight_map` must name files that are there, got 'model-00002")
    (sharded / "model.safetensors.index.json").write_text("{}")
    refused(sharded, "`weight_map` must name the shards' files")


def test_names_from_before_2020(tiny, batch, tmp_path):
    model = tiny.bert("BertForSequenceClassification")
    old = shutil.copytree(model.folder, tmp_path / "old")

    def rename(weights):
        for key in list(weights):
            name = key.removeprefix("bert.")
            if "LayerNorm" in name:
                name = name.replace(".weight", ".gamma").replace(".bias", ".beta")
            weights[name] = weights.pop(key)
        weights["embeddings.position_ids"] = torch.arange(12)[None]

    edit_weights(old, rename)
    np.testing.assert_array_equal(load_model(old)(batch).logits, model.ours(batch).logits)


def loaded_with_word(folder, match, **options):
    with pytest.warns(UserWarning, match=match) as told:
        encoder = load_model(folder, **options)
    assert len(told) == 1
    return encoder


FOREIGN = {"crf.transitions": (3, 3), "loss_fct.weight": (3,), "linear.weight": (8, 16), "lstm.weight_ih_l0": (64, 16)}


@pytest.mark.parametrize("extra", FOREIGN)
def test_what_stands_on_the_encoder_beside_its_head_is_left_out_where_the_head_is_named(tiny, batch, folder, extra):
    edit_weights(folder, lambda weights: weights.update({extra: torch.ones(FOREIGN[extra])}))
    refused(folder, f"one that has '{extra}', which .*'sequence_classification' does not use; .*`head=\"bare\"`")
    encoder = loaded_with_word(folder, f"with the head 'bare'; left out: '{extra}'$", head="bare")
    kept = tiny.bert("BertForSequenceClassification").ours
    np.testing.assert_array_equal(encoder(batch).attention, kept(batch).attention)
    encoder = loaded_with_word(folder, f"left out: '{extra}'$", head="sequence_classification")
    np.testing.assert_array_equal(encoder(batch).logits, kept(batch).logits)


def test_an_adapter_of_the_head_is_not_passed_over_in_silence(tiny, batch, folder):
    # Other heads call their last map by the same name.
    adapter = "classifier.lora_A.weight"
    edit_weights(folder, lambda weights: weights.update({adapter: torch.ones(2, 16)}))
    refused(folder, f"one that has '{adapter}', which .*'sequence_classification' does not use")
    encoder = loaded_with_word(folder, f"left out: '{adapter}'$", head="sequence_classification")
    np.testing.assert_array_equal(encoder(batch).logits, tiny.bert("BertForSequenceClassification").ours(batch).logits)


def test_the_way_out_of_an_unknown_architecture_leads_out(tiny, batch, folder):
    """A ColBERT: an encoder under its prefix, a projection, no head of ours."""

    def change(weights):
        for key in [key for key in weights if key.startswith("classifier")]:
            del weights[key]
        weights["linear.weight"] = torch.ones(8, 16)
        weights["encoder.norm"] = torch.ones(8)

    edit_weights(folder, change)
    edit_config(folder, architectures=["HF_ColBERT"])
    refused(folder, "got 'HF_ColBERT'; .*pass `head`, one of 'bare'")
    refused(folder, "lacks 'classifier.bias'.*; in Python, pass `head=\"bare\"`", head="sequence_classification")
    encoder = loaded_with_word(folder, "left out: 'encoder.norm', 'linear.weight'$", head="bare")
    kept = tiny.bert("BertForSequenceClassification").ours
    np.testing.assert_array_equal(encoder(batch).attention, kept(batch).attention)


def test_what_belongs_to_the_encoder_is_never_left_out(folder):
    edit_weights(folder, lambda weights: weights.update({"bert.encoder.layer.1.adapter.up.weight": torch.ones(16, 16)}))
    for head in (None, "bare", "sequence_classification"):
        refused(
            folder,
            "has 'encoder.layer.1.adapter.up.weight', which .* does not use; use a config.json and weights that",
            head=head,
        )


def test_counters_and_other_buffers_are_no_weights(tiny, batch, folder):
    buffers = {"norm.num_batches_tracked": torch.tensor(3), "attended": torch.ones(12, dtype=torch.bool)}
    edit_weights(folder, lambda weights: weights.update(buffers))
    kept = tiny.bert("BertForSequenceClassification").ours
    np.testing.assert_array_equal(load_model(folder)(batch).logits, kept(batch).logits)


def test_keys_behind_a_foreign_prefix_are_named_with_the_way_out(folder):
    def change(weights):
        for key in list(weights):
            weights[f"module.{key}"] = weights.pop(key)

    edit_weights(folder, change)
    match = "it has them behind the prefix 'module.bert.'.*scripts/convert_checkpoint.py and its option --strip"
    refused(folder, match, head="bare")


def test_a_decoder_that_is_not_the_embeddings_is_used(tiny, batch, as_torch, tmp_path):
    model = tiny.bert("BertForMaskedLM", tie_word_embeddings=False)
    with torch.no_grad():
        theirs = model.torch(**as_torch(batch)).logits.numpy()
    keep = np.asarray(batch.mask)[..., None]
    np.testing.assert_allclose(np.where(keep, model.ours(batch).logits, 0), np.where(keep, theirs, 0), atol=1e-4)
    untold = shutil.copytree(model.folder, tmp_path / "untold")
    edit_config(untold, tie_word_embeddings=True)
    np.testing.assert_array_equal(load_model(untold)(batch).logits, model.ours(batch).logits)
