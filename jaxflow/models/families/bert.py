"""BERT, and its parts that other families share."""

from jaxflow._checks import InputError, shown
from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.family import ANOTHER, Family, Head, Key, pad_id
from jaxflow.models.config import EncoderConfig


def encoder_keys(prefix: str) -> dict[str, Key]:
    """The names that BERT's checkpoints give an encoder's parameters, under a prefix."""
    layer = f"{prefix}.encoder.layer.{{}}"
    attention = f"{layer}.attention.self"
    return {
        "embeddings.words": f"{prefix}.embeddings.word_embeddings",
        "embeddings.positions": f"{prefix}.embeddings.position_embeddings",
        "embeddings.segments": f"{prefix}.embeddings.token_type_embeddings",
        "embeddings.norm": f"{prefix}.embeddings.LayerNorm",
        "layers.qkv": (f"{attention}.query", f"{attention}.key", f"{attention}.value"),
        "layers.output": f"{layer}.attention.output.dense",
        "layers.attention_norm": f"{layer}.attention.output.LayerNorm",
        "layers.up": f"{layer}.intermediate.dense",
        "layers.down": f"{layer}.output.dense",
        "layers.output_norm": f"{layer}.output.LayerNorm",
    }


def read(config: HubConfig) -> EncoderConfig:
    """The encoder's configuration from a BERT-like one."""
    # Other kinds add terms to the scores that this encoder does not compute.
    kind = getattr(config, "position_embedding_type", "absolute")
    if kind != "absolute":
        raise InputError("position_embedding_type", "be 'absolute'", shown(kind), ANOTHER, place="config.json")
    return EncoderConfig(
        family=config.model_type,
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        feed_forward=config.intermediate_size,
        rows=tuple(range(config.num_hidden_layers)),
        activation=config.hidden_act,
        epsilon=config.layer_norm_eps,
        positions=config.max_position_embeddings,
        max_length=config.max_position_embeddings,
        segments=getattr(config, "type_vocab_size", 0),
        embedding_width=config.hidden_size,
        # A missing padding token is 0, as in BERT's own vocabulary.
        pad_id=pad_id(config),
        hidden_dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
    )


# BERT classifies from its pooler: the dense map is the encoder's, the last one the head's.
POOLED: dict[str, Key] = {"head.dense": "bert.pooler.dense", "head.out": "classifier"}
MASKED_LM: dict[str, Key] = {
    "head.dense": "cls.predictions.transform.dense",
    "head.norm": "cls.predictions.transform.LayerNorm",
    "head.decoder": "cls.predictions.decoder",
    "head.bias": "cls.predictions.decoder.bias",
}

BERT = Family(
    title="BERT",
    model_type="bert",
    prefix="bert",
    read=read,
    keys=encoder_keys("bert"),
    heads={
        "bare": Head("BertModel", {"pooler.dense": "bert.pooler.dense"}),
        "masked_lm": Head(
            "BertForMaskedLM",
            MASKED_LM,
            # The feed-forward part's activation.
            activation=None,
            also=("BertForPreTraining",),
        ),
        "sequence_classification": Head("BertForSequenceClassification", POOLED),
        "token_classification": Head("BertForTokenClassification", {"head.out": "classifier"}),
        "multiple_choice": Head("BertForMultipleChoice", POOLED),
        "question_answering": Head("BertForQuestionAnswering", {"head.out": "qa_outputs"}, dropout=()),
        "next_sentence": Head(
            "BertForNextSentencePrediction",
            {"head.dense": "bert.pooler.dense", "head.out": "cls.seq_relationship"},
            dropout=(),
        ),
    },
    aliases={"cls.predictions.bias": "cls.predictions.decoder.bias"},
    leftovers=(r"embeddings\.position_ids", r"pooler\.dense\..*", r"cls\..*"),
)
