"""Tiny decoders of every family, and texts for them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from jaxflow.models import TokenBatch, load_model
from jaxflow.models.families import DECODERS
from jaxflow.models.tokens import Encoding
from tests.models.test_families import SIZES

LENGTH, LENGTHS = 16, (3, 9, 16, 1)
# Tokens that follow a batch of texts.
STEPS = 4
# What tiny models need to show what their family does differently.
OWN = {
    "gpt2": {"n_inner": 24},
    "llama": {"num_key_value_heads": 2},
    "qwen2": {"num_key_value_heads": 1, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "mistral": {"num_key_value_heads": 2, "sliding_window": 3, "head_dim": 8},
    "gemma": {"num_key_value_heads": 4, "head_dim": 8},
}
# Of a head's four pairs one keeps its angle, one has a share of the factor, and two have all of it.
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 100.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}
VARIANTS = {
    "llama3": ("llama", {"rope_parameters": LLAMA3, "head_dim": 8}),
    "llama-linear": ("llama", {"rope_parameters": LINEAR}),
    "llama-biased": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama-shared-and-biased": ("llama", {"attention_bias": True, "num_key_value_heads": 2}),
    "llama-tied": (
        "llama",
        {"tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 50.0}},
    ),
    "qwen3-windows": (
        "qwen3",
        {
            "use_sliding_window": True,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
}
FAST = ("gpt2", "llama")


def slow_unless(fast, cases):
    return [pytest.param(*case, marks=[] if case[0] in fast else pytest.mark.slow) for case in cases]


def make(model_type, head, folder, tiny, **changes):
    """A random model of that family and head, as transformers has it and as we load it."""
    torch.manual_seed(1)
    settings = {**SIZES, **OWN.get(model_type, {}), "num_attention_heads": 4, **changes}
    config = transformers.AutoConfig.for_model(model_type, bos_token_id=None, eos_token_id=None, **settings)
    model = getattr(transformers, DECODERS[model_type].heads[head].architecture)(config)
    model.set_attn_implementation("eager")
    tiny.save(folder, model, tiny.tokenizer(pad=config.pad_token_id))
    return model, load_model(folder)


def padded(side):
    """Texts of different lengths, as ids and mask."""
    rng = np.random.default_rng(0)
    ids, mask = np.ones((len(LENGTHS), LENGTH), np.int32), np.zeros((len(LENGTHS), LENGTH), bool)
    for row, length in enumerate(LENGTHS):
        here = slice(length) if side == "right" else slice(LENGTH - length, None)
        ids[row, here], mask[row, here] = rng.integers(2, 27, length), True
    return ids, mask


def as_batch(ids, mask):
    return TokenBatch(jnp.asarray(ids), jnp.asarray(mask), jnp.zeros_like(jnp.asarray(ids)))


def as_encoding(ids):
    none = (0,) * len(ids)
    return Encoding(tuple(ids), none, ("a",) * len(ids), ((0, 1),) * len(ids), none, (False,) * len(ids))


def torch_run(model, ids, mask):
    with torch.no_grad():
        return model(
            input_ids=torch.tensor(ids).long(),
            attention_mask=torch.tensor(mask).long(),
            # As generation counts them: padding on the left moves no text along.
            position_ids=torch.tensor(np.maximum(mask.cumsum(1) - 1, 0)),
            output_attentions=True,
            output_hidden_states=True,
        )


@jax.jit
def run(module, batch):
    return module(batch)


@jax.jit
def begin(module, batch):
    return module.begin(batch, STEPS)


@jax.jit
def follow(module, ids, real, kept):
    return module.follow(ids, real, kept)
