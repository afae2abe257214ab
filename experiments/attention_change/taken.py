"""Counterfactuals: what a model says without some of its heads, all taken away at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Bool, Float

from experiments.attention_change.classes import ALONE
from experiments.attention_change.statistics import cells
from experiments.attention_change.texts import Marked
from jaxflow.compare import head_importance
from jaxflow.evaluation import token_inputs
from jaxflow.evaluation.batches import for_every_row, run_examples
from jaxflow.heads.class_attention import BATCH_TOKENS
from jaxflow.heads.names import head_number
from jaxflow.models import Encoder, Model, Module, TokenBatch
from jaxflow.running import Call, Inputs

TAKEN, DRAWS = 5, 3


def taken_record(
    model: Model, texts: Sequence[Marked], predicted: np.ndarray, case: int, seed: int = 0
) -> dict[str, Any]:
    """Does a prediction turn without the `TAKEN` heads that speak for it most, and without all heads of a layer?

    The heads are those whose gates raise the log-probability of the predicted class most, by the gradient; against as
    many drawn at random, mean of `DRAWS` draws.

    Args:
        model: a classifier.
        texts: of any length that the model takes.
        predicted: class of each.
        case: the text that is told in full.
        seed: of the draws.
    """
    signed = head_importance(
        model, [text.text for text in texts], classes=tuple(map(int, predicted)), batch_tokens=ALONE
    ).signed
    number, layers, heads = signed.shape
    draws = np.random.default_rng(seed)
    ranked = np.argsort(-signed.reshape(number, -1), axis=-1)
    named = {"heads by gradient": _chosen(ranked, signed.shape)}
    for draw in range(DRAWS):
        order = np.argsort(draws.random((number, layers * heads)), axis=-1)
        named[f"random {draw}"] = _chosen(order, signed.shape)
    for layer in range(layers):
        away = np.zeros(signed.shape, bool)
        away[:, layer] = True
        named[f"layer {layer + 1}"] = away
    whole = logits_without(model, texts, np.zeros(signed.shape, bool))
    found = {name: _moved(whole, logits_without(model, texts, away), predicted) for name, away in named.items()}
    chance = np.mean([found.pop(f"random {draw}") for draw in range(DRAWS)], axis=0)
    found["heads at random"] = chance
    record: dict[str, Any] = {
        name: {
            what: cells(values[:, column : column + 1])[0].record()
            for column, what in enumerate(("fall of probability", "prediction turned"))
        }
        for name, values in found.items()
    }
    for column, what in enumerate(("fall of probability", "prediction turned")):
        apart = (found["heads by gradient"] - chance)[:, column : column + 1]
        record["heads by gradient"][what]["less_chance"] = cells(apart, against=0.0)[0].record()
    record["case"] = {
        "heads": [head_number(*divmod(int(place), heads)) for place in ranked[case, :TAKEN]],
        **{name: {"fall": values[case, 0], "turned": values[case, 1]} for name, values in found.items()},
    }
    return record


def logits_without(
    model: Model, texts: Sequence[Marked], away: Bool[np.ndarray, "text layer head"]
) -> Float[np.ndarray, "text label"]:
    """The model's numbers where some heads give nothing; which, each text says for itself."""

    def call(batch: TokenBatch, rows: np.ndarray) -> Call:
        return Call(WithoutHeads(), Inputs(batch, jnp.asarray(for_every_row(away[rows], batch)), None))

    inputs = token_inputs(model, [text.text for text in texts])
    found = run_examples(model, inputs, call, BATCH_TOKENS)
    # What rounding leaves of an attention of at most 1.
    assert max(float(left) for _, left in found) < 1e-5
    return np.stack([logits for logits, _ in found]).astype(np.float64)


@dataclass(frozen=True)
class WithoutHeads:
    """The program that takes heads away, those that each row says: logits, and the largest attention left of them."""

    def __call__(self, module: Module, inputs: Inputs) -> tuple[Float[Array, "row label"], Float[Array, " row"]]:
        """One forward pass a layer, and one."""
        assert isinstance(module, Encoder)
        batch, away = inputs.batch, inputs.examples
        off = away[..., None, None]

        def step(_: Any, shift: Array) -> Array:
            # What a layer's softmax gives depends on what was taken away below: a pass puts one more layer right.
            seen = module(batch, attention_shift=shift, return_hidden_states=False).attention
            assert seen is not None
            return jnp.where(off, shift - seen, jnp.zeros_like(seen))

        config, tokens = module.config, batch.mask.shape[-1]
        zero = jnp.zeros((len(away), config.layers, config.heads, tokens, tokens), jnp.float32)
        shift = jax.lax.fori_loop(0, config.layers, step, zero)
        out = module(batch, attention_shift=shift, return_hidden_states=False)
        assert out.logits is not None
        assert out.attention is not None
        left = jnp.where(off, out.attention, jnp.zeros_like(out.attention))
        return out.logits, jnp.abs(left).max(axis=(1, 2, 3, 4))


def _chosen(order: np.ndarray, shape: tuple[int, ...]) -> Bool[np.ndarray, "text layer head"]:
    away = np.zeros((shape[0], shape[1] * shape[2]), bool)
    np.put_along_axis(away, order[:, :TAKEN], True, axis=-1)
    return away.reshape(shape)


def _moved(whole: np.ndarray, left: np.ndarray, predicted: np.ndarray) -> Float[np.ndarray, "text 2"]:
    """Fall of the class's probability, and whether another class wins."""
    rows = np.arange(len(predicted))
    before, after = (scipy.special.softmax(logits, axis=-1)[rows, predicted] for logits in (whole, left))
    return np.stack([before - after, left.argmax(axis=-1) != predicted], axis=-1)
