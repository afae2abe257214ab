"""Claims: a run that fills a folder holds one file in it for each of its processes, so that no other run joins in.

A claim ends with its process, however that ends.
"""

import threading
from contextlib import ExitStack
from pathlib import Path

from jaxflow._checks import InputError, shown
from jaxflow.store import locks

CLAIM = ".jaxflow-claim-{}.tmp"


class Claim:
    """The claim of one process on a folder, taken once the folder is there."""

    def __init__(self, folder: Path, process_index: int, process_count: int):
        self.folder, self.process_index, self.process_count = folder, process_index, process_count
        self._held, self._guard, self._taken = ExitStack(), threading.Lock(), False

    def take(self) -> None:
        """Take it, unless that was done; any thread may ask.

        Raises:
            InputError: another run is filling the folder.
        """
        with self._guard:
            if self._taken:
                return
            # Claims of runs with more processes first: locking this process's own file would not meet them.
            check_claims(self.folder, self.process_index, self.process_count)
            try:
                self._held.enter_context(locks.held(self.folder / CLAIM.format(self.process_index)))
            except locks.HeldError as error:
                raise _filled_by(self.folder, str(error)) from None
            # The lock itself is the claim: of two runs that came this far, one gets it.
            self._taken = True

    def end(self) -> None:
        """Let go."""
        self._held.close()


def check_claims(folder: Path, process_index: int, process_count: int) -> None:
    """Refuse a folder that another run is filling.

    Other processes of this run, those below `process_count`, have claims of their own.

    Raises:
        InputError: it is filled by another run.
    """
    for path in sorted(folder.glob(CLAIM.format("*"))):
        # A file may outlive its process; only one that is locked says that its run is alive.
        digits = path.name.removeprefix(CLAIM.partition("{")[0]).partition(".")[0]
        if digits.isdecimal() and (int(digits) == process_index or int(digits) >= process_count):
            holder = locks.holder(path)
            if holder is not None:
                raise _filled_by(folder, holder)


def _filled_by(folder: Path, holder: str) -> InputError:
    """The error for a folder that another run is filling."""
    got = f"{shown(str(folder))}, which {holder} is filling"
    return InputError("folder", "be a folder that no other run is filling", got, "wait until it has ended, or stop it")
