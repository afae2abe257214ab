"""ELECTRA: BERT with narrow embeddings that are projected, and a discriminator's head."""

import dataclasses

from jaxflow._checks import InputError, shown
from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.family import ANOTHER, Family, Head
from jaxflow.models.config import EncoderConfig
from jaxflow.models.families import bert, roberta


def _read(config: HubConfig) -> EncoderConfig:
    # The head of multiple choice is configurable in transformers; only the trained form is supported.
    summary = (config.summary_type, config.summary_use_proj, config.summary_activation)
    if summary != ("first", True, "gelu"):
        expected = "sum up choices by ('first', True, 'gelu')"
        raise InputError(None, expected, shown(summary), ANOTHER, place="config.json")
    return dataclasses.replace(
        bert.read(config),
        embedding_width=config.embedding_size,
        # Checkpoints whose embeddings have the full width have no projection at all.
        projection="none" if config.embedding_size == config.hidden_size else "after",
    )


ELECTRA = Family(
    title="ELECTRA",
    model_type="electra",
    prefix="electra",
    read=_read,
    keys={**bert.encoder_keys("electra"), "embeddings.projection": "electra.embeddings_project"},
    heads={
        "bare": Head("ElectraModel"),
        "masked_lm": Head(
            "ElectraForMaskedLM",
            {
                "head.dense": "generator_predictions.dense",
                "head.norm": "generator_predictions.LayerNorm",
                "head.decoder": "generator_lm_head",
                "head.bias": "generator_lm_head.bias",
            },
            activation="gelu",
        ),
        "sequence_classification": Head(
            "ElectraForSequenceClassification",
            roberta.CLASSIFIER,
            activation="gelu",
            first_dropout=("classifier_dropout", "hidden_dropout_prob"),
        ),
        "token_classification": Head("ElectraForTokenClassification", {"head.out": "classifier"}),
        "multiple_choice": Head(
            "ElectraForMultipleChoice",
            {"head.dense": "sequence_summary.summary", "head.out": "classifier"},
            activation="gelu",
            dropout=("summary_last_dropout",),
            first_dropout=("summary_first_dropout",),
        ),
        "question_answering": Head("ElectraForQuestionAnswering", {"head.out": "qa_outputs"}, dropout=()),
        "discriminator": Head(
            # Tells original tokens from those that a generator replaced.
            "ElectraForPreTraining",
            {
                "head.dense": "discriminator_predictions.dense",
                "head.out": "discriminator_predictions.dense_prediction",
            },
            activation=None,
            dropout=(),
        ),
    },
    leftovers=(r"embeddings\.position_ids", r"generator_.*", r"discriminator_predictions\..*"),
)
