"""`attribute` and `attribute_shards`: texts through a model and the methods, one example a text."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

import jax
import numpy as np

from jaxflow._checks import not_forked
from jaxflow.attribution.explaining import check_model, check_text, pair_numbers_of
from jaxflow.attribution.items import EncodedText, Item, as_texts, check_rows, item_of, items_of, positions_of
from jaxflow.attribution.question import Question, as_question, default_question
from jaxflow.attribution.result import Attribution, Example
from jaxflow.attribution.task import AttributionTask
from jaxflow.models import Model, as_model
from jaxflow.models.two_streams import encoder_layers_of
from jaxflow.running import Compiled, Engine, EngineOptions


def attribute(
    model: Model,
    texts: Any,
    question: Question | Any | None = None,
    *,
    pairs: Any = None,
    batch_size: int | np.integer | None = None,
    max_length: int | None = None,
    truncate: bool = False,
    mesh: jax.sharding.Mesh | None = None,
    progress: Callable[[int], None] | None = None,
    compiled: Callable[[Compiled], None] | None = None,
    **changes: Any,
) -> Attribution:
    """Say how much each input token of each text contributed, at each layer, by each method.

    Texts are sorted by length and run in padded batches of few shapes, for each of which a program is compiled once
    and kept with the model. Rollout and raw attention go along with the model's layers: neither the attention of
    all heads is stored nor, unless flow or a method of your own needs it, the graph. While the CPU solves the flows
    of one batch, a device goes on with the next: its bounds, and the forward pass of the one after that. A batch that
    a device has no memory for is halved, and nothing is lost.

    Args:
        model: from `load_model`. Everything runs where its parameters are.
        texts: a sequence of texts, or one.
        question: what is asked about each of them; `Question()` by default: raw attention, rollout and flow of the
            first position at every layer.
        pairs: a second text for each, for models that read two.
        batch_size: texts in a batch, at most; None for as many as keep the device busy and fit into its memory.
        max_length: most tokens a text may have, special ones included; the model's limit where that is less.
        truncate: cut longer texts rather than refuse them.
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
    question = as_question(question, changes, default_question(model))
    task = _task(model, question)
    # Everything but the texts is checked before any text is tokenised.
    engine = Engine((model,), task, _options(task, batch_size=batch_size, mesh=mesh, compiled=compiled))
    texts, pairs = as_texts(texts, pairs)
    items = items_of(model, texts, pairs, question.queries, max_length=max_length, truncate=truncate)
    for item in items:
        check_text(question, model, item.encoding, item.place)
    told = None if progress is None else (lambda examples: progress(len(examples)))
    examples = tuple(engine.run_all(items, told))
    return Attribution(examples, model.name, question, model.reads_at, encoder_layers_of(model))


def attribute_shards(
    model: Model,
    shards: Iterable[Sequence[EncodedText]],
    question: Question | Any | None = None,
    *,
    batch_size: int | np.integer | None = None,
    mesh: jax.sharding.Mesh | None = None,
    progress: Callable[[Sequence[Example]], None] | None = None,
    compiled: Callable[[Compiled], None] | None = None,
    idle: Callable[[float], None] = lambda _: None,
    **changes: Any,
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
    task = _task(model, question)
    options = _options(task, batch_size=batch_size, mesh=mesh, compiled=compiled, idle=idle)
    engine = Engine((model,), task, options)
    # A stream has no known number of texts: of positions by text only a single row, for all of them, fits.
    check_rows(question.queries, 1)

    def items() -> Iterator[list[Item]]:
        # Texts are numbered through all shards.
        first = 0
        for shard in shards:
            yield [
                item_of(index, each.place, each.text, each.pair, each.encoding, _positions(each))
                for index, each in enumerate(shard, first)
            ]
            first += len(shard)

    def _positions(text: EncodedText) -> np.ndarray:
        check_text(question, model, text.encoding, text.place)
        return positions_of(question.queries, model, text.encoding, 0)

    return _attributions(engine.run(items(), progress))


def _attributions(groups: Generator[list[Example], None, None]) -> Generator[Attribution, None, None]:
    # A caller that stops early closes the engine as well, with its threads.
    with closing(groups):
        for examples in groups:
            yield Attribution(tuple(examples))


def _options(task: AttributionTask, **options: Any) -> EngineOptions:
    # Gradients hold attention of all heads, which bounds the rows of a batch.
    return EngineOptions(pair_numbers=pair_numbers_of(task.question, task.model), **options)


def _task(model: Model, question: Question) -> AttributionTask:
    check_model(question, model)
    return AttributionTask(
        model=model,
        question=question,
        methods=question.method_values,
        layers=question.layers_of(model.layers),
    )
