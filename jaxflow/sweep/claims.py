"""Claims: how the processes that fill a folder agree on who makes which shard, and on what is done.

None is told what to do: each reads the whole input, takes a lease on a shard that nobody makes (`store.leases`), and
goes on until every shard has its record.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from jaxflow._checks import InputError
from jaxflow._typing import Given
from jaxflow._untyped import JsonObject
from jaxflow.store import shards as store
from jaxflow.store.arrow import Row
from jaxflow.store.manifest import check_same
from jaxflow.store.place import Place
from jaxflow.store.places import place_of
from jaxflow.store.record import Record
from jaxflow.sweep.checks import changed_input, check_unchanged, make_folder
from jaxflow.sweep.shards import Cut


class Claims:
    """What one process knows of the shards of a folder, and takes of them."""

    def __init__(self, place: Given[Path | Place], manifest: JsonObject, done: dict[int, Record]):
        """What was known when the sweep was prepared.

        Args:
            place: of results.
            manifest: of the sweep, or of what the folder holds of it.
            done: records of the shards that were in the folder.
        """
        self.place, self.manifest, self.done = place_of("folder", place), manifest, done
        self.folder = self.place.folder
        self.records = dict(done)
        # Hashes of the rows of all shards that were read, this process's or not.
        self.hashes: dict[int, str] = {}
        # Whether the input was read to its end, so that no other shard can be missing.
        self.all_read = False
        # Rows of the input in shards that other processes made meanwhile.
        self.rows_elsewhere = 0
        self._leases = self.place.leases()
        # Name of the sweep, once its manifest is there; and whether this process made that, and the folder with it.
        self._begun, self._sweep = False, manifest.get("sweep")
        self._made_manifest = self._made_folder = False

    def is_free(self, rows: Cut) -> bool:
        """Whether nobody has made a shard, or is making it.

        Raises:
            InputError: it was made, or is being made, from other rows.
        """
        index = rows.index
        self.hashes[index] = rows.sha256()
        if index in self.done:
            check_unchanged(self.folder, self.done[index], rows)
            return False
        theirs = self._leases.rows(_name(index))
        if theirs not in (None, "-", self.hashes[index]):
            raise changed_input(self.folder, f"another process makes {_name(index)} of other rows")
        return theirs is None and not self.is_done(index)

    def is_done(self, index: int) -> bool:
        """Whether a shard that was read has its record, which may be another process's.

        Raises:
            InputError: it was made from other rows.
        """
        if index not in self.records and self._begun:
            self.place.refresh()
            record = store.read_record_of(self.folder, index, self._sweep)
            if record is None:
                return False
            if record.input_sha256 != self.hashes[index]:
                raise changed_input(self.folder, f"other rows are in {record.file}")
            self.records[index] = record
            self.rows_elsewhere += record.rows
        return index in self.records

    def take(self, index: int) -> bool:
        """Take a shard, unless it is made or being made.

        Raises:
            InputError: the folder cannot be written, or holds results of another sweep.
        """
        self._begin()
        if not self._leases.take(_name(index), self.hashes[index]):
            return False
        # Its record may have come between the last look and the lease.
        if self.is_done(index):
            self._leases.give_back(_name(index), done=True)
            return False
        return True

    def write(self, record: Record, rows: Sequence[Row], metadata: dict[str, str]) -> None:
        """Write a shard that was taken, unless another process did so while this one stood still.

        Raises:
            InputError: it cannot be written.
        """
        name, record = _name(record.index), record.of_sweep(self._sweep)
        self.records[record.index] = self._written(name, record, rows, metadata)
        self._leases.give_back(name, done=True)

    def _written(self, name: str, record: Record, rows: Sequence[Row], metadata: dict[str, str]) -> Record:
        while True:
            is_ours = self._leases.holds(name)
            theirs = None if is_ours else self.place.record(record.index, record.sweep)
            # A process that stood still in the middle of writing may have put its file under another one's record, or
            # its record over another one's file: then both are written again, until they fit.
            if theirs is not None and self.place.is_whole(theirs):
                return theirs
            try:
                written = store.write_shard(self.folder, record, rows, metadata)
                self.place.wrote(written)
            except InputError:
                # The last process removes temporary files, those of one that stood still as well.
                if is_ours and self._leases.holds(name):
                    raise
                if self.place.record(record.index, record.sweep) is None:
                    raise
                continue
            if is_ours and self._leases.holds(name):
                return written

    def missing(self) -> list[int]:
        """The shards that were read and are not done."""
        return [index for index in self.hashes if not self.is_done(index)]

    def can_take(self, indices: Sequence[int]) -> bool:
        """Whether any of these shards is nobody's: its process gave up, or has shown no sign of life for long."""
        return any(self._leases.rows(_name(index)) is None for index in indices)

    def finish(self) -> None:
        """Remove what processes that died left, once the whole input was read and no shard is missing."""
        self._leases.clear()
        store.remove_leftovers(self.folder)

    def close(self) -> None:
        """Give back what was taken; where nothing at all was finished, remove the folder that this process made."""
        self._leases.close()
        if not self._made_manifest or self._leases.others():
            return
        self.place.refresh(now=True)
        if store.read_records(self.folder):
            return
        self.place.withdraw()
        with suppress(OSError):
            if self._made_folder:
                self.folder.rmdir()

    def _begin(self) -> None:
        """Make the folder with its manifest, unless it is there.

        The manifest comes first: by it a folder is known for a sweep that can go on. Where several processes begin, the
        first one's stays.
        """
        if self._begun:
            return
        self.place.refresh(now=True)
        if not store.has_manifest(self.folder):
            self._made_folder = not self.folder.exists()
            make_folder(self.folder)
            self.place.begin(self.manifest)
        found = store.read_manifest(self.folder)
        # Another process, or an earlier run, may have written it for another question.
        check_same(self.folder, found, self.manifest)
        self._made_manifest = not self.done and found == self.manifest
        self._begun, self._sweep = True, found.get("sweep")


def _name(index: int) -> str:
    """What a shard is called."""
    return f"part-{index:05d}"
