"""ViT and DeiT: images as patches, norms before the blocks, a classifier on the class token."""

from collections.abc import Sequence
from functools import partial

from jaxflow._checks import InputError, shown
from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.config_file import IN_PYTORCH
from jaxflow.models.checkpoint.family import ANOTHER, Family, Head, Key
from jaxflow.models.config import EncoderConfig, Patches

# With a teacher each of the two tokens has a map of its own, and the classifier none.
_DISTILLED: dict[str, Key] = {"head.first": "cls_classifier", "head.second": "distillation_classifier"}


def read_patches(config: HubConfig, *, tokens: int, feed_forward: int) -> EncoderConfig:
    """The configuration of any model of ViT's shape."""
    for name, needed in (("num_channels", 3), ("pooler_act", "tanh")):
        if getattr(config, name, needed) != needed:
            got, way_out = shown(getattr(config, name)), ANOTHER if name == "num_channels" else IN_PYTORCH
            raise InputError(name, f"be {needed}", got, way_out, place="config.json")
    (height, width), (patch_height, patch_width) = _sides(config.image_size), _sides(config.patch_size)
    if height % patch_height or width % patch_width:
        expected, got = f"be a multiple of the patches' {patch_height} x {patch_width}", f"{height} x {width}"
        raise InputError("image_size", expected, got, IN_PYTORCH, place="config.json")
    cut = Patches(height // patch_height, width // patch_width, patch_height, patch_width, tokens)
    return EncoderConfig(
        family=config.model_type,
        # Images have no vocabulary: the id of every token is 0.
        vocabulary=1,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        feed_forward=feed_forward,
        rows=tuple(range(config.num_hidden_layers)),
        activation=config.hidden_act,
        epsilon=config.layer_norm_eps,
        positions=0,
        max_length=tokens + cut.rows * cut.columns,
        hidden_dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
        pre_norm=True,
        biases=frozenset({"output", "feed_forward"} | ({"qkv"} if config.qkv_bias else set())),
        patches=cut,
    )


def patch_keys(model_type: str) -> dict[str, Key]:
    """The names that checkpoints of ViT's shape give what all of them have, under the model's type."""
    attention = f"{model_type}.encoder.layer.{{}}.attention"
    return {
        "embeddings.class_token": f"{model_type}.embeddings.cls_token",
        "embeddings.patches": f"{model_type}.embeddings.patch_embeddings.projection",
        "embeddings.positions": f"{model_type}.embeddings.position_embeddings",
        "layers.qkv": tuple(f"{attention}.attention.{part}" for part in ("query", "key", "value")),
        "layers.output": f"{attention}.output.dense",
        "final_norm": f"{model_type}.layernorm",
    }


def _read(config: HubConfig, *, tokens: int) -> EncoderConfig:
    return read_patches(config, tokens=tokens, feed_forward=config.intermediate_size)


def _sides(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width, of one number or two."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _family(title: str, model_type: str, tokens: int) -> Family:
    layer = f"{model_type}.encoder.layer.{{}}"
    keys = patch_keys(model_type)
    if tokens > 1:
        keys["embeddings.distillation_token"] = f"{model_type}.embeddings.distillation_token"
    return Family(
        title=title,
        model_type=model_type,
        prefix=model_type,
        read=partial(_read, tokens=tokens),
        keys={
            **keys,
            "layers.attention_norm": f"{layer}.layernorm_before",
            "layers.up": f"{layer}.intermediate.dense",
            "layers.down": f"{layer}.output.dense",
            "layers.output_norm": f"{layer}.layernorm_after",
        },
        heads={
            "bare": Head(f"{title}Model", {"pooler.dense": f"{model_type}.pooler.dense"}),
            "sequence_classification": Head(
                f"{title}ForImageClassification",
                {"head.out": "classifier"} | (_DISTILLED if tokens > 1 else {}),
                dropout=(),
                distilled=f"{title}ForImageClassificationWithTeacher" if tokens > 1 else "",
            ),
        },
        # What pre-training and other heads leave behind.
        leftovers=(r"embeddings\.mask_token", r"pooler\.dense\..*"),
        note="images, in patches",
    )


VIT = _family("ViT", "vit", 1)
DEIT = _family("DeiT", "deit", 2)
