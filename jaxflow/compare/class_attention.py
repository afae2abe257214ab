"""Attention weighted by what a class's score owes to it: a way of fusing heads that depends on the class."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._checks import InputError
from jaxflow._pytree import pytree
from jaxflow._switches import broadcasting
from jaxflow._typing import Mixing, Relevance
from jaxflow.evaluation import Target, TokenInputs, token_inputs
from jaxflow.evaluation.batches import as_batch, cut, over_chunks, variant_logits
from jaxflow.evaluation.target import ON_DEVICE, resolve, scale_of, target_value
from jaxflow.graph import AttentionGraph, attention_graph
from jaxflow.models import Encoder, TextEncoder, TokenBatch
from jaxflow.rollout import product

# Rows times length of a batch: the gradient in the attention of all heads is held at once.
BATCH_TOKENS = 2048


@dataclass(frozen=True, eq=False)
class ClassAttention:
    """Attention of some texts, heads fused by how much a class's score rests on them.

    Attributes:
        weights: `mean over heads of relu(gradient * attention)` of each layer, 0 on padding. Rows do not sum to 1:
            where the score doesn't rest on a position, its row is 0.
        mask: true on real tokens.
        value: the explained number of each text.
        classes: the class that was explained.
    """

    weights: Float[np.ndarray, "example layer token token"]
    mask: Bool[np.ndarray, "example token"]
    value: Float[np.ndarray, " example"]
    classes: Int[np.ndarray, " example"]

    def graph(self, residual: Any = 0.5) -> AttentionGraph:
        """The graph of these weights, rows scaled to sum to 1; an empty row stays with itself.

        Rollout and flow on it are those of the class. As the score is read off the first position, all other rows of
        the last layer are empty.
        """
        return attention_graph(self.weights[:, :, None], self.mask, residual=residual, normalize=True)

    def relevance(self) -> Relevance:
        """Chefer et al.'s own class-specific rollout, `example layer query token`: `R <- R + weights R` from `R = I`.

        That is the product of `I + weights` over layers (2021a's rollout without its relevance propagation, and 2021b's
        rule for self-attention): weights keep their size instead of being scaled, so that a layer that the class rests
        on more counts for more. The class's row is that of the position its score is read from, 0.
        """
        return _relevance(jnp.asarray(self.weights), jnp.asarray(self.mask))


@pytree
class GatedScores:
    """What a gradient in the attention of all heads gives.

    Attributes:
        value: the explained number.
        weights: `relu(gradient * attention)`, mean over heads, 0 on padding.
        gates: derivative of the value in a gate of each head, at 1.
    """

    value: Float[Array, " row"]
    weights: Float[Array, "row layer token token"]
    gates: Float[Array, "row layer head"]


def class_attention(
    encoder: TextEncoder,
    texts: Any,
    *,
    target: Any = "predicted",
    batch_tokens: int = BATCH_TOKENS,
) -> ClassAttention:
    """Fuse heads by `relu(gradient of a class's score * attention)` (Chefer, Gur & Wolf 2021).

        found = class_attention(encoder, texts, target="positive")
        jf.attention_flow(found.graph(), queries=0)

    The gradient is the total one: attention of later layers moves along, as when a hook reads it off in PyTorch.

    Args:
        encoder: a model that classifies texts.
        texts: anything that `evaluation.token_inputs` takes.
        target: a class: `"predicted"`, an index or label, or one for each text, whose logit is explained; or an
            `evaluation.Target`.
        batch_tokens: rows times length of a batch, about; bounds memory on the device.

    Returns:
        One matrix a layer and text: example * layer * token^2 numbers in all. Cost: about three forward passes.

    Raises:
        InputError: the model does not classify texts, or an argument does not fit.
    """
    given = target if isinstance(target, Target) else Target(target, quantity="logit")
    inputs = token_inputs(encoder, texts)
    value, classes, weights, _ = gated_scores(encoder, inputs, given, batch_tokens, keeps_weights=True)
    assert weights is not None
    return ClassAttention(weights, inputs.mask, value, classes)


def class_graph(
    encoder: TextEncoder, batch: TokenBatch, logits: Float[Array, "row label"], target: Target, residual: Any
) -> AttentionGraph:
    """`ClassAttention.graph` of one batch, whose logits are there already.

    Args:
        encoder: a model that classifies texts.
        batch: its tokens; rows without a token are empty in the graph.
        logits: of the batch.
        target: what is explained: one class for all rows, or the predicted one.
        residual: share of the residual connection.

    Raises:
        InputError: the model does not classify texts, or has no such class.
    """
    classes, against = resolve(encoder, target, len(logits), lambda: np.asarray(logits))
    second = None if against is None else jnp.asarray(against)
    found = _gated(encoder.module, batch, jnp.asarray(classes), second, scale=scale_of(encoder, target))
    # A graph has a token in every example; in a row that only fills the batch, it stays with itself.
    filled = jnp.any(batch.mask, axis=-1, keepdims=True)
    mask = batch.mask | (~filled & (jnp.arange(batch.mask.shape[-1]) == 0))
    graph = attention_graph(found.weights[:, :, None], mask, residual=residual, normalize=True)
    return replace(graph, mask=batch.mask, attention=jnp.where(filled[..., None, None], graph.attention, 0.0))


def gated_scores(
    encoder: TextEncoder, inputs: TokenInputs, target: Target, batch_tokens: int, *, keeps_weights: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """The explained number, its class, weights (where they are kept) and derivatives in gates of all texts."""
    scale = scale_of(encoder, target)
    every = np.arange(len(inputs))
    classes, against = resolve(
        encoder,
        target,
        len(inputs),
        lambda: variant_logits(encoder, inputs, every, None, blank=None, batch_tokens=4 * batch_tokens),
    )

    def run(rows: np.ndarray, length: int) -> GatedScores:
        ids, mask, segments = cut(inputs, rows, length)
        batch = as_batch(np.where(mask, ids, encoder.config.pad_id), mask, segments)
        second = None if against is None else jnp.asarray(against[rows])
        return _gated(encoder.module, batch, jnp.asarray(classes[rows]), second, scale=scale)

    layers, heads, width = encoder.config.layers, encoder.config.heads, inputs.mask.shape[1]
    value = np.zeros(len(inputs), np.float32)
    gates = np.zeros((len(inputs), layers, heads), np.float32)
    weights = np.zeros((len(inputs), layers, width, width), np.float32) if keeps_weights else None
    for rows, found in over_chunks(inputs.lengths, encoder.max_length, batch_tokens, run):
        value[rows], gates[rows] = found.value, found.gates
        if weights is not None:
            size = min(width, found.weights.shape[-1])
            weights[rows, :, :size, :size] = found.weights[:, :, :size, :size]
    wrong = ~np.isfinite(gates).all(axis=(1, 2))
    if wrong.any():
        raise InputError(f"the gradient is not a number for example {int(wrong.argmax())}; check the model's weights")
    return value, classes, weights, gates


@partial(jax.jit, static_argnames="scale")
@broadcasting
def _gated(
    module: Encoder,
    batch: TokenBatch,
    classes: Int[Array, " row"],
    against: Int[Array, " row"] | None,
    *,
    scale: str,
) -> GatedScores:
    config = module.config
    rows, tokens = batch.mask.shape

    def explained(shift: Float[Array, "row layer head token token"]) -> tuple[Array, tuple[Array, Array]]:
        out = module(batch, attention_shift=shift, return_hidden_states=False)
        assert out.attention is not None
        value = target_value(ON_DEVICE[scale](out.logits), classes, against)
        # Rows don't touch each other, so the gradient of their sum holds each row's own.
        return value.sum(), (value, out.attention)

    zero = jnp.zeros((rows, config.layers, config.heads, tokens, tokens), jnp.float32)
    gradient, (value, attention) = jax.grad(explained, has_aux=True)(zero)
    pairs = (batch.mask[:, :, None] & batch.mask[:, None, :])[:, None, None]
    owed = jnp.where(pairs, gradient * attention, jnp.zeros_like(gradient))
    # A head's output is linear in its attention, so the derivative in a factor before it is the sum of what its
    # weights are worth.
    return GatedScores(value, jnp.mean(jnp.maximum(owed, 0), axis=-3), jnp.sum(owed, axis=(-2, -1)))


@jax.jit
@broadcasting
def _relevance(weights: Mixing, mask: Bool[Array, "*batch token"]) -> Relevance:
    identity = jnp.eye(weights.shape[-1], dtype=weights.dtype) * mask[..., :, None].astype(weights.dtype)

    def step(below: Array, layer: Array) -> tuple[Array, Array]:
        above = below + product(layer, below)
        return above, above

    _, stacked = jax.lax.scan(step, identity, jnp.moveaxis(weights, -3, 0))
    return jnp.moveaxis(stacked, 0, -3)
