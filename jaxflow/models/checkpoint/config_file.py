"""config.json, read and checked before it is used.

Transformers checks some types, sets unknown values, and makes a name for each label at once. So a damaged or hostile
file is refused here, where each value is still the file's own.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxflow._checks import InputError, shown
from jaxflow._untyped import JsonObject, JsonValue
from jaxflow.models.checkpoint.family import Family
from jaxflow.models.checkpoint.json_file import read_json
from jaxflow.models.checkpoint.weights import Weights

# A configuration with 100,000 labels takes about 10 MB.
MOST_BYTES = 32 << 20
# A bound for families that share layers, whose weights do not bound their depth.
MOST_LAYERS = 4096
# Names for so many labels take a hundredth of a second; larger numbers must agree with the weights.
FREE_LABELS = 1000
# Sizes are 32-bit numbers on devices.
_LARGEST = 2**31 - 1
IN_PYTORCH = "in Python, load it with transformers and pass it through jaxflow.TorchModel"
WAY_OUT = "use a config.json and weights that belong together"


@dataclass(frozen=True)
class Kind:
    """The values that a key of the file may have.

    Attributes:
        words: in words, behind "must".
        holds: whether a value is of this kind.
        optional: whether it may be null.
    """

    words: str
    holds: Callable[[JsonValue], bool]
    optional: bool = False


def whole(least: int, most: int = _LARGEST) -> Kind:
    """A whole number within bounds; not true or false, which are ints to Python."""
    return Kind(
        f"be a whole number from {least} to {most}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
    )


def number(least: float, most: float = math.inf) -> Kind:
    """A finite number within bounds; not true or false."""
    within = f"from {least:g} to {most:g}" if most < math.inf else f"of at least {least:g}"
    return Kind(
        f"be a number {within}",
        lambda value: (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and least <= value <= most
            and math.isfinite(value)
        ),
    )


def _is_text(value: JsonValue) -> bool:
    return isinstance(value, str)


def _are_texts(value: JsonValue) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_size(value: JsonValue) -> bool:
    """A length in pixels, or height and width."""
    sides = value if isinstance(value, list) and len(value) == 2 else [value]
    return all(isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= _LARGEST for side in sides)


def _are_labels(value: JsonValue) -> bool:
    """Names by number, as id2label has them."""
    return isinstance(value, dict) and all(
        # Digits of other scripts pass `isdigit` too; ten digits are more than 32 bits hold.
        number.isascii() and number.isdigit() and len(number) < 10 and isinstance(label, str | int | float)
        for number, label in value.items()
    )


TEXT = Kind("be a text", _is_text)
TEXTS = Kind("be a list of texts", _are_texts)
TABLE = Kind("be a table", lambda value: isinstance(value, dict))
FLAG = Kind("be true or false", lambda value: isinstance(value, bool))


def _named(kind: Kind, *names: str) -> dict[str, Kind]:
    return dict.fromkeys(names, kind)


def _or_null(kind: Kind) -> Kind:
    return Kind(f"{kind.words}, or null", kind.holds, optional=True)


# Every value that any of our families reads, by its name in the file.
FIELD_KINDS: Mapping[str, Kind] = {
    **_named(whole(1), "vocab_size", "hidden_size", "num_attention_heads", "intermediate_size", "embedding_size"),
    **_named(whole(1), "dim", "n_heads", "hidden_dim", "max_position_embeddings", "conv_groups"),
    **_named(whole(1, MOST_LAYERS), "num_hidden_layers", "n_layers", "num_hidden_groups", "inner_group_num"),
    **_named(whole(0), "type_vocab_size", "num_labels", "conv_kernel_size"),
    # -1 is how some decoders' files say that there is none.
    **_named(_or_null(whole(-1)), "pad_token_id"),
    **_named(_or_null(whole(1)), "attention_head_size"),
    **_named(whole(-1), "position_buckets", "max_relative_positions"),
    **_named(number(0.0), "layer_norm_eps", "initializer_range"),
    **_named(number(0.0, 1.0), "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"),
    **_named(number(0.0, 1.0), "seq_classif_dropout", "qa_dropout"),
    **_named(_or_null(number(0.0, 1.0)), "classifier_dropout", "classifier_dropout_prob", "cls_dropout"),
    **_named(_or_null(number(0.0, 1.0)), "pooler_dropout", "summary_last_dropout", "summary_first_dropout"),
    **_named(FLAG, "is_decoder", "add_cross_attention", "tie_word_embeddings", "relative_attention"),
    **_named(FLAG, "position_biased_input", "share_att_key", "summary_use_proj"),
    **_named(whole(1), "n_embd", "n_head", "n_positions"),
    **_named(whole(1, MOST_LAYERS), "n_layer"),
    **_named(_or_null(whole(1)), "n_inner", "num_key_value_heads", "head_dim", "sliding_window"),
    **_named(_or_null(whole(0)), "max_window_layers"),
    **_named(number(0.0), "layer_norm_epsilon", "rms_norm_eps", "norm_eps"),
    **_named(number(0.0, 1.0), "embedding_dropout", "mlp_dropout"),
    **_named(whole(1), "local_attention", "global_attn_every_n_layers"),
    **_named(FLAG, "norm_bias", "decoder_bias", "classifier_bias"),
    **_named(TEXT, "classifier_activation", "classifier_pooling"),
    **_named(number(0.0, 1.0), "resid_pdrop", "embd_pdrop", "attn_pdrop"),
    **_named(FLAG, "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn"),
    **_named(FLAG, "attention_bias", "mlp_bias", "use_sliding_window"),
    **_named(_or_null(TEXTS), "layer_types"),
    **_named(_or_null(TABLE), "rope_parameters", "rope_scaling"),
    **_named(_or_null(TEXT), "activation_function", "hidden_activation", "summary_activation"),
    **_named(Kind(f"be a whole number from 1 to {_LARGEST}, or two", _is_size), "image_size", "patch_size"),
    **_named(whole(1), "num_channels"),
    **_named(_or_null(whole(1)), "pooler_output_size"),
    **_named(FLAG, "qkv_bias"),
    **_named(number(0.1), "mlp_ratio"),
    **_named(number(0.0), "layerscale_value"),
    **_named(FLAG, "use_swiglu_ffn"),
    **_named(whole(0), "num_register_tokens"),
    **_named(TEXT, "pooler_act"),
    **_named(TEXT, "model_type", "hidden_act", "activation", "position_embedding_type", "conv_act"),
    **_named(TEXT, "pooler_hidden_act", "norm_rel_ebd", "summary_type"),
    **_named(_or_null(TEXT), "problem_type"),
    **_named(_or_null(TEXTS), "architectures"),
    "pos_att_type": Kind("be a text, a list of texts, or null", lambda v: _is_text(v) or _are_texts(v), optional=True),
    "id2label": Kind("name labels by their numbers, or be null", _are_labels, optional=True),
    "label2id": Kind("number labels by their names, or be null", lambda value: isinstance(value, dict), optional=True),
}


def read_raw_config(folder: Path, families: Mapping[str, Family]) -> JsonObject:
    """The file's values, each of its kind.

    Raises:
        InputError: there is no config.json, it is malformed, or its model type is not supported.
    """
    path = folder / "config.json"
    if not path.is_file():
        expected, got = "be a model's folder", f"{shown(str(folder))}, which has no config.json"
        raise InputError("name_or_path", expected, got, "check the path")
    expected = f"be one of {', '.join(map(repr, families))}"
    raw = read_json(path, MOST_BYTES)
    if not isinstance(raw, dict) or not isinstance(raw.get("model_type"), str):
        raise InputError("model_type", expected, "none", "add it", place=str(path))
    model_type = raw["model_type"]
    if model_type not in families:
        raise InputError("model_type", expected, shown(model_type), IN_PYTORCH, place=str(path))
    check_kinds(raw, FIELD_KINDS, str(path), WAY_OUT)
    return raw


def check_kinds(raw: Mapping[str, JsonValue], kinds: Mapping[str, Kind], place: str, way_out: str) -> None:
    """Refuse the first value that is not of its kind.

    Raises:
        InputError: it names the value.
    """
    for name, kind in kinds.items():
        if name in raw and not (kind.holds(raw[name]) or (kind.optional and raw[name] is None)):
            raise InputError(name, kind.words, shown(raw[name]), way_out, place=place)


def check_sizes(raw: Mapping[str, JsonValue], family: Family, weights: Weights, place: str) -> None:
    """Refuse more layers than the weights can hold, and many labels that no tensor has rows for.

    Raises:
        InputError: there are fewer tensors than layers, or no tensor has as many rows as there are labels.
    """
    # A layer has several tensors, so this bound holds for any family with layers of its own.
    tensors = sum(1 for _ in weights)
    for name in ("num_hidden_layers", "n_layers", "n_layer"):
        if raw.get(name, 0) > tensors and not family.shares_layers:
            expected = f"agree with the weights, which are {tensors} tensors in all"
            raise InputError(name, expected, str(raw[name]), WAY_OUT, place=place)
    named = raw.get("id2label")
    for name, count in (("num_labels", raw.get("num_labels", 0)), ("id2label", len(named or {}))):
        # A head's last map or bias has one row for each label.
        if count > FREE_LABELS and not any(weights.shape(key)[:1] == (count,) for key in weights):
            expected = "agree with the weights, of which no tensor has that many rows"
            raise InputError(name, expected, f"{count} labels", WAY_OUT, place=place)
