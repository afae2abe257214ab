"""Leases: which process makes a shard, of those that fill a folder together.

A process that begins a shard makes a file for it, which nobody else can make, and changes this file every few seconds
while it works. A file that did not change while another process watched it for the time of a lease is of a process that
died or stands still: then any other takes the shard over, by making the next file, `part-00007.2` after `part-00007.1`.

No clocks are compared, so hosts may differ in theirs: a watcher sees whether a number in the file goes up, and measures
the time between two looks itself. A process that died on the same host is known at once, by its lock on the file.

Leases only save work. Where two processes make the same shard all the same (one stood still for a while, or a file
system shows changes late), the shard's record ends it, and both write the same rows.
"""

import os
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from jaxflow.store import locks
from jaxflow.store.shards import unwritable

FOLDER = ".jaxflow-leases.tmp"
# Seconds without a change after which a lease is over, and how often it changes in that time.
LEASE, CHANGES = 60.0, 4
# Digits of the number that goes up; it stands first, so that it alone is written again.
DIGITS = 12


def _system() -> str:
    """A name of the running system, the same for all of its processes and no others; "-" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() or "-"
    except OSError:
        return "-"


SYSTEM = _system()


class Leases:
    """The leases of one process on the shards of a folder, and its view of the others'. Close it at the end."""

    def __init__(self, folder: Path):
        self.folder = folder / FOLDER
        # Of each shard that is held the file of its lease, and how that is reached.
        self._own: dict[str, tuple[str, Any]] = {}
        # Of each file that was looked at its content, and since when it has been so.
        self._seen: dict[str, tuple[bytes, float]] = {}
        self._guard, self._ended = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, name: str, rows: str = "-") -> bool:
        """Take the lease of a shard, unless another process has it, or takes it at the same time.

        Args:
            name: of the shard.
            rows: a hash of its rows, which others can compare with theirs.

        Raises:
            InputError: the folder cannot be written.
        """
        number, file = self._latest(name)
        if file is not None and not self._is_over(file):
            return False
        file = f"{name}.{number + 1}"
        try:
            handle = self._make(file, f"{0:0{DIGITS}d} {SYSTEM} {secrets.token_hex(4)} {rows}\n".encode())
        except FileExistsError:
            return False
        with self._guard:
            self._own[name] = file, handle
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, name="jaxflow-leases", daemon=True)
            self._thread.start()
        return True

    def holds(self, name: str) -> bool:
        """Whether the lease of a shard is this process's, and nobody took it over."""
        own = self._own.get(name)
        return own is not None and self._latest(name)[1] == own[0]

    def rows(self, name: str) -> str | None:
        """The hash of a shard's rows as the process that makes it has it; None if nobody makes it."""
        _, file = self._latest(name)
        if file is None or self._is_over(file):
            return None
        words = self._seen.get(file, (b"", 0.0))[0].split()
        return words[3].decode("ascii", "replace") if len(words) == 4 else "-"

    def others(self) -> bool:
        """Whether any other process is at work, as far as can be told without waiting."""
        own = {file for file, _ in self._own.values()}
        return any(not self._is_over(file) for file in self._files() if file not in own)

    def give_back(self, name: str, *, done: bool) -> None:
        """Give the lease of a shard back; `done` if the shard is: then nobody needs the leases before it either."""
        with self._guard:
            file, handle = self._own.pop(name)
        # First the file, then its lock, which might be another's by then.
        for each in [each for each in self._files() if _shard(each) == name] if done else [file]:
            self._remove(each)
        self._release(handle)

    def clear(self) -> None:
        """Remove the leases of all processes, once no shard is left to make."""
        for file in self._files():
            self._remove(file)

    def close(self) -> None:
        """Give back what is left."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        for name in list(self._own):
            self.give_back(name, done=False)
        self._leave()

    def _live(self) -> None:
        """In a thread: change the own files, again and again."""
        number = 0
        while not self._ended.wait(LEASE / CHANGES):
            number += 1
            with self._guard:
                for _, handle in self._own.values():
                    self._change(handle, f"{number:0{DIGITS}d}".encode())

    def _latest(self, name: str) -> tuple[int, str | None]:
        """The number of the latest lease of a shard and its file; 0 and None where there is none."""
        ends = [file.rpartition(".")[2] for file in self._files() if _shard(file) == name]
        numbers = [int(end) for end in ends if end.isdecimal()]
        last = max(numbers, default=0)
        return last, f"{name}.{last}" if numbers else None

    def _is_over(self, file: str) -> bool:
        try:
            content = self._content(file)
        except OSError:
            # It went this moment; a later look will tell.
            return False
        now = time.monotonic()
        before, since = self._seen.get(file, (None, now))
        if content != before:
            self._seen[file] = content, now
            since = now
        words = content.split()
        is_here = len(words) == 4 and words[1].decode("ascii", "replace") == SYSTEM != "-"
        return now - since > LEASE or (is_here and self._is_dead(file))

    # What files are: those of a folder here. Leases in a store have files of their own kind (`store.stored`).

    def _make(self, file: str, content: bytes) -> Any:
        """Make a new file, and give how it is reached.

        Raises:
            FileExistsError: there is one.
            InputError: it cannot be made.
        """
        path = self.folder / file
        try:
            handle = self._made(path)
        except FileExistsError:
            raise
        except OSError as error:
            raise unwritable(path, error) from error
        _ = locks.lock(handle)
        # After the lock: a file without content is of a process that has yet to lock it. On a full disk it stays empty.
        with suppress(OSError):
            _ = os.pwrite(handle, content, 0)
        return handle

    def _made(self, path: Path) -> int:
        while True:
            try:
                return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                # Not made yet, or removed by a process that saw it empty.
                self.folder.mkdir(exist_ok=True)

    def _change(self, handle: Any, beginning: bytes) -> None:
        """Change the beginning of an own file."""
        # A disk that is full for a moment costs the lease at worst.
        with suppress(OSError):
            _ = os.pwrite(handle, beginning, 0)
            # File systems on a network keep changes of an open file to themselves otherwise.
            os.fsync(handle)

    def _content(self, file: str) -> bytes:
        return (self.folder / file).read_bytes()

    def _files(self) -> list[str]:
        try:
            return [path.name for path in self.folder.iterdir()]
        except OSError:
            return []

    def _is_dead(self, file: str) -> bool:
        """Whether the process that made a file on this host has ended."""
        # Locks are only trusted within one system: some file systems don't tell other hosts of them.
        return locks.is_free(self.folder / file)

    def _remove(self, file: str) -> None:
        with suppress(OSError):
            (self.folder / file).unlink()

    def _release(self, handle: Any) -> None:
        os.close(handle)

    def _leave(self) -> None:
        # The last process finds it empty.
        with suppress(OSError):
            self.folder.rmdir()


def _shard(file: str) -> str:
    """The shard that a file is the lease of."""
    return file.rpartition(".")[0]
