"""An encoder over several devices: each holds all of it or a part of every layer."""

from itertools import pairwise

import jax
from jaxtyping import Array

from jaxflow.devices import MODEL
from jaxflow.models.encoder.module import Encoder
from jaxflow.models.encoder.parameters import LaidOut, Parameters, TreeShape, laid_out
from jaxflow.models.model import Module

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


def spread(module: Module, mesh: jax.sharding.Mesh, kept: dict[object, object]) -> LaidOut:
    """The parameters over a mesh.

    Args:
        module: the model's.
        mesh: of this process's devices.
        kept: the model's `kept`; the parameters are put there.
    """

    def make() -> tuple[Parameters, TreeShape]:
        leaves, shape = jax.tree.flatten(module)
        return tuple(jax.device_put(leaves, shardings(module, mesh))), shape

    return laid_out(module, kept, (spread, mesh), make)


def shardings(module: Module, mesh: jax.sharding.Mesh) -> list[jax.NamedSharding]:
    """Layout of each of the module's leaves over a mesh.

    Each device holds a leaf whole, or its part where the mesh's `model` axis divides a layer of an encoder.
    """
    devices = mesh.shape.get(MODEL, 1) if isinstance(module, Encoder) else 1
    return [
        jax.NamedSharding(mesh, _parts(tuple(map(_name, path)), leaf, devices))
        for path, leaf in jax.tree_util.tree_leaves_with_path(module)
    ]


def _parts(names: tuple[str, ...], leaf: Array, devices: int) -> jax.P:
    axis = next((axis for pair, axis in SHARED.items() if "layers" in names and _follow(pair, names)), None)
    # A number of heads that the devices do not divide stays whole on each: slower, never wrong.
    if axis is None or devices == 1 or leaf.shape[axis] % devices:
        return jax.P()
    return jax.P(*(MODEL if place == leaf.ndim + axis else None for place in range(leaf.ndim)))


def _follow(pair: tuple[str, str], names: tuple[str, ...]) -> bool:
    return pair in pairwise(names)


def _name(key: object) -> str:
    # Paths hold keys of attributes, dictionaries or lists.
    return str(getattr(key, "name", getattr(key, "key", "")))
