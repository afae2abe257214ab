"""The entry: texts through an encoder and the methods, one result a text."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow._checks import not_forked
from jaxflow.attribution.items import EncodedText, Item, as_rows, item_of, items_of
from jaxflow.attribution.methods import as_methods
from jaxflow.attribution.result import Attribution, Example
from jaxflow.attribution.task import AttributionTask, as_heads
from jaxflow.flow.solution import Solver
from jaxflow.flow.solve import as_layers
from jaxflow.graph.graph import as_residual
from jaxflow.models import Model, as_model
from jaxflow.running import Compiled, Engine, EngineOptions


def attribute(
    encoder: Model,
    texts: Any,
    pairs: Any = None,
    methods: Any = ("raw", "rollout", "flow"),
    *,
    queries: Any = 0,
    layers: Any = None,
    heads: Any = "mean",
    residual: float | int = 0.5,
    flow: str | Solver = "auto",
    tol: float | int | np.floating = 1e-6,
    batch_size: int | np.integer | None = None,
    max_length: int | None = None,
    truncate: bool = False,
    mesh: jax.sharding.Mesh | None = None,
    progress: Callable[[int], None] | None = None,
    compiled: Callable[[Compiled], None] | None = None,
) -> Attribution:
    """Say how much each input token of each text contributed, at each layer, by each method.

    Texts are sorted by length and run in padded batches of few shapes, for each of which a program is compiled once
    and kept with the encoder. Rollout and raw attention go along with the encoder's layers: neither the attention of
    all heads is stored nor, unless flow or a method of your own needs it, the graph. While the CPU solves the flows
    of one batch, a device goes on with the next: its bounds, and the forward pass of the one after that. A batch that
    a device has no memory for is halved, and nothing is lost.

    Args:
        encoder: from `load_model`. Everything runs where its parameters are.
        texts: a sequence of texts, or one.
        pairs: a second text for each, for models that read two.
        methods: `"raw"`, `"rollout"`, `"flow"`, or values such as `Flow(method="exact")` or one of your own.
        queries: positions whose make-up is asked for: 0, the default, is [CLS] or its equivalent; an int, a sequence
            of ints, integers `text query` where they differ from text to text, or None for every position.
        layers: counted from 1; None for all, an int, or a sequence.
        heads: how heads are fused: `"mean"`, `"max"`, `"min"`, or weights `head` or `layer head`.
        residual: share of the residual connection, in [0, 1].
        flow: how `"flow"` is computed, one of `attention_flow`'s methods or a solver such as `Relaxed(passes=600)`.
        tol: how near bounds must come for a flow to count as certified.
        batch_size: texts in a batch, at most; None for as many as keep the device busy and fit into its memory.
        max_length: most tokens a text may have, special ones included; the model's limit where that is less.
        truncate: cut longer texts rather than refuse them.
        mesh: devices of this process that each batch is spread over, by `jaxflow.devices.local_mesh()` for all of
            them; None runs where the encoder is, whatever other devices there are.
        progress: called with the number of texts that were just finished.
        compiled: called with what is known of each program that had to be compiled.

    Returns:
        One example a text, in their order.

    Raises:
        InputError: for an unknown method, a position or layer that is not there, and for a text that is empty or too
            long, which is named by its index, before anything is computed; for a model whose attention is not a
            number, or a text that the device has no memory for, when the batch that shows it is reached.
    """
    not_forked()
    if isinstance(texts, str):
        texts = [texts]
        pairs = [pairs] if isinstance(pairs, str) else pairs
    task = _task(encoder, methods, queries, layers, heads, residual, flow, tol)
    engine = Engine((encoder,), task, EngineOptions(batch_size=batch_size, mesh=mesh, compiled=compiled))
    items = items_of(encoder, texts, pairs, queries, max_length=max_length, truncate=truncate)
    told = None if progress is None else (lambda examples: progress(len(examples)))
    return Attribution(tuple(engine.run_all(items, told)))


def attribute_shards(
    encoder: Model,
    shards: Iterable[Sequence[EncodedText]],
    methods: Any = ("raw", "rollout", "flow"),
    *,
    queries: Any = 0,
    layers: Any = None,
    heads: Any = "mean",
    residual: float | int = 0.5,
    flow: str | Solver = "auto",
    tol: float | int | np.floating = 1e-6,
    batch_size: int | np.integer | None = None,
    mesh: jax.sharding.Mesh | None = None,
    progress: Callable[[Sequence[Example]], None] | None = None,
    compiled: Callable[[Compiled], None] | None = None,
    idle: Callable[[float], None] = lambda _: None,
) -> Generator[Attribution, None, None]:
    """As `attribute`, for a stream of shards of texts that are tokenised already; an attribution a shard, in order.

    A batch holds texts of one shard, so that a shard's numbers do not depend on what is around it; the device goes
    from one shard to the next without a pause. Shards are drawn as they are needed. Close what this gives if you don't
    exhaust it, so that nothing goes on solving.

    Args:
        encoder: from `load_model`.
        shards: of texts; `queries` are the same positions for all of them.
        methods: as the rest, those of `attribute`.
        queries: an int, a sequence of ints, or None for every position.
        layers: counted from 1.
        heads: how heads are fused.
        residual: share of the residual connection.
        flow: how `"flow"` is computed.
        tol: how near bounds must come for a flow to count as certified.
        batch_size: texts in a batch, at most.
        mesh: devices that each batch is spread over.
        progress: called with the examples that were just finished.
        compiled: called with what is known of each program that had to be compiled.
        idle: called with seconds for which a device had no batch, as far as can be seen from here: from the end of
            the last one, or the beginning, to when it was given the next, or to the end. They sum to no less than the
            device's idle time but for the few milliseconds that an end is seen too late.

    Raises:
        InputError: as `attribute`, naming a text by its place.
    """
    not_forked()
    task = _task(encoder, methods, queries, layers, heads, residual, flow, tol)
    options = EngineOptions(batch_size=batch_size, mesh=mesh, compiled=compiled, idle=idle)
    engine = Engine((encoder,), task, options)
    rows = as_rows(queries, 1)

    def items() -> Iterator[list[Item]]:
        first = 0
        for shard in shards:
            yield [
                item_of(index, each.place, each.text, each.pair, each.encoding, None if rows is None else rows[0])
                for index, each in enumerate(shard, first)
            ]
            first += len(shard)

    return _attributions(engine.run(items(), progress))


def _attributions(groups: Generator[list[Example], None, None]) -> Generator[Attribution, None, None]:
    with closing(groups):
        for examples in groups:
            yield Attribution(tuple(examples))


def _task(
    encoder: Any, methods: Any, queries: Any, layers: Any, heads: Any, residual: Any, flow: Any, tol: Any
) -> AttributionTask:
    encoder = as_model("model", encoder)
    return AttributionTask(
        encoder=encoder,
        methods=as_methods(methods, flow, tol),
        everything=queries is None,
        layers=as_layers(layers, encoder.layers),
        heads=as_heads(heads, encoder.layers, encoder.heads),
        residual=as_residual(residual, (), jnp.float32),
    )
