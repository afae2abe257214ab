"""ModernBERT: rotary positions, windows in two layers of three, gated feed-forward parts, norms before the blocks."""

from typing import Any

from jaxflow._checks import InputError, shown
from jaxflow.models.checkpoint.config_file import IN_PYTORCH
from jaxflow.models.checkpoint.family import Family, Head, Key, pad_id
from jaxflow.models.config import EncoderConfig
from jaxflow.models.families.rotary import rotary_of

_LAYER = "model.layers.{}"
_LOCAL = "sliding_attention"


def _read(config: Any) -> EncoderConfig:
    if not config.decoder_bias:
        raise InputError("decoder_bias", "be true", "false", IN_PYTORCH, place="config.json")
    # The head's activation is the usual one unless the configuration says otherwise.
    if config.classifier_activation != config.hidden_activation:
        got = shown(config.classifier_activation)
        raise InputError("classifier_activation", "be the hidden_activation", got, IN_PYTORCH, place="config.json")
    depth, kinds = config.num_hidden_layers, config.layer_types
    # A position sees so many on each side, itself counted once.
    window = config.local_attention // 2 + 1
    parts = {"qkv", "output"} if config.attention_bias else set()
    return EncoderConfig(
        family=config.model_type,
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        feed_forward=config.intermediate_size,
        rows=tuple(range(depth)),
        activation=config.hidden_activation,
        epsilon=config.norm_eps,
        positions=0,
        max_length=config.max_position_embeddings,
        embedding_width=config.hidden_size,
        pad_id=pad_id(config),
        hidden_dropout=config.mlp_dropout,
        embedding_dropout=None if config.embedding_dropout == config.mlp_dropout else config.embedding_dropout,
        attention_dropout=config.attention_dropout,
        pre_norm=True,
        windows=tuple(window if kind == _LOCAL else 0 for kind in kinds),
        rotary=tuple(rotary_of(config.rope_parameters[kind]) for kind in kinds),
        biases=frozenset(parts | ({"feed_forward"} if config.mlp_bias else set())),
        norm_bias=config.norm_bias,
        first_norm=False,
        head_bias=config.classifier_bias,
        gated=True,
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
