"""What a model did with one batch, as arrays: it stands in for the module of a model that JAX does not run."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._pytree import pytree, static_field
from jaxflow._typing import AnyArray, ArrayLike
from jaxflow.models.batch import LayerNorms, LayerOutput, NormOutput, TokenBatch
from jaxflow.models.forward import ForwardOptions
from jaxflow.models.model import CarryT, Visit

# JAX on a processor takes an array that begins with a cache line, of so many bytes, where it lies; it copies any other.
CACHE_LINE = 64
# From the head's numbers of a batch, `row ...`, to the number of each row that is explained.
Number: TypeAlias = Callable[[Array], Array]


@pytree
class LayerWeights:
    """The parameters that mixings read, which are the same for every batch.

    Attributes:
        output: output projections, without their biases.
        scales: of the norm of the attention block and that of the feed-forward block; None where they are not known.
        biases: likewise.
        pre_norm: whether the norms stand before their blocks.
    """

    output: Float[AnyArray, "layer head head_width width"]
    scales: Float[AnyArray, "layer norm width"] | None
    biases: Float[AnyArray, "layer norm width"] | None
    pre_norm: bool = static_field(default=False)


@pytree
class Recording:
    """One batch's layers and head, made elsewhere: a `Module` whose parameters are what it gives.

    Attributes:
        attention: probabilities, 0 on padding's rows and columns.
        hidden: the hidden states after each layer; None where they are not known, and readers see NaN.
        scores: the head's numbers.
        embedded: the hidden states before the first layer; this and what follows None where no mixing needs it.
        values: the vectors that attention averages.
        attended: the states after each attention block.
        deviations: of the states before the norms of the two blocks, as `NormOutput` has them.
        weights: of the layers; a batch takes them from the model's `module`, see `within`.
        directions: of each explained number a direction in the head's numbers along which it moves by 1.
        gradients: the derivative of each explained number in the attention of all heads; None where there is none.
        moves: positions whose stream each layer changes; None for all of them.
    """

    attention: Float[Array, "row layer head token token"]
    hidden: Float[Array, "row layer token width"] | None
    scores: Float[Array, "row ..."]
    directions: Float[Array, "row number ..."] | None = None
    gradients: Float[Array, "row number layer head token token"] | None = None
    embedded: Float[Array, "row token width"] | None = None
    values: Float[Array, "row layer head token head_width"] | None = None
    attended: Float[Array, "row layer token width"] | None = None
    deviations: Float[Array, "row layer norm token"] | None = None
    weights: LayerWeights | None = None
    moves: Bool[Array, "row layer token"] | None = None

    def within(self, module: Any) -> "Recording":
        """The same with the parameters of the model's own module."""
        return replace(self, weights=module.weights)

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
            hidden = jnp.full_like(self._last, jnp.nan) if self.hidden is None else _layer(self.hidden, index)
            moves = None if self.moves is None else _layer(self.moves, index)
            layer = LayerOutput(index, hidden, _layer(self.attention, index), moves=moves, **self._inside(index))
            return visit(carry, layer), None

        carry, _ = jax.lax.scan(step, carry, jnp.arange(self.depth, dtype=jnp.int32))
        last = self._last
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
        moved = (hidden - self._last)[:, 0, : self.directions.shape[1]]
        return self.scores + jnp.einsum("rn...,rn->r...", self.directions, moved)

    def _inside(self, index: Int[Array, ""]) -> dict[str, Any]:
        """The parts of a layer that mixings may need, as far as they were recorded."""
        weights = self.weights
        if self.values is None or self.embedded is None or self.hidden is None or weights is None:
            return {}
        before = _layer(self.hidden, jnp.maximum(index - 1, 0))
        parts: dict[str, Any] = {
            "inputs": jnp.where(index == 0, self.embedded, before),
            "values": _layer(self.values, index),
            "output": weights.output[index],
            "attended": None if self.attended is None else _layer(self.attended, index),
        }
        if self.deviations is None or weights.scales is None or weights.biases is None:
            return parts
        deviations, scales, biases = _layer(self.deviations, index), weights.scales[index], weights.biases[index]
        norms = (NormOutput(scales[norm], biases[norm], deviations[:, norm]) for norm in (0, 1))
        return parts | {"norms": LayerNorms(*norms, pre_norm=weights.pre_norm)}

    @property
    def _last(self) -> Float[Array, "row token width"]:
        """The last layer's hidden states, at least as wide as there are explained numbers."""
        rows, _, _, tokens, _ = self.attention.shape
        last = jnp.zeros((rows, tokens, 1), jnp.float32) if self.hidden is None else self.hidden[:, -1]
        # States that are not known are no numbers, and moves that ride on them have to be.
        last = jnp.where(jnp.isnan(last), 0, last)
        numbers = 0 if self.directions is None else self.directions.shape[1]
        return jnp.pad(last, [(0, 0), (0, 0), (0, max(0, numbers - last.shape[-1]))])


@runtime_checkable
class RecordsBatches(Protocol):
    """A model that JAX does not run: it hands over each batch as a recording, and `module` is one of no rows."""

    def record(self, batch: TokenBatch, numbers: Sequence[Number], needs: frozenset[str]) -> Recording:
        """What the model does with a batch.

        Args:
            batch: padded inputs, with values in hand.
            numbers: to be differentiated in attention, out of the head's numbers; empty where no gradient is needed.
            needs: the parts that are read, of `Model.gives`, and "logits" for the head's numbers.
        """
        ...


def room_for(*shape: int) -> Float[np.ndarray, "..."]:
    """Zeros for a batch's numbers, in memory that JAX on a processor takes as it is: for long texts it is large."""
    size = np.dtype(np.float32).itemsize * math.prod(shape)
    # With a cache line more than is needed, one begins inside.
    memory = np.zeros(size + CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE
    return memory[first : first + size].view(np.float32).reshape(shape)


def recording(
    attention: Float[np.ndarray, "row layer head token token"],
    hidden: Float[np.ndarray, "row layer token width"] | None,
    scores: Float[np.ndarray, "row ..."],
    cotangents: Sequence[Float[np.ndarray, "row ..."]] = (),
    gradients: Sequence[Float[np.ndarray, "row layer head token token"]] = (),
    moves: Bool[np.ndarray, "row layer token"] | None = None,
    **inside: np.ndarray | None,
) -> Recording:
    """A recording whose derivatives are the given ones.

    Args:
        attention: probabilities, 0 on padding.
        hidden: after each layer; None where they are not known.
        scores: the head's numbers.
        cotangents: of each explained number its derivative in the head's numbers.
        gradients: of each explained number its derivative in attention.
        moves: positions whose stream each layer changes; None for all of them.
        inside: `embedded`, `values`, `attended` and `deviations`, as `Recording` has them.
    """
    parts = {"attention": attention, "hidden": hidden, "scores": scores, **inside}
    if cotangents:
        parts["directions"] = _directions(np.stack(cotangents, axis=1))
        # One alone, as mostly, needs no copy.
        parts["gradients"] = gradients[0][:, None] if len(gradients) == 1 else np.stack(gradients, axis=1)
    arrays: dict[str, Any] = {name: None if part is None else _array(part) for name, part in parts.items()}
    return Recording(**arrays, moves=None if moves is None else jax.device_put(moves))


def cotangent(number: Number, scores: Float[np.ndarray, "row ..."]) -> Float[np.ndarray, "row ..."]:
    """The derivative of each row's number in the head's numbers."""
    value, back = jax.vjp(number, jnp.asarray(scores))
    # Rows don't touch each other, so the gradient of their sum holds each row's own.
    (slope,) = back(jnp.ones_like(value))
    return np.asarray(slope)


def no_rows(layers: int, heads: int, weights: LayerWeights | None = None) -> Recording:
    """A recording of no batch, for `Model.module`: its numbers of layers and heads, and what of its weights is read."""
    nothing = recording(np.zeros((0, layers, heads, 1, 1), np.float32), None, np.zeros((0, 1), np.float32))
    return replace(nothing, weights=jax.tree.map(_array, weights))


def _directions(cotangents: Float[np.ndarray, "row number ..."]) -> Float[np.ndarray, "row number ..."]:
    # With c_i the derivative of number i in the head's numbers, directions d_j with <c_i, d_j> = 1 for i = j, else 0:
    # pulled back along sum_j d_j <gradient_j, shift>, c_i then gives gradient i. These are the rows of the
    # pseudo-inverse, which shares a number that is explained twice between the two.
    flat = np.nan_to_num(cotangents.reshape(*cotangents.shape[:2], -1).astype(np.float64))
    # Numbers that differ by rounding alone are the same.
    return np.swapaxes(np.linalg.pinv(flat, rcond=1e-5), -1, -2).reshape(cotangents.shape)


def _layer(part: Array, index: Int[Array, ""]) -> Array:
    """One layer of `row layer ...`."""
    return jax.lax.dynamic_index_in_dim(part, index, axis=1, keepdims=False)


def _array(value: ArrayLike) -> Array:
    return jax.device_put(np.asarray(value, np.float32))
