"""The job: texts through an encoder, batch by batch, and each batch's graph through the methods."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxflow import _checks, attention
from jaxflow._checks import InputError
from jaxflow._typing import Queries
from jaxflow.attribution.methods import Method, Scores, as_methods, begin_scores
from jaxflow.attribution.result import Attribution, Example
from jaxflow.flow.solution import Solver, count_stages
from jaxflow.flow.solve import as_layers
from jaxflow.flow.worker import Worker
from jaxflow.graph import AttentionGraph, as_residual
from jaxflow.models import Encoder, Encoding, Prediction, TextEncoder, TokenBatch
from jaxflow.models.batch import LayerOutput

# Sequences are padded to one of these lengths, so that few programs are compiled for texts of many lengths.
BUCKETS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


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
    if not isinstance(encoder, TextEncoder):
        raise InputError(f"`encoder` must come from load_encoder, got {type(encoder).__name__}")
    if isinstance(texts, str):
        texts = [texts]
        pairs = [pairs] if isinstance(pairs, str) else pairs
    plan = _Plan(
        encoder=encoder,
        methods=as_methods(methods, flow, tol),
        layers=as_layers(layers, encoder.config.layers),
        heads=_as_heads(heads, encoder.config.layers, encoder.config.heads),
        residual=as_residual(residual, (), jnp.float32),
        batch_size=_as_batch_size(batch_size),
    )
    items = _items(encoder, texts, pairs, queries, max_length=max_length, truncate=truncate)
    found: dict[int, Example] = {}
    # Closed whatever happens, so that nothing goes on solving behind an error or an interrupt.
    with closing(_solved(plan, items)) as solved:
        for examples in solved:
            found |= examples
            if progress is not None:
                progress(len(examples))
    return Attribution(tuple(found[index] for index in range(len(items))))


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
class _Item:
    """One text, its tokens and the positions that are asked for."""

    index: int
    text: str
    pair: str | None
    encoding: Encoding
    queries: Int[np.ndarray, " query"]


@dataclass(frozen=True)
class _Batch:
    """A batch on its way: which texts it holds, and what the device is making of them."""

    items: list[_Item]
    graph: AttentionGraph
    queries: Queries
    logits: Any


def _items(
    encoder: TextEncoder, texts: Any, pairs: Any, queries: Any, *, max_length: int | None, truncate: bool
) -> list[_Item]:
    texts = texts if not isinstance(texts, Iterable) else list(texts)
    pairs = pairs if isinstance(pairs, str) or not isinstance(pairs, Iterable) else list(pairs)
    if isinstance(texts, list) and not texts:
        raise InputError("`texts` must hold at least one text, got none")
    encodings = encoder.tokenize(texts, pairs, max_length=max_length, truncate=truncate)
    rows = _as_rows(queries, len(texts))
    items = []
    for index, encoding in enumerate(encodings):
        chosen = np.arange(len(encoding)) if rows is None else rows[index]
        if chosen.min() < 0 or chosen.max() >= len(encoding):
            wrong = chosen[(chosen < 0) | (chosen >= len(encoding))][0]
            raise InputError(f"`queries` must be positions of tokens, got {wrong} for text {index} of {len(encoding)}")
        items.append(_Item(index, texts[index], None if pairs is None else pairs[index], encoding, chosen))
    return items


def _as_rows(queries: Any, texts: int) -> Int[np.ndarray, "text query"] | None:
    if queries is None:
        return None
    try:
        array = np.asarray(queries)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iu" or not array.size or array.ndim > 2 or (array.ndim == 2 and len(array) != texts):
        raise InputError(
            f"`queries` must be None, an int, a sequence of ints, or integers of shape ({texts}, any), got {queries!r}"
        )
    return np.broadcast_to(array, (texts, array.shape[-1] if array.ndim else 1))


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


def _solved(plan: _Plan, items: list[_Item]) -> Generator[dict[int, Example], None, None]:
    """Finished batches: examples by their text's index.

    Three batches are on their way: the forward pass of the last, what else the device does for the one before, and
    what the CPU solves for the one before that.
    """
    with Worker() as worker:
        started: _Batch | None = None
        begun: deque[Callable[[], dict[int, Example]]] = deque()
        for chosen in [*_batches(items, plan.batch_size), None]:
            following = None if chosen is None else _start(plan, chosen)
            if started is not None:
                begun.append(_begin(plan, started, worker))
            started = following
            while len(begun) > (0 if chosen is None else 1):
                yield begun.popleft()()


def _batches(items: list[_Item], size: int) -> Iterator[list[_Item]]:
    """Texts of one bucket of lengths together, at most `size` at once."""
    buckets: dict[int, list[_Item]] = {}
    for item in items:
        buckets.setdefault(_bucket(len(item.encoding)), []).append(item)
    for _, chosen in sorted(buckets.items()):
        yield from (chosen[start : start + size] for start in range(0, len(chosen), size))


def _bucket(length: int) -> int:
    return next((size for size in BUCKETS if size >= length), -(-length // BUCKETS[-1]) * BUCKETS[-1])


def _start(plan: _Plan, items: list[_Item]) -> _Batch:
    encodings = [item.encoding for item in items]
    length = min(_bucket(max(map(len, encodings))), plan.encoder.max_length)
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
                f"the model's attention is not a number for text {item.index}; check its weights, or load it in float32"
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
