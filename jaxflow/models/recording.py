"""What a model did with one batch, as arrays: it stands in for the module of a model that JAX does not run."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxflow._pytree import pytree
from jaxflow.models.batch import LayerOutput, TokenBatch
from jaxflow.models.forward import ForwardOptions
from jaxflow.models.model import CarryT, Visit

# From the head's numbers of a batch, `row ...`, to the number of each row that is explained.
Number: TypeAlias = Callable[[Array], Array]


@pytree
class Recording:
    """One batch's layers and head, made elsewhere: a `Module` whose parameters are what it gives.

    Attributes:
        attention: probabilities, 0 on padding's rows and columns.
        hidden: the hidden states after each layer; zeros where they are not known.
        scores: the head's numbers.
        directions: of each explained number a direction in the head's numbers along which it moves by 1.
        gradients: the derivative of each explained number in the attention of all heads; None where there is none.
    """

    attention: Float[Array, "row layer head token token"]
    hidden: Float[Array, "row layer token width"]
    scores: Float[Array, "row ..."]
    directions: Float[Array, "row number ..."] | None = None
    gradients: Float[Array, "row number layer head token token"] | None = None

    @property
    def depth(self) -> int:
        """How many layers there are."""
        return self.attention.shape[1]

    @property
    def heads(self) -> int:
        """How many attention heads each layer has."""
        return self.attention.shape[2]

    def run(
        self, batch: TokenBatch, visit: Visit[CarryT], carry: CarryT, options: ForwardOptions
    ) -> tuple[Float[Array, "row token width"], CarryT]:
        """Hand over the recorded layers; a shift of attention moves the explained numbers by their derivatives."""

        def step(carry: CarryT, index: Int[Array, ""]) -> tuple[CarryT, None]:
            attention, hidden = (
                jax.lax.dynamic_index_in_dim(part, index, axis=1, keepdims=False)
                for part in (self.attention, self.hidden)
            )
            return visit(carry, LayerOutput(index=index, hidden=hidden, attention=attention)), None

        carry, _ = jax.lax.scan(step, carry, jnp.arange(self.depth, dtype=jnp.int32))
        last = self.hidden[:, -1]
        if self.gradients is not None and options.attention_shift is not None:
            # Letters: r row, n number, l layer, h head, q query, k key.
            moved = jnp.einsum(
                "rnlhqk,rlhqk->rn", self.gradients, options.attention_shift, precision=jax.lax.Precision.HIGHEST
            )
            # The hidden states are all that goes from here to `logits`: the moves ride on the first token's.
            last = last.at[:, 0, : moved.shape[1]].add(moved)
        return last, carry

    def logits(self, hidden: Float[Array, "row token width"], batch: TokenBatch) -> Float[Array, "row ..."]:
        """The head's numbers; to first order in the shift that `run` was given."""
        if self.directions is None:
            return self.scores
        # What `run` added to the recorded states. It is 0 where attention was not shifted, to the last bit.
        moved = (hidden - self.hidden[:, -1])[:, 0, : self.directions.shape[1]]
        return self.scores + jnp.einsum("rn...,rn->r...", self.directions, moved)


@runtime_checkable
class RecordsBatches(Protocol):
    """A model that JAX does not run: it hands over each batch as a recording, and `module` is one of no rows."""

    def record(self, batch: TokenBatch, numbers: Sequence[Number]) -> Recording:
        """What the model does with a batch.

        Args:
            batch: padded inputs, with values in hand.
            numbers: to be differentiated in attention, out of the head's numbers; empty where no gradient is needed.
        """
        ...


def recording(
    attention: Float[np.ndarray, "row layer head token token"],
    hidden: Float[np.ndarray, "row layer token width"] | None,
    scores: Float[np.ndarray, "row ..."],
    cotangents: Sequence[Float[np.ndarray, "row ..."]] = (),
    gradients: Sequence[Float[np.ndarray, "row layer head token token"]] = (),
) -> Recording:
    """A recording whose derivatives are the given ones.

    Args:
        attention: probabilities, 0 on padding.
        hidden: after each layer; None where they are not known.
        scores: the head's numbers.
        cotangents: of each explained number its derivative in the head's numbers.
        gradients: of each explained number its derivative in attention.
    """
    rows, layers, _, tokens, _ = attention.shape
    # Room for the moves of all numbers, see `Recording.run`.
    missing = max(1, len(cotangents)) - (0 if hidden is None else hidden.shape[-1])
    if hidden is None:
        hidden = np.zeros((rows, layers, tokens, missing), np.float32)
    elif missing > 0:
        hidden = np.pad(hidden, [(0, 0), (0, 0), (0, 0), (0, missing)])
    if not cotangents:
        return Recording(_array(attention), _array(hidden), _array(scores))
    return Recording(
        _array(attention),
        _array(hidden),
        _array(scores),
        _array(_directions(np.stack(cotangents, axis=1))),
        _array(np.stack(gradients, axis=1)),
    )


def cotangent(number: Number, scores: Float[np.ndarray, "row ..."]) -> Float[np.ndarray, "row ..."]:
    """The derivative of each row's number in the head's numbers."""
    value, back = jax.vjp(number, jnp.asarray(scores))
    # Rows don't touch each other, so the gradient of their sum holds each row's own.
    (slope,) = back(jnp.ones_like(value))
    return np.asarray(slope)


def no_rows(layers: int, heads: int) -> Recording:
    """A recording of no batch, for `Model.module`: it has the model's numbers of layers and heads alone."""
    return recording(np.zeros((0, layers, heads, 1, 1), np.float32), None, np.zeros((0, 1), np.float32))


def _directions(cotangents: Float[np.ndarray, "row number ..."]) -> Float[np.ndarray, "row number ..."]:
    # With c_i the derivative of number i in the head's numbers, directions d_j with <c_i, d_j> = 1 for i = j, else 0:
    # pulled back along sum_j d_j <gradient_j, shift>, c_i then gives gradient i. These are the rows of the
    # pseudo-inverse, which shares a number that is explained twice between the two.
    flat = np.nan_to_num(cotangents.reshape(*cotangents.shape[:2], -1).astype(np.float64))
    # Numbers that differ by rounding alone are the same.
    return np.swapaxes(np.linalg.pinv(flat, rcond=1e-5), -1, -2).reshape(cotangents.shape)


def _array(value: Any) -> Array:
    return jax.device_put(np.asarray(value, np.float32))
