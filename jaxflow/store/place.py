"""Where results are: in a folder on this host, or in a store, of which a folder here holds what is needed.

All that writes and reads results does so in a folder here. A store's is a copy: what is written is sent on at once, and
what other processes wrote is fetched when it is asked for (`store.stored`).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jaxflow._untyped import JsonObject
from jaxflow.store import shards as store
from jaxflow.store.leases import Leases
from jaxflow.store.record import Record


class Place:
    """A folder of results on this host.

    Attributes:
        folder: the folder; of results in a store, the copy here.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def is_taken(self) -> bool:
        """Whether something is there that is no result, beside what `folder` shows."""
        return False

    def leases(self) -> Leases:
        """The leases of this process on the shards."""
        return Leases(self.folder)

    def refresh(self, *, now: bool = False) -> None:
        """Have in `folder` what other processes wrote since the last look; `now` even if that was a moment ago."""

    def begin(self, manifest: JsonObject) -> None:
        """Write the manifest, unless there is one: the first of several processes names it.

        Raises:
            InputError: it cannot be written.
        """
        store.write_manifest(self.folder, manifest)

    def withdraw(self) -> None:
        """Remove the manifest of a sweep that came to nothing."""
        with suppress(OSError):
            (self.folder / store.MANIFEST).unlink()
            (self.folder / store.MANIFEST).parent.rmdir()

    def wrote(self, record: Record) -> None:
        """Take note of a shard that was written to `folder`.

        Raises:
            InputError: it cannot be written.
        """

    def wrote_file(self, path: Path) -> str:
        """Take note of a file that was written to `folder`, and name it.

        Raises:
            InputError: it cannot be written.
        """
        return str(path)

    def record(self, index: int, sweep: str | None) -> Record | None:
        """The record of a shard as it is there now; None where there is none, or that of another sweep."""
        return store.read_record_of(self.folder, index, sweep)

    def is_whole(self, record: Record) -> bool:
        """Whether a shard's file is there as it was written, by its checksum."""
        return store.is_whole(self.folder, record)

    def is_kept(self, record: Record) -> bool:
        """Whether a shard of an earlier run need not be made again."""
        return self.is_whole(record)

    def remove_records(self, indices: list[int]) -> None:
        """Remove records, so that their shards count as not done.

        Raises:
            InputError: a record cannot be removed.
        """
        store.remove_records(self.folder, indices)

    def fetch(self, path: Path) -> Path:
        """A file of `folder`, which is there from now on if it is anywhere."""
        return path

    def fetch_all(self) -> None:
        """Have all files of Parquet in `folder`."""

    @contextmanager
    def named(self) -> Iterator[None]:
        """Errors within name the place as the user did."""
        yield
