"""The contract of compiled programs over one batch, and their inputs."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxflow._pytree import pytree
from jaxflow._typing import AtLayers, Queries
from jaxflow.models import Encoding, ForwardOptions, Model, Module, Recording, TokenBatch
from jaxflow.models.packing import Packing

# A pytree of arrays, for which JAX has no type.
Arrays: TypeAlias = Any


@pytree
class Inputs:
    """What a program takes beside the model.

    Attributes:
        batch: padded token sequences.
        examples: arrays whose first axis is the batch's examples; a tuple with an entry a reader for `Forward`.
        shared: arrays that belong to all examples.
        packing: where real tokens stand, if the batch is packed.
        recording: what the model did with the batch, in the place of its module, if JAX does not run the model.
    """

    batch: TokenBatch
    examples: Arrays
    shared: Arrays
    packing: Packing | None = None
    recording: Recording | None = None


@runtime_checkable
class Program(Protocol):
    """A frozen, hashable value that computes something of one batch in pure JAX; it is compiled for each shape.

    `Forward` is the one that runs readers along one forward pass. Others run the model as often as they like.
    """

    def __call__(self, module: Module, inputs: Inputs) -> Arrays:
        """Arrays whose first axis is the batch's examples."""
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class JoinedPrograms:
    """Several programs over the same batch, compiled as one; `examples` and the outputs are tuples, an entry a program.

    One program, so that a batch is measured, halved and compiled as a whole; what its parts compute alike is computed
    once where the compiler sees it.
    """

    programs: tuple[Program, ...]

    @property
    def undefined_as_nan(self) -> bool:
        """Whether one of them gives NaN for undefined numbers."""
        return any(getattr(program, "undefined_as_nan", False) for program in self.programs)

    def __call__(self, module: Module, inputs: Inputs) -> tuple[Arrays, ...]:
        """What each program gives."""
        parts = zip(self.programs, inputs.examples, strict=True)
        return tuple(program(module, replace(inputs, examples=examples)) for program, examples in parts)


@dataclass(frozen=True, eq=False)
class Call:
    """A program and the inputs that one model is called with."""

    program: Program
    inputs: Inputs


def token_batch(model: Model, encodings: list[Encoding], rows: int, length: int) -> TokenBatch:
    """Texts padded to `length` and filled up to `rows`, `row token`."""
    # Fillers are one token long: little to compute, and yet texts like any other.
    return model.pad(encodings + [_first_token(encodings[0])] * (rows - len(encodings)), length)


def filled(array: np.ndarray, rows: int) -> np.ndarray:
    """An array `text ...` filled up with zeros to `row ...`."""
    return np.pad(array, [(0, rows - len(array))] + [(0, 0)] * (array.ndim - 1))


def logits_of(module: Module, batch: TokenBatch, options: ForwardOptions | None = None) -> Float[Array, "row ..."]:
    """The head's numbers for a batch, in a program; no layer is watched."""
    hidden, _ = module.run(batch, lambda carry, layer: carry, None, options or ForwardOptions())
    return module.logits(hidden, batch)


def same_rows(
    scores: Float[Array, "row token"],
    queries: Queries | None,
    layers: tuple[int, ...],
    mask: Bool[Array, "row token"],
) -> AtLayers:
    """Scores of tokens as relevance `row layer query token`: the same row at every query and layer.

    Args:
        scores: of each token; padding may hold anything, and gets 0.
        queries: positions to explain, `row query`; None for all.
        layers: of the relevance.
        mask: true on real tokens.
    """
    rows, tokens = scores.shape
    count = tokens if queries is None else queries.shape[-1]
    scores = jnp.where(mask, scores, jnp.zeros((), scores.dtype))
    return jnp.broadcast_to(scores[:, None, None, :], (rows, len(layers), count, tokens))


def _first_token(encoding: Encoding) -> Encoding:
    parts = ("input_ids", "segments", "tokens", "offsets", "source", "special")
    return Encoding(*(getattr(encoding, part)[:1] for part in parts))
