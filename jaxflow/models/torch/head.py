"""The head of a PyTorch model, and the hash of its weights."""

import hashlib

import torch

from jaxflow._untyped import HubConfig, HubModel, Tokenizer
from jaxflow.models.config import HeadConfig, HeadName, Problem
from jaxflow.models.prediction import pieces_of

# By the ends of class names in transformers.
HEADS: dict[str, HeadName] = {
    "ForSequenceClassification": "sequence_classification",
    "ForTokenClassification": "token_classification",
    "ForQuestionAnswering": "question_answering",
    "ForQuestionAnsweringSimple": "question_answering",
    "ForNextSentencePrediction": "next_sentence",
    "ForMaskedLM": "masked_lm",
    "ForCausalLM": "next_token",
    "LMHeadModel": "next_token",
}


def head_of(model: HubModel, tokenizer: Tokenizer, vocabulary: int) -> HeadConfig:
    """The head by the name of the model's class; any other model is taken without its head."""
    kind = type(model).__name__
    name = next((head for end, head in HEADS.items() if kind.endswith(end)), None)
    match name:
        case None:
            return HeadConfig()
        case "sequence_classification" | "token_classification":
            labels = labels_of(model.config)
            problem = problem_of(model.config) if name == "sequence_classification" else "single_label"
            return HeadConfig(name, outputs=len(labels), labels=labels, problem=problem)
        case "next_sentence":
            return HeadConfig(name, outputs=2, labels=("is next", "is not next"))
        case "question_answering":
            return HeadConfig(name, outputs=2)
        case "next_token":
            return HeadConfig(name, outputs=vocabulary, labels=pieces_of(tokenizer, vocabulary))
        case "masked_lm":
            return HeadConfig(name)
        case _:
            raise AssertionError(name)


def labels_of(config: HubConfig) -> tuple[str, ...]:
    """Names of a classifier's classes."""
    named = config.id2label or {}
    return tuple(str(named.get(index, f"LABEL_{index}")) for index in range(config.num_labels))


def problem_of(config: HubConfig) -> Problem:
    """As transformers takes one output without a problem type."""
    named: dict[str, Problem] = {"regression": "regression", "multi_label_classification": "multi_label"}
    if config.problem_type is None:
        return "regression" if config.num_labels == 1 else "single_label"
    return named.get(config.problem_type, "single_label")


def weights_fingerprint(model: HubModel) -> str:
    """The hash of all parameters and buffers, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):
            continue
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # As bytes, since NumPy lacks some of the formats; a number alone has no axis to view.
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
