"""Ctrl-C, SIGTERM and SIGUSR1 on the command line: work stops where it is safe to, and no signal is lost."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Seconds after which an interrupt that was swallowed is sent again.
AGAIN = 0.05


# Signals by which a cluster says that a process is to end soon; Slurm sends either.
ENDING = {name: getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)}


class Terminated(KeyboardInterrupt):
    """SIGTERM: as Ctrl-C, but for the exit code."""

    number = int(signal.SIGTERM)


class Warned(Terminated):
    """SIGUSR1: as SIGTERM, but for the exit code."""

    number = int(ENDING.get("SIGUSR1", signal.SIGTERM))


INTERRUPTS: dict[int, type[KeyboardInterrupt]] = {each.number: each for each in (Warned, Terminated)}


class Interrupts:
    """An interrupt that came while work goes on: call it between batches to raise it.

    Attributes:
        kind: of the interrupt; None before it.
        ending: whether the work is to end soon of itself, at the first signal of a cluster; nothing is raised then.
    """

    def __init__(self) -> None:
        self.kind: type[KeyboardInterrupt] | None = None
        self.ending = False

    def __call__(self) -> None:
        """Raise the interrupt, if one came."""
        if self.kind is not None and not self.ending:
            raise self.kind


@contextmanager
def signals() -> Iterator[None]:
    """For a whole command: a cluster's signals interrupt as Ctrl-C does; an interrupt that was swallowed comes again.

    Python drops exceptions raised while the garbage collector calls back (JAX has it do so), or in a finaliser.
    """
    # Python lets only the main thread handle signals.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hook = sys.unraisablehook

    def unraisable(swallowed: "sys.UnraisableHookArgs") -> None:
        if not issubclass(swallowed.exc_type, KeyboardInterrupt):
            hook(swallowed)
            return
        # A little later, from a thread of its own: sent at once, it would be swallowed in the same place.
        number = getattr(swallowed.exc_type, "number", signal.SIGINT)
        again = threading.Timer(AGAIN, signal.pthread_kill, (threading.main_thread().ident, number))
        again.daemon = True
        again.start()

    def terminate(number: int, _: FrameType | None) -> None:
        raise INTERRUPTS[number]

    before = {number: _install(number, terminate) for number in ENDING.values()}
    sys.unraisablehook = unraisable
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            _ = signal.signal(number, handler)


@contextmanager
def interrupts(end_soon: Callable[[str], None] | None = None) -> Iterator[Interrupts]:
    """Ctrl-C and SIGTERM stop the work where the given value is called, that is between batches; a second one at once.

    At once is not safe: an exception raised while compiled code calls back into Python may be swallowed there. The
    error is of the kind of the last signal.

    Args:
        end_soon: for work that ends soon of itself where `ending` of the given value is true: called with the name of
            the first SIGTERM or SIGUSR1. The next signal then stops the work between batches.
    """
    asked = Interrupts()

    def interrupt(number: int, _: FrameType | None) -> None:
        before, asked.kind = asked.kind, INTERRUPTS.get(number, KeyboardInterrupt)
        if before is None and end_soon is not None and number in INTERRUPTS:
            asked.ending = True
            end_soon(signal.Signals(number).name)
        elif asked.ending:
            asked.ending = False
        elif before is not None:
            # The second signal raises here, wherever the work is.
            raise asked.kind

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: _install(number, interrupt) for number in (signal.SIGINT, *ENDING.values())}
    try:
        yield asked
    except KeyboardInterrupt as error:
        # Code in between may have raised a KeyboardInterrupt of its own in the place of a SIGTERM.
        if asked.kind is not None and not isinstance(error, asked.kind):
            raise asked.kind(*error.args) from error
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
