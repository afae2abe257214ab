"""Where a model's programs run: on one processor, on one accelerator, or over a mesh of devices."""

from dataclasses import dataclass, field

import jax
from jaxtyping import Array

from jaxflow.devices import Device, as_mesh, example_devices, example_sharding
from jaxflow.models import Model
from jaxflow.models.encoder.on_cpu import compiler_options, layers_apart, runs_here
from jaxflow.models.encoder.parameters import TreeShape
from jaxflow.models.encoder.sharding import spread
from jaxflow.running._program import Inputs


@dataclass(frozen=True)
class Placement:
    """A model's parameters as programs take them, and the layout of inputs beside them.

    Attributes:
        parameters: the leaves of the model's module.
        shape: the tree that makes a module of them.
        packs: whether packing a batch pays.
        options: of the compiler.
        examples: layout of a batch, by its first axis.
        whole: layout of arrays that belong to all examples.
        devices: number of devices that a batch is spread over.
    """

    parameters: tuple[Array, ...]
    shape: TreeShape
    examples: jax.sharding.Sharding
    whole: jax.sharding.Sharding
    devices: int = 1
    packs: bool = False
    options: dict[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """What the parameters take on each device."""
        # All devices hold as much, so the first shard of each leaf stands for them.
        return sum(leaf.addressable_shards[0].data.nbytes for leaf in self.parameters)

    @property
    def device(self) -> Device:
        """One of the devices; all are alike."""
        # A set has no order; the least id makes it the same device every time.
        return min(self.examples.device_set, key=lambda device: device.id)

    def put(self, inputs: Inputs) -> Inputs:
        """The inputs where the model is."""
        batch, examples, recording = jax.device_put((inputs.batch, inputs.examples, inputs.recording), self.examples)
        shared, packing = jax.device_put((inputs.shared, inputs.packing), self.whole)
        return Inputs(batch=batch, examples=examples, shared=shared, packing=packing, recording=recording)


def place(model: Model, mesh: jax.sharding.Mesh | None) -> Placement:
    """Where a model's programs run: over the mesh, or else where the model is.

    On a processor an encoder's layers stand apart (`jaxflow.models.encoder.on_cpu`). The parameters' new layout is kept
    with the model while they stay the same.
    """
    module = model.module
    leaves, shape = jax.tree.flatten(module)
    # A mesh of the one device that the model is on changes nothing.
    if mesh is not None and mesh.size == 1 and mesh.devices.flat[0] in leaves[0].devices():
        mesh = None
    if mesh is None and runs_here(module):
        apart = layers_apart(module, model.kept)
        here = jax.sharding.SingleDeviceSharding(next(iter(apart.parameters[0].devices())))
        return Placement(apart.parameters, apart.shape, here, here, packs=model.packs, options=compiler_options())
    # A model that the user spread over devices stays there.
    mesh = _mesh_of(leaves) if mesh is None else mesh
    if mesh is None:
        here = jax.sharding.SingleDeviceSharding(next(iter(leaves[0].devices())))
        return Placement(tuple(leaves), shape, here, here)
    parameters = spread(module, mesh, model.kept).parameters
    whole = jax.NamedSharding(mesh, jax.P())
    return Placement(parameters, shape, example_sharding(mesh), whole, example_devices(mesh))


def _mesh_of(leaves: list[Array]) -> jax.sharding.Mesh | None:
    """The mesh that the model is already spread over, if it is."""
    sharding = leaves[0].sharding
    if isinstance(sharding, jax.NamedSharding) and sharding.num_devices > 1:
        return as_mesh(sharding.mesh)
    return None
