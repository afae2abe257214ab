"""`attribute` and `attribute_shards`: texts through a model and the methods, one example a text."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Unpack

import jax
import numpy as np

from jaxflow._checks import as_flag, not_forked
from jaxflow._typing import Given, Inputs, Pairs
from jaxflow.attribution.answers import Part, Parts, PartsTask, answered, check_answers, runs_in_parts
from jaxflow.attribution.defaults import default_question, question_for
from jaxflow.attribution.explaining import check_model, check_text, pair_numbers_of
from jaxflow.attribution.items import EncodedText, Item, as_texts, asked_item, check_rows, encoded_texts, is_answer
from jaxflow.attribution.question import Asked, GivenQuestion, Question, as_question
from jaxflow.attribution.result import Attribution, Example
from jaxflow.attribution.task import AttributionTask
from jaxflow.models import Model, as_model
from jaxflow.models.generation import NEW_TOKENS, as_prompts, prompt_length, settled_tokens
from jaxflow.models.images import images_of
from jaxflow.models.in_hand import AttentionInHand
from jaxflow.models.two_streams import encoder_layers_of
from jaxflow.running import Compiled, Engine, EngineOptions


def attribute(
    model: Model,
    texts: Inputs,
    question: GivenQuestion = None,
    *,
    pairs: Pairs = None,
    batch_size: int | np.integer | None = None,
    max_length: int | None = None,
    truncate: Given[bool] = False,
    new_tokens: int | None = None,
    mesh: jax.sharding.Mesh | None = None,
    progress: Callable[[int], None] | None = None,
    compiled: Callable[[Compiled], None] | None = None,
    **changes: Unpack[Asked],
) -> Attribution:
    """Say how much each input token of each text contributed, at each layer, by each method.

    Texts are sorted by length and run in padded batches of few shapes, for each of which a program is compiled once
    and kept with the model. Rollout and raw attention go along with the model's layers: neither the attention of
    all heads is stored nor, unless flow or a method of your own needs it, the graph. While the CPU solves the flows
    of one batch, a device goes on with the next: its bounds, and the forward pass of the one after that. A batch that
    a device has no memory for is halved, and nothing is lost.

    Args:
        model: from `load_model`. Everything runs where its parameters are.
        texts: a sequence of texts, or one. Of a model of images: paths of files or of folders, pictures of PIL, or
            arrays `height width channel`.
        question: what is asked about each of them. By default raw attention, rollout and flow of the first position
            (of a decoder the last) at every layer; where no methods are named and the model has classes, also
            `"flow@attention-gradient"`, flow of the predicted class, which costs a backward pass more. `Question()`
            asks for the first three alone.
        pairs: a second text for each, for models that read two; of a decoder the answers to its prompts, the `texts`.
        batch_size: texts in a batch, at most; None for as many as keep the device busy and fit into its memory.
        max_length: most tokens a text may have, special ones included; the model's limit where that is less.
        truncate: cut longer texts rather than refuse them.
        new_tokens: most tokens that the model writes where no `pairs` are given: of an answer, where answers are
            explained (`queries="answer"`), and of an encoder-decoder's targets; None for 64, or what a `TorchModel`
            was made with. Prompts that are too long for an answer are refused, or cut to leave room for all of it.
        mesh: devices of this process that each batch is spread over, by `jaxflow.devices.local_mesh()` for all of
            them; None runs where the model is, whatever other devices there are.
        progress: called with the number of texts that were just finished.
        compiled: called with what is known of each program that had to be compiled.
        changes: fields of the question by name, such as `queries=None` or `flow="exact"`.

    Returns:
        One example a text, in their order.

    Raises:
        InputError: for an unknown method, a position or layer that is not there, and for a text that is empty or too
            long, which is named by its index, before anything is computed; for a model whose attention is not a
            number, or a text that the device has no memory for, when the batch that shows it is reached.
    """
    not_forked()
    model = as_model("model", model)
    question = question_for(question, changes, (model,), default_question(model))
    check_answers(question, model, given=pairs is not None)
    truncate = as_flag("truncate", truncate)
    answers, targets = is_answer(question.queries), bool(encoder_layers_of(model))
    # Attention in hand has its answers in its texts.
    generates = answers and pairs is None and not targets and not isinstance(model, AttentionInHand)
    most = settled_tokens(model, new_tokens if pairs is None and (answers or targets) else None)
    if generates:
        max_length = prompt_length(model, max_length, most, truncate=truncate)
    told = None if progress is None else (lambda examples: progress(len(examples)))
    # Everything but the texts is checked before any text is tokenised.
    runner = _Runner(model, question, told, batch_size=batch_size, mesh=mesh, compiled=compiled)
    texts, pairs = as_texts(texts if images_of(model) is not None else as_prompts(model, texts), pairs, model)
    lengths = {"max_length": max_length, "truncate": truncate, "new_tokens": new_tokens}
    coded = encoded_texts(model, texts, pairs, answers=answers, **lengths)
    check_rows(question.queries, len(coded))
    if generates:
        coded = answered(model, coded, most)
    items = [asked_item(index, each, model, question.queries) for index, each in enumerate(coded)]
    for item in items:
        check_text(question, model, item.encoding, item.place)
    with closing(runner.run([items])) as groups:
        examples = tuple(next(groups))
    return Attribution(examples, model.name, question, model.reads_at)


def attribute_shards(
    model: Model,
    shards: Iterable[Sequence[EncodedText]],
    question: GivenQuestion = None,
    *,
    batch_size: int | np.integer | None = None,
    new_tokens: int = NEW_TOKENS,
    mesh: jax.sharding.Mesh | None = None,
    progress: Callable[[Sequence[Example]], None] | None = None,
    compiled: Callable[[Compiled], None] | None = None,
    idle: Callable[[float], None] = lambda _: None,
    **changes: Unpack[Asked],
) -> Generator[Attribution, None, None]:
    """As `attribute`, for a stream of shards of texts that are tokenised already; an attribution a shard, in order.

    A batch holds texts of one shard, so that a shard's numbers do not depend on what is around it; the device goes
    from one shard to the next without a pause. Shards are drawn as they are needed. Close what this gives if you don't
    exhaust it, so that nothing goes on solving.

    Args:
        model: from `load_model`.
        shards: of texts.
        question: what is asked about each text; its positions are the same for all of them.
        batch_size: texts in a batch, at most.
        new_tokens: most tokens of an answer that is generated, as for `attribute`; of texts without a pair.
        mesh: devices that each batch is spread over.
        progress: called with the examples that were just finished.
        compiled: called with what is known of each program that had to be compiled.
        idle: called with seconds for which a device had no batch, as far as can be seen from here: from the end of
            the last one, or the beginning, to when it was given the next, or to the end. They sum to no less than the
            device's idle time but for the few milliseconds that an end is seen too late.
        changes: fields of the question by name.

    Raises:
        InputError: as `attribute`, naming a text by its place.
    """
    not_forked()
    model = as_model("model", model)
    question = as_question(question, changes, default_question(model))
    runner = _Runner(model, question, progress, batch_size=batch_size, mesh=mesh, compiled=compiled, idle=idle)
    # A stream has no known number of texts: of positions by text only a single row, for all of them, fits.
    check_rows(question.queries, 1)

    def items() -> Iterator[list[Item]]:
        # Texts are numbered through all shards.
        first = 0
        for shard in shards:
            if is_answer(question.queries) and any(
                each.pair is None and each.encoding.written is None for each in shard
            ):
                # Where the device's batches are begun: a model is run by one thread at a time.
                shard = answered(model, shard, new_tokens)
            for each in shard:
                check_text(question, model, each.encoding, each.place)
            yield [_for_all(index, each) for index, each in enumerate(shard, first)]
            first += len(shard)

    def _for_all(index: int, text: EncodedText) -> Item:
        # The same positions for all texts are one row.
        return replace(asked_item(0, text, model, question.queries), index=index)

    return _attributions(runner.run(items()))


class _Runner:
    """Texts through the engine, whole or in parts; an engine runs once."""

    def __init__(
        self,
        model: Model,
        question: Question,
        progress: Callable[[Sequence[Example]], None] | None,
        **options: Any,
    ) -> None:
        task = _task(model, question)
        # Gradients hold attention of all heads, which bounds the rows of a batch.
        self._options = EngineOptions(pair_numbers=pair_numbers_of(question, model), **options)
        self._progress = progress
        self._whole: Engine[Item, Example] | None = None
        self._parts: Engine[Item, Part] | None = None
        if runs_in_parts(question):
            self._parts = Engine((model,), PartsTask(task), self._options)
        else:
            self._whole = Engine((model,), task, self._options)

    def run(self, groups: Iterable[list[Item]]) -> Generator[list[Example], None, None]:
        """The examples of each group of texts."""
        if self._whole is not None:
            yield from self._whole.run(groups, self._progress)
            return
        assert self._parts is not None
        parts = Parts(self._progress)
        with closing(self._parts.run(map(parts.of, groups), parts.told)) as finished:
            for group in finished:
                yield parts.wholes(group)


def _attributions(groups: Generator[list[Example], None, None]) -> Generator[Attribution, None, None]:
    # A caller that stops early closes the engine as well, with its threads.
    with closing(groups):
        for examples in groups:
            yield Attribution(tuple(examples))


def _task(model: Model, question: Question) -> AttributionTask:
    check_model(question, model)
    return AttributionTask(
        model=model,
        question=question,
        methods=question.method_values,
        layers=question.layers_of(model.layers),
    )
