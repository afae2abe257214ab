"""ModernBERT: rotary positions, windows in two layers of three, gated feed-forward parts, norms before the blocks."""

import dataclasses

from jaxflow._checks import InputError, shown
from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.config_file import IN_PYTORCH
from jaxflow.models.checkpoint.family import Family, Head, Key
from jaxflow.models.config import EncoderConfig
from jaxflow.models.families.rotary import SLIDING, read_rotary, rotary_of

_LAYER = "model.layers.{}"


def _read(config: HubConfig) -> EncoderConfig:
    if not config.decoder_bias:
        raise InputError("decoder_bias", "be true", "false", IN_PYTORCH, place="config.json")
    # The head's activation is the usual one unless the configuration says otherwise.
    if config.classifier_activation != config.hidden_activation:
        got = shown(config.classifier_activation)
        raise InputError("classifier_activation", "be the hidden_activation", got, IN_PYTORCH, place="config.json")
    kinds = config.layer_types
    # A position sees so many on each side, itself counted once.
    window = config.local_attention // 2 + 1
    biases = {"qkv", "output"} if config.attention_bias else set()
    read = read_rotary(config, activation=config.hidden_activation, epsilon=config.norm_eps, biases=biases)
    return dataclasses.replace(
        read,
        hidden_dropout=config.mlp_dropout,
        embedding_dropout=None if config.embedding_dropout == config.mlp_dropout else config.embedding_dropout,
        windows=tuple(window if kind == SLIDING else 0 for kind in kinds),
        rotary=tuple(rotary_of(config.rope_parameters[kind]) for kind in kinds),
        norm_bias=config.norm_bias,
        first_norm=False,
        head_bias=config.classifier_bias,
    )


_HEAD: dict[str, Key] = {"head.dense": "head.dense", "head.norm": "head.norm"}
_RATE = ("classifier_dropout",)

MODERNBERT = Family(
    title="ModernBERT",
    model_type="modernbert",
    prefix="model",
    read=_read,
    keys={
        "embeddings.words": "model.embeddings.tok_embeddings",
        "embeddings.norm": "model.embeddings.norm",
        "layers.qkv": f"{_LAYER}.attn.Wqkv",
        "layers.output": f"{_LAYER}.attn.Wo",
        "layers.attention_norm": f"{_LAYER}.attn_norm",
        "layers.up": f"{_LAYER}.mlp.Wi",
        "layers.down": f"{_LAYER}.mlp.Wo",
        "layers.output_norm": f"{_LAYER}.mlp_norm",
        "final_norm": "model.final_norm",
    },
    heads={
        "bare": Head("ModernBertModel"),
        "masked_lm": Head(
            "ModernBertForMaskedLM",
            {**_HEAD, "head.decoder": "decoder", "head.bias": "decoder.bias"},
            activation=None,
            dropout=(),
        ),
        "sequence_classification": Head(
            "ModernBertForSequenceClassification",
            {**_HEAD, "head.out": "classifier"},
            activation=None,
            dropout=_RATE,
            normed=True,
        ),
        "token_classification": Head(
            "ModernBertForTokenClassification",
            {**_HEAD, "head.out": "classifier"},
            activation=None,
            dropout=_RATE,
            normed=True,
        ),
    },
    absent=(f"{_LAYER.format(0)}.attn_norm",),
)
