"""Files that belong to a process that lives: locks, which the system lets go when their process ends in any way."""

import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover (Windows)
    fcntl = None

# Where the file system has no locks, a temporary file counts as abandoned after so many seconds without a change.
OLD = 86400.0


class HeldError(Exception):
    """Another process that lives holds a file; the message is what it wrote into it."""


@contextmanager
def new_file(path: Path) -> Iterator[None]:
    """Make a new file, which is locked until the end: `remove_abandoned` leaves it alone.

    Raises:
        OSError: it cannot be made, or is there already.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _ = _lock(handle)
        yield
    finally:
        os.close(handle)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a file until the end, and remove it then. Nothing is held where the file cannot be made.

    Raises:
        HeldError: another process holds it, or this one does elsewhere.
    """
    handle = _taken(path)
    try:
        yield
    finally:
        if handle is not None:
            # Before the lock goes: afterwards, it might be another's.
            with suppress(OSError):
                path.unlink()
            os.close(handle)


def holder(path: Path) -> str | None:
    """What the process that holds a file wrote into it; None where nobody does."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _said(handle) if _lock(handle) is False else None
    finally:
        os.close(handle)


def remove_abandoned(path: Path) -> None:
    """Remove a regular file unless a process that lives has it locked."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        about, locked = os.fstat(handle), _lock(handle)
        old = time.time() - about.st_mtime > OLD
        if stat.S_ISREG(about.st_mode) and (locked or (locked is None and old)):
            with suppress(OSError):
                path.unlink()
    finally:
        os.close(handle)


def _taken(path: Path) -> int | None:
    """A handle of the file, which is locked by it and says who did; None where it cannot be made."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        except OSError:
            return None
        locked = _lock(handle)
        if locked is False:
            said = _said(handle)
            os.close(handle)
            raise HeldError(said)
        if locked is None or _is_same(handle, path):
            with suppress(OSError):
                os.truncate(handle, 0)
                _ = os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return handle
        # Whoever held it has removed it meanwhile.
        os.close(handle)


def _lock(handle: int) -> bool | None:
    """Lock an open file at once: whether it could be; None where the system or its file system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _said(handle: int) -> str:
    said = os.pread(handle, 200, 0).decode("utf-8", errors="replace")
    return " ".join(said.split()) or "another process"
