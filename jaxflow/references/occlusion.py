"""Occlusion as a method of relevance: the fall of the explained number when a token becomes a blank."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxflow._typing import AtLayers, Given
from jaxflow.evaluation.inputs import blank_id
from jaxflow.models import Model, Module
from jaxflow.models.batch import used_length
from jaxflow.running import Inputs, Program, Target, logits_of, same_rows


@dataclass(frozen=True)
class Occlusion:
    """Blank-out: the fall of the explained number when one token alone is replaced by a blank; signed.

    The same row at each layer and query, as it explains the target alone. The class is that of the text as it stands.
    `evaluation.occlusion_scores` has the same for probabilities, any positions and targets by example. Cost: one
    forward pass for each token of the batch's longest text.

    Attributes:
        blank: the token or id put in; None is the tokenizer's unknown token, or its mask where it has none.
        name: its column.
    """

    blank: Given[str | int | None] = None
    name: str = "occlusion"

    needs = frozenset()
    explains = True

    def program(self, model: Model, layers: tuple[int, ...], target: Target | None) -> Program:
        """The text as it stands, then with each token blanked."""
        assert target is not None
        return OcclusionProgram(blank_id(model, self.blank), layers, target)


@dataclass(frozen=True)
class OcclusionProgram:
    """The program of `Occlusion`.

    Attributes:
        blank: id of the token put in.
        layers: of the relevance.
        target: the explained number.
    """

    blank: int
    layers: tuple[int, ...]
    target: Target

    def __call__(self, module: Module, inputs: Inputs) -> AtLayers:
        """The fall by each token, the same row at each layer and query."""
        batch, (queries, given) = inputs.batch, inputs.examples
        whole = logits_of(module, batch)
        target, classes = self.target.settle(whole, given)
        value = target.value(whole, classes)

        def blanked(token: Array, falls: Float[Array, "token row"]) -> Float[Array, "token row"]:
            # All rows lose the token of this place; those that have none there are padding, and set to 0 below.
            changed = replace(batch, input_ids=batch.input_ids.at[:, token].set(self.blank))
            return falls.at[token].set(value - target.value(logits_of(module, changed), classes))

        rows, tokens = batch.mask.shape
        falls = jax.lax.fori_loop(0, used_length(batch.mask), blanked, jnp.zeros((tokens, rows), value.dtype))
        return same_rows(falls.T, queries, self.layers, batch.mask)
