"""Batches on their way through a device and the CPU, several at once."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

import jax
import numpy as np

from jaxflow._checks import InputError
from jaxflow.flow.worker import Worker
from jaxflow.models.packing import pack
from jaxflow.running._executables import Executables
from jaxflow.running._item import Item
from jaxflow.running._program import Arrays, Call, Inputs
from jaxflow.running._recorded import with_recording
from jaxflow.running._sizes import Sizes
from jaxflow.running._task import Task

ItemT = TypeVar("ItemT", bound=Item)
ResultT = TypeVar("ResultT")
T = TypeVar("T")
# Longest pause, in seconds, between two looks at whether a device is done.
LONGEST_PAUSE = 0.005


@dataclass(frozen=True)
class _Started(Generic[ItemT]):
    """A batch on the device: its texts, and each model's outputs, which may not be ready yet."""

    items: list[ItemT]
    outputs: tuple[Arrays, ...]


@dataclass(frozen=True)
class _Begun(Generic[ItemT, ResultT]):
    """A batch at its last step, on the CPU: its texts, and the function that waits for their results."""

    items: list[ItemT]
    finish: Callable[[], Sequence[ResultT]]


class Pipeline(Generic[ItemT, ResultT]):
    """Runs batches through one model or several, in three steps, with a batch at each step.

    The models' programs run on the newest batch; the task's own device work is done for the one before; the CPU solves
    for the one before that. A batch that the device has no memory for is halved once the others on their way are
    finished, and so are those that follow.
    """

    def __init__(
        self,
        task: Task[ItemT, ResultT],
        executables: Sequence[Executables],
        sizes: Sizes,
        room: int | None,
        idle: Callable[[float], None] = lambda _: None,
    ):
        """A pipeline.

        Args:
            task: makes the calls and the results.
            executables: each model's programs.
            sizes: of batches.
            room: bytes that the programs of a batch may take, None for any; a batch that needs more is halved.
            idle: called with the seconds since the device was last seen at work, whenever it is given a batch and has
                none, and at the end.
        """
        self._task, self._executables, self._sizes, self._room = task, executables, sizes, room
        # Batches that the device had no memory for, halved, to be run before any others.
        self._halved: deque[list[ItemT]] = deque()
        # Tokens of a batch that may fit, padding included; None until one did not.
        self._token_limit: int | None = None
        self._started: _Started[ItemT] | None = None
        self._begun: deque[_Begun[ItemT, ResultT]] = deque()
        # Indices of single texts that did not fit while other batches held memory.
        self._tried_alone: set[int] = set()
        # Draining: no batch is begun until those on their way are finished.
        self._draining = self._exhausted = False
        self._idle, self._at_work = idle, 0.0

    def run(self, batches: Iterable[list[ItemT]]) -> Generator[dict[int, ResultT], None, None]:
        """Finished batches as they come, mostly in their order: results by their items' index."""
        waiting = iter(batches)
        self._at_work = time.perf_counter()
        with Worker() as worker:
            while True:
                # None at the end, and where the batches on their way must finish first.
                chosen = self._next(waiting)
                following = None if chosen is None else self._fitted(chosen, partial(self._start, chosen))
                if self._started is not None:
                    before = self._started
                    begun = self._fitted(before.items, partial(self._begin, before, worker))
                    self._begun.extend(() if begun is None else (begun,))
                    # These names would keep the batch's arrays on the device.
                    del before, begun
                self._started = following
                del following
                # One batch stays with the CPU while the device works on the next; at the end none does.
                while len(self._begun) > (0 if chosen is None else 1):
                    batch = self._begun.popleft()
                    results = self._fitted(batch.items, batch.finish)
                    if results is not None:
                        yield {item.index: result for item, result in zip(batch.items, results, strict=True)}
                    del batch
                if self._exhausted and not self._halved and self._started is None:
                    self._idle(time.perf_counter() - self._at_work)
                    return

    def _next(self, waiting: Iterator[list[ItemT]]) -> list[ItemT] | None:
        """The next batch, cut to fit the device's memory."""
        if self._draining:
            self._draining = False
            return None
        items = self._halved.popleft() if self._halved else next(waiting, None)
        if items is None:
            self._exhausted = True
            return None
        if self._token_limit is not None:
            # The rest goes back in order: `extendleft` turns the order around.
            items, *rest = _cut(items, max(1, self._token_limit // self._sizes.length(items)))
            self._halved.extendleft(reversed(rest))
        # A text that is tried alone gets the device to itself, before and after.
        self._draining = items[0].index in self._tried_alone
        return items

    def _start(self, items: list[ItemT]) -> _Started[ItemT]:
        """Begin the models' programs."""
        # After a batch was halved, its size is the one that fitted.
        sizes = self._sizes if self._token_limit is None else replace(self._sizes, batch_size=len(items))
        length = sizes.length(items)
        calls = self._task.calls(items, sizes.rows(length, len(items)), length)
        # Models that JAX does not run work here, beside the device's batch before.
        calls = [
            with_recording(executables.model, call) for call, executables in zip(calls, self._executables, strict=True)
        ]
        ready = [
            replace(call, inputs=executables.placement.put(_packed(call.inputs, sizes)))
            for call, executables in zip(calls, self._executables, strict=True)
        ]
        # A program that is known to be too large is never run: some devices end the process instead of refusing.
        self._check_room(items, ready)
        # The device is idle from when it was last seen at work until it is given this batch.
        now = time.perf_counter()
        if self._started is None or _is_done(self._started.outputs):
            self._idle(now - self._at_work)
        self._at_work = now
        outputs = tuple(
            executables.run(call.inputs, call.program)
            for call, executables in zip(ready, self._executables, strict=True)
        )
        return _Started(items, outputs)

    def _check_room(self, items: list[ItemT], calls: Sequence[Call]) -> None:
        needed = [
            executables.of(call.inputs, call.program).about.bytes
            for call, executables in zip(calls, self._executables, strict=True)
        ]
        known = [size for size in needed if size is not None]
        if self._room is not None and sum(known) > self._room and len(items) > 1:
            raise _TooLargeError

    def _begin(self, batch: _Started[ItemT], worker: Worker) -> _Begun[ItemT, ResultT]:
        """Begin the task's work on a batch's outputs, when its programs are done."""
        _wait(batch.outputs)
        finish = self._task.begin(batch.items, batch.outputs, worker)
        # The device was just seen at work on the batch, or on the task's own work.
        self._at_work = time.perf_counter()
        return _Begun(batch.items, finish)

    def _fitted(self, items: list[ItemT], step: Callable[[], T]) -> T | None:
        """The step's result; None where the device had no memory for it, and the batch is to come again, halved."""
        try:
            return step()
        except (jax.errors.JaxRuntimeError, _TooLargeError) as error:
            if not isinstance(error, _TooLargeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            self._halve(items, error)
        return None

    def _halve(self, items: list[ItemT], error: Exception) -> None:
        # Other batches on their way hold memory as well, so they finish first; one text alone is then tried once more.
        self._draining = True
        if len(items) > 1:
            half = -(-len(items) // 2)
            tokens = half * self._sizes.length(items)
            self._token_limit = tokens if self._token_limit is None else min(self._token_limit, tokens)
            self._halved.extendleft(reversed(_cut(items, half)))
        elif items[0].index not in self._tried_alone:
            self._tried_alone.add(items[0].index)
            self._halved.appendleft(items)
        else:
            expected, got = "fit into the device's memory", f"{items[0].length} tokens, too many even alone"
            raise InputError(None, expected, got, self._task.memory_advice, place=items[0].place) from error


class _TooLargeError(Exception):
    """A program that takes more memory than there is room for."""


def _cut(items: list[ItemT], size: int) -> list[list[ItemT]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _packed(inputs: Inputs, sizes: Sizes) -> Inputs:
    """The inputs with the packing of their batch, where packing pays."""
    # row token; how much room the packed rows get depends on the real tokens alone.
    mask = np.asarray(inputs.batch.mask)
    rows, length = mask.shape
    size = sizes.packed(rows, length, int(mask.sum()))
    return inputs if size is None else replace(inputs, packing=pack(mask, size))


def _wait(outputs: Arrays) -> None:
    """Wait as Python does, which an interrupt ends at once; waiting for an array it would only end with the batch."""
    pause = LONGEST_PAUSE / 64
    while not _is_done(outputs):
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _is_done(outputs: Arrays) -> bool:
    return all(array.is_ready() for array in jax.tree.leaves(outputs))
