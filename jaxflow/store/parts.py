"""Parquet files that must be as they were written: opened, compared with their checksum once, and read.

A path is never handed to Arrow: it takes `run:1/part-00000.parquet` for an address and `~` for a home.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jaxflow._paths import open_regular
from jaxflow._untyped import ArrowData, ArrowTable
from jaxflow.store.arrow import pyarrow

# State of a file, which changes with it: file system, inode, size, times of the last change of content and of inode.
State = tuple[int, int, int, int, int]


class DamageError(Exception):
    """A file is not as it was written; the message is one line and does not name the file."""


@dataclass(frozen=True)
class Parts:
    """Files and their checksums. A file is read whole when it is first opened, to check it, and again if it changes.

    Attributes:
        sha256: checksums by path; a file without one is not checked.
        seen: the state of each file when it was found whole.
    """

    sha256: dict[str, str | None]
    seen: dict[str, State] = field(default_factory=dict, repr=False, compare=False)

    def opened(self, path: Path) -> ArrowData:
        """The file as a `pyarrow.parquet.ParquetFile`; to be used in a `with` statement.

        Raises:
            DamageError: it is not there, cannot be read, or is not as it was written.
        """
        pa = pyarrow()
        import pyarrow.parquet as pq

        # Pages have checksums of their own as well: a disk may fail after the file was checked.
        self.check(path)
        try:
            return pq.ParquetFile(pa.OSFile(os.fspath(path)), page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise DamageError(first_line(error)) from None

    def check(self, path: Path) -> None:
        """Compare a file with its checksum, unless that was done since it last changed.

        Raises:
            DamageError: it is not there, cannot be read, or is not as it was written.
        """
        name = str(path)
        try:
            with open_regular(path) as file:
                # Of the open file: another one may take its name meanwhile.
                about = os.fstat(file.fileno())
                state = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
                if self.seen.get(name) == state:
                    return
                expected = self.sha256.get(name)
                if expected is not None and hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise DamageError("its content is not as it was written: its sha256 differs")
        except OSError as error:
            raise DamageError(error.strerror or str(error)) from None
        self.seen[name] = state


def read_parts(file: ArrowData, read: Callable[..., ArrowTable]) -> ArrowTable:
    """The part of an open file that `read` reads.

    Raises:
        DamageError: it cannot be read.
    """
    pa = pyarrow()
    try:
        return read(file)
    except (pa.ArrowException, OSError) as error:
        raise DamageError(first_line(error)) from None


def first_line(error: BaseException) -> str:
    """An error of Arrow's on one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
