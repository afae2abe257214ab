"""An encoder over several devices: each has a whole one or, where that doesn't fit, a part of every layer."""

from itertools import pairwise
from typing import Any

import jax
from jaxtyping import Array

from jaxflow.devices import MODEL
from jaxflow.models.encoder import Encoder

# The axes, counted from the last, that are shared out: heads of the attention and the feed-forward's inner width, so
# that devices meet twice a layer, where the two blocks' outputs are summed (Shoeybi et al. 2019, section 3).
SHARED = {
    ("qkv", "kernel"): -2,
    ("qkv", "bias"): -2,
    ("output", "kernel"): -3,
    ("up", "kernel"): -1,
    ("up", "bias"): -1,
    ("down", "kernel"): -2,
}


class Spread:
    """An encoder's parameters over a mesh, kept from call to call while the encoder's own stay the same."""

    def __init__(self, mesh: jax.sharding.Mesh) -> None:
        self._mesh = mesh
        self._seen: list[Any] = []
        self._parameters: tuple[Array, ...] = ()

    def of(self, module: Encoder) -> tuple[Array, ...]:
        """The parameters, in the order of the module's leaves."""
        leaves = jax.tree.leaves(module)
        if len(leaves) != len(self._seen) or any(new is not old for new, old in zip(leaves, self._seen, strict=True)):
            self._parameters = tuple(jax.device_put(leaves, shardings(module, self._mesh)))
            self._seen = leaves
        return self._parameters


def shardings(module: Encoder, mesh: jax.sharding.Mesh) -> list[jax.NamedSharding]:
    """How each of the module's leaves lies over a mesh; whole where the mesh has no `model` axis that divides it."""
    return [
        jax.NamedSharding(mesh, _parts(tuple(map(_name, path)), leaf, mesh.shape.get(MODEL, 1)))
        for path, leaf in jax.tree_util.tree_leaves_with_path(module)
    ]


def _parts(names: tuple[str, ...], leaf: Array, devices: int) -> jax.P:
    axis = next((axis for pair, axis in SHARED.items() if "layers" in names and _follow(pair, names)), None)
    if axis is None or devices == 1 or leaf.shape[axis] % devices:
        return jax.P()
    return jax.P(*(MODEL if place == leaf.ndim + axis else None for place in range(leaf.ndim)))


def _follow(pair: tuple[str, str], names: tuple[str, ...]) -> bool:
    return pair in pairwise(names)


def _name(key: Any) -> str:
    return str(getattr(key, "name", getattr(key, "key", "")))
