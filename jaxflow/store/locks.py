"""Files that belong to a living process: locks, which the system releases when their process ends in any way."""

import os
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


@contextmanager
def new_file(path: Path, mode: int = 0o666) -> Iterator[int]:
    """Make a new file and lock it for the context, so that `remove_abandoned` leaves it alone; gives its handle.

    Raises:
        OSError: it cannot be made, or is there already.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        _ = lock(handle)
        yield handle
    finally:
        os.close(handle)


def is_free(path: Path) -> bool:
    """Whether a file is there, and no living process has it locked; False where there are no locks."""
    # Non-blocking: a FIFO in the file's place would wait for a writer.
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return lock(handle) is True
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
        about, locked = os.fstat(handle), lock(handle)
        old = time.time() - about.st_mtime > OLD
        # A lock that this process gets has no holder; where there are no locks, age decides.
        if stat.S_ISREG(about.st_mode) and (locked or (locked is None and old)):
            with suppress(OSError):
                path.unlink()
    finally:
        os.close(handle)


def lock(handle: int) -> bool | None:
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
