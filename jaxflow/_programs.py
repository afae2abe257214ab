"""Compiled programs: few for arrays of many shapes, and no more of them than memory bears.

JAX compiles a function anew for every shape and keeps what it compiled. A program of the flow's bounds takes some 400
pieces of memory, one of the relaxation 900; Linux gives a process 65,530, and a compiler that gets no more ends it. So
arrays are filled up to one of a few sizes before a program is chosen, and the programs used least recently are dropped.
"""

import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxflow._cache import keep_programs
from jaxflow._checks import is_traced
from jaxflow._switches import broadcasting
from jaxflow._typing import AnyArray

T = TypeVar("T")

# Programs of one function that are kept. The largest take about 900 pieces of memory and 60 MB each.
MOST = 24
# Numbers of the largest array that is worth filling up: beyond, what a program takes to compile is little beside what
# it takes to run. Arrays of accelerators go through the host's memory for it.
NUMBERS, NUMBERS_ON_ACCELERATOR = 1 << 24, 1 << 20
# Numbers of the largest JAX array that NumPy looks through, in some milliseconds: a program for its shape takes 50 and
# more to compile.
NUMBERS_AT_HAND = 1 << 20


class Programs:
    """A function of arrays as from `jax.jit`, but with a limit to the programs it keeps.

    It may broadcast over leading axes, also under `jax_numpy_rank_promotion`. Inside a transformation it is a part of
    another program, and nothing is kept.
    """

    def __init__(self, function: Callable[..., Any], static: tuple[str, ...] = (), most: int = MOST) -> None:
        self._function, self._static, self._most = broadcasting(function), static, most
        self._signature = inspect.signature(function)
        self._inside = jax.jit(self._function, static_argnames=static)
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, *arguments: object, **named: object) -> Any:
        bound = self._signature.bind(*arguments, **named).arguments
        arrays = {name: value for name, value in bound.items() if name not in self._static}
        static = {name: value for name, value in bound.items() if name in self._static}
        if is_traced(arrays):
            return self._inside(**bound)
        keep_programs()
        # All that JAX would compile anew for.
        leaves, structure = jax.tree.flatten(arrays)
        key = (structure, tuple(static.items()), tuple((jnp.shape(x), jnp.result_type(x)) for x in leaves))
        return self._program(key)(**bound)

    def lower(self, *arguments: object, **named: object) -> jax.stages.Lowered:
        """The program for arguments of these shapes, not yet compiled, as `jax.jit`'s `lower`."""
        return self._inside.lower(*arguments, **named)

    def _program(self, key: Hashable) -> Any:
        with self._lock:
            program = self._kept.pop(key, None)
            if program is None:
                program = jax.jit(_copied(self._function), static_argnames=self._static)
            # Taken out and put back, it is the newest; the first in order was not used for longest.
            self._kept[key] = program
            while len(self._kept) > self._most:
                _, oldest = self._kept.popitem(last=False)
                oldest.clear_cache()
        return program


def _copied(function: Callable[..., T]) -> Callable[..., T]:
    """A copy with an identity of its own: JAX's caches forget a function's programs when the function is gone."""

    @wraps(function)
    def copy(*arguments: object, **named: object) -> T:
        return function(*arguments, **named)

    return copy


@dataclass(frozen=True)
class Bucket:
    """A shape that arrays are filled up to with zeros, and cut back from.

    Attributes:
        batch: the arrays' leading axes, which become one.
        sizes: by the name of an axis, its own size and the one it is filled up to; "batch" among them.
        device: where results go; None for JAX's default.
    """

    batch: tuple[int, ...]
    sizes: Mapping[str, tuple[int, int]]
    device: Any = None

    def fill(self, array: AnyArray, axes: str) -> Array:
        """An array of the batch's axes and the named ones, filled up."""
        names = ["batch", *axes.split()]
        flat = np.asarray(array).reshape(-1, *np.shape(array)[len(self.batch) :])
        shape = [
            self.sizes[name][1] if name in self.sizes else own for name, own in zip(names, flat.shape, strict=True)
        ]
        # A copy in any case: JAX may use the memory that it is handed. `np.pad` makes it too, but takes longer.
        filled = np.zeros(shape, flat.dtype)
        filled[tuple(map(slice, flat.shape))] = flat
        return to_device(filled, self.device)

    def cut(self, array: AnyArray, axes: str, shape: tuple[int, ...] | None = None) -> Any:
        """A result with the batch's axis and the named ones, cut back to the arrays' own sizes.

        With `shape` the named axes take that shape.
        """
        names = ["batch", *axes.split()]
        own_parts = tuple(slice(self.sizes[name][0]) if name in self.sizes else slice(None) for name in names)
        own = np.asarray(array)[own_parts]
        own = own.reshape((*self.batch, *(own.shape[1:] if shape is None else shape)))
        return own if isinstance(array, np.ndarray) else to_device(np.ascontiguousarray(own), self.device)


def to_device(array: np.ndarray, device: Any = None) -> jax.Array:
    """A JAX array of an array that nobody writes to; `jnp.asarray` would compile a program for its shape."""
    return jax.device_put(array, device)


def is_at_hand(array: object) -> bool:
    """Whether NumPy should look through an array: the CPU holds it, and compiling for its shape would take longer.

    NumPy reads what the CPU holds without a copy.
    """
    if isinstance(array, jax.Array):
        if is_traced(array) or not isinstance(array.sharding, jax.sharding.SingleDeviceSharding):
            return False
        return array.size <= NUMBERS_AT_HAND and all(device.platform == "cpu" for device in array.devices())
    return isinstance(array, np.ndarray | np.generic)


def bucket_of(array: object, batch: tuple[int, ...], **sizes: int) -> Bucket | None:
    """The bucket for an array and the arrays beside it; None where nothing is to be filled up.

    Args:
        array: the largest of the arrays, on one device or on the host.
        batch: its leading axes.
        sizes: by name, the sizes of the other axes that may be filled up.
    """
    if is_traced(array) or not isinstance(array, np.ndarray | jax.Array):
        return None
    # Arrays over several devices stay where they are.
    device, limit = None, NUMBERS
    if isinstance(array, jax.Array):
        if not isinstance(array.sharding, jax.sharding.SingleDeviceSharding):
            return None
        (device,) = array.devices()
        limit = NUMBERS if device.platform == "cpu" else NUMBERS_ON_ACCELERATOR
        device = device if array.committed else None
    examples = int(np.prod(batch))
    filled = {"batch": (examples, few(examples))} | {name: (size, bucket(size)) for name, size in sizes.items()}
    # An array that has its bucket's shape already needs no copy; several leading axes must become one in any case.
    if array.size > limit or (len(batch) == 1 and all(own == full for own, full in filled.values())):
        return None
    return Bucket(batch, filled, device)


def bucket(size: int) -> int:
    """The size that an axis is filled up to: a multiple of 8, from 64 on of an eighth of the power of two above it."""
    step = max(8, (1 << (size - 1).bit_length()) // 8)
    return -(-size // step) * step


def few(examples: int) -> int:
    """The number of examples that a batch is filled up to: a power of two, or one and a half times one."""
    power = 1 << max(examples - 1, 0).bit_length()
    return power * 3 // 4 if power >= 4 and examples <= power * 3 // 4 else power
