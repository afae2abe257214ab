"""Several processes that fill one folder: each leaves signs of life there, looks at the others', and waits for them."""

import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count as numbers
from pathlib import Path
from types import TracebackType
from typing import Any

from jaxflow._checks import InputError, shown_text
from jaxflow.store import shards as store
from jaxflow.store.results import open_sweep

# Seconds between two looks into the folder, and between two signs of life; and after how many seconds without one a
# process counts as dead, which is before JAX ends the others.
PERIOD, SIGNS, SILENCE = 0.5, 2.0, 30.0
# Seconds that a process takes to end after its last sign.
GRACE = 2.0
# What a sign ends in that is a process's last.
GAVE_UP = " gave up: "


class PeerError(InputError):
    """Another process died or gave up, so that the folder would never be filled."""


class Peers:
    """The processes that fill a folder together, as one of them sees them; to be used in a `with` statement.

    While it lasts, a file in the folder changes every now and then. If it ends by an error, the file says which; if
    not, the file is removed.
    """

    def __init__(self, folder: Path, index: int, count: int):
        """Which process this is.

        Args:
            folder: that they fill.
            index: of this process, from 0.
            count: how many there are; for one alone nothing is done.
        """
        self.folder, self.index, self.count = folder, index, count
        # Signs of an earlier run may lie in the folder: this run's differ from them.
        self._run = secrets.token_hex(4)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="jaxflow-signs", daemon=True)
        # Of each other process its last sign, and since when it stands: None before its first one in this run, as hosts
        # may be slow to see new files (and JAX tells of a process that never came).
        self._seen: dict[int, tuple[str | None, float | None]] = {}

    def __enter__(self) -> "Peers":
        if self.count > 1:
            if self.index == 0:
                # Signs that a run of more processes left.
                for path in self.folder.glob(_sign_of("*")):
                    if path.name not in map(_sign_of, range(self.count)):
                        path.unlink(missing_ok=True)
            others = set(range(self.count)) - {self.index}
            # What lies there now is an earlier run's.
            self._seen = {index: (self._sign(index), None) for index in others}
            self._looked = time.monotonic()
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.count == 1:
            return
        # Stop the thread first, so that the last sign is not written over.
        self._ended.set()
        self._thread.join()
        if error is None:
            with suppress(OSError):
                (self.folder / _sign_of(self.index)).unlink()
            return
        with suppress(OSError):
            # For the others to find it in.
            self.folder.mkdir(parents=True, exist_ok=True)
        self._say(f"{self._run}{GAVE_UP}{json.dumps(self._facts(error))}")

    def _facts(self, error: BaseException) -> list[str | None]:
        """An error as the others get it: the fields of an InputError, which each puts into words itself."""
        who = f"process {self.index} of {self.count}"
        if isinstance(error, PeerError):
            return [*error.args, error.place]
        if isinstance(error, InputError):
            return [*error.args, f"{who} gave up" + ("" if error.place is None else f": {error.place}")]
        reason = shown_text(str(error)) or type(error).__name__
        return [None, "finish its part", f"the error {reason}", None, who]

    def check(self) -> None:
        """Look at the others, now and then.

        Raises:
            PeerError: one of them gave up, or has given no sign of life for a while.
        """
        now = time.monotonic()
        # Called at every step of the run; folders on a network are slow to look into.
        if self.count == 1 or now - self._looked < PERIOD:
            return
        self._looked = now
        for index, (before, since) in list(self._seen.items()):
            sign = self._sign(index)
            if sign != before:
                if sign is None:
                    # It ended well, and took its sign along.
                    del self._seen[index]
                    continue
                self._seen[index] = sign, now
                # A last sign: the run, then why it ended, as JSON.
                _, gave_up, facts = sign.partition(GAVE_UP)
                if gave_up:
                    raise _peer_error(facts, f"process {index} of {self.count}")
            elif since is not None and now - since > SILENCE:
                # Nor is it to be waited for at the end: JAX would end this process meanwhile.
                del self._seen[index]
                way_out = "look at its messages, and start all of them again with `resume=True`"
                place = f"process {index} of {self.count}"
                raise PeerError(None, "give signs of life", f"none for {SILENCE:.0f} s", way_out, place=place)

    def wait_for_the_end(self, seconds: float) -> None:
        """Wait until all others gave up or ended, at most for so many seconds."""
        end, left, shown = time.monotonic() + seconds, set(self._seen), set[int]()
        while left and time.monotonic() < end:
            for index in tuple(left):
                sign = self._sign(index)
                if sign is not None:
                    shown.add(index)
                # One that ended well took its sign along; one that has shown none yet was not there to see ours.
                if (sign is None and index in shown) or (sign is not None and GAVE_UP in sign):
                    left.remove(index)
            time.sleep(PERIOD)
        if self._seen:
            # The last of them has said so, and has yet to end.
            time.sleep(min(GRACE, max(0.0, end - time.monotonic())))

    def _live(self) -> None:
        for number in numbers():
            self._say(f"{self._run} {number}")
            if self._ended.wait(SIGNS):
                return

    def _sign(self, index: int) -> str | None:
        try:
            return (self.folder / _sign_of(index)).read_text("utf-8", errors="replace")
        except OSError:
            return None

    def _say(self, sign: str) -> None:
        # Before process 0 made the folder, and on a full disk, there is no sign.
        with suppress(OSError):
            _ = (self.folder / _sign_of(self.index)).write_text(sign, "utf-8", errors="backslashreplace")


def _peer_error(facts: str, who: str) -> PeerError:
    """The error that another process gave up with."""
    try:
        argument, expected, got, way_out, place = json.loads(facts)
    except ValueError:
        # It was killed while it wrote its last sign.
        return PeerError(None, "finish its part", "an error that it could not tell", place=who)
    return PeerError(argument, expected, got, way_out, place=place)


def _sign_of(index: int | str) -> str:
    """The name of the file that holds a process's sign: one that a killed writer may have left."""
    return f".jaxflow-process-{index}.tmp"


def wait_for_all(folder: Path, look_up: Callable[[], None] = lambda: None) -> None:
    """Wait until no shard is missing.

    A process that ended before the others would wait for them in JAX's own way of ending, which has a time limit, so
    all of them wait here first.

    Args:
        folder: which they fill.
        look_up: called now and then, for interrupts and for processes that died.
    """
    whole: set[tuple[Any, ...]] = set()
    while not (store.has_manifest(folder) and _is_whole(folder, whole, look_up)):
        look_up()
        time.sleep(PERIOD)


def _is_whole(folder: Path, whole: set[tuple[Any, ...]], look_up: Callable[[], None]) -> bool:
    """Whether no shard is missing, nor damaged and about to be made again.

    Those that were found `whole` are read again only if they changed.
    """
    if store.damaged_records(folder):
        # An earlier run left them; the process whose shards they are removes them first of all.
        return False
    results = open_sweep(folder)
    if not results.complete:
        return False
    for record in results.records:
        # Hashing all files at every look would take longer than the sweep.
        state = record.sha256, *_state(folder / record.file)
        if state not in whole:
            look_up()
            if not store.is_whole(folder, record):
                return False
            whole.add(state)
    return True


def _state(path: Path) -> tuple[Any, ...]:
    """Facts that change when the file does."""
    try:
        about = path.stat()
    except OSError:
        return (path,)
    # A file that is replaced has another inode, one that is changed another size or time.
    return path, about.st_ino, about.st_size, about.st_mtime_ns
