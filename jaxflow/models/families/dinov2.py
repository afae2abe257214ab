"""DINOv2, with registers and without: ViT with scaled blocks, positions that are interpolated, and another head."""

import dataclasses
from functools import partial

from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.family import Family, Head
from jaxflow.models.config import EncoderConfig, StoredPositions
from jaxflow.models.families.vit import patch_keys, read_patches


def _read(config: HubConfig, *, registers: bool) -> EncoderConfig:
    inner = int(config.hidden_size * config.mlp_ratio)
    gated = config.use_swiglu_ffn
    if gated:
        # As wide as makes it of the same size with its third map.
        inner = (int(inner * 2 / 3) + 7) // 8 * 8
    read = read_patches(config, tokens=1, feed_forward=inner)
    count = config.num_register_tokens if registers else 0
    assert read.patches is not None
    return dataclasses.replace(
        read,
        activation="silu" if gated else config.hidden_act,
        gated=gated,
        layer_scale=True,
        registers=count,
        max_length=read.max_length + count,
        # The model without registers interpolates without smoothing, as its first authors did.
        stored_positions=StoredPositions(read.patches.rows, read.patches.columns, smooth=registers),
    )


def _family(title: str, model_type: str, *, registers: bool) -> Family:
    layer = f"{model_type}.encoder.layer.{{}}"
    keys = patch_keys(model_type)
    if registers:
        keys["embeddings.registers"] = f"{model_type}.embeddings.register_tokens"
    prefix = f"Dinov2{'WithRegisters' if registers else ''}"
    return Family(
        title=title,
        model_type=model_type,
        prefix=model_type,
        read=partial(_read, registers=registers),
        keys={
            **keys,
            "layers.attention_norm": f"{layer}.norm1",
            "layers.attention_scale": f"{layer}.layer_scale1.lambda1",
            "layers.up": f"{layer}.mlp.fc1",
            "layers.down": f"{layer}.mlp.fc2",
            "layers.output_norm": f"{layer}.norm2",
            "layers.output_scale": f"{layer}.layer_scale2.lambda1",
        },
        # Both maps of a gated part are one tensor: what is activated, then what it is multiplied with.
        gated_keys={"layers.up": f"{layer}.mlp.weights_in", "layers.down": f"{layer}.mlp.weights_out"},
        heads={
            "bare": Head(f"{prefix}Model"),
            "sequence_classification": Head(
                f"{prefix}ForImageClassification", {"head.out": "classifier"}, dropout=(), with_mean=True
            ),
        },
        leftovers=(r"embeddings\.mask_token",),
        note="images, in patches; any size that is a multiple of them",
    )


DINOV2 = _family("DINOv2", "dinov2", registers=False)
DINOV2_WITH_REGISTERS = _family("DINOv2 with registers", "dinov2_with_registers", registers=True)
