"""RoBERTa with its norms before the blocks: the architecture of Abnar & Zuidema's verb-number model."""

import dataclasses

from jaxflow.models.checkpoint.family import Head, Key
from jaxflow.models.families.roberta import ROBERTA

_PREFIX = "roberta_prelayernorm"
_LAYER = f"{_PREFIX}.encoder.layer.{{}}"


def _renamed(key: Key) -> Key:
    """RoBERTa's key with this family's prefix."""
    if isinstance(key, str):
        return key.replace("roberta.", f"{_PREFIX}.", 1) if key.startswith("roberta.") else key
    query, keys, value = (part.replace("roberta.", f"{_PREFIX}.", 1) for part in key)
    return query, keys, value


def _head(head: Head) -> Head:
    return dataclasses.replace(
        head,
        # RobertaForMaskedLM -> RobertaPreLayerNormForMaskedLM.
        architecture=head.architecture.replace("Roberta", "RobertaPreLayerNorm"),
        keys={name: _renamed(key) for name, key in head.keys.items()},
    )


ROBERTA_PRELAYERNORM = dataclasses.replace(
    ROBERTA,
    title="RoBERTa-PreLayerNorm",
    model_type="roberta-prelayernorm",
    prefix=_PREFIX,
    read=lambda config: dataclasses.replace(ROBERTA.read(config), pre_norm=True),
    keys={
        **{name: _renamed(key) for name, key in ROBERTA.keys.items()},
        # The norms stand before the blocks, so the checkpoint names them by the block that follows.
        "layers.attention_norm": f"{_LAYER}.attention.LayerNorm",
        "layers.output_norm": f"{_LAYER}.intermediate.LayerNorm",
        "final_norm": f"{_PREFIX}.LayerNorm",
    },
    heads={name: _head(head) for name, head in ROBERTA.heads.items()},
)
