"""The thread that solves on the CPU, beside a device's next step."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from jaxflow.flow import exact

T = TypeVar("T")


class Worker:
    """Solves what it is handed, one after the other, while the caller goes on.

    It touches no JAX, so that the caller's settings for a thread (a default device, a precision) hold for all that a
    device does. To be used in a `with` statement: leaving it for whatever reason, an interrupt included, stops what
    is not finished within some 20 ms, without a result.
    """

    def __init__(self):
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="jaxflow-host")
        self._stopped = threading.Event()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)

    def solve(
        self, capacity: np.ndarray, queries: np.ndarray, layers: tuple[int, ...], **options: Any
    ) -> Future[exact.ExactFlow]:
        """Hand over a call of `exact.max_flow`; the result waits for it, and raises what it raised."""
        return self.begin(exact.max_flow, capacity, queries, layers, **options)

    def begin(self, function: Callable[..., T], *arguments: Any, **options: Any) -> Future[T]:
        """Hand over a call of a function that calls its `progress` every now and then."""
        # Called between a solver's chunks, `_go_on` ends a solve that nobody waits for.
        return self._pool.submit(function, *arguments, progress=self._go_on, **options)

    def _go_on(self, *_: int) -> None:
        if self._stopped.is_set():
            raise _StoppedError


class _StoppedError(Exception):
    """Nobody waits for the result any more."""
