"""Encoders on a processor.

Two things cost as much there as the arithmetic: a scan over stacked layers copies every layer's weights before it uses
them, and XLA's new library for products is slower than its old one. So here the layers stand apart, each a view of the
stacked weights' memory, the program names them one by one, and the new library is left to the sums alone.
"""

from functools import cache
from typing import cast

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array

from jaxflow._checks import is_traced
from jaxflow.models.encoder.layer import Layer
from jaxflow.models.encoder.module import Encoder
from jaxflow.models.encoder.parameters import LaidOut, Parameters, TreeShape, laid_out
from jaxflow.models.model import Module

# Of YNNPACK's fusions the sums alone: products go to Eigen, which was 1.2 times as fast for whole encoders.
OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}


@cache
def compiler_options() -> dict[str, str]:
    """The options that pay on a processor; none if this version of the compiler does not know them."""
    try:
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            # A small program compiled with them: unknown options are an error.
            _ = jax.jit(lambda x: x + 1, compiler_options=OPTIONS).lower(1.0).compile()
    except RuntimeError:
        return {}
    return OPTIONS


def layers_apart(module: Module, kept: dict[object, object]) -> LaidOut:
    """The parameters with the layers apart, for a program on a processor; any other module's as they are.

    Args:
        module: the model's.
        kept: the model's `kept`; the parameters are put there.
    """

    def make() -> tuple[Parameters, TreeShape]:
        parameters, shape = jax.tree.flatten(apart(module) if isinstance(module, Encoder) else module)
        return tuple(parameters), shape

    return laid_out(module, kept, layers_apart, make)


def apart(module: Encoder) -> Encoder:
    """The encoder with a list of layers instead of stacked ones; on a processor without a copy."""
    stacked, shape = jax.tree.flatten(module.layers)
    rows = [[_row(leaf, row) for leaf in stacked] for row in range(module.config.stored_layers)]
    # A module of its own over the same arrays, so that the given one keeps its stack.
    new = nnx.merge(*nnx.split(module))
    new.layers = cast("Layer", nnx.List([jax.tree.unflatten(shape, row) for row in rows]))
    return new


def _row(stacked: Array, row: int) -> Array:
    # JAX takes a row of whole cache lines where it lies, and copies any other.
    view = np.asarray(stacked)[row]
    return jax.device_put(view, stacked.sharding if stacked.committed else None, may_alias=True)


def runs_here(module: Module, *inputs: object) -> bool:
    """Whether parameters and inputs are concrete arrays, all on one processor."""
    leaves = [*jax.tree.leaves(module), *jax.tree.leaves(inputs)]
    return not is_traced(leaves) and all(
        isinstance(leaf, jax.Array) and [device.platform for device in leaf.devices()] == ["cpu"] for leaf in leaves
    )
