"""The job: texts through an encoder, batch by batch, and each batch's graph through the methods."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxflow import _checks, attention
from jaxflow._checks import InputError
from jaxflow._typing import Queries
from jaxflow.attribution.items import EncodedText, Item, as_rows, batches_of, bucket, item_of, items_of
from jaxflow.attribution.methods import Method, Scores, as_methods, begin_scores
from jaxflow.attribution.result import Attribution, Example
from jaxflow.flow.solution import Solver, count_stages
from jaxflow.flow.solve import as_layers
from jaxflow.flow.worker import Worker
from jaxflow.graph import AttentionGraph, as_residual
from jaxflow.models import Encoder, Encoding, Prediction, TextEncoder, TokenBatch


def attribute(
    encoder: TextEncoder,
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
    batch_size: int | np.integer = 32,
    max_length: int | None = None,
    truncate: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Attribution:
    """Say how much each input token of each text contributed, at each layer, by each method.

    Texts are sorted by length and run in padded batches of few shapes; the attention of all heads is never stored.
    While the CPU solves the flows of one batch, a device goes on with the next: its bounds, and the forward pass of
    the one after that.

    Args:
        encoder: from `load_encoder`.
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
        batch_size: texts in a batch, at most.
        max_length: most tokens a text may have, special ones included; the model's limit where that is less.
        truncate: cut longer texts rather than refuse them.
        progress: called with the number of texts that were just finished.

    Returns:
        One example a text, in their order.

    Raises:
        InputError: for an unknown method, a position or layer that is not there, and for a text that is empty or too
            long, which is named by its index, before anything is computed; for a model whose attention is not a
            number, when the batch that shows it is reached.
    """
    if isinstance(texts, str):
        texts = [texts]
        pairs = [pairs] if isinstance(pairs, str) else pairs
    plan = _plan(encoder, methods, layers, heads, residual, flow, tol, batch_size)
    items = items_of(encoder, texts, pairs, queries, max_length=max_length, truncate=truncate)
    told = None if progress is None else (lambda examples: progress(len(examples)))
    with closing(_attributed(plan, [items], told)) as attributed:
        return next(attributed)


def attribute_shards(
    encoder: TextEncoder,
    shards: Iterable[Sequence[EncodedText]],
    methods: Any = ("raw", "rollout", "flow"),
    *,
    queries: Any = 0,
    layers: Any = None,
    heads: Any = "mean",
    residual: float | int = 0.5,
    flow: str | Solver = "auto",
    tol: float | int | np.floating = 1e-6,
    batch_size: int | np.integer = 32,
    progress: Callable[[Sequence[Example]], None] | None = None,
) -> Generator[Attribution, None, None]:
    """As `attribute`, for a stream of shards of texts that are tokenised already; an attribution a shard, in order.

    A batch holds texts of one shard, so that a shard's numbers do not depend on what is around it; the device goes
    from one shard to the next without a pause. Shards are drawn as they are needed. Close what this gives if you don't
    exhaust it, so that nothing goes on solving.

    Args:
        encoder: from `load_encoder`.
        shards: of texts; `queries` are the same positions for all of them.
        methods: as the rest, those of `attribute`.
        queries: an int, a sequence of ints, or None for every position.
        layers: counted from 1.
        heads: how heads are fused.
        residual: share of the residual connection.
        flow: how `"flow"` is computed.
        tol: how near bounds must come for a flow to count as certified.
        batch_size: texts in a batch, at most.
        progress: called with the examples that were just finished.

    Raises:
        InputError: as `attribute`, naming a text by its place.
    """
    plan = _plan(encoder, methods, layers, heads, residual, flow, tol, batch_size)
    rows = as_rows(queries, 1)

    def items() -> Iterator[list[Item]]:
        first = 0
        for shard in shards:
            yield [
                item_of(index, each.place, each.text, each.pair, each.encoding, None if rows is None else rows[0])
                for index, each in enumerate(shard, first)
            ]
            first += len(shard)

    return _attributed(plan, items(), progress)


@dataclass(frozen=True)
class _Plan:
    """What is done to every batch."""

    encoder: TextEncoder
    methods: tuple[Method, ...]
    layers: tuple[int, ...]
    heads: Any
    residual: Float[Array, ""]
    batch_size: int


@dataclass(frozen=True)
class _Batch:
    """A batch on its way: which texts it holds, and what the device is making of them."""

    items: list[Item]
    graph: AttentionGraph
    queries: Queries
    logits: Any


def _plan(
    encoder: Any, methods: Any, layers: Any, heads: Any, residual: Any, flow: Any, tol: Any, batch_size: Any
) -> _Plan:
    if not isinstance(encoder, TextEncoder):
        raise InputError(f"`encoder` must come from load_encoder, got {type(encoder).__name__}")
    return _Plan(
        encoder=encoder,
        methods=as_methods(methods, flow, tol),
        layers=as_layers(layers, encoder.config.layers),
        heads=_as_heads(heads, encoder.config.layers, encoder.config.heads),
        residual=as_residual(residual, (), jnp.float32),
        batch_size=_as_batch_size(batch_size),
    )


def _attributed(
    plan: _Plan, shards: Iterable[list[Item]], progress: Callable[[Sequence[Example]], None] | None
) -> Generator[Attribution, None, None]:
    """Shards in order, each as soon as its last batch is finished; batches of the next are on their way by then."""
    sizes: deque[int] = deque()
    found: dict[int, Example] = {}
    first = 0

    def batches() -> Iterator[list[Item]]:
        for items in shards:
            sizes.append(len(items))
            yield from batches_of(items, plan.batch_size)

    # Closed whatever happens, so that nothing goes on solving behind an error or an interrupt.
    with closing(_solved(plan, batches())) as solved:
        for examples in chain(solved, ({},)):
            found |= examples
            if progress is not None and examples:
                progress(tuple(examples.values()))
            # Batches are finished in their order, so the first so many are the first shard's.
            while sizes and len(found) >= sizes[0]:
                size = sizes.popleft()
                yield Attribution(tuple(found.pop(index) for index in range(first, first + size)))
                first += size


def _as_heads(heads: Any, layers: int, count: int) -> Any:
    """A way of fusing: its name, or weights of every layer's heads."""
    if isinstance(heads, str):
        _checks.one_of("heads", heads, tuple(attention.FUSIONS))
        return heads
    return jnp.broadcast_to(attention.as_head_weights(heads, (layers, count, 1, 1)), (layers, count))


def _as_batch_size(batch_size: Any) -> int:
    if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
        raise InputError(f"`batch_size` must be a whole number, 1 or more, got {batch_size!r}")
    return int(batch_size)


def _solved(plan: _Plan, batches: Iterable[list[Item]]) -> Generator[dict[int, Example], None, None]:
    """Finished batches: examples by their text's index.

    Three batches are on their way: the forward pass of the last, what else the device does for the one before, and
    what the CPU solves for the one before that.
    """
    with Worker() as worker:
        started: _Batch | None = None
        begun: deque[Callable[[], dict[int, Example]]] = deque()
        for chosen in chain(batches, (None,)):
            following = None if chosen is None else _start(plan, chosen)
            if started is not None:
                begun.append(_begin(plan, started, worker))
            started = following
            while len(begun) > (0 if chosen is None else 1):
                yield begun.popleft()()


def _start(plan: _Plan, items: list[Item]) -> _Batch:
    encodings = [item.encoding for item in items]
    length = min(bucket(max(map(len, encodings))), plan.encoder.max_length)
    # A power of two, so that last batches of all sizes need few programs. What fills it up has no real token.
    fill = min(plan.batch_size, 1 << (len(items) - 1).bit_length()) - len(items)
    batch = jax.tree.map(lambda rows: jnp.pad(rows, [(0, fill), (0, 0)]), plan.encoder.pad(encodings, length))
    # As many positions for all: where every one is asked for, the longest text has the most.
    width = length if len({len(item.queries) for item in items}) > 1 else len(items[0].queries)
    queries = np.zeros((len(items) + fill, width), np.int32)
    for row, item in enumerate(items):
        queries[row, : len(item.queries)] = item.queries
    named, weights = (plan.heads, None) if isinstance(plan.heads, str) else ("weights", plan.heads)
    predicts = _predicts(plan.encoder, encodings)
    graph, logits = _encode(plan.encoder.module, batch, plan.residual, weights, named=named, predicts=predicts)
    return _Batch(items, graph, jnp.asarray(queries), logits)


def _predicts(encoder: TextEncoder, encodings: list[Encoding]) -> bool:
    """Whether the head has something to say; a masked LM's has where there is a mask, and is costly elsewhere."""
    head = encoder.config.head.name
    if head == "masked_lm":
        return any(encoder.tokenizer.mask_token_id in encoding.input_ids for encoding in encodings)
    # A multiple choice is made among several texts, which are no batch of their own here.
    return head not in ("bare", "multiple_choice")


@partial(jax.jit, static_argnames=("named", "predicts"))
def _encode(
    module: Encoder,
    batch: TokenBatch,
    residual: Float[Array, ""],
    weights: Float[Array, "layer head"] | None,
    *,
    named: str,
    predicts: bool,
) -> tuple[AttentionGraph, Any]:
    """The graph of a batch, heads fused as each layer comes, and the head's numbers."""

    def visit(layer: Int[Array, ""], out: LayerOutput) -> tuple[Any, Any]:
        heads = named if weights is None else weights[layer][None, :]
        fused = attention.fuse_heads(out.attention[..., None, :, :, :], batch.mask, heads)
        return layer + 1, fused[..., 0, :, :]

    _, last, _, fused = module.visit_layers(batch, visit, jnp.zeros((), jnp.int32))
    logits = None
    if predicts:
        assert module.head is not None
        logits = module.head(last, module.embeddings.words.table[...], None)
    shares = jnp.broadcast_to(residual, batch.mask.shape[:-1])
    return AttentionGraph(attention=jnp.moveaxis(fused, 0, -3), residual=shares, mask=batch.mask), logits


def _begin(plan: _Plan, batch: _Batch, worker: Worker) -> Callable[[], dict[int, Example]]:
    """Begin a batch's methods; gives what waits for them."""
    finite = np.isfinite(np.asarray(batch.graph.attention))
    for row, item in enumerate(batch.items):
        if not finite[row].all():
            raise InputError(
                f"the model's attention is not a number for {item.place}; check its weights, or load it in float32"
            )
    begun = {
        method.name: begin_scores(method, batch.graph, batch.queries, plan.layers, worker) for method in plan.methods
    }
    return lambda: _finish(plan, batch, {name: finish() for name, finish in begun.items()})


def _finish(plan: _Plan, batch: _Batch, scores: dict[str, Scores]) -> dict[int, Example]:
    """Examples of a batch, padding cut away."""
    relevance = {name: np.asarray(score.relevance) for name, score in scores.items()}
    proven = [np.asarray(score.certified) for score in scores.values() if score.certified is not None]
    settled = [np.asarray(score.settled) for score in scores.values() if score.settled is not None]
    predictions: list[Prediction | None] = [None] * len(batch.items)
    if batch.logits is not None:
        encodings = [item.encoding for item in batch.items]
        predictions = list(plan.encoder.predict(np.asarray(batch.logits)[: len(encodings)], encodings))
    examples = {}
    for row, (item, prediction) in enumerate(zip(batch.items, predictions, strict=True)):
        own = (row, slice(None), slice(len(item.queries)), slice(len(item.encoding)))
        examples[item.index] = Example(
            text=item.text,
            pair=item.pair,
            tokens=item.encoding.tokens,
            offsets=item.encoding.offsets,
            source=item.encoding.source,
            queries=item.queries,
            layers=plan.layers,
            relevance={name: values[own] for name, values in relevance.items()},
            certified=np.logical_and.reduce([values[own] for values in proven]) if proven else None,
            prediction=None if prediction is None else prediction.label,
            scores={} if prediction is None else prediction.scores,
            stages=count_stages(np.stack([values[own] for values in settled])) if settled else None,
        )
    return examples
