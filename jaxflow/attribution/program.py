"""What a device does with a batch: the encoder, and beside each of its layers that layer's share of the methods."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow import attention
from jaxflow._pytree import pytree
from jaxflow._switches import broadcasting
from jaxflow._typing import AtLayers, Queries, Square
from jaxflow.attribution.methods import Streaming
from jaxflow.graph import AttentionGraph, mix
from jaxflow.models import Encoder, LayerOutput, TokenBatch
from jaxflow.models.packing import Packing


@dataclass(frozen=True)
class Job:
    """What is computed of a batch: what a program is compiled for, beside the shapes.

    Attributes:
        streaming: methods that take the layers one by one.
        layers: whose relevance is kept, counted from 1.
        heads: how heads are fused, by name; `"weights"` for weights.
        keeps_graph: keep the attention of all layers, which methods that don't stream need.
        predicts: run the model's head.
    """

    streaming: tuple[Streaming, ...]
    layers: tuple[int, ...]
    heads: str
    keeps_graph: bool
    predicts: bool


@pytree
class Inputs:
    """What a program takes beside the encoder.

    Attributes:
        batch: padded token sequences.
        queries: positions that are asked for; None where every one is.
        residual: share of the residual connection.
        weights: of the heads, if they are fused by weights.
        packing: where real tokens stand, if the batch is packed.
    """

    batch: TokenBatch
    queries: Queries | None
    residual: Float[Array, ""]
    weights: Float[Array, "layer head"] | None
    packing: Packing | None


@pytree
class Streamed:
    """What a program gives.

    Attributes:
        relevance: by the streaming methods' names, at the layers and queries that were asked for.
        graph: the graph of the batch, if it is kept.
        finite: whether an example's attention is numbers throughout.
        logits: the head's numbers, if it ran.
    """

    relevance: dict[str, AtLayers]
    graph: AttentionGraph | None
    finite: Bool[Array, "*batch"]
    logits: Float[Array, "..."] | None


@pytree
class _Carry:
    """What goes from layer to layer."""

    layer: Int[Array, ""]
    finite: Bool[Array, "*batch"]
    methods: tuple[Any, ...]
    kept: tuple[Float[Array, "*batch place query token"], ...]
    attention: Float[Array, "*batch layer token token"] | None


@broadcasting
def stream(module: Encoder, inputs: Inputs, job: Job) -> Streamed:
    """Run the encoder, and the streaming methods within its scan over layers.

    Neither the attention of the heads of all layers is stored, nor (unless the graph is asked for) one matrix of each
    layer: of relevance only the rows and layers that were asked for. Cost beyond the encoder's: a layer's
    head * token^2 for fusing, and what the methods take (rollout: token^3).
    """
    batch, queries = inputs.batch, inputs.queries
    shares = jnp.broadcast_to(inputs.residual, batch.mask.shape[:-1])
    places = _places(job.layers, module.config.layers)

    def visit(carry: _Carry, out: LayerOutput) -> tuple[_Carry, None]:
        heads = job.heads if inputs.weights is None else inputs.weights[carry.layer][None, :]
        fused = attention.fuse_heads(out.attention[..., None, :, :, :], batch.mask, heads)
        mixing = mix(fused, shares[..., None, None, None], batch.mask)[..., 0, :, :]
        fused = fused[..., 0, :, :]
        stepped = [method.step(own, fused, mixing) for method, own in zip(job.streaming, carry.methods, strict=True)]
        place = jnp.asarray(places)[carry.layer]
        rows = [relevance if queries is None else _rows(relevance, queries) for _, relevance in stepped]
        return _Carry(
            layer=carry.layer + 1,
            finite=carry.finite & jnp.isfinite(fused).all((-1, -2)),
            methods=tuple(own for own, _ in stepped),
            kept=tuple(_put(kept, row, place) for kept, row in zip(carry.kept, rows, strict=True)),
            attention=None if carry.attention is None else _put(carry.attention, fused, carry.layer),
        ), None

    _, last, carry, _ = module.visit_layers(batch, visit, _start(inputs, job, places), packing=inputs.packing)
    order = places[np.asarray(job.layers, int) - 1]
    names = [method.name for method in job.streaming]
    graph = None
    if carry.attention is not None:
        graph = AttentionGraph(attention=carry.attention, residual=shares, mask=batch.mask)
    return Streamed(
        relevance={name: _ordered(kept, order) for name, kept in zip(names, carry.kept, strict=True)},
        graph=graph,
        finite=carry.finite,
        logits=_logits(module, last) if job.predicts else None,
    )


def _start(inputs: Inputs, job: Job, places: np.ndarray) -> _Carry:
    """Before the first layer: room for what will be kept."""
    mask = inputs.batch.mask
    examples, tokens = mask.shape[:-1], mask.shape[-1]
    rows = tokens if inputs.queries is None else inputs.queries.shape[-1]

    def room(*axes: int) -> Float[Array, "*batch place query token"]:
        return jnp.zeros((*examples, *axes, tokens), jnp.float32)

    return _Carry(
        layer=jnp.zeros((), jnp.int32),
        finite=jnp.ones(examples, bool),
        methods=tuple(method.start(mask) for method in job.streaming),
        kept=tuple(room(int(places.max()) + 1, rows) for _ in job.streaming),
        attention=room(len(places), tokens) if job.keeps_graph else None,
    )


def _places(layers: tuple[int, ...], depth: int) -> np.ndarray:
    """Where each layer's relevance is put: those that nobody asked for into one place that is never read."""
    chosen = sorted(set(layers))
    places = np.full(depth, len(chosen), np.int32)
    places[np.asarray(chosen, int) - 1] = np.arange(len(chosen))
    return places


def _put(kept: Array, rows: Array, place: Array) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(kept, rows[..., None, :, :], place, kept.ndim - 3)


def _rows(relevance: Square, queries: Queries) -> Float[Array, "*batch query token"]:
    return jnp.take_along_axis(relevance, queries[..., :, None], axis=-2)


def _ordered(kept: Array, order: np.ndarray) -> AtLayers:
    """The layers as they were asked for, without a copy where that is how they lie."""
    if np.array_equal(order, np.arange(kept.shape[-3])):
        return kept
    return kept[..., order, :, :]


def _logits(module: Encoder, last: Float[Array, "*batch token width"]) -> Float[Array, "..."]:
    assert module.head is not None
    return module.head(last, module.embeddings.words.table[...], None)
