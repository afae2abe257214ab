"""Question answering: the part of a Wikipedia passage that answers a question, from SQuAD 2.0's dev set.

One article of four is held out, so that no passage is in both parts. Only answerable questions are asked: unanswerable
ones are left out. SQuAD's training set is not what this reads, so scores are far below those of models trained on it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from experiments.finetune.answers import best_span, context_of, exact, f1, normalised
from experiments.finetune.batches import logits_of
from experiments.finetune.files import text_of
from experiments.finetune.task import Prepared, Sizes, Task, spread
from experiments.finetune.windows import (
    Passage,
    Span,
    encoded,
    passage_of,
    room,
    tokens_of,
    window_around,
    windows_over,
)
from jaxflow import InputError
from jaxflow._checks import shown_text
from jaxflow.models import Encoder, Encoding, TextEncoder, TokenBatch

FILE = "squad2_dev.json.gz"
HELD_OUT = 4
# Tokens of a window with its question. Short ones train faster; longer ones leave fewer to choose from.
TRAINED, ASKED, OVERLAP = 128, 192, 64


@dataclass(frozen=True)
class Question:
    """A question, where its first gold answer stands in the passage, and all of its gold answers."""

    question: str
    context: str
    answer: Span
    gold: tuple[str, ...]


def read_squad(path: Path) -> tuple[list[Question], list[Question], dict[str, Any]]:
    """Answerable questions to train on and to judge by, and what the record says of them.

    Raises:
        InputError: it is not of SQuAD's form, has one article alone, or an answer does not stand where it should.
    """
    text = text_of(path)
    try:
        articles = [
            (article["title"], [entry for paragraph in article["paragraphs"] for entry in _entries(paragraph)])
            for article in json.loads(text)["data"]
        ]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        got = f"another ({type(error).__name__}: {shown_text(str(error))})"
        raise InputError(None, "have the form of SQuAD 2.0", got, place=str(path)) from error
    if len(articles) < 2:
        raise InputError(
            None, "have at least two articles, of which one is held out", str(len(articles)), place=str(path)
        )
    # The last of each four, from the end on.
    held = set(range(len(articles) - 1, -1, -HELD_OUT))
    parts: tuple[list[Question], list[Question]] = ([], [])
    for place, (_, entries) in enumerate(articles):
        parts[place in held].extend(entry for entry in entries if entry is not None)
    left_out = sum(entry is None for _, entries in articles for entry in entries)
    facts = {
        "articles_held_out": [articles[place][0] for place in sorted(held)],
        "articles": len(articles),
        "unanswerable_left_out": left_out,
    }
    return *parts, facts


def _entries(paragraph: dict[str, Any]) -> list[Question | None]:
    """A paragraph's questions, None for those that it does not answer."""
    context = paragraph["context"]
    found: list[Question | None] = []
    for entry in paragraph["qas"]:
        if entry.get("is_impossible") or not entry["answers"]:
            found.append(None)
            continue
        start, answer = entry["answers"][0]["answer_start"], entry["answers"][0]["text"]
        if context[start : start + len(answer)] != answer or not answer.strip():
            raise ValueError(f"question {entry['id']}: {answer!r} is not what stands at {start}")
        # As in the official script: answers of which nothing is left do not count.
        gold = tuple(dict.fromkeys(one["text"] for one in entry["answers"] if normalised(one["text"]))) or ("",)
        found.append(Question(entry["question"].strip(), context, (start, start + len(answer)), gold))
    return found


def span_loss(
    module: Encoder, batch: TokenBatch, targets: Int[Array, "example 4"], key: Key[Array, ""] | None
) -> Float[Array, ""]:
    """Mean cross-entropy of the answer's first and last token among the window's tokens.

    `targets` are the answer's first and last token and the window's. The question's tokens take no part, here as when
    the answer is looked for.
    """
    logits = module(batch, key=key, return_attention=False, return_hidden_states=False).logits
    assert logits is not None
    place = jnp.arange(logits.shape[1])
    inside = (place >= targets[:, 2:3]) & (place <= targets[:, 3:4])
    scores = jnp.where(inside[..., None], logits, -jnp.inf)
    return optax.softmax_cross_entropy_with_integer_labels(scores, targets[:, :2], axis=1).mean()


def _prepare(model: TextEncoder, folder: Path, sizes: Sizes) -> Prepared:
    train, held, facts = read_squad(folder / FILE)
    train = [train[row] for row in spread(len(train), sizes.train)]
    held = [held[row] for row in spread(len(held), sizes.held)]
    for part, questions in (("train on", train), ("judge by", held)):
        if not questions:
            raise InputError(None, f"have answerable questions to {part}", "none", place=str(folder / FILE))
    passages = {text: passage_of(model, text) for text in {question.context for question in [*train, *held]}}
    encodings, targets = _training(model, train, passages, sizes.seed)
    facts |= {
        "trained_on": len(encodings),
        "held_out": len(held),
        "cut_answers_left_out": len(train) - len(encodings),
        "window": {"trained": TRAINED, "asked": ASKED, "overlap": OVERLAP},
    }

    def judge(model: TextEncoder, few: int | None) -> dict[str, Any]:
        asked = [held[row] for row in spread(len(held), few)]
        return measures(asked, answers(model, asked, passages))

    return Prepared(encodings, targets, judge, facts)


def _training(
    model: TextEncoder, questions: Sequence[Question], passages: dict[str, Passage], seed: int
) -> tuple[list[Encoding], np.ndarray]:
    """A window with its answer for each question, and the targets of `span_loss`."""
    rng = np.random.default_rng(seed)
    here = [passages[question.context] for question in questions]
    windows = [
        window_around(passage, question.answer, room(model, question.question, TRAINED), rng)
        for question, passage in zip(questions, here, strict=True)
    ]
    encodings, targets = [], []
    texts = [question.question for question in questions]
    for question, window, encoding in zip(
        questions, windows, encoded(model, texts, here, windows, TRAINED), strict=True
    ):
        found = tokens_of(encoding, window, question.answer)
        if found is not None:
            encodings.append(encoding)
            targets.append((*found, *context_of(encoding)))
    if not encodings:
        expected = f"have answers that fit into {model.max_length} tokens beside their questions"
        raise InputError("data", expected, "none", place=model.name)
    return encodings, np.array(targets, np.int32)


def answers(model: TextEncoder, questions: Sequence[Question], passages: dict[str, Passage]) -> list[str]:
    """For each question the span of the largest sum of logits in any window of its passage."""
    asked = [
        (row, window)
        for row, question in enumerate(questions)
        for window in windows_over(passages[question.context], room(model, question.question, ASKED), OVERLAP)
    ]
    texts = [questions[row].question for row, _ in asked]
    here = [passages[questions[row].context] for row, _ in asked]
    encodings = encoded(model, texts, here, [window for _, window in asked], ASKED)
    best: dict[int, tuple[float, str]] = {}
    for (row, window), encoding, logits in zip(asked, encodings, logits_of(model, encodings), strict=True):
        start, end, score = best_span(logits, *context_of(encoding))
        if row not in best or score > best[row][0]:
            first, last = (window[0] + encoding.offsets[place][side] for place, side in ((start, 0), (end, 1)))
            best[row] = score, questions[row].context[first:last]
    return [best[row][1] for row in range(len(questions))]


def measures(questions: Sequence[Question], found: Sequence[str]) -> dict[str, Any]:
    """Exact match and F1 as SQuAD's script has them, from 0 to 1."""
    pairs = list(zip(found, (question.gold for question in questions), strict=True))
    return {
        "exact": float(np.mean([exact(answer, gold) for answer, gold in pairs])),
        "f1": float(np.mean([f1(answer, gold) for answer, gold in pairs])),
    }


SQUAD = Task("squad", "question_answering", (), span_loss, _prepare, ("exact", "f1"), epochs=3)
