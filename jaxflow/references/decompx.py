"""DecompX (Modarressi et al. 2023): every hidden state as a sum of parts, one for each input token."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxflow.models import ForwardOptions, Module, TokenBatch
from jaxflow.models.packing import Packing
from jaxflow.models.rules import Proportional

# The mapped axis of the input tokens that parts belong to.
SOURCES = "source"


@dataclass(frozen=True)
class Decomposed(Proportional):
    """The rules of DecompX: derivatives are parts of the state that they are taken at.

    Attention is given, a norm divides by its true deviation, an activation passes `f(z) / z`, and a bias is shared
    out among the parts. It holds for forward derivatives that are mapped over the axis `SOURCES`.
    """

    @property
    def holds_attention(self) -> bool:
        """Attention's probabilities are given."""
        return True

    def product(self, multiply: Callable[[Array, Array], Array], first: Array, second: Array) -> Array:
        """The product with the first factor, attention, given."""
        return multiply(jax.lax.stop_gradient(first), second)

    def share(self, x: Array, constant: Array, axes: int = 1) -> Array:
        """Entries whose constant goes to each part by its absolute product with it (the paper's equation 5)."""
        return _shared(x, constant, axes)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _shared(x: Array, constant: Array, axes: int) -> Array:
    return x


@_shared.defjvp
def _share(axes: int, primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> tuple[Array, Array]:
    (x, constant), part = primals, tangents[0]
    # |constant . part| of every vector, over the sum of it over all parts.
    size = jnp.abs(jnp.sum(part * constant, axis=range(-axes, 0), keepdims=True))
    total = jax.lax.psum(size, SOURCES)
    share = jnp.where(total > 0, size / jnp.where(total > 0, total, 1), 0)
    return x, part + share * constant


def parts(
    module: Module,
    batch: TokenBatch,
    read: Callable[[Module, ForwardOptions], Any],
    packing: Packing | None = None,
) -> Any:
    """The parts of whatever is read of one forward pass: arrays as `read` gives them, with a first axis `source`.

    Args:
        module: of a model that gives "relevance".
        batch: padded tokens.
        read: runs the module with the options, and gives arrays. Parts of a linear map of states sum to the map.
        packing: of the batch.

    Returns:
        Part k is what input token k contributed; all parts sum to the array. Cost: less than a forward pass for each
        token of the padded length, and memory for as many copies of one layer's states.
    """
    module = module.under(Decomposed())
    first = module.inputs(batch)

    def run(inputs: Array) -> Any:
        return read(module, ForwardOptions(inputs=inputs, packing=packing))

    def part(source: Array) -> Any:
        # At the start a position is its own token's: embedding, norm and all.
        own = jnp.arange(first.shape[-2])[:, None] == source
        return jax.jvp(run, (first,), (jnp.where(own, first, 0),))[1]

    return jax.vmap(part, axis_name=SOURCES)(jnp.arange(first.shape[-2]))
