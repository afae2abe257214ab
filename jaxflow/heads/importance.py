"""Importance of each head for a model's prediction."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxflow._checks import one_of
from jaxflow._typing import Given
from jaxflow.evaluation import Interval, Target, TokenInputs, mean_interval, token_inputs
from jaxflow.evaluation.batches import run_examples, whole_logits
from jaxflow.evaluation.inputs import Texts
from jaxflow.evaluation.target import ON_HOST, Classes, resolve, scale_of, target_value
from jaxflow.heads.class_attention import BATCH_TOKENS, gated_scores
from jaxflow.models import ForwardOptions, LayerOutput, Model, Module, TokenBatch
from jaxflow.models.model import check_gives
from jaxflow.running import Call, Inputs, put_layer

IMPORTANCES = ("gradient", "ablation")
# Least probability in a logarithm; near the end of float32's range.
LEAST = 1e-30


@dataclass(frozen=True, eq=False)
class HeadImportance:
    """Effect of each head on the log-probability of a class.

    Attributes:
        signed: by gradient the derivative in the head's gate, by ablation the fall when the head is taken away;
            above 0 where the head speaks for the class.
        classes: the class of each text.
    """

    signed: Float[np.ndarray, "example layer head"]
    classes: Int[np.ndarray, " example"]

    @property
    def mean(self) -> Float[np.ndarray, "layer head"]:
        """Importance: mean of the absolute values over texts (Michel et al. 2019)."""
        return np.abs(self.signed).mean(axis=0)

    @property
    def weights(self) -> Float[np.ndarray, "layer head"]:
        """Importance as weights of an average over heads, for `heads=` of `attention_graph`, `attribute` and others.

        Each layer's largest is 1; where no head of a layer matters, all count alike.
        """
        largest = self.mean.max(axis=-1, keepdims=True)
        return np.where(largest > 0, self.mean / np.where(largest > 0, largest, 1), 1.0)

    def interval(self, **options: Any) -> Interval:
        """The importance with its bootstrap interval; options as `evaluation.mean_interval`."""
        return mean_interval(np.abs(self.signed), **options)


def head_importance(
    model: Model,
    texts: Texts,
    method: str = "gradient",
    *,
    classes: Given[Classes] = "predicted",
    batch_tokens: int = BATCH_TOKENS,
) -> HeadImportance:
    """Measure the effect of each head on the log-probability of a class.

    Args:
        model: a model that classifies texts: heads are important for a class.
        texts: anything that `evaluation.token_inputs` takes.
        method: `"gradient"`, the derivative in a gate on the head's output, at 1 (Michel et al. 2019; with the correct
            labels it is that of the loss, its sign turned); or `"ablation"`, the loss when one head at a time gives
            nothing.
        classes: `"predicted"`, an index or label, or one for each text: the correct labels, say.
        batch_tokens: rows times length of a batch, about; bounds memory on the device.

    Returns:
        A number a text, layer and head. Cost: about three forward passes, and by ablation one for each head.

    Raises:
        InputError: the model does not classify texts, or an argument does not fit.
    """
    one_of("method", method, IMPORTANCES)
    target = Target(classes)
    inputs = token_inputs(model, texts)
    if method == "gradient":
        value, settled, _, gates = gated_scores(model, inputs, target, batch_tokens, keeps_weights=False)
        return HeadImportance(log_gates(value, gates), settled)
    return _ablated(model, inputs, target, batch_tokens)


def _ablated(model: Model, inputs: TokenInputs, target: Target, batch_tokens: int) -> HeadImportance:
    check_gives(model, "gradients", 'head_importance by "ablation"')
    # The plain pass holds no attention, so its batches may be larger.
    scale, logits = scale_of(model, target), whole_logits(model, inputs, 4 * batch_tokens)
    classes, _ = resolve(model, target, len(inputs), lambda: logits)

    def log_probability(numbers: np.ndarray, of: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(target_value(ON_HOST[scale](numbers), of, None), LEAST))

    def call(batch: TokenBatch, rows: np.ndarray) -> Call:
        return Call(WithoutEachHead(), Inputs(batch, None, None))

    shape = (model.layers, model.heads)
    # row head label, heads of all layers in one axis.
    ablated = np.stack(run_examples(model, inputs, call, batch_tokens))
    whole = log_probability(logits, classes)
    left = log_probability(ablated, np.broadcast_to(classes[:, None], ablated.shape[:2]))
    signed = (whole[:, None] - left).reshape(-1, *shape)
    return HeadImportance(signed, classes)


def log_gates(
    value: Float[np.ndarray, " example"], gates: Float[np.ndarray, "example layer head"]
) -> Float[np.ndarray, "example layer head"]:
    """Derivatives of the log-probability in heads' gates, from those of the probability."""
    # d log p = dp / p
    return gates / np.maximum(value, LEAST)[:, None, None]


@dataclass(frozen=True)
class WithoutEachHead:
    """The program that removes one head's attention at a time: logits, `row every_head label`."""

    def __call__(self, module: Module, inputs: Inputs) -> Float[Array, "row every_head label"]:
        """As many forward passes as there are heads, and one."""
        batch, layers, heads = inputs.batch, module.depth, module.heads
        rows, tokens = batch.mask.shape
        # Room for the attention of the first pass, which the shifts take away again.
        room = jnp.zeros((rows, layers, heads, tokens, tokens), jnp.float32)
        # row layer head query key
        _, attention = module.run(batch, _keep_attention, room, ForwardOptions())

        def without(number: Int[Array, ""]) -> Float[Array, "row label"]:
            # layer head: true at the head that is removed.
            here = jnp.arange(layers * heads).reshape(layers, heads) == number
            # Layers below are unchanged, so the head's attention here is that of the first pass, and the sum is 0.
            shift = -attention * here[:, :, None, None].astype(attention.dtype)
            last, _ = module.run(batch, _watch_nothing, None, ForwardOptions(attention_shift=shift))
            return module.logits(last, batch)

        # One head after the other: memory holds one ablated pass; then heads behind the rows.
        return jnp.moveaxis(jax.lax.map(without, jnp.arange(layers * heads)), 0, 1)


def _keep_attention(room: Float[Array, "row layer head token token"], layer: LayerOutput) -> Float[Array, "..."]:
    return put_layer(room, layer.attention, layer.index)


def _watch_nothing(carry: None, layer: LayerOutput) -> None:
    return None
