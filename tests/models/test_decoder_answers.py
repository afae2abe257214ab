"""What decoders write: scores by kept keys and values, continuations and answers, against torch and transformers."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow.models.families import DECODERS
from jaxflow.models.generation import Anew, generate_ids
from tests.models.decoders import (
    LENGTH,
    LENGTHS,
    OWN,
    STEPS,
    VARIANTS,
    as_batch,
    as_encoding,
    begin,
    follow,
    make,
    padded,
    slow_unless,
)


# Transformers reads Qwen2's tokenizer as one of pairs of bytes, which the tiny one is not.
@pytest.mark.parametrize("model_type", slow_unless(("llama",), [(name,) for name in DECODERS if name != "qwen2"]))
def test_answers_are_what_a_torch_model_says_of_them(tiny, tmp_path, model_type):
    _, ours = make(model_type, "next_token", tmp_path, tiny)
    eager = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    theirs = jf.TorchModel(eager, ours.tokenizer)
    prompts, answers = ["the key to the table", "she knows"], ["is lost .", "he laugh"]
    question = jf.Question(methods=("rollout", "rollout@attention-gradient"), queries="answer")
    results = [jf.attribute(model, prompts, question, pairs=answers) for model in (ours, theirs)]
    for mine, other in zip(*results, strict=True):
        assert (mine.tokens, mine.queries.tolist()) == (other.tokens, other.queries.tolist())
        for method in question.methods:
            scale = np.abs(other.relevance[method]).max()
            np.testing.assert_allclose(mine.relevance[method], other.relevance[method], atol=1e-4 * scale)
    assert jf.generate(ours, prompts, new_tokens=4) == jf.generate(theirs, prompts, new_tokens=4)


@pytest.mark.parametrize("variant", slow_unless(("mistral", "gpt2"), [(name,) for name in (*DECODERS, *VARIANTS)]))
def test_scores_by_kept_keys_and_values_equal_torchs(tiny, tmp_path, variant):
    """Texts of different lengths in one batch, beyond sliding windows, each with its own tokens behind it."""
    model_type, changes = VARIANTS.get(variant, (variant, {}))
    model, ours = make(model_type, "next_token", tmp_path, tiny, max_position_embeddings=LENGTH + STEPS, **changes)
    ids, mask = padded("right")
    added = np.random.default_rng(1).integers(2, 27, (STEPS, len(ids))).astype(np.int32)
    scores, kept = begin(ours.module, as_batch(ids, mask))
    groups = OWN.get(model_type, {}).get("num_key_value_heads", 4)
    # Heads that queries share are kept once.
    assert kept.keys.shape[-2] == changes.get("num_key_value_heads", groups)
    for step in range(STEPS + 1):
        for row, length in enumerate(LENGTHS):
            text = np.concatenate([ids[row, :length], added[:step, row]])
            with torch.no_grad():
                expected = model(input_ids=torch.tensor(text[None]).long()).logits[0, -1].numpy()
            np.testing.assert_allclose(scores[row], expected, atol=1e-4, rtol=0)
        if step < STEPS:
            scores, kept = follow(ours.module, jnp.asarray(added[step]), jnp.ones(len(ids), bool), kept)


@pytest.mark.parametrize("model_type", slow_unless(("llama",), [(name,) for name in DECODERS]))
def test_continuations_are_transformers(tiny, tmp_path, model_type):
    model, ours = make(model_type, "next_token", tmp_path, tiny, max_position_embeddings=LENGTH + STEPS)
    ids, mask = padded("right")
    encodings = [as_encoding(row[real].tolist()) for row, real in zip(ids, mask, strict=True)]
    # Some texts reach the model's length, some the number of tokens asked for.
    asked = 2 * STEPS
    written = generate_ids(ours, encodings, asked)
    for encoding, answer in zip(encodings, written, strict=True):
        text = torch.tensor([encoding.input_ids])
        most = min(asked, ours.max_length - len(encoding))
        expected = model.generate(text, attention_mask=torch.ones_like(text), do_sample=False, max_new_tokens=most)
        assert list(answer) == expected[0, len(encoding) :].tolist()
        assert len(answer) == most


def test_a_module_that_keeps_nothing_says_the_same(tiny, tmp_path):
    _, ours = make("llama", "next_token", tmp_path, tiny)
    batch, anew = as_batch(*padded("right")), Anew(ours.module)
    (first, kept), (second, texts) = begin(ours.module, batch), begin(anew, batch)
    # A text that is done gets no more tokens, and keeps its scores.
    real = jnp.asarray([True, True, False, True])
    for step in range(3):
        np.testing.assert_allclose(first[real], second[real], atol=1e-4)
        ids = jnp.full(len(LENGTHS), 3 + step, jnp.int32)
        (first, kept), (second, texts) = follow(ours.module, ids, real, kept), follow(anew, ids, real, texts)
