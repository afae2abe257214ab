"""Where a model's programs run: on one processor, on one accelerator, or over a mesh of devices."""

from dataclasses import dataclass, field
from typing import Any

import jax
from jaxtyping import Array

from jaxflow.devices import as_mesh, example_devices, example_sharding
from jaxflow.models import TextEncoder
from jaxflow.models.on_cpu import compiler_options, runs_here
from jaxflow.models.sharding import Spread
from jaxflow.running._program import Inputs


@dataclass(frozen=True)
class Placement:
    """An encoder's parameters as programs take them, and how what goes in beside them is laid out.

    Attributes:
        parameters: the encoder's leaves.
        shape: the tree that makes an encoder of them.
        packs: whether packing a batch pays.
        options: of the compiler.
        examples: how a batch lies, by its first axis.
        whole: how what belongs to all examples lies.
        devices: over how many devices a batch is spread.
    """

    parameters: tuple[Array, ...]
    shape: Any
    examples: jax.sharding.Sharding
    whole: jax.sharding.Sharding
    devices: int = 1
    packs: bool = False
    options: dict[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """What the parameters take on each device."""
        return sum(leaf.addressable_shards[0].data.nbytes for leaf in self.parameters)

    @property
    def device(self) -> Any:
        """One of the devices; all are alike."""
        return min(self.examples.device_set, key=lambda device: device.id)

    def put(self, inputs: Inputs) -> Inputs:
        """The inputs where the encoder is."""
        batch, examples = jax.device_put((inputs.batch, inputs.examples), self.examples)
        shared, packing = jax.device_put((inputs.shared, inputs.packing), self.whole)
        return Inputs(batch=batch, examples=examples, shared=shared, packing=packing)


def place(encoder: TextEncoder, mesh: jax.sharding.Mesh | None) -> Placement:
    """Where an encoder's programs run: over the mesh, or else where the encoder is.

    On a processor the encoder's layers stand apart (`jaxflow.models.on_cpu`). What is made of the parameters is kept
    with the encoder while they stay the same.
    """
    module = encoder.module
    if mesh is not None and mesh.size == 1 and mesh.devices.flat[0] in jax.tree.leaves(module)[0].devices():
        mesh = None
    if mesh is None and runs_here(module):
        parameters, shape = encoder.layers_apart()
        here = jax.sharding.SingleDeviceSharding(next(iter(parameters[0].devices())))
        return Placement(parameters, shape, here, here, packs=True, options=compiler_options())
    leaves, shape = jax.tree.flatten(module)
    mesh = _mesh_of(leaves) if mesh is None else mesh
    if mesh is None:
        here = jax.sharding.SingleDeviceSharding(next(iter(leaves[0].devices())))
        return Placement(tuple(leaves), shape, here, here)
    parameters = encoder.kept.setdefault((Spread, mesh), Spread(mesh)).of(module)
    whole = jax.NamedSharding(mesh, jax.P())
    return Placement(parameters, shape, example_sharding(mesh), whole, example_devices(mesh))


def _mesh_of(leaves: list[Array]) -> jax.sharding.Mesh | None:
    """The mesh that somebody spread the encoder over, if it is spread."""
    sharding = leaves[0].sharding
    if isinstance(sharding, jax.NamedSharding) and sharding.num_devices > 1:
        return as_mesh(sharding.mesh)
    return None
