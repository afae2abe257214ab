"""Answers of decoders: each token explained by the position that predicted it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jaxflow._checks import InputError
from jaxflow.attribution.items import EncodedText, Item, is_answer
from jaxflow.attribution.question import ANSWER, Question
from jaxflow.attribution.result import Example
from jaxflow.attribution.task import AttributionTask
from jaxflow.flow.worker import Worker
from jaxflow.models import Model
from jaxflow.models.answers import continues, part_of
from jaxflow.models.generation import check_generates, generate_answers
from jaxflow.models.in_hand import AttentionInHand
from jaxflow.models.two_streams import encoder_layers_of
from jaxflow.running import Arrays, Call


def check_answers(question: Question, model: Model, *, given: bool) -> None:
    """Refuse to explain answers of a model that gives none; `given` says whether they are known, as `pairs`.

    Raises:
        InputError: the model is no decoder, or is to generate answers and cannot.
    """
    # An encoder-decoder's targets are answers, which it writes itself where none are given.
    if not is_answer(question.queries) or encoder_layers_of(model):
        return
    if isinstance(model, AttentionInHand):
        if not model.has_answers:
            got = f"{ANSWER!r}, and attention in hand does not say where an answer begins"
            raise InputError("queries", "be positions", got, "say where by `answer_starts`, or pass positions")
        # Without gradients, what needs more than attention is refused for that, where all questions are.
        if question.explains and model.gradients is not None:
            got = f"{ANSWER!r} with a mixing of gradients, and those in hand are of one number"
            raise InputError("queries", "be positions", got, "pass the position that the number was read at")
        return
    if not continues(model.head, causal=model.causal):
        got = f"{ANSWER!r}, and {model.name} is no decoder that continues texts"
        raise InputError("queries", "be positions that the text has", got, "pass ints, or None for all positions")
    if not given:
        check_generates(model)


def refuse_answers(question: Question, name: str) -> None:
    """Refuse to explain answers where texts alone are read.

    Raises:
        InputError: the question is about answers.
    """
    if is_answer(question.queries):
        got, way_out = f"{ANSWER!r} in {name}", "pass ints, or explain answers by `jaxflow.attribute`"
        raise InputError("queries", "be positions of texts", got, way_out)


def answered(model: Model, texts: Sequence[EncodedText], tokens: int) -> list[EncodedText]:
    """Prompts with the answers that the model generates to them, of at most so many tokens."""
    try:
        made = generate_answers(model, [text.encoding for text in texts], tokens)
    except InputError as error:
        raise (error if error.entry is None else error.at(texts[error.entry].place)) from None
    return [replace(text, pair=answer, encoding=both) for text, (answer, both) in zip(texts, made, strict=True)]


def runs_in_parts(question: Question) -> bool:
    """Whether each token of an answer is run as a text of its own, as its own number is explained."""
    return question.explains and is_answer(question.queries)


@dataclass(frozen=True)
class Part:
    """One token of an answer, explained; the engine's result.

    Attributes:
        index: of the part, by which its whole is found.
        example: the text up to the position that predicted the token.
    """

    index: int
    example: Example


@dataclass(frozen=True)
class PartsTask:
    """An attribution task whose results say which part of an answer they are.

    Attributes:
        task: over the parts.
    """

    task: AttributionTask

    @property
    def memory_advice(self) -> str:
        """As the task's."""
        return self.task.memory_advice

    def calls(self, items: list[Item], rows: int, length: int) -> tuple[Call]:
        """As the task's."""
        return self.task.calls(items, rows, length)

    def begin(self, items: list[Item], outputs: tuple[Arrays, ...], worker: Worker) -> Callable[[], Sequence[Part]]:
        """As the task's."""
        finish = self.task.begin(items, outputs, worker)
        return lambda: [Part(item.index, each) for item, each in zip(items, finish(), strict=True)]


class Parts:
    """Answers cut into one part a token, and put together again.

    A decoder's head reads a text's last token, and sees nothing of what follows. So the text up to a position gives
    the number that the position predicted its token by, and its gradient.
    """

    def __init__(self, progress: Callable[[Sequence[Example]], None] | None) -> None:
        """Parts of no text yet; `progress` is called with the texts that were just finished."""
        self._progress = progress
        # By the number of each part its whole text, and how many parts of each whole there are.
        self._wholes: dict[int, Item] = {}
        self._found: dict[int, dict[int, Example]] = {}

    def of(self, items: Iterable[Item]) -> list[Item]:
        """The parts of some texts, numbered on."""
        parts = []
        for item in items:
            assert item.answer is not None
            for query, place in zip(item.queries, item.answer, strict=True):
                index = len(self._wholes)
                self._wholes[index] = item
                encoding = part_of(item.encoding, range(int(query) + 1))
                wanted = item.encoding.input_ids[int(place)]
                changes = {"encoding": encoding, "queries": np.array([query]), "answer": np.array([place])}
                parts.append(replace(item, index=index, wanted=wanted, **changes))
        return parts

    def told(self, results: Sequence[Part]) -> None:
        """Call the user's function with the texts whose last part was just finished."""
        done = []
        for part in results:
            whole = self._wholes[part.index]
            finished = self._found.setdefault(whole.index, {})
            finished[part.index] = part.example
            if len(finished) == len(whole.queries):
                done.append(together(whole, [finished[index] for index in sorted(finished)]))
                del self._found[whole.index]
        if done and self._progress is not None:
            self._progress(done)

    def wholes(self, results: Sequence[Part]) -> list[Example]:
        """The texts of a group, from all their parts, in order."""
        examples, start = [], 0
        while start < len(results):
            whole = self._wholes[results[start].index]
            end = start + len(whole.queries)
            examples.append(together(whole, [part.example for part in results[start:end]]))
            start = end
        return examples


def together(whole: Item, parts: Sequence[Example]) -> Example:
    """One example from those of an answer's tokens, in order: what comes behind a position has no share in it."""
    tokens, first = len(whole.encoding), parts[0]

    def stacked(arrays: Sequence[np.ndarray], fill: int) -> np.ndarray:
        # layer query token: each part has one query, and fewer tokens than the whole.
        rows = [np.pad(a, ((0, 0), (0, 0), (0, tokens - a.shape[-1])), constant_values=fill) for a in arrays]
        return np.concatenate(rows, axis=1)

    proven = [part.certified for part in parts if part.certified is not None]
    stages = [part.stages for part in parts if part.stages is not None]
    return replace(
        first,
        tokens=whole.encoding.tokens,
        offsets=whole.encoding.offsets,
        source=whole.encoding.source,
        queries=whole.queries,
        answer=whole.answer,
        relevance={name: stacked([part.relevance[name] for part in parts], 0) for name in first.relevance},
        # No flow goes back from what follows, which needs no proof.
        certified=stacked(proven, True) if proven else None,
        saturation={name: stacked([part.saturation[name] for part in parts], False) for name in first.saturation},
        stages={name: sum(each[name] for each in stages) for name in stages[0]} if stages else None,
    )
