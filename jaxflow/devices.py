"""Devices of one process as a mesh."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import jax
import numpy as np

from jaxflow._checks import InputError, shown

# Mesh axes: examples lie along the first; the parts of an encoder too large for one device lie along the second.
EXAMPLE, MODEL = "example", "model"


@runtime_checkable
class Device(Protocol):
    """A device as JAX has it; its own class cannot stand in annotations."""

    @property
    def id(self) -> int:
        """Its number among all devices."""
        ...

    @property
    def platform(self) -> str:
        """`"cpu"`, `"gpu"` or `"tpu"`."""
        ...

    def memory_stats(self) -> dict[str, int] | None:
        """Bytes in all (`bytes_limit`) and in use, where the platform says."""
        ...


def local_mesh(*, model: int = 1, devices: Sequence[Device] | None = None) -> jax.sharding.Mesh:
    """This process's devices as a mesh for `attribute`: each example runs on one of them, or on one group of `model`.

    Args:
        model: number of devices that hold one encoder together, each a part of its heads and of its feed-forward
            width; above 1 for an encoder too large for one device.
        devices: the devices of the mesh; all of this process's by default.

    Raises:
        InputError: the devices do not divide into groups of `model`.
    """
    chosen = jax.local_devices() if devices is None else list(devices)
    if isinstance(model, bool) or not isinstance(model, int) or model < 1 or len(chosen) % model or not chosen:
        raise InputError("model", f"divide the {len(chosen)} devices", shown(model))
    # One row a group that holds an encoder together: neighbours in JAX's own order of devices.
    grid = np.asarray(chosen).reshape(-1, model)
    return jax.sharding.Mesh(grid, (EXAMPLE, MODEL), axis_types=(jax.sharding.AxisType.Auto,) * 2)


def default_mesh() -> jax.sharding.Mesh | None:
    """All of this process's accelerators if there are several; else None, for one device.

    A processor counts as one device: virtual ones (`--xla_force_host_platform_device_count`) share its cores.
    """
    devices = jax.local_devices()
    # All local devices are of one kind, that of the first.
    return local_mesh() if len(devices) > 1 and devices[0].platform != "cpu" else None


def as_mesh(mesh: object) -> jax.sharding.Mesh:
    """A checked mesh of this process's devices, its axes left to the compiler.

    Raises:
        InputError: `mesh` is not a mesh, or has devices of other processes.
    """
    if not isinstance(mesh, jax.sharding.Mesh):
        got, way_out = type(mesh).__name__, "make one by local_mesh()"
        raise InputError("mesh", "be a jax.sharding.Mesh or None", got, way_out)
    if mesh.is_multi_process:
        way_out = "make one by local_mesh(), since each process attributes its own texts"
        raise InputError("mesh", "hold this process's own devices", "some of other processes", way_out)
    # With explicit axes JAX would ask for the sharding of every operation, which models do not write down.
    return mesh.update(axis_types=(jax.sharding.AxisType.Auto,) * len(mesh.axis_names))


def example_sharding(mesh: jax.sharding.Mesh) -> jax.NamedSharding:
    """Layout of a batch over a mesh: its first axis along every mesh axis but the encoder's own."""
    return jax.NamedSharding(mesh, jax.P(tuple(name for name in mesh.axis_names if name != MODEL)))


def example_devices(mesh: jax.sharding.Mesh) -> int:
    """Number of devices, or of groups that hold one encoder, that a batch is spread over."""
    return mesh.size // mesh.shape.get(MODEL, 1)
