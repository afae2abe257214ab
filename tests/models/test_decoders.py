"""Decoders that run in JAX against Hugging Face's torch models, eager and in float32."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.models import load_model
from jaxflow.models.encoder.positions import places
from jaxflow.models.families import DECODERS
from jaxflow.models.families.rotary import rotary_of
from tests.models.decoders import (
    FAST,
    LENGTH,
    LENGTHS,
    LINEAR,
    LLAMA3,
    OWN,
    VARIANTS,
    as_batch,
    make,
    padded,
    run,
    slow_unless,
    torch_run,
)
from tests.models.test_families import SIZES

HEADS = ("next_token", "bare", "sequence_classification")


def check(model, ours, head):
    for side in ("right", "left"):
        ids, mask = padded(side)
        theirs, output = torch_run(model, ids, mask), run(ours.module, as_batch(ids, mask))
        real = mask[:, None, None, :, None]
        attention = torch.stack(theirs.attentions, 1).numpy()
        np.testing.assert_allclose(np.where(real, output.attention, 0), np.where(real, attention, 0), atol=1e-5, rtol=0)
        states = torch.stack(theirs.hidden_states, 1).numpy()
        kept = mask[:, None, :, None]
        np.testing.assert_allclose(
            np.where(kept, output.hidden_states, 0), np.where(kept, states, 0), atol=1e-4, rtol=1e-5
        )
        if head == "bare":
            assert output.logits is None
            continue
        logits = theirs.logits.numpy()
        if head == "next_token":
            last = LENGTH - 1 - np.argmax(mask[:, ::-1], axis=1)
            logits = logits[np.arange(len(ids)), last]
        np.testing.assert_allclose(output.logits, logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("model_type", "head"), slow_unless(FAST, [(name, head) for name in DECODERS for head in HEADS])
)
def test_equals_torch(tiny, tmp_path, model_type, head):
    check(*make(model_type, head, tmp_path, tiny), head)


@pytest.mark.parametrize("variant", slow_unless(("llama-shared-and-biased", "llama3"), [(name,) for name in VARIANTS]))
def test_variants_equal_torch(tiny, tmp_path, variant):
    model_type, changes = VARIANTS[variant]
    check(*make(model_type, "next_token", tmp_path, tiny, **changes), "next_token")


@pytest.mark.parametrize("model_type", slow_unless(("gpt2",), [(name,) for name in DECODERS]))
def test_a_batch_gives_what_each_text_gives_alone(tiny, tmp_path, model_type):
    """Packed where that pays, padded on either side."""
    _, ours = make(model_type, "next_token", tmp_path, tiny)
    ids, mask = padded("right")
    alone = [
        ours(as_batch(ids[row : row + 1, :length], mask[row : row + 1, :length])) for row, length in enumerate(LENGTHS)
    ]
    for side in ("right", "left"):
        ids, mask = padded(side)
        output = ours(as_batch(ids, mask))
        for row, (length, single) in enumerate(zip(LENGTHS, alone, strict=True)):
            here = slice(length) if side == "right" else slice(LENGTH - length, None)
            np.testing.assert_allclose(output.attention[row][..., here, here], single.attention[0], atol=1e-5)
            np.testing.assert_allclose(output.logits[row], single.logits[0], atol=1e-4)


def test_bfloat16_parameters_stay_near_float32(tiny, tmp_path):
    _, ours = make("llama", "next_token", tmp_path, tiny)
    low = load_model(tmp_path, dtype="bfloat16")
    batch = as_batch(*padded("right"))
    exact, rounded = ours(batch), low(batch)
    assert rounded.attention.dtype == jnp.float32
    # Operands of products keep 8 bits. Measured: .03 at most, .0003 in the mean; a wrong map would be off by up to 1.
    difference = np.abs(rounded.attention - exact.attention)
    assert difference.max() < 0.1
    assert difference.mean() < 0.001
    assert not np.array_equal(rounded.attention, exact.attention)


@pytest.mark.parametrize("model_type", slow_unless(FAST, [(name,) for name in DECODERS]))
def test_a_saved_decoder_is_loaded_by_transformers(tiny, tmp_path, model_type):
    model, ours = make(model_type, "next_token", tmp_path / "theirs", tiny)
    folder = jf.models.save_encoder(ours, tmp_path / "ours")
    again = transformers.AutoModelForCausalLM.from_pretrained(folder)
    theirs = model.state_dict()
    assert again.state_dict().keys() == theirs.keys()
    for name, tensor in again.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), theirs[name].numpy(), err_msg=name)


def test_what_a_decoder_says_of_itself_and_what_it_is_asked(tiny, tmp_path):
    model, ours = make("gpt2", "next_token", tmp_path, tiny)
    assert (ours.causal, ours.reads_at, ours.head.outputs) == (True, -1, 27)
    text = "the key to the table"
    (encoding,) = ours.tokenize([text])
    result = jf.attribute(ours, [text])
    theirs = torch_run(model, np.array([encoding.input_ids]), np.ones((1, len(encoding)), bool))
    best = int(theirs.logits[0, -1].argmax())
    assert result[0].prediction == ours.labels[best] == ours.tokenizer.convert_ids_to_tokens(best)
    # Where no question is passed, the last token is asked about.
    assert result[0].queries.tolist() == [len(encoding) - 1]
    rows = result[0].relevance["raw"][:, 0]
    fused = torch.stack(theirs.attentions, 1)[0].mean(1)[:, -1].numpy()
    np.testing.assert_allclose(rows, fused, atol=1e-5)


# Transformers reads Qwen2's tokenizer as one of pairs of bytes, which the tiny one is not.
@pytest.mark.parametrize("model_type", slow_unless(FAST, [(name,) for name in DECODERS if name != "qwen2"]))
def test_gradients_of_a_next_token_equal_autograds(tiny, tmp_path, model_type):
    _, ours = make(model_type, "next_token", tmp_path, tiny)
    theirs = jf.TorchModel(
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager"), ours.tokenizer
    )
    question = jf.Question(
        methods=("raw", "rollout"), mixing="attention-gradient", target=("is", "are"), queries="last"
    )
    texts = ["the key to the table", "she knows that"]
    for mine, other in zip(jf.attribute(ours, texts, question), jf.attribute(theirs, texts, question), strict=True):
        for method in ("raw", "rollout"):
            scale = np.abs(other.relevance[method]).max()
            np.testing.assert_allclose(mine.relevance[method], other.relevance[method], atol=1e-4 * scale)


def test_kinds_that_are_not_supported_are_refused_in_one_line(tiny, tmp_path):
    stretched = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    with pytest.raises(InputError, match=r"rope_parameters.*'llama3'.*TorchModel"):
        make("llama", "next_token", tmp_path / "stretched", tiny, rope_parameters=stretched)
    with pytest.raises(InputError, match="scale_attn_by_inverse_layer_idx"):
        make("gpt2", "next_token", tmp_path / "scaled", tiny, scale_attn_by_inverse_layer_idx=True)


def test_the_parts_of_a_next_tokens_logit_sum_to_it(tiny, tmp_path):
    _, ours = make("gpt2", "next_token", tmp_path, tiny)
    text = "the key to the table"
    parts = jf.attribute(ours, [text], methods="decompx")[0].relevance["decompx"][-1, 0]
    logits = ours(ours.pad(ours.tokenize([text]))).logits[0]
    np.testing.assert_allclose(parts.sum(), logits.max(), atol=1e-4)


@pytest.mark.parametrize(
    ("rope", "words"),
    [
        (LLAMA3 | {"factor": "8"}, "factor.*must be a number"),
        ({name: value for name, value in LLAMA3.items() if name != "low_freq_factor"}, "low_freq_factor.*none"),
        (LLAMA3 | {"high_freq_factor": 1.0}, "high_freq_factor.*more than the low_freq_factor"),
        (LINEAR | {"rope_theta": float("nan")}, "rope_theta.*must be a number"),
        ({"rope_theta": 10000.0, "partial_rotary_factor": 0.5}, "rope_parameters.*whole heads.*TorchModel"),
    ],
)
def test_wrong_rotary_positions_are_refused_by_name(rope, words):
    with pytest.raises(InputError, match=words):
        rotary_of(rope)


@pytest.mark.parametrize("rope", [{"rope_type": "default", "rope_theta": 500000.0}, LLAMA3, LINEAR])
def test_angles_of_long_texts_equal_torchs(rope):
    """To the reference's own rounding: at thousands of tokens the last digit of an angle is in sight."""
    length, width = 4096, 64
    config = transformers.LlamaConfig(
        hidden_size=width, num_attention_heads=1, max_position_embeddings=length, rope_parameters=rope
    )
    reference = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(config)
    cosine, sine = reference(torch.zeros(1, length, width), torch.arange(length)[None])
    ours = DECODERS["llama"].read(config)
    turns = places(ours, length).turns[0]
    for mine, theirs in zip(turns, (cosine, sine), strict=True):
        np.testing.assert_allclose(mine, theirs[0, :, : width // 2], atol=1e-6, rtol=0)


def test_a_padding_token_of_less_than_none_is_none(tiny, tmp_path):
    _, ours = make("llama", "next_token", tmp_path, tiny)
    path = tmp_path / "config.json"
    _ = path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token_id": -1}))
    again = load_model(tmp_path, tokenizer=False)
    assert again.config.pad_id == 0
    batch = as_batch(*padded("right"))
    np.testing.assert_array_equal(again(batch).logits, ours(batch).logits)


def test_embeddings_drop_at_a_rate_of_their_own():
    sizes = {**SIZES, "num_attention_heads": 4, "resid_pdrop": 0.0, "attn_pdrop": 0.0}
    module = jf.models.new_encoder(transformers.GPT2Config(**sizes, embd_pdrop=0.75)).module
    batch = as_batch(*padded("right"))
    first = module(batch, key=jax.random.key(0)).hidden_states[:, 0]
    whole = module(batch).hidden_states[:, 0]
    kept = np.asarray(first != 0)
    assert 0.15 < kept.mean() < 0.35
    np.testing.assert_allclose(first, np.where(kept, 4 * whole, 0), atol=1e-6)


def test_the_change_between_two_decoders_is_that_of_their_last_positions(tiny, tmp_path):
    _, first = make("gpt2", "next_token", tmp_path / "first", tiny)
    _, second = make("gpt2", "next_token", tmp_path / "second", tiny, initializer_range=0.6)
    texts = ["the key to the table", "she knows"]
    exploration = jf.explore(first, texts, other=second, methods=("raw", "rollout"))
    for text, moved in zip(texts, exploration.moved, strict=True):
        one, other = (
            jf.attribute(model, [text], methods="rollout", queries="last")[0].relevance["rollout"][-1, 0]
            for model in (first, second)
        )
        np.testing.assert_allclose(moved, np.abs(one - other).sum() / 2, atol=1e-6)
        assert moved > 0


def test_norms_of_a_new_model_multiply_by_one():
    """Gemma stores what is added to one, Llama the factor itself."""
    for model_type in ("gemma", "llama"):
        source = transformers.AutoConfig.for_model(model_type, **{**SIZES, **OWN[model_type], "num_attention_heads": 4})
        module = jf.models.new_encoder(source).module
        np.testing.assert_array_equal(module.final_norm.scales(), np.ones(SIZES["hidden_size"]))
