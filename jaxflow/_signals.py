"""Ctrl-C and SIGTERM on the command line: work stops where it is safe to, and no signal is lost."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Seconds after which an interrupt that was swallowed is sent again.
AGAIN = 0.05


class Terminated(KeyboardInterrupt):
    """SIGTERM: as Ctrl-C, but for the exit code."""


class Interrupts:
    """An interrupt that came while work goes on: call it between batches to raise it."""

    def __init__(self) -> None:
        self.kind: type[KeyboardInterrupt] | None = None

    def __call__(self) -> None:
        """Raise the interrupt, if one came."""
        if self.kind is not None:
            raise self.kind


@contextmanager
def signals() -> Iterator[None]:
    """For a whole command: SIGTERM interrupts as Ctrl-C does, and an interrupt that was swallowed comes again.

    Python drops exceptions raised while the garbage collector calls back (JAX has it do so), or in a finaliser.
    """
    # Python lets only the main thread handle signals.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hook = sys.unraisablehook

    def unraisable(swallowed: Any) -> None:
        if not issubclass(swallowed.exc_type, KeyboardInterrupt):
            hook(swallowed)
            return
        # A little later, from a thread of its own: sent at once, it would be swallowed in the same place.
        number = signal.SIGTERM if issubclass(swallowed.exc_type, Terminated) else signal.SIGINT
        again = threading.Timer(AGAIN, signal.pthread_kill, (threading.main_thread().ident, number))
        again.daemon = True
        again.start()

    def terminate(*_: Any) -> None:
        raise Terminated

    before = _install(signal.SIGTERM, terminate)
    sys.unraisablehook = unraisable
    try:
        yield
    finally:
        sys.unraisablehook = hook
        _ = signal.signal(signal.SIGTERM, before)


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Ctrl-C and SIGTERM stop the work where the given value is called, that is between batches; a second one at once.

    At once is not safe: an exception raised while compiled code calls back into Python may be swallowed there. The
    error is of the kind of the last signal.
    """
    asked = Interrupts()

    def interrupt(number: int, _: FrameType | None) -> None:
        # The second signal raises here, wherever the work is.
        before, asked.kind = asked.kind, Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if before is not None:
            raise asked.kind

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: _install(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    except KeyboardInterrupt as error:
        # Code in between may have raised a KeyboardInterrupt of its own in the place of a SIGTERM.
        if asked.kind is Terminated and not isinstance(error, Terminated):
            raise Terminated(*error.args) from error
        raise
    finally:
        for number, handler in before.items():
            _ = signal.signal(number, handler)


def _install(number: signal.Signals, handler: Any) -> Any:
    """Handle a signal, unless the process was started so as to ignore it; the handler before."""
    before = signal.getsignal(number)
    if before != signal.SIG_IGN:
        _ = signal.signal(number, handler)
    # None is a handler that was not installed from Python.
    return signal.SIG_DFL if before is None else before
