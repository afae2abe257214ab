"""The processor that programs are traced for: the one that JAX has, or TPUs that are only described."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

# Of how many TPU chips that this machine lacks programs are made for; 0 for those that it has.
_TPU_CHIPS: ContextVar[int] = ContextVar("_TPU_CHIPS", default=0)


@contextmanager
def for_tpu(chips: int) -> Iterator[None]:
    """Trace programs for so many TPU chips on a machine that has none, to compile them."""
    before = _TPU_CHIPS.set(chips)
    try:
        yield
    finally:
        _TPU_CHIPS.reset(before)


def tpu_chips() -> int:
    """Number of TPU chips that programs are traced for; 0 where it is for other processors."""
    return _TPU_CHIPS.get() or (jax.device_count() if jax.default_backend() == "tpu" else 0)


def is_cpu() -> bool:
    """Whether programs are traced for a CPU."""
    return not _TPU_CHIPS.get() and jax.default_backend() == "cpu"
