"""Predictions in words, from a head's numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxflow._checks import InputError
from jaxflow._untyped import Tokenizer
from jaxflow.models.config import HeadConfig
from jaxflow.models.tokens import Encoding


@dataclass(frozen=True)
class Prediction:
    """One text's prediction.

    Attributes:
        label: the likeliest class; for several classes at once those above one half, joined by ", "; for a
            regression its number; for heads over tokens one label a token, joined by spaces; for question answering
            the answer's tokens; for multiple choice the choice's index.
        scores: probability of every class by name (`HeadConfig.class_names`), or a regression's number; empty for
            heads over tokens; of a next token those of the likeliest few.
    """

    label: str
    scores: dict[str, float]


def speaks(head: HeadConfig, encodings: Sequence[Encoding], tokenizer: Tokenizer) -> list[bool]:
    """Whether the head has a prediction for each text: a masked LM only for texts with a mask.

    A multiple choice is made among several texts, never of one.
    """
    if head.name == "masked_lm":
        return [tokenizer.mask_token_id in encoding.input_ids for encoding in encodings]
    return [head.name not in ("bare", "multiple_choice")] * len(encodings)


def pieces_of(tokenizer: Tokenizer, vocabulary: int) -> tuple[str, ...]:
    """The vocabulary, as the tokenizer names its pieces; ids beyond it have none."""
    named = {number: piece for piece, number in tokenizer.get_vocab().items()}
    return tuple(named.get(number, f"<{number}>") for number in range(vocabulary))


def next_tokens(names: Sequence[str], logits: np.ndarray, most: int = 10) -> list[Prediction]:
    """The likeliest next token of each text, with the probabilities of the likeliest few.

    Args:
        names: of the vocabulary.
        logits: `text vocabulary`.
        most: how many have their probability listed.
    """
    made = []
    for row in logits:
        chances = _softmax(row)
        best = np.argsort(-chances, kind="stable")[:most]
        made.append(Prediction(names[int(best[0])], {names[int(each)]: float(chances[each]) for each in best}))
    return made


def predictions(
    head: HeadConfig, logits: np.ndarray, encodings: Sequence[Encoding] | None, tokenizer: Tokenizer
) -> list[Prediction]:
    """One prediction for each row of `logits`."""
    if head.name in ("sequence_classification", "next_sentence"):
        names = head.class_names()
        return [_of_text(head, names, row) for row in logits]
    if head.name == "multiple_choice":
        return [_of_choices(row) for row in logits]
    # From here on the numbers stand for tokens.
    if encodings is None:
        raise InputError("encodings", f"be given for a {head.name} head, whose numbers stand for tokens", "none")
    if len(encodings) != len(logits):
        raise InputError("encodings", f"be as many as the {len(logits)} rows of logits", str(len(encodings)))
    names = head.class_names() or ()
    return [
        Prediction(_of_tokens(head, names, row, encoding, tokenizer), {})
        for row, encoding in zip(logits, encodings, strict=True)
    ]


def _of_text(head: HeadConfig, names: tuple[str, ...] | None, row: np.ndarray) -> Prediction:
    labels = names or tuple(str(i) for i in range(len(row)))
    if head.problem == "regression":
        return Prediction(", ".join(f"{value:.4g}" for value in row), dict(zip(labels, map(float, row), strict=True)))
    if head.problem == "multi_label":
        # Each class on its own: the probabilities need not sum to 1.
        chances = 1 / (1 + np.exp(-row.astype(np.float64)))
        chosen = [label for label, chance in zip(labels, chances, strict=True) if chance > 0.5]
        return Prediction(", ".join(chosen), dict(zip(labels, map(float, chances), strict=True)))
    chances = _softmax(row)
    return Prediction(labels[int(chances.argmax())], dict(zip(labels, map(float, chances), strict=True)))


def _of_choices(row: np.ndarray) -> Prediction:
    chances = _softmax(row)
    return Prediction(str(int(chances.argmax())), {str(i): float(chance) for i, chance in enumerate(chances)})


def _of_tokens(
    head: HeadConfig, names: Sequence[str], row: np.ndarray, encoding: Encoding, tokenizer: Tokenizer
) -> str:
    # Without padding: token label.
    row = row[: len(encoding)]
    match head.name:
        case "masked_lm":
            # One predicted token for each mask of the text.
            places = [i for i, token in enumerate(encoding.input_ids) if token == tokenizer.mask_token_id]
            return " ".join(tokenizer.convert_ids_to_tokens([int(row[i].argmax()) for i in places]))
        case "question_answering":
            start, end = _best_span(row, encoding)
            return " ".join(encoding.tokens[start : end + 1])
        case "discriminator":
            return " ".join("replaced" if score > 0 else "original" for score in row)
        case _:
            return " ".join(names[int(i)] for i in row.argmax(axis=-1))


def _best_span(row: np.ndarray, encoding: Encoding) -> tuple[int, int]:
    """The likeliest start and end, in the second text or in the only one."""
    # The answer stands in the context, the pair of the question.
    wanted = max(encoding.source)
    allowed = np.array([source == wanted for source in encoding.source])
    sums = np.where(allowed, row[:, 0], -np.inf)[:, None] + np.where(allowed, row[:, 1], -np.inf)[None, :]
    # start end: an end before its start is no answer.
    sums = np.where(np.triu(np.ones_like(sums, bool)), sums, -np.inf)
    start, end = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(start), int(end)


def _softmax(row: np.ndarray) -> np.ndarray:
    # Less the largest, so that no power overflows.
    powers = np.exp(row.astype(np.float64) - row.max())
    return powers / powers.sum()
