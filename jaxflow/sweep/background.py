"""Reading ahead and writing behind: what the host does while the device computes, a little at a time."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

T = TypeVar("T")
# Seconds between two looks at whether the user wants to stop.
PATIENCE = 0.2
END: Any = object()


class _Thread:
    """One thread that does one thing after the other; what it has begun it finishes."""

    def __init__(self, name: str, depth: int, idle: Callable[[], None]):
        # One thread, so that what is drawn or written keeps its order.
        self.pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self.depth, self.idle = depth, idle
        self.begun: deque[Future[Any]] = deque()

    def take(self) -> Any:
        """The oldest result, or its error; `idle` is called now and then until it is there."""
        while not wait([self.begun[0]], PATIENCE).done:
            self.idle()
        return self.begun.popleft().result()


class Ahead(_Thread, Generic[T]):
    """An iterator of another one's items, which a thread draws beforehand, `depth` of them at most."""

    def __init__(self, items: Iterator[T], depth: int, idle: Callable[[], None]):
        super().__init__("jaxflow-read", depth, idle)
        self.items = items

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        # Draw ahead before waiting: the thread is busy while the caller works on this item.
        while len(self.begun) < self.depth:
            self.begun.append(self.pool.submit(next, self.items, END))
        item = self.take()
        if item is END:
            raise StopIteration
        return item

    def close(self) -> None:
        """Draw nothing more."""
        # A reader may be stuck in a pipe; nobody needs what it would bring.
        self.pool.shutdown(wait=False, cancel_futures=True)


class Behind(_Thread, Generic[T]):
    """Does work on items in a thread, `depth` of them waiting at most."""

    def __init__(self, work: Callable[[T], None], depth: int, idle: Callable[[], None]):
        super().__init__("jaxflow-write", depth, idle)
        self.work = work

    def put(self, item: T) -> None:
        """Have an item worked on, and wait until there is room for the next; an earlier item's error comes out here."""
        # First of all: an interruption of the wait must not lose what was computed.
        self.begun.append(self.pool.submit(self.work, item))
        while self.begun and (self.begun[0].done() or len(self.begun) > self.depth):
            self.take()

    def finish(self) -> None:
        """Wait until all that was put is done; an item's error comes out here."""
        while self.begun:
            self.take()

    def close(self) -> None:
        """Finish all that was put, whatever happens meanwhile; the first error comes out."""
        # What was computed is worth waiting for.
        self.pool.shutdown(wait=True)
        errors = [future.exception() for future in self.begun]
        self.begun.clear()
        for error in errors:
            if error is not None:
                raise error
