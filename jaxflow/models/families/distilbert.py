"""DistilBERT: BERT without segments, under names of its own."""

from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.family import Family, Head, pad_id
from jaxflow.models.config import EncoderConfig

_LAYER = "distilbert.transformer.layer.{}"
_ATTENTION = f"{_LAYER}.attention"


def _read(config: HubConfig) -> EncoderConfig:
    return EncoderConfig(
        family=config.model_type,
        vocabulary=config.vocab_size,
        width=config.dim,
        heads=config.n_heads,
        feed_forward=config.hidden_dim,
        rows=tuple(range(config.n_layers)),
        activation=config.activation,
        # Fixed in the reference; its configuration has none.
        epsilon=1e-12,
        positions=config.max_position_embeddings,
        max_length=config.max_position_embeddings,
        embedding_width=config.dim,
        pad_id=pad_id(config),
        hidden_dropout=config.dropout,
        attention_dropout=config.attention_dropout,
    )


def _classifier(architecture: str) -> Head:
    # Its classifiers have a dense map of their own in the place of a pooler, with ReLU.
    keys = {"head.dense": "pre_classifier", "head.out": "classifier"}
    return Head(architecture, keys, activation="relu", dropout=("seq_classif_dropout",))


DISTILBERT = Family(
    title="DistilBERT",
    model_type="distilbert",
    prefix="distilbert",
    read=_read,
    keys={
        "embeddings.words": "distilbert.embeddings.word_embeddings",
        "embeddings.positions": "distilbert.embeddings.position_embeddings",
        "embeddings.norm": "distilbert.embeddings.LayerNorm",
        "layers.qkv": (f"{_ATTENTION}.q_lin", f"{_ATTENTION}.k_lin", f"{_ATTENTION}.v_lin"),
        "layers.output": f"{_ATTENTION}.out_lin",
        "layers.attention_norm": f"{_LAYER}.sa_layer_norm",
        "layers.up": f"{_LAYER}.ffn.lin1",
        "layers.down": f"{_LAYER}.ffn.lin2",
        "layers.output_norm": f"{_LAYER}.output_layer_norm",
    },
    heads={
        "bare": Head("DistilBertModel"),
        "masked_lm": Head(
            "DistilBertForMaskedLM",
            {
                "head.dense": "vocab_transform",
                "head.norm": "vocab_layer_norm",
                "head.decoder": "vocab_projector",
                "head.bias": "vocab_projector.bias",
            },
            activation=None,
        ),
        "sequence_classification": _classifier("DistilBertForSequenceClassification"),
        "token_classification": Head(
            "DistilBertForTokenClassification", {"head.out": "classifier"}, dropout=("dropout",)
        ),
        "multiple_choice": _classifier("DistilBertForMultipleChoice"),
        "question_answering": Head(
            "DistilBertForQuestionAnswering", {"head.out": "qa_outputs"}, dropout=("qa_dropout",)
        ),
    },
    leftovers=(r"embeddings\.position_ids", r"vocab_.*"),
)
