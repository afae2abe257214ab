"""RoBERTa, XLM-RoBERTa, CamemBERT: BERT whose positions count real tokens, from one past the padding token's number."""

import dataclasses

from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.family import Family, Head, Key
from jaxflow.models.config import EncoderConfig
from jaxflow.models.families import bert

MASKED_LM: dict[str, Key] = {
    "head.dense": "lm_head.dense",
    "head.norm": "lm_head.layer_norm",
    "head.decoder": "lm_head.decoder",
    "head.bias": "lm_head.decoder.bias",
}
# RoBERTa classifies by a dense map of the head's own, not by the pooler.
CLASSIFIER: dict[str, Key] = {"head.dense": "classifier.dense", "head.out": "classifier.out_proj"}


def _read(config: HubConfig) -> EncoderConfig:
    # The number of the first real token's position; padding has the one before it.
    first = (1 if config.pad_token_id is None else config.pad_token_id) + 1
    return dataclasses.replace(
        bert.read(config),
        pad_id=first - 1,
        position_offset=first,
        # The rows below the first are never a real token's.
        max_length=config.max_position_embeddings - first,
    )


def _family(title: str, model_type: str, classes: str) -> Family:
    return Family(
        title=title,
        model_type=model_type,
        prefix="roberta",
        read=_read,
        keys=bert.encoder_keys("roberta"),
        heads={
            "bare": Head(f"{classes}Model", {"pooler.dense": "roberta.pooler.dense"}),
            "masked_lm": Head(f"{classes}ForMaskedLM", MASKED_LM, activation="gelu"),
            "sequence_classification": Head(
                f"{classes}ForSequenceClassification",
                CLASSIFIER,
                first_dropout=("classifier_dropout", "hidden_dropout_prob"),
            ),
            "token_classification": Head(f"{classes}ForTokenClassification", {"head.out": "classifier"}),
            "multiple_choice": Head(
                f"{classes}ForMultipleChoice",
                {"head.dense": "roberta.pooler.dense", "head.out": "classifier"},
                dropout=("hidden_dropout_prob",),
            ),
            "question_answering": Head(f"{classes}ForQuestionAnswering", {"head.out": "qa_outputs"}, dropout=()),
        },
        # Old checkpoints name the bias twice.
        aliases={"lm_head.bias": "lm_head.decoder.bias"},
        leftovers=(r"embeddings\.position_ids", r"pooler\.dense\..*", r"lm_head\..*"),
    )


ROBERTA = _family("RoBERTa", "roberta", "Roberta")
XLM_ROBERTA = _family("XLM-RoBERTa", "xlm-roberta", "XLMRoberta")
CAMEMBERT = _family("CamemBERT", "camembert", "Camembert")
