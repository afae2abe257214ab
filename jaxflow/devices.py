"""Devices of one process as a mesh, and several processes that share the work."""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import jax
import numpy as np

from jaxflow._checks import InputError, shown, shown_text

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


# Longer than anyone waits, in seconds.
NEVER = 10**6


class UnmetError(InputError):
    """Not all processes came; JAX still waits for them in a thread, and would say so at length at Python's end."""


@dataclass(frozen=True)
class Processes:
    """Processes that share the work.

    Attributes:
        index: of this process, from 0.
        count: of all processes.
    """

    index: int
    count: int


def initialize(
    coordinator: str | None = None,
    count: int | None = None,
    index: int | None = None,
    *,
    start_seconds: int = 60,
    silence_seconds: int = 60,
    end_seconds: int = 300,
) -> Processes:
    """Join the processes that were started for one sweep, on one host or on many; call it before anything else of JAX.

    Nothing need be passed under SLURM, Open MPI, on Cloud TPU pods, and in Kubernetes jobs with the package
    `kubernetes`: JAX finds the others by itself. Elsewhere say who coordinates by the arguments or by the environment:
    `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID` (or a Kubernetes job's `JOB_COMPLETION_INDEX`).
    Under SLURM and Open MPI JAX gives each process one device, that of its number on the host; a process that shall
    have several names them in `JAX_LOCAL_DEVICE_IDS`.

    The processes exchange no numbers: each attributes its own texts on its own devices. They watch each other, though:
    when one dies, JAX ends the others once it was silent for a while, and says on standard error that another task
    died. (The command line's processes see it sooner, in the folder that they fill, and say which one it was, and why
    if it gave up; the sudden death of process 0 is JAX's to report.) What was finished by then is on disk. At its end
    a process waits for the others, at most for `end_seconds`.

    Args:
        coordinator: address of process 0, `host:port`; the port must be free there.
        count: of the processes.
        index: of this one, from 0.
        start_seconds: how long to wait for the others at the start.
        silence_seconds: after how long a process that gives no sign counts as dead.
        end_seconds: how long to wait for the others at the end.

    Raises:
        InputError: the other processes are not named, the arguments do not fit, process 0 cannot be reached, or JAX was
            used before.
    """
    count, index = _who(coordinator, count, index, start_seconds)
    # JAX's service for preempted hosts would swallow SIGTERM; nothing here asks it.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        initialize_jax = partial(
            jax.distributed.initialize,
            coordinator_address=coordinator,
            num_processes=count,
            process_id=index,
            initialization_timeout=start_seconds + NEVER,
            heartbeat_timeout_seconds=silence_seconds,
            shutdown_timeout_seconds=end_seconds,
        )
        _join(start_seconds, count, initialize_jax)
    except UnmetError:
        raise
    except (ValueError, RuntimeError) as error:
        way_out = (
            "start them by SLURM, Open MPI or on a TPU pod, or name process 0 (host:port), how many there are, and "
            "which of them this one is"
        )
        got = shown_text(str(error).splitlines()[0])
        raise InputError(None, "join the other processes", got, way_out, place="this process") from error
    return processes()


def _who(coordinator: str | None, count: int | None, index: int | None, seconds: int) -> tuple[int | None, int | None]:
    """Number of processes and index of this one, by arguments or environment; waits for process 0."""
    # Kubernetes numbers the pods of every indexed job, so its index counts only beside a number of processes.
    count = _number("count", count, "JAX_NUM_PROCESSES")
    index = _number("index", index, "JAX_PROCESS_ID", "JOB_COMPLETION_INDEX" if count is not None else None)
    if index is not None and count is not None and index >= count:
        raise InputError("index", f"be below the number of processes, {count}", str(index), "number them from 0")
    address = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    if address is not None:
        host, port = _host_and_port(address)
        # Process 0 opens the address itself; the others must find it open.
        if index:
            _reach(address, host, port, seconds)
    return count, index


def _join(seconds: int, count: int | None, initialize_jax: Callable[[], None]) -> None:
    """Join the processes by JAX, with a time limit that raises.

    JAX's limit ends the process with a core dump, so JAX gets a far longer one, in a thread that is left behind.

    Raises:
        UnmetError: not all processes came in time.
        ValueError, RuntimeError: as JAX does.
    """
    # Filled by the thread; raised again in this one, below.
    errors: list[Exception] = []

    def join() -> None:
        try:
            initialize_jax()
        except Exception as error:
            errors.append(error)

    # A daemon thread does not hold up Python's end while JAX still waits in it.
    thread = threading.Thread(target=join, name="jaxflow-join", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise UnmetError(
            "count",
            f"be the number of processes that are started within {seconds} s",
            f"{count or 'what the cluster says'}, and not all of them came",
            "start all of them, and name the same process 0 (host:port) to each",
        )
    if errors:
        raise errors[0]


def processes() -> Processes:
    """This process among all; the only one unless `initialize` was called."""
    return Processes(jax.process_index(), jax.process_count())


def _host_and_port(address: str) -> tuple[str, int]:
    """The parts of `host:port`; an IPv6 address stands in brackets."""
    # Split at the last colon: an IPv6 address has colons of its own.
    host, _, port = address.rpartition(":")
    if not host or "\0" in host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 2**16:
        raise InputError("coordinator", "be host:port, with a port from 1 to 65535", shown(address))
    return host.removeprefix("[").removesuffix("]"), int(port)


def _reach(address: str, host: str, port: int, seconds: int) -> None:
    """Wait until process 0 can be reached; JAX would end this process instead of raising."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=max(1.0, end - time.monotonic())).close()
        except (OSError, UnicodeError) as error:
            # A name that is no valid host name (UnicodeError) stays so, however long one waits.
            if time.monotonic() > end or isinstance(error, UnicodeError):
                raise InputError(
                    "coordinator",
                    f"be where process 0 can be reached within {seconds} s",
                    f"{shown(address)} ({error})",
                    "start process 0, or name the host and the port where it is",
                ) from error
            time.sleep(0.2)
        else:
            return


def _number(name: str, value: int | None, *variables: str | None) -> int | None:
    if value is not None:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InputError(name, "be a whole number", shown(value))
        return value
    for variable in variables:
        text = os.environ.get(variable) if variable else None
        if text is not None:
            # `int` would also take signs, blanks and underscores.
            if not re.fullmatch("[0-9]{1,9}", text):
                raise InputError(variable, "be a whole number", shown(text), place="the environment")
            return int(text)
    return None
