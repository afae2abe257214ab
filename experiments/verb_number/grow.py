"""A shallow model's weights in a deeper one that computes the same: most of the training is done while it is cheap.

The shallow model's layers are spread over the deep one. Each new layer is a copy of the layer below it whose two
outputs to the residual stream are zero, so at first it changes nothing (after the stacking of Gong et al., 2019).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

# What a layer adds to the residual stream by.
OUTPUTS = ("output", "down")


def grown(shallow: Any, layers: int) -> Any:
    """Parameters of a model with `layers` layers that gives what the shallow model gives.

    Args:
        shallow: the shallow model's parameters, as a dictionary; a layer axis leads those of its layers.
        layers: a multiple of the shallow model's layers.
    """
    before = len(shallow["layers"]["output"]["kernel"])
    if layers % before:
        raise ValueError(f"`layers` must be a multiple of the shallow model's {before}, got {layers}")
    rows = np.repeat(np.arange(before), layers // before)
    new = np.arange(layers) % (layers // before) != 0
    stacked = {
        name: {part: _row(array, rows, new if name in OUTPUTS else None) for part, array in module.items()}
        for name, module in shallow["layers"].items()
    }
    return {**shallow, "layers": stacked}


def _row(array: Any, rows: np.ndarray, zeroed: np.ndarray | None) -> Any:
    taken = np.asarray(array)[rows]
    if zeroed is not None:
        taken[zeroed] = 0
    return jnp.asarray(taken)
