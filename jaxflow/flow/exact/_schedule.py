"""Which pairs are solved together, and by which thread."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, zip_longest
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

# A chunk is what one call of a kernel solves, without looking up: about 20 ms, so that an interrupt is prompt.
CHUNK_WORK = 200_000
# What a thread should have to do, about 2 ms: starting one costs a tenth of that.
_THREAD_WORK = 20_000
# Where there are so many examples a thread, each is one thread's alone: to set one up costs about a millisecond.
_MANY = 4
# Sources of fewer sinks than this are solved pair by pair, but above so many tokens: sets of bits need 45 bytes an arc.
FEW_SINKS, LONGEST_DENSE = 32, 1500


class Task(NamedTuple):
    """Pairs of one example and one source layer, sorted by sink."""

    example: int
    place: int
    layer: int
    queries: np.ndarray
    sinks: np.ndarray
    row: bool = False  # one source, whose sinks are solved together
    lower: tuple[tuple[int, int], ...] = ()  # places and layers below at which the same pairs are wanted, deepest first
    proof: bool = False  # all sources of some sinks, by what is known of them at the layer below


Shape = tuple[int, ...]


def chunk(layer: int, tokens: int) -> int:
    """How many pairs a kernel is given at once."""
    return max(1, CHUNK_WORK // (layer * tokens))


def useful_threads(pairs: int, layers: int, tokens: int) -> int:
    """How many threads so many pairs are worth."""
    return 1 + pairs * layers * tokens // _THREAD_WORK


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shares(
    shape: Shape,
    layers: tuple[int, ...],
    wanted: np.ndarray | None,
    threads: int,
    by_rows: Callable[[int, int], bool],
    *,
    along: bool,
) -> Iterator[Iterable[Task]]:
    """What a thread takes at once: an example of many, or one task.

    `by_rows` says of an example and a layer whether a source's sinks are solved together; `along`, whether pairs of
    several layers may be one task.
    """
    examples = examples_of(shape, wanted)
    own = (_tasks(shape, layers, wanted, example, by_rows, along) for example in examples)
    # Many examples: each is one thread's, which sets it up once. Few: their tasks go to whoever is free.
    if len(examples) >= _MANY * threads:
        yield from own
    else:
        yield from ([task] for tasks in own for task in tasks)


def rounds(
    examples: list[int],
    layers: tuple[int, ...],
    threads: int,
    by_rows: Callable[[int, int], bool],
    proofs: Callable[[int, int], Iterable[Task]],
    left: Callable[[int, int], np.ndarray],
) -> Iterator[Iterator[Iterable[Task]]]:
    """What threads take at once, layer by layer from below: the shares of a round, once the round before is done.

    `proofs` gives an example's tasks that the layer below may settle at a place; `left` says which pairs are to be
    solved after these, `query token`.
    """

    def steps(example: int) -> Iterator[Iterable[Task]]:
        for place, layer in sorted(enumerate(layers), key=lambda item: item[1]):
            yield proofs(example, place)
            # Asked when the proofs are done.
            yield _runs(example, place, layer, left(example, place), by_rows)

    if len(examples) >= _MANY * threads:
        # A thread that has an example alone does its steps one after the other.
        yield (chain.from_iterable(steps(example)) for example in examples)
        return
    for step in zip_longest(*map(steps, examples), fillvalue=()):
        yield ([task] for tasks in step for task in tasks)


def examples_of(shape: Shape, wanted: np.ndarray | None) -> list[int]:
    """Examples of which any pair is wanted."""
    return list(range(shape[0])) if wanted is None else np.flatnonzero(wanted.any((1, 2, 3))).tolist()


def _tasks(
    shape: Shape,
    layers: tuple[int, ...],
    wanted: np.ndarray | None,
    example: int,
    by_rows: Callable[[int, int], bool],
    along: bool,
) -> Iterator[Task]:
    """An example's pairs, in runs."""
    _, _, queries, tokens = shape
    every = np.ones((queries, tokens), bool)
    # The deepest layers first: they take longest, and the last task should be short.
    waiting = sorted(enumerate(layers), key=lambda item: -item[1])
    while waiting:
        place, layer = waiting.pop(0)
        here = every if wanted is None else wanted[example, place]
        # The same pairs of layers below go along, as flows of this layer may be flows of those.
        along_here = along and not (_as_rows(here).any() and by_rows(example, layer))
        lower = [at for at in waiting if along_here and _goes_along(at, layer, example, wanted, here, by_rows)]
        waiting = [at for at in waiting if at not in lower]
        yield from _runs(example, place, layer, here, by_rows, tuple(lower))


def _as_rows(here: np.ndarray) -> np.ndarray:
    """Which sources have enough sinks: what these share takes as long as some ten of them."""
    few = FEW_SINKS if here.shape[1] <= LONGEST_DENSE else 1
    return here.sum(1) >= few


def _runs(
    example: int,
    place: int,
    layer: int,
    here: np.ndarray,
    by_rows: Callable[[int, int], bool],
    lower: tuple[tuple[int, int], ...] = (),
) -> Iterator[Task]:
    """Pairs `here`, `query token`, of one layer: sources with their sinks where that serves, and runs of the rest."""
    rows = np.flatnonzero(_as_rows(here))
    if len(rows) and by_rows(example, layer):
        for query in rows:
            sinks = np.flatnonzero(here[query])
            yield Task(example, place, layer, np.full(len(sinks), query), sinks, row=True)
        here = here.copy()
        here[rows] = False
    # Sorted by sink, as the sources of a sink share its reach.
    sinks, sources = np.nonzero(here.T)
    size = chunk(layer, here.shape[1])
    for begin in range(0, len(sinks), size):
        run = slice(begin, begin + size)
        yield Task(example, place, layer, sources[run], sinks[run], lower=lower)


def _goes_along(
    at: tuple[int, int],
    layer: int,
    example: int,
    wanted: np.ndarray | None,
    here: np.ndarray,
    by_rows: Callable[[int, int], bool],
) -> bool:
    """Whether the pairs of a place and layer are those of a deeper one, and both need the solver."""
    place, below = at
    if not 3 <= below < layer or by_rows(example, below):
        return False
    return wanted is None or np.array_equal(wanted[example, place], here)


class Runner:
    """Runs tasks on threads, until it is told to stop."""

    def __init__(self, solve: Callable[[Task], Iterator[int]]):
        self._solve = solve
        self.stopped = False

    def __call__(self, shares: Iterator[Iterable[Task]], threads: int) -> Iterator[int]:
        """Give the number of pairs of each part of a task as it is done."""
        if threads == 1:
            yield from (count for share in shares for task in share for count in self._solve(task))
            return
        lock = threading.Lock()
        done: SimpleQueue[int | None] = SimpleQueue()

        def work() -> None:
            try:
                while not self.stopped:
                    with lock:
                        share = next(shares, None)
                    if share is None:
                        return
                    for task in share:
                        for count in self._solve(task):
                            done.put(count)
                            if self.stopped:
                                return
            finally:
                done.put(None)

        with ThreadPoolExecutor(threads, thread_name_prefix="jaxflow") as pool:
            try:
                workers, running = [pool.submit(work) for _ in range(threads)], threads
                while running:
                    count = done.get()
                    if count is None:
                        running -= 1
                    else:
                        yield count
                for worker in workers:
                    worker.result()
            finally:
                # On an interrupt the threads end with the chunk they are at.
                self.stopped = True
