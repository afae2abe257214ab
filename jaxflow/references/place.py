"""Relevance by place alone: what a method may say that has not looked at the words."""

from dataclasses import dataclass

import jax.numpy as jnp

from jaxflow._checks import one_of
from jaxflow._typing import AtLayers
from jaxflow.models import Model, Module
from jaxflow.running import Inputs, Program, Target, same_rows


@dataclass(frozen=True)
class Position:
    """Each token's place in its text, as a share of the way to the most relevant end; the same at each layer and query.

    Attributes:
        most: the end where relevance is 1, "last" or "first"; at the other it is 1 through the number of tokens.
        name: its column.
    """

    most: str = "last"
    name: str = "position"

    needs = frozenset()
    explains = False

    def __post_init__(self) -> None:
        one_of("most", self.most, ("last", "first"))

    def program(self, model: Model, layers: tuple[int, ...], target: Target | None) -> Program:
        """Nothing is run but a count."""
        return PositionProgram(self.most, layers)


@dataclass(frozen=True)
class PositionProgram:
    """The program of `Position`."""

    most: str
    layers: tuple[int, ...]

    # So that it goes beside models that JAX does not run, too.
    runs_model = False

    def __call__(self, module: Module, inputs: Inputs) -> AtLayers:
        """Places among the real tokens, from 1, through their number."""
        mask, (queries, _) = inputs.batch.mask, inputs.examples
        count = jnp.sum(mask, axis=-1, keepdims=True, dtype=jnp.float32)
        place = jnp.cumsum(mask, axis=-1, dtype=jnp.float32)
        place = place if self.most == "last" else count + 1 - place
        return same_rows(place / jnp.maximum(count, 1), queries, self.layers, mask)
