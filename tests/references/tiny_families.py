"""A tiny random classifier of each family: transformers' in float64, and ours."""

import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import transformers

from jaxflow.models import load_model
from tests.models.conftest import TINY, make_batch, make_tokenizer, save, torch_inputs

SIZES = {**TINY, "num_labels": 3, "pad_token_id": 0}
# What the families have of their own: other sizes, narrow embeddings, shared layers, relative attention.
FAMILIES = {
    "bert": ("Bert", {}),
    "roberta": ("Roberta", {"pad_token_id": 1}),
    "distilbert": ("DistilBert", {"hidden_dim": 24, "dim": 16, "n_layers": 3, "n_heads": 2}),
    "electra": ("Electra", {"embedding_size": 8}),
    "albert": ("Albert", {"embedding_size": 8, "num_hidden_groups": 2, "num_hidden_layers": 4, "inner_group_num": 1}),
    "mpnet": ("MPNet", {"pad_token_id": 1}),
    "roberta-prelayernorm": ("RobertaPreLayerNorm", {"pad_token_id": 1}),
    "deberta-v2": (
        "DebertaV2",
        {
            "relative_attention": True,
            "position_buckets": 4,
            "pos_att_type": ["p2c", "c2p"],
            "conv_kernel_size": 3,
            "conv_act": "gelu",
        },
    ),
}
# Decoders whose feed-forward parts are gated, with what each has of its own.
GATED = {
    "llama": ("Llama", {"num_key_value_heads": 1}),
    "qwen3": ("Qwen3", {"num_key_value_heads": 1, "head_dim": 8}),
    "gemma": ("Gemma", {"num_key_value_heads": 2, "head_dim": 8}),
}
# Families whose texts have two segments.
SEGMENTS = ("bert", "electra", "albert")
# Texts of 7, 1 and 4 tokens, padded to 9: one class each.
CLASSES = np.array([0, 2, 1])


@cache
def tiny(model_type):
    """The model in torch, ours, and a padded batch for each."""
    name, own = (FAMILIES | GATED)[model_type]
    # Each family's own weights, whatever the order of the tests.
    torch.manual_seed(list(FAMILIES | GATED).index(model_type))
    config = transformers.AutoConfig.for_model(model_type, **{**SIZES, **own})
    model = getattr(transformers, f"{name}ForSequenceClassification")(config)
    model.config._attn_implementation = "eager"
    transformers.utils.logging.disable_progress_bar()
    folder = save(Path(tempfile.mkdtemp(prefix="jaxflow-tiny-")), model, make_tokenizer(pad=config.pad_token_id))
    ours = load_model(folder)
    batch = make_batch("right", ours.config.pad_id, ours.config.segments)
    inputs = torch_inputs(batch, ours.config.segments > 0)
    return SimpleNamespace(torch=model.double(), ours=ours, batch=batch, inputs=inputs)
