"""The paper's pictures of a masked pronoun: what a masked language model puts there, and which name it attends to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments._figures import MAP, new_figure, save_figure
from experiments._record import provenance, write_record
from experiments._words import to_words, words_of_tokens
from jaxflow import InputError, attribute
from jaxflow.models import TextEncoder

METHODS = ("raw", "rollout", "flow")
MASK = "[MASK]"


@dataclass(frozen=True)
class Question:
    """A sentence whose pronoun is masked.

    Attributes:
        text: with `[MASK]` once.
        candidates: the two words that the pronoun could stand for.
        pronouns: what could stand at the mask.
    """

    text: str
    candidates: tuple[str, str]
    pronouns: tuple[str, str] = ("his", "her")


# The paper's sentences. It prints the last two without a mask; the pronoun that is masked here stood there.
QUESTIONS = (
    Question("The author talked to Sara about [MASK] book.", ("author", "Sara")),
    Question("Mary convinced John of [MASK] love.", ("Mary", "John")),
    Question("She asked the doctor about [MASK] backache.", ("She", "doctor")),
    Question("He talked to her about [MASK] book.", ("He", "her")),
    Question(
        "John tried to convince Mary of his love and brought flowers for [MASK].", ("John", "Mary"), ("him", "her")
    ),
)


@dataclass(frozen=True)
class Answer:
    """What a model says to a question.

    Attributes:
        question: what was asked.
        chances: of each of its pronouns, at the mask.
        relevance: by method `layer candidate`: the candidate's part in the position of the mask.
    """

    question: Question
    chances: tuple[float, float]
    relevance: dict[str, np.ndarray]


def masked(encoder: TextEncoder, out: Path) -> list[Answer]:
    """Ask a masked language model all of them; write `out/masked.json`, `masked.svg` and `masked.png`.

    Raises:
        InputError: it is no masked language model, or a pronoun is no token of its own for it.
    """
    if encoder.head.name != "masked_lm":
        got = f"the head {encoder.head.name!r}"
        raise InputError("masked_lm", "name a masked language model", got, place=encoder.name)
    answers = [answer(encoder, question) for question in QUESTIONS]
    record = {
        **provenance(model=encoder.name, flow="exact"),
        "sentences": [
            {
                "text": one.question.text,
                "chances": dict(zip(one.question.pronouns, one.chances, strict=True)),
                "candidates": one.question.candidates,
                "relevance": one.relevance,
            }
            for one in answers
        ],
    }
    write_record(out / "masked.json", record)
    save_figure(draw(answers), out / "masked")
    return answers


def answer(encoder: TextEncoder, question: Question) -> Answer:
    """One question's answer."""
    tokenizer = encoder.tokenizer
    text = question.text.replace(MASK, tokenizer.mask_token)
    (encoding,) = encoder.tokenize([text])
    place = encoding.input_ids.index(tokenizer.mask_token_id)
    logits = np.asarray(encoder(encoder.pad([encoding])).logits)[0, place].astype(np.float64)
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    ids = [_token_at(encoder, question, pronoun, place, len(encoding)) for pronoun in question.pronouns]
    spans = [(text.index(word), text.index(word) + len(word)) for word in question.candidates]
    word = words_of_tokens(encoding, spans)
    (example,) = attribute(encoder, [text], methods=METHODS, queries=place, flow="exact")
    relevance = {name: to_words(rows[:, 0], word, 2) for name, rows in example.relevance.items()}
    return Answer(question, (float(chances[ids[0]]), float(chances[ids[1]])), relevance)


def draw(answers: list[Answer]) -> Any:
    """A row a sentence: the pronouns' chances, then each method's part of the two candidates, layer by layer."""
    figure = new_figure(9.5, 1.0 + 2.0 * len(answers))
    rows = figure.subfigures(len(answers), 1, squeeze=False)[:, 0]
    for row, one in zip(rows, answers, strict=True):
        _ = row.suptitle(one.question.text, fontsize=10)
        panels = row.subplots(1, 1 + len(METHODS), width_ratios=(1.3, 1, 1, 1))
        bars, maps = panels[0], panels[1:]
        names = [f"p({pronoun})" for pronoun in one.question.pronouns]
        drawn = bars.barh(names, one.chances, color=("#0072B2", "#E69F00"))
        _ = bars.bar_label(drawn, [f"{chance:.3f}" for chance in one.chances], padding=3, fontsize=8)
        bars.set_xlim(0, 1.3 * max(one.chances))
        bars.invert_yaxis()
        bars.spines[["top", "right"]].set_visible(False)
        bars.tick_params(labelsize=8)
        for panel, name in zip(maps, METHODS, strict=True):
            _candidates(panel, one, name)
            _ = row.colorbar(panel.images[0], ax=panel).ax.tick_params(labelsize=7)
        _ = maps[0].set_ylabel("layer", fontsize=8)
    return figure


def _candidates(panel: Any, one: Answer, name: str) -> None:
    values = one.relevance[name]
    layers = len(values)
    _ = panel.imshow(values, origin="lower", aspect="auto", cmap=MAP, vmin=0)
    panel.set_title(name, fontsize=9)
    panel.set_xticks((0, 1), one.question.candidates, fontsize=8)
    every = 1 if layers <= 6 else 2
    panel.set_yticks(range(every - 1, layers, every), [str(k) for k in range(every, layers + 1, every)], fontsize=7)


def _token_at(encoder: TextEncoder, question: Question, pronoun: str, place: int, length: int) -> int:
    """The id that the pronoun has where the mask stands; tokenizers tell words by what is before them."""
    (encoding,) = encoder.tokenize([question.text.replace(MASK, pronoun)])
    if len(encoding) != length:
        raise _without(pronoun, f"{len(encoding) - length + 1} tokens", encoder)
    token = encoding.input_ids[place]
    if token == encoder.tokenizer.unk_token_id:
        raise _without(pronoun, "none", encoder)
    return token


def _without(pronoun: str, got: str, encoder: TextEncoder) -> InputError:
    expected = f"have a token of its own for {pronoun!r}"
    return InputError("masked_lm", expected, got, "take a model that has it", place=encoder.name)
