"""ALBERT: layers that share their weights, and narrow embeddings that are projected."""

import dataclasses

from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.family import Family, Head, Key
from jaxflow.models.config import EncoderConfig
from jaxflow.models.families import bert

_LAYER = "albert.encoder.albert_layer_groups.{}.albert_layers.{}"
_ATTENTION = f"{_LAYER}.attention"
# BERT's embeddings; the layers' names are ALBERT's own.
_EMBEDDINGS = {ours: key for ours, key in bert.encoder_keys("albert").items() if ours.startswith("embeddings.")}
_POOLED: dict[str, Key] = {"head.dense": "albert.pooler", "head.out": "classifier"}
_RATE = ("classifier_dropout_prob",)


def _read(config: HubConfig) -> EncoderConfig:
    # Layers fall into groups that share parameters; each layer of a group runs `inner` stored ones in turn.
    inner, groups, depth = config.inner_group_num, config.num_hidden_groups, config.num_hidden_layers
    rows = [int(step / (depth / groups)) * inner + place for step in range(depth) for place in range(inner)]
    return dataclasses.replace(
        bert.read(config),
        rows=tuple(rows),
        # The keys of a stored layer have two numbers: its group and its place in it.
        slots=tuple((group, place) for group in range(groups) for place in range(inner)),
        embedding_width=config.embedding_size,
        projection="after",
    )


ALBERT = Family(
    title="ALBERT",
    model_type="albert",
    prefix="albert",
    read=_read,
    keys={
        **_EMBEDDINGS,
        "embeddings.projection": "albert.encoder.embedding_hidden_mapping_in",
        "layers.qkv": (f"{_ATTENTION}.query", f"{_ATTENTION}.key", f"{_ATTENTION}.value"),
        "layers.output": f"{_ATTENTION}.dense",
        "layers.attention_norm": f"{_ATTENTION}.LayerNorm",
        "layers.up": f"{_LAYER}.ffn",
        "layers.down": f"{_LAYER}.ffn_output",
        "layers.output_norm": f"{_LAYER}.full_layer_layer_norm",
    },
    heads={
        "bare": Head("AlbertModel", {"pooler.dense": "albert.pooler"}),
        "masked_lm": Head(
            "AlbertForMaskedLM",
            {
                "head.dense": "predictions.dense",
                "head.norm": "predictions.LayerNorm",
                "head.decoder": "predictions.decoder",
                "head.bias": "predictions.decoder.bias",
            },
            activation=None,
            also=("AlbertForPreTraining",),
        ),
        "sequence_classification": Head("AlbertForSequenceClassification", _POOLED, dropout=_RATE),
        "token_classification": Head("AlbertForTokenClassification", {"head.out": "classifier"}, dropout=_RATE),
        "multiple_choice": Head("AlbertForMultipleChoice", _POOLED, dropout=_RATE),
        "question_answering": Head("AlbertForQuestionAnswering", {"head.out": "qa_outputs"}, dropout=()),
    },
    aliases={"predictions.bias": "predictions.decoder.bias"},
    shares_layers=True,
    # Heads of the pretraining tasks, sentence order among them.
    leftovers=(r"embeddings\.position_ids", r"pooler\..*", r"predictions\..*", r"sop_classifier\..*"),
)
