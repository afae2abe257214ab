"""Attention weighted by its effect on a class's score: heads fused in a way that depends on the class."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._pytree import pytree
from jaxflow._switches import broadcasting
from jaxflow._typing import ArrayLike, Capacity, Given, Relevance
from jaxflow.evaluation import Target, TokenInputs, token_inputs
from jaxflow.evaluation.batches import check_finite, for_every_row, run_examples
from jaxflow.evaluation.inputs import Texts
from jaxflow.evaluation.target import Explained, check_different, explained_of
from jaxflow.graph.graph import AttentionGraph, attention_graph
from jaxflow.graph.rollout import product
from jaxflow.mixing._gradients import raising
from jaxflow.models import Model, TokenBatch
from jaxflow.running import Call, Forward, Inputs, PassOutputs, ReaderInputs
from jaxflow.running.readers import CarriesHeads

# Rows times length of a batch: the gradient in the attention of all heads is held at once.
BATCH_TOKENS = 2048


@dataclass(frozen=True, eq=False)
class ClassAttention:
    """Attention of some texts, heads fused by the gradient of a class's score.

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

    def graph(self, residual: ArrayLike = 0.5) -> AttentionGraph:
        """The graph of `AttentionGradient(own=residual)`: rows scaled to sum to 1; an empty row stays with itself.

        Rollout and flow on it are those of the class. As the score is read off the first position, all other rows of
        the last layer are empty.
        """
        # One fused head a layer: example layer head token token.
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
    """Scores from the gradient in the attention of all heads.

    Attributes:
        value: the explained number.
        classes: the class that is explained.
        weights: `relu(gradient * attention)`, mean over heads, 0 on padding; None where they are not kept.
        gates: derivative of the value in a gate of each head, at 1.
    """

    value: Float[Array, " row"]
    classes: Int[Array, " row"]
    weights: Float[Array, "row layer token token"] | None
    gates: Float[Array, "row layer head"]


@dataclass(frozen=True)
class ClassGradient(CarriesHeads):
    """The reader of `GatedScores`. Its arrays: classes of the rows, and classes set against them; either may be None.

    The gradient is the total one: attention of later layers moves along. Memory: three times the attention of all
    heads.

    Attributes:
        number: the number that is explained.
        keeps_weights: whether to return the weights, one matrix a layer.
    """

    number: Explained
    keeps_weights: bool
    needs_logits: bool = True

    def explained(self, inputs: ReaderInputs, logits: Float[Array, "row label"]) -> Float[Array, " row"]:
        """The number whose gradient is taken."""
        return self.number.value(logits, inputs.examples)

    def finish(
        self, inputs: ReaderInputs, carry: Float[Array, "row layer head token token"], outputs: PassOutputs
    ) -> GatedScores:
        """The effect of each weight and of each head on the number."""
        assert outputs.logits is not None
        assert outputs.explained is not None
        assert outputs.gradient is not None
        classes, _ = self.number.classes(outputs.logits, inputs.examples)
        assert classes is not None
        # row layer head query key: derivatives in padding's attention mean nothing.
        mask = inputs.mask[:, None]
        pairs = (mask[..., :, None] & mask[..., None, :])[:, :, None]
        effects = jnp.where(pairs, outputs.gradient * carry, jnp.zeros_like(carry))
        # A head's output is linear in its attention A, so the derivative in a gate g on it, at g = 1, is
        # d y / d g = sum_qk A_qk dy / dA_qk.
        return GatedScores(
            value=outputs.explained,
            classes=classes,
            weights=raising(carry * outputs.gradient, mask) if self.keeps_weights else None,
            gates=jnp.sum(effects, axis=(-2, -1)),
        )


def class_attention(
    model: Model,
    texts: Texts,
    *,
    target: Given[str | int | Sequence[str | int] | Target] = "predicted",
    batch_tokens: int = BATCH_TOKENS,
) -> ClassAttention:
    """Fuse heads by `relu(gradient of a class's score * attention)` (Chefer, Gur & Wolf 2021).

        attention = class_attention(model, texts, target="positive")
        jf.attention_flow(attention.graph(), queries=0)

    The gradient is the total derivative: attention of later layers moves along, as with a hook in PyTorch.

    Args:
        model: a model that classifies texts.
        texts: anything that `evaluation.token_inputs` takes.
        target: a class: `"predicted"`, an index or label, or one for each text, whose logit is explained; or an
            `evaluation.Target`.
        batch_tokens: rows times length of a batch, about; bounds memory on the device.

    Returns:
        One matrix a layer and text: example * layer * token^2 numbers in all. Cost: about three forward passes.

    Raises:
        InputError: the model does not classify texts, or an argument does not fit.
    """
    # Chefer et al. take the gradient of the logit, which does not fade where the probability nears 1.
    number = target if isinstance(target, Target) else Target(target, quantity="logit")
    inputs = token_inputs(model, texts)
    value, classes, weights, _ = gated_scores(model, inputs, number, batch_tokens, keeps_weights=True)
    assert weights is not None
    return ClassAttention(weights, inputs.mask, value, classes)


def gated_scores(
    model: Model, inputs: TokenInputs, target: Target, batch_tokens: int, *, keeps_weights: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """Of all texts: the explained number, its class, the weights if kept, and the derivatives in gates."""
    number, (given, against) = explained_of(model, target, len(inputs))
    program = Forward((ClassGradient(number, keeps_weights),))

    def call(batch: TokenBatch, rows: np.ndarray) -> Call:
        # None where the program chooses the class from the logits.
        chosen = (None if each is None else for_every_row(each[rows], batch) for each in (given, against))
        return Call(program, Inputs(batch, jax.tree.map(jnp.asarray, (tuple(chosen),)), None))

    layers, heads, width = model.layers, model.heads, inputs.mask.shape[1]
    value, classes = np.zeros(len(inputs), np.float32), np.zeros(len(inputs), np.int32)
    gates = np.zeros((len(inputs), layers, heads), np.float32)
    weights = np.zeros((len(inputs), layers, width, width), np.float32) if keeps_weights else None
    results = run_examples(model, inputs, call, batch_tokens, pair_numbers=layers * heads)
    for row, (scores,) in enumerate(results):
        value[row], classes[row], gates[row] = scores.value, scores.classes, scores.gates
        if weights is not None:
            # Padding differs: a batch's is that of its bucket, the result's that of the longest text.
            size = min(width, scores.weights.shape[-1])
            weights[row, :, :size, :size] = scores.weights[:, :size, :size]
    check_gates(gates)
    # The class that the program chose is known only now.
    if against is not None:
        check_different(classes, against)
    return value, classes, weights, gates


def check_gates(gates: Float[np.ndarray, "example layer head"]) -> None:
    """Refuse NaN and infinity in gradients.

    Raises:
        InputError: naming the example.
    """
    check_finite(gates, "the gradient of example")


@jax.jit
@broadcasting
def _relevance(weights: Capacity, mask: Bool[Array, "*batch token"]) -> Relevance:
    # R = I on real tokens; padding's rows stay 0.
    identity = jnp.eye(weights.shape[-1], dtype=weights.dtype) * mask[..., :, None].astype(weights.dtype)

    def step(below: Array, layer: Array) -> tuple[Array, Array]:
        above = below + product(layer, below)
        return above, above

    # Layers in front for the scan, and behind the batch again for the result.
    _, stacked = jax.lax.scan(step, identity, jnp.moveaxis(weights, -3, 0))
    return jnp.moveaxis(stacked, 0, -3)
