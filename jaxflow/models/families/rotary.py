"""Rotary positions, as configurations of all families that have them write them."""

from collections.abc import Mapping

from jaxflow._checks import InputError, shown
from jaxflow._untyped import HubConfig, JsonValue
from jaxflow.models.checkpoint.config_file import IN_PYTORCH, WAY_OUT, check_kinds, number, whole
from jaxflow.models.checkpoint.family import pad_id
from jaxflow.models.config import EncoderConfig, Rotary

_PLACE = "config.json"
# What each type of positions needs; others stretch angles by the length of the text.
_LINEAR = {"factor": number(1.0)}
_LLAMA3 = _LINEAR | {
    "low_freq_factor": number(1e-6),
    "high_freq_factor": number(1e-6),
    "original_max_position_embeddings": whole(1),
}
_NEEDS = {"default": {}, "linear": _LINEAR, "llama3": _LLAMA3}


# How configurations name a layer whose positions see a window.
SLIDING = "sliding_attention"


def read_rotary(config: HubConfig, *, activation: str, epsilon: float, biases: set[str]) -> EncoderConfig:
    """What models with rotary positions have in common: gated feed-forward parts, norms before the blocks.

    Args:
        config: of transformers.
        activation: of the feed-forward part.
        epsilon: of the norms.
        biases: which maps of attention have one; the configuration's `mlp_bias` says it of the feed-forward part.
    """
    return EncoderConfig(
        family=config.model_type,
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        feed_forward=config.intermediate_size,
        rows=tuple(range(config.num_hidden_layers)),
        activation=activation,
        epsilon=epsilon,
        positions=0,
        max_length=config.max_position_embeddings,
        embedding_width=config.hidden_size,
        pad_id=pad_id(config),
        attention_dropout=config.attention_dropout or 0.0,
        pre_norm=True,
        biases=frozenset(biases | ({"feed_forward"} if getattr(config, "mlp_bias", False) else set())),
        gated=True,
    )


def rotary_of(rope: Mapping[str, JsonValue] | None) -> Rotary:
    """The rotary positions that a configuration's `rope_parameters` describe.

    Raises:
        InputError: they are of a type that is not supported, or a number is missing or wrong.
    """
    rope = rope or {}
    kind = rope.get("rope_type", "default")
    if not isinstance(kind, str) or kind not in _NEEDS or rope.get("partial_rotary_factor", 1) != 1:
        expected = f"have a rope_type of {', '.join(map(repr, _NEEDS))}, for whole heads"
        raise InputError("rope_parameters", expected, shown(dict(rope)), IN_PYTORCH, place=_PLACE)
    for name, needed in _NEEDS[kind].items():
        if name not in rope:
            raise InputError(f"rope_parameters.{name}", needed.words, "none", WAY_OUT, place=_PLACE)
    check_kinds(rope, {"rope_theta": number(1e-6), **_NEEDS[kind]}, _PLACE, WAY_OUT)
    base = float(rope.get("rope_theta", 10000.0))
    if kind == "default":
        return Rotary(base)
    if kind == "linear":
        return Rotary(base, float(rope["factor"]))
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    if low >= high:
        expected = f"be more than the low_freq_factor, {low:g}"
        raise InputError("rope_parameters.high_freq_factor", expected, f"{high:g}", WAY_OUT, place=_PLACE)
    return Rotary(base, float(rope["factor"]), low, high, rope["original_max_position_embeddings"])
