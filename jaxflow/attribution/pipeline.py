"""Batches on their way through a device and the CPU, several at once."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import jax
import numpy as np

from jaxflow._checks import InputError
from jaxflow.attribution.batch import Request, examples_of
from jaxflow.attribution.executables import Executables
from jaxflow.attribution.items import Item
from jaxflow.attribution.methods import Scores, begin_scores
from jaxflow.attribution.program import Streamed
from jaxflow.attribution.result import Example
from jaxflow.attribution.sizes import Sizes
from jaxflow.flow.worker import Worker

Examples = dict[int, Example]
T = TypeVar("T")
# Longest pause, in seconds, between two looks at whether a device is done.
LONGEST_PAUSE = 0.005


@dataclass(frozen=True)
class _Started:
    """A batch on the device: which texts it holds, and what the device is making of them."""

    items: list[Item]
    streamed: Streamed


@dataclass(frozen=True)
class _Begun:
    """A batch whose last share is the CPU's: which texts it holds, and what waits for them."""

    items: list[Item]
    finish: Callable[[], Examples]


class Pipeline:
    """Runs batches; each goes through three steps, and so many are on their way.

    The forward pass of the last, with the methods that stream; what else the device does for the one before; and what
    the CPU solves for the one before that. A batch that the device has no memory for is halved, once what else is on
    its way is finished, and so are those that follow.
    """

    def __init__(
        self,
        request: Request,
        executables: Executables,
        sizes: Sizes,
        room: int | None,
        idle: Callable[[float], None] = lambda _: None,
    ):
        """A pipeline.

        Args:
            request: what is asked.
            executables: the encoder's programs.
            sizes: of batches.
            room: bytes that a program may take; None for any. A larger one isn't run, and its batch is halved.
            idle: called with the seconds since the device was last seen at work, whenever it is given a batch and has
                none, and at the end.
        """
        self._request, self._executables, self._sizes, self._room = request, executables, sizes, room
        self._again: deque[list[Item]] = deque()
        self._most: int | None = None
        self._started: _Started | None = None
        self._begun: deque[_Begun] = deque()
        self._alone: set[int] = set()
        self._draining = self._over = False
        self._idle, self._at_work = idle, 0.0

    def run(self, batches: Iterable[list[Item]]) -> Generator[Examples, None, None]:
        """Finished batches as they come, mostly in their order."""
        waiting = iter(batches)
        self._at_work = time.perf_counter()
        with Worker() as worker:
            while True:
                # None where there is nothing more, or what is on its way is to be finished first.
                chosen = self._next(waiting)
                following = None if chosen is None else self._fitted(chosen, partial(self._start, chosen))
                if self._started is not None:
                    before = self._started
                    begun = self._fitted(before.items, partial(self._begin, before, worker))
                    self._begun.extend(() if begun is None else (begun,))
                    # Or the device keeps what they hold.
                    del before, begun
                self._started = following
                del following
                while len(self._begun) > (0 if chosen is None else 1):
                    batch = self._begun.popleft()
                    examples = self._fitted(batch.items, batch.finish)
                    del batch
                    if examples is not None:
                        yield examples
                if self._over and not self._again and self._started is None:
                    self._idle(time.perf_counter() - self._at_work)
                    return

    def _next(self, waiting: Iterator[list[Item]]) -> list[Item] | None:
        """The next batch, cut to what the device has memory for."""
        if self._draining:
            self._draining = False
            return None
        items = self._again.popleft() if self._again else next(waiting, None)
        if items is None:
            self._over = True
            return None
        if self._most is not None:
            items, *rest = _cut(items, max(1, self._most // self._length(items)))
            self._again.extendleft(reversed(rest))
        self._draining = items[0].index in self._alone
        return items

    def _start(self, items: list[Item]) -> _Started:
        """Begin the forward pass."""
        sizes = self._sizes if self._most is None else replace(self._sizes, batch_size=len(items))
        inputs = self._executables.placement.put(self._request.inputs(items, sizes))
        job = self._request.job(items)
        needed = self._executables.of(inputs, job).about.bytes
        if self._room is not None and needed is not None and needed > self._room and len(items) > 1:
            raise _TooLargeError
        now = time.perf_counter()
        if self._started is None or _is_done(self._started.streamed):
            self._idle(now - self._at_work)
        self._at_work = now
        return _Started(items, self._executables.run(inputs, job))

    def _length(self, items: list[Item]) -> int:
        return self._sizes.length([item.encoding for item in items])

    def _begin(self, batch: _Started, worker: Worker) -> _Begun:
        """Begin what is done with a batch's graph, when its forward pass is done."""
        request, streamed = self._request, batch.streamed
        _wait(streamed)
        for item, finite in zip(batch.items, np.asarray(streamed.finite), strict=False):
            if not finite:
                raise InputError(
                    f"the model's attention is not a number for {item.place}; check its weights, or load it in float32"
                )
        begun: dict[str, Callable[[], Scores]] = {
            name: partial(Scores, relevance) for name, relevance in streamed.relevance.items()
        }
        if streamed.graph is not None:
            graph = streamed.graph
            queries = jax.device_put(
                request.queries(batch.items, *graph.mask.shape), self._executables.placement.examples
            )
            for method in request.methods:
                if method.name not in begun:
                    begun[method.name] = begin_scores(method, graph, queries, request.layers, worker)
        # With the batch, or with what these methods had it do.
        self._at_work = time.perf_counter()

        def finish() -> Examples:
            scores = {method.name: begun[method.name]() for method in request.methods}
            return examples_of(request, batch.items, scores, streamed.logits)

        return _Begun(batch.items, finish)

    def _fitted(self, items: list[Item], step: Callable[[], T]) -> T | None:
        """The step's result; None where the device had no memory for it, and the batch is to come again, halved."""
        try:
            return step()
        except (jax.errors.JaxRuntimeError, _TooLargeError) as error:
            if not isinstance(error, _TooLargeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            self._halve(items, error)
        return None

    def _halve(self, items: list[Item], error: Exception) -> None:
        # Whatever else is on its way holds memory as well, so it is finished first; one text alone is tried once more.
        self._draining = True
        if len(items) > 1:
            half = -(-len(items) // 2)
            most = half * self._length(items)
            self._most = most if self._most is None else min(self._most, most)
            self._again.extendleft(reversed(_cut(items, half)))
        elif items[0].index not in self._alone:
            self._alone.add(items[0].index)
            self._again.appendleft(items)
        else:
            raise InputError(
                f"the device has no memory for {items[0].place} of {len(items[0].encoding)} tokens, even alone; pass a "
                "smaller `max_length`, fewer `queries`, or devices that share the encoder by `mesh`"
            ) from error


class _TooLargeError(Exception):
    """A program that takes more memory than there is room for."""


def _cut(items: list[Item], size: int) -> list[list[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _wait(streamed: Streamed) -> None:
    """Wait as Python does, which an interrupt ends at once; waiting for an array it would only end with the batch."""
    pause = LONGEST_PAUSE / 64
    while not _is_done(streamed):
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _is_done(streamed: Streamed) -> bool:
    return all(array.is_ready() for array in jax.tree.leaves(streamed))
