"""GPT-2."""

from jaxflow._checks import InputError
from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.family import ANOTHER, Family, Head, pad_id
from jaxflow.models.config import EncoderConfig

_LAYER = "transformer.h.{}"


def _read(config: HubConfig) -> EncoderConfig:
    # Both change the scale of the scores, which is the usual one here.
    for name, usual in (("scale_attn_weights", True), ("scale_attn_by_inverse_layer_idx", False)):
        if getattr(config, name, usual) != usual:
            raise InputError(name, f"be {usual}".lower(), str(not usual).lower(), ANOTHER, place="config.json")
    return EncoderConfig(
        family=config.model_type,
        vocabulary=config.vocab_size,
        width=config.n_embd,
        heads=config.n_head,
        feed_forward=config.n_inner or 4 * config.n_embd,
        rows=tuple(range(config.n_layer)),
        activation=config.activation_function,
        epsilon=config.layer_norm_epsilon,
        positions=config.n_positions,
        max_length=config.n_positions,
        embedding_width=config.n_embd,
        pad_id=pad_id(config),
        hidden_dropout=config.resid_pdrop,
        embedding_dropout=None if config.embd_pdrop == config.resid_pdrop else config.embd_pdrop,
        attention_dropout=config.attn_pdrop,
        pre_norm=True,
        causal=True,
        embedding_norm=False,
    )


GPT2 = Family(
    title="GPT-2",
    model_type="gpt2",
    prefix="transformer",
    read=_read,
    keys={
        "embeddings.words": "transformer.wte",
        "embeddings.positions": "transformer.wpe",
        # Query, key and value are one tensor, in this order along its outputs, as ours are.
        "layers.qkv": f"{_LAYER}.attn.c_attn",
        "layers.output": f"{_LAYER}.attn.c_proj",
        "layers.attention_norm": f"{_LAYER}.ln_1",
        "layers.up": f"{_LAYER}.mlp.c_fc",
        "layers.down": f"{_LAYER}.mlp.c_proj",
        "layers.output_norm": f"{_LAYER}.ln_2",
        "final_norm": "transformer.ln_f",
    },
    heads={
        "bare": Head("GPT2Model"),
        "next_token": Head("GPT2LMHeadModel", {"head.decoder": "lm_head"}, dropout=()),
        "sequence_classification": Head("GPT2ForSequenceClassification", {"head.out": "score"}, dropout=()),
    },
    # Masks, which older versions of transformers saved.
    leftovers=(r"h\.\d+\.attn\.(bias|masked_bias)",),
    input_first=True,
)
