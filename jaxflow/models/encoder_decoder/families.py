"""T5 and BART: how to read their configurations, and their checkpoints' names of parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxflow._checks import InputError
from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.config_file import IN_PYTORCH
from jaxflow.models.config import UNLIMITED
from jaxflow.models.encoder_decoder.config import PairConfig


@dataclass(frozen=True)
class PairFamily:
    """A family of encoder-decoders.

    Attributes:
        title: its name for people.
        model_type: its name in config.json.
        architecture: the class with a head that writes targets.
        bare: the class without one.
        read: the configuration, without the head, from transformers'.
        keys: our module or parameter -> the checkpoint's name; `{}` stands for a layer's number.
        head: the name of a head that is not tied.
        leftovers: keys that repeat the word embeddings, or that a model without a head leaves.
    """

    title: str
    model_type: str
    architecture: str
    bare: str
    read: Callable[[HubConfig], PairConfig]
    keys: Mapping[str, str]
    head: str
    leftovers: tuple[str, ...]


def _t5_keys() -> dict[str, str]:
    keys = {"words": "shared"}
    parts = {"encoder": {"attention": (0, "SelfAttention")}}
    parts["decoder"] = {"attention": (0, "SelfAttention"), "cross": (1, "EncDecAttention")}
    for side, blocks in parts.items():
        keys[f"{side}.distances"] = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias"
        keys[f"{side}.final_norm"] = f"{side}.final_layer_norm"
        for ours, (place, theirs) in blocks.items():
            for part in ("query", "key", "value", "output"):
                keys[f"{side}.layers.{ours}.{part}"] = f"{side}.block.{{}}.layer.{place}.{theirs}.{part[0]}"
            keys[f"{side}.layers.{ours}_norm"] = f"{side}.block.{{}}.layer.{place}.layer_norm"
        last = f"{side}.block.{{}}.layer.{len(blocks)}"
        keys[f"{side}.layers.output_norm"] = f"{last}.layer_norm"
        # A gate's map comes first where there is one.
        keys[f"{side}.layers.feed_forward.up"] = f"{last}.DenseReluDense.wi"
        keys[f"{side}.layers.feed_forward.gate"] = f"{last}.DenseReluDense.wi_0"
        keys[f"{side}.layers.feed_forward.gated_up"] = f"{last}.DenseReluDense.wi_1"
        keys[f"{side}.layers.feed_forward.down"] = f"{last}.DenseReluDense.wo"
    return keys


def _read_t5(config: HubConfig) -> PairConfig:
    return PairConfig(
        family=config.model_type,
        vocabulary=config.vocab_size,
        width=config.d_model,
        heads=config.num_heads,
        head_width=config.d_kv,
        feed_forward=(config.d_ff, config.d_ff),
        encoder_layers=config.num_layers,
        decoder_layers=config.num_decoder_layers,
        activation=config.dense_act_fn,
        epsilon=config.layer_norm_epsilon,
        max_length=UNLIMITED,
        start=_start(config, config.pad_token_id),
        ends=_ends(config),
        pad_id=config.pad_token_id or 0,
        gated=config.is_gated_act,
        root_norm=True,
        bias=False,
        pre_norm=True,
        scaled=False,
        buckets=config.relative_attention_num_buckets,
        farthest=config.relative_attention_max_distance,
        output_scale=config.d_model**-0.5 if config.scale_decoder_outputs else 1.0,
    )


def _bart_keys() -> dict[str, str]:
    keys = {"words": "model.shared", "bias": "final_logits_bias"}
    for side, blocks in {"encoder": ("self_attn",), "decoder": ("self_attn", "encoder_attn")}.items():
        keys[f"{side}.positions"] = f"model.{side}.embed_positions"
        keys[f"{side}.embedding_norm"] = f"model.{side}.layernorm_embedding"
        layer = f"model.{side}.layers.{{}}"
        for ours, theirs in zip(("attention", "cross"), blocks, strict=False):
            for part, name in {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}.items():
                keys[f"{side}.layers.{ours}.{part}"] = f"{layer}.{theirs}.{name}"
            keys[f"{side}.layers.{ours}_norm"] = f"{layer}.{theirs}_layer_norm"
        keys[f"{side}.layers.output_norm"] = f"{layer}.final_layer_norm"
        keys[f"{side}.layers.feed_forward.up"] = f"{layer}.fc1"
        keys[f"{side}.layers.feed_forward.down"] = f"{layer}.fc2"
    return keys


def _read_bart(config: HubConfig) -> PairConfig:
    if config.encoder_attention_heads != config.decoder_attention_heads:
        expected = f"be {config.encoder_attention_heads}, as the encoder's"
        raise InputError("decoder_attention_heads", expected, str(config.decoder_attention_heads), IN_PYTORCH)
    return PairConfig(
        family=config.model_type,
        vocabulary=config.vocab_size,
        width=config.d_model,
        heads=config.encoder_attention_heads,
        head_width=config.d_model // config.encoder_attention_heads,
        feed_forward=(config.encoder_ffn_dim, config.decoder_ffn_dim),
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        activation=config.activation_function,
        epsilon=1e-5,
        max_length=config.max_position_embeddings,
        start=_start(config, config.eos_token_id),
        ends=_ends(config),
        pad_id=config.pad_token_id or 0,
        # Two rows stand before the first position's.
        positions=config.max_position_embeddings + 2,
        position_offset=2,
        embedding_norm=True,
        embedding_scale=config.d_model**0.5 if config.scale_embedding else 1.0,
        output_bias=True,
    )


def _start(config: HubConfig, default: int | None) -> int:
    start = getattr(config, "decoder_start_token_id", None)
    return int(next((each for each in (start, default) if isinstance(each, int)), 0))


def _ends(config: HubConfig) -> tuple[int, ...]:
    ends = config.eos_token_id
    return tuple(ends) if isinstance(ends, list | tuple) else () if ends is None else (int(ends),)


REPEATED = r"(encoder|decoder)\.embed_tokens\.weight"
FAMILIES = {
    family.model_type: family
    for family in (
        PairFamily("T5", "t5", "T5ForConditionalGeneration", "T5Model", _read_t5, _t5_keys(), "lm_head", (REPEATED,)),
        PairFamily(
            "BART",
            "bart",
            "BartForConditionalGeneration",
            "BartModel",
            _read_bart,
            _bart_keys(),
            "lm_head",
            (rf"(model\.)?{REPEATED}",),
        ),
    )
}
