"""Files that belong to a living process: locks, which the system releases when their process ends in any way."""

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
    """Another living process holds a file; the message is the holder's own text in it."""


@contextmanager
def new_file(path: Path) -> Iterator[None]:
    """Make a new file and lock it for the context, so that `remove_abandoned` leaves it alone.

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
    """Hold a file for the context, and remove it then. Nothing is held where the file cannot be made.

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
    """The text that the holder of a file wrote into it; None where nobody holds it."""
    # Non-blocking: a FIFO in the file's place would wait for a writer.
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _holder_text(handle) if _lock(handle) is False else None
    finally:
        os.close(handle)


def remove_abandoned(path: Path) -> None:
    """Remove a regular file unless a living process has it locked."""
    # No symbolic link is followed: what it points to is not ours to remove.
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        about, locked = os.fstat(handle), _lock(handle)
        old = time.time() - about.st_mtime > OLD
        # A lock that this process gets has no holder; where there are no locks, age decides.
        if stat.S_ISREG(about.st_mode) and (locked or (locked is None and old)):
            with suppress(OSError):
                path.unlink()
    finally:
        os.close(handle)


def _taken(path: Path) -> int | None:
    """A handle of the file, locked, with the holder's name written into it; None where it cannot be made."""
    # A lock belongs to the open file, not to its name: between opening and locking the last holder may have removed the
    # file, and another process made a new one. Then it is opened again.
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        except OSError:
            return None
        locked = _lock(handle)
        if locked is False:
            holder_text = _holder_text(handle)
            os.close(handle)
            raise HeldError(holder_text)
        if locked is None or _is_same(handle, path):
            with suppress(OSError):
                os.truncate(handle, 0)
                _ = os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return handle
        os.close(handle)


def _lock(handle: int) -> bool | None:
    """Whether an open file could be locked at once; None where the system or its file system has no locks."""
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
    """Whether an open file still is the one that its path names."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _holder_text(handle: int) -> str:
    # The holder may have locked the file and not yet written.
    text = os.pread(handle, 200, 0).decode("utf-8", errors="replace")
    return " ".join(text.split()) or "another process"
