"""Every test runs with shapes checked, strict dtype promotion and several virtual devices."""

import ctypes
import gc
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import jax
import jaxtyping
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")


def _checked_where_needed(jaxtyped: Callable[..., Any], times: int) -> Callable[..., Any]:
    """jaxtyping's decorator, which compares shapes, kept to functions that have any: it takes long at every call.

    A function without an array among its types is checked by beartype alone. A function within a function is checked
    the first `times` that it is made: it is made anew whenever the function around it runs, and to decorate it takes
    some milliseconds.
    """
    made: Counter[Any] = Counter()

    def decorator(*, typechecker: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def decorated(what: Any) -> Any:
            if not isinstance(what, FunctionType):
                return jaxtyped(typechecker=typechecker)(what)
            if "<locals>" in what.__qualname__:
                made[what.__code__] += 1
                if made[what.__code__] > times:
                    return what
            # A type in quotes may name an array.
            shapes = any(isinstance(k, str) or "jaxtyping." in repr(k) for k in what.__annotations__.values())
            return jaxtyped(typechecker=typechecker)(what) if shapes else typechecker(what)

        return decorated

    return decorator


# The hook looks the decorator up by this name, at every function.
jaxtyping.jaxtyped = _checked_where_needed(jaxtyping.jaxtyped, times=5)
jaxtyping.install_import_hook("jaxflow", "beartype.beartype")

# Linux lets a process map 65,530 pieces of memory (vm.max_map_count), each compiled program takes several, and a
# compiler that gets no more ends the process. A worker that runs half of the suite would come there.
_MAPS_OF_A_WORKER = 25_000
# And two workers should leave room on a machine of 8 GB: bytes that programs may have added since they were forgotten.
_BYTES_OF_PROGRAMS = 2 << 30
_process = {"bytes": 0}


@pytest.fixture(autouse=True, scope="module")
def _programs_are_freed() -> Iterator[None]:
    """Forgets the compiled programs after a file that left too many of them."""
    yield
    if sys.platform != "linux":
        return
    maps = Path("/proc/self/maps").read_bytes().count(b"\n")
    if maps > _MAPS_OF_A_WORKER or _resident() - _process["bytes"] > _BYTES_OF_PROGRAMS:
        jax.clear_caches()
        gc.collect()
        # What the allocator keeps goes back to the system; where it has no such call, it is no reason to forget again.
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
        _process["bytes"] = _resident()


def _resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: a long file at the end would keep one process busy alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def _all_rows(sizes: Any, length: int, texts: int) -> int:
    """The full batch's rows, for few texts as well."""
    return -(-sizes.most(length) // sizes.devices) * sizes.devices


@pytest.fixture(scope="module")
def few_sizes() -> Iterator[None]:
    """Batches of one size: one program serves a file where the package would compile one for each size, for speed.

    For files that ask about results, which depend on no size; not for those that ask about batches.
    """
    from jaxflow.running import _sizes

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_sizes, "BUCKETS", (24, 48, 96, 192, 384, 768, 1536))
        patched.setattr(_sizes, "ON_PROCESSOR", 8 * 24)
        patched.setattr(_sizes, "SHARES", (3 / 4,))
        patched.setattr(_sizes.Sizes, "rows", _all_rows)
        yield
