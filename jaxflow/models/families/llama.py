"""Decoders of Llama's shape: rotary positions, norms by the mean square, gated feed-forward parts.

They differ in biases, windows, norms of queries and keys, and in how embeddings and norms are scaled.
"""

import dataclasses
from collections.abc import Callable

from jaxflow._checks import InputError
from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.config_file import IN_PYTORCH
from jaxflow.models.checkpoint.family import Family, Head, Key
from jaxflow.models.config import EncoderConfig
from jaxflow.models.families.rotary import SLIDING, read_rotary, rotary_of

_LAYER = "model.layers.{}"
_ATTENTION = f"{_LAYER}.self_attn"


def _read(config: HubConfig) -> EncoderConfig:
    """What all have in common."""
    depth = config.num_hidden_layers
    biases = {"qkv", "output"} if getattr(config, "attention_bias", False) else set()
    read = read_rotary(config, activation=config.hidden_act, epsilon=config.rms_norm_eps, biases=biases)
    return dataclasses.replace(
        read,
        causal=True,
        windows=_windows(config, depth),
        rotary=(rotary_of(config.rope_parameters),) * depth,
        head_size=getattr(config, "head_dim", None) or 0,
        groups=config.num_key_value_heads,
        rms=True,
        embedding_norm=False,
    )


def _windows(config: HubConfig, depth: int) -> tuple[int, ...]:
    """How many tokens each layer's positions see; () where all see all."""
    window = getattr(config, "sliding_window", None)
    if window is None:
        return ()
    # Without types of layers all have the window.
    kinds = getattr(config, "layer_types", None) or [SLIDING] * depth
    windows = tuple(window if kind == SLIDING else 0 for kind in kinds)
    return windows if any(windows) else ()


def _qwen2(config: HubConfig) -> EncoderConfig:
    return dataclasses.replace(_read(config), biases=frozenset({"qkv"}))


def _qwen3(config: HubConfig) -> EncoderConfig:
    return dataclasses.replace(_read(config), query_key_norm=True)


def _gemma(config: HubConfig) -> EncoderConfig:
    if getattr(config, "use_bidirectional_attention", None):
        raise InputError("use_bidirectional_attention", "be false", "true", IN_PYTORCH, place="config.json")
    return dataclasses.replace(_read(config), norm_offset=1.0, embedding_scale=float(config.hidden_size) ** 0.5)


_KEYS: dict[str, Key] = {
    "embeddings.words": "model.embed_tokens",
    "layers.qkv": (f"{_ATTENTION}.q_proj", f"{_ATTENTION}.k_proj", f"{_ATTENTION}.v_proj"),
    "layers.query": f"{_ATTENTION}.q_proj",
    "layers.key_value": (f"{_ATTENTION}.k_proj", f"{_ATTENTION}.v_proj"),
    "layers.query_norm": f"{_ATTENTION}.q_norm",
    "layers.key_norm": f"{_ATTENTION}.k_norm",
    "layers.output": f"{_ATTENTION}.o_proj",
    "layers.attention_norm": f"{_LAYER}.input_layernorm",
    "layers.up": (f"{_LAYER}.mlp.gate_proj", f"{_LAYER}.mlp.up_proj"),
    "layers.down": f"{_LAYER}.mlp.down_proj",
    "layers.output_norm": f"{_LAYER}.post_attention_layernorm",
    "final_norm": "model.norm",
}


def _family(title: str, model_type: str, prefix: str, read: Callable[[HubConfig], EncoderConfig]) -> Family:
    return Family(
        title=title,
        model_type=model_type,
        prefix="model",
        read=read,
        keys=_KEYS,
        heads={
            "bare": Head(f"{prefix}Model"),
            "next_token": Head(f"{prefix}ForCausalLM", {"head.decoder": "lm_head"}, dropout=()),
            "sequence_classification": Head(f"{prefix}ForSequenceClassification", {"head.out": "score"}, dropout=()),
        },
        # Angles, which older versions of transformers saved.
        leftovers=(r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq",),
    )


LLAMA = _family("Llama", "llama", "Llama", _read)
MISTRAL = _family("Mistral", "mistral", "Mistral", _read)
QWEN2 = _family("Qwen2", "qwen2", "Qwen2", _qwen2)
QWEN3 = _family("Qwen3", "qwen3", "Qwen3", _qwen3)
GEMMA = _family("Gemma", "gemma", "Gemma", _gemma)
