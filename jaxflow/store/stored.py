"""Results in a store that `fsspec` knows, such as `s3://bucket/results`, and a copy here of what is needed of them.

Descriptions (the manifest, and the shards' records) are fetched when they are asked for, shards when they are read.
What is written here is sent at once: a shard first, then its record, with which it is done. A store writes a file whole
or not at all. A second file of one name is refused where the store can do that, and seen a moment later elsewhere.
"""

import hashlib
import re
import secrets
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, missing_extra, shown, shown_text
from jaxflow._paths import with_scheme
from jaxflow._untyped import JsonObject
from jaxflow.store import leases
from jaxflow.store import shards as store
from jaxflow.store.place import Place
from jaxflow.store.record import Record, record_file

# Seconds for which a list of names serves: with every shard that is looked for, a store would be asked again.
LISTED = 2.0
# Stores without folders, whose buckets are made on purpose.
BUCKETS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss"}


class StoreFiles:
    """The files of a folder in a store, by their names in it."""

    def __init__(self, address: str):
        """Find the store.

        Raises:
            InputError: `fsspec` or the store's own package is missing, or no such store is known.
        """
        self.address = with_scheme(address).rstrip("/")
        # Ways to read, as in `simplecache::s3://`, are none to write.
        if "::" in address or self.address.endswith(":"):
            raise InputError(
                "folder", "be the address of a folder in a store", shown(address), "as in s3://bucket/results"
            )
        try:
            import fsspec
        except ImportError:
            raise missing_extra("fsspec", "text", "results in a store") from None
        try:
            self._system, self._root = fsspec.core.url_to_fs(self.address)
        except ImportError as error:
            # Such as s3fs or gcsfs, which fsspec names.
            raise InputError("folder", "be in a store that can be reached", shown(address), str(error)) from None
        except Exception as error:
            raise self._unusable(error) from None
        self._listed: dict[str, tuple[float, list[str]]] = {}
        self._guard = threading.Lock()

    def names(self, folder: str = "", *, now: bool = False) -> list[str]:
        """Names in a folder, as they were some seconds ago at most; none where there is no such folder."""
        with self._guard:
            since, names = self._listed.get(folder, (-LISTED, []))
            if now or time.monotonic() - since >= LISTED:
                names = self._names(self._at(folder))
                self._listed[folder] = time.monotonic(), names
            return names

    def _names(self, path: str) -> list[str]:
        with self._told():
            self._system.invalidate_cache(path)
            try:
                found = self._system.ls(path, detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
        return [name for each in found if (name := each.rstrip("/").rpartition("/")[2]) and each.rstrip("/") != path]

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._told():
            return self._system.cat_file(self._at(name))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, in the place of one that is there."""
        self._put(name, lambda: self._system.pipe_file(self._at(name), content))

    def create(self, name: str, content: bytes) -> bool:
        """Write a new file; false where there is one."""
        try:
            self._put(name, lambda: self._system.pipe_file(self._at(name), content, mode="create"))
        except FileExistsError:
            return False
        return True

    def send(self, path: Path, name: str) -> None:
        """Copy a file from here."""
        self._put(name, lambda: self._system.put_file(str(path), self._at(name)))

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to here, whole or not at all.

        Raises:
            FileNotFoundError: there is none.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".jaxflow-{secrets.token_hex(8)}.tmp")
        try:
            with self._told():
                self._system.get_file(self._at(name), str(temporary))
            _ = temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def all_names(self) -> list[str]:
        """Names of all files, those of folders in it as well."""
        with self._told():
            return [each[len(self._root) :].lstrip("/") for each in self._system.find(self._root)]

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        self._changed(name)
        with self._told(), suppress(FileNotFoundError):
            self._system.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _put(self, name: str, put: Callable[[], Any]) -> None:
        """Write a file by `put`, in a folder that is made where the store has any."""
        self._changed(name)
        with self._told():
            try:
                put()
            except FileNotFoundError as error:
                kinds = self._system.protocol
                if BUCKETS.intersection([kinds] if isinstance(kinds, str) else kinds):
                    # It is the bucket that is not there, and nobody asked for a new one.
                    raise self._unusable(error) from None
                self._system.makedirs(self._at(name).rpartition("/")[0], exist_ok=True)
                put()

    def _changed(self, name: str) -> None:
        """Have names listed anew where one of them changes."""
        with self._guard:
            _ = self._listed.pop(name.rpartition("/")[0], None)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the errors of a store into one that names it; what is not there is the caller's."""
        try:
            yield
        except (FileNotFoundError, FileExistsError, InputError):
            raise
        # Each store has errors of its own: of access, of the network.
        except Exception as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> InputError:
        got = f"{shown(self.address)} ({shown_text(str(error)) or type(error).__name__})"
        way_out = "check the address and your access to it, or name a folder on this host"
        if isinstance(error, ValueError) and "rotocol not known" in str(error):
            way_out = "name a store that fsspec knows, such as s3:// or gs://, or a folder on this host"
        return InputError("folder", "be one that can be read and written", got, way_out)


class StoredPlace(Place):
    """A folder of results in a store; `folder` is a copy here, which goes when this does."""

    def __init__(self, address: str):
        """Find the store, and fetch descriptions of results that are there.

        Raises:
            InputError: it cannot be reached.
        """
        self.files = StoreFiles(address)
        # Removed with this object, or at the end of the process.
        copy = tempfile.mkdtemp(prefix="jaxflow-results-")
        _ = weakref.finalize(self, shutil.rmtree, copy, ignore_errors=True)
        super().__init__(Path(copy) / "results")
        # Lists of names that hold nothing new.
        self._looked_at: dict[str, list[str]] = {}
        self.refresh(now=True)

    def __str__(self) -> str:
        return self.files.address

    @property
    def is_taken(self) -> bool:
        """Whether something is there that is no result."""
        return not store.has_manifest(self.folder) and bool(self.files.names(now=True))

    def leases(self) -> leases.Leases:
        """The leases of this process on the shards."""
        return StoredLeases(self.files)

    def refresh(self, *, now: bool = False) -> None:
        """Fetch descriptions that are new."""
        # The first edition has them beside the shards.
        for at in ("", f"{store.ABOUT}/"):
            names = self.files.names(at.rstrip("/"), now=now)
            if names is self._looked_at.get(at):
                continue
            self._looked_at[at] = names
            for name in names:
                if _is_description(name) and not (self.folder / at / name).exists():
                    # Another process may have withdrawn it.
                    with suppress(FileNotFoundError):
                        self.files.fetch(at + name, self.folder / at / name)

    def begin(self, manifest: JsonObject) -> None:
        """Write the manifest, unless there is one."""
        super().begin(manifest)
        if not self.files.create(store.MANIFEST, (self.folder / store.MANIFEST).read_bytes()):
            self.files.fetch(store.MANIFEST, self.folder / store.MANIFEST)

    def withdraw(self) -> None:
        """Remove the manifest of a sweep that came to nothing."""
        super().withdraw()
        self.files.remove(store.MANIFEST)

    def wrote(self, record: Record) -> None:
        """Send a shard, and then its record; the shard is not kept here."""
        if record.examples:
            self.files.send(self.folder / record.file, record.file)
        name = self._description(record.index)
        self.files.send(self.folder / name, name)
        (self.folder / record.file).unlink(missing_ok=True)

    def wrote_file(self, path: Path) -> str:
        """Send a file, and give its address."""
        name = path.relative_to(self.folder).as_posix()
        self.files.send(path, name)
        return f"{self.files.address}/{name}"

    def record(self, index: int, sweep: str | None) -> Record | None:
        """The record of a shard as it is there now, which may be another process's in the place of this one's."""
        name = self._description(index)
        try:
            self.files.fetch(name, self.folder / name)
        except FileNotFoundError:
            return None
        return super().record(index, sweep)

    def is_whole(self, record: Record) -> bool:
        """Whether a shard's file is there as it was written, by its checksum: all of it is read."""
        try:
            return not record.examples or hashlib.sha256(self.files.read(record.file)).hexdigest() == record.sha256
        except FileNotFoundError:
            return False

    def is_kept(self, record: Record) -> bool:
        """Whether a shard's file is there: stores keep what they have as it was sent, and to read all takes long."""
        return not record.examples or record.file in self.files.names()

    def remove_records(self, indices: list[int]) -> None:
        """Remove records, so that their shards count as not done."""
        super().remove_records(indices)
        for index in indices:
            self.files.remove(self._description(index))

    def fetch(self, path: Path) -> Path:
        """A file of `folder`, fetched if it is not there yet."""
        if not path.exists():
            # What is not there is told of where the file is opened.
            with suppress(FileNotFoundError):
                self.files.fetch(path.relative_to(self.folder).as_posix(), path)
        return path

    def fetch_all(self) -> None:
        """Fetch all files of Parquet."""
        for name in self.files.all_names():
            # A name in a store may be any text, and none leads out of the folder here.
            if name.endswith(".parquet") and ".." not in name.split("/"):
                _ = self.fetch(self.folder / name)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Errors within name the address, where they would name the copy."""
        try:
            yield
        except InputError as error:

            def told(text: Any) -> Any:
                return text and text.replace(str(self.folder), str(self))

            raise type(error)(*map(told, error.args), place=told(error.place)) from error.__cause__

    def _description(self, index: int) -> str:
        """The name of a shard's record."""
        return (store.about_folder(self.folder) / record_file(index)).relative_to(self.folder).as_posix()


class StoredLeases(leases.Leases):
    """Leases as files of a store. Its files have no locks: of a process that died, too, they are over after a while."""

    def __init__(self, files: StoreFiles):
        super().__init__(Path())
        self._store = files

    def _make(self, file: str, content: bytes) -> Any:
        if not self._store.create(_lease(file), content):
            raise FileExistsError
        return file, content

    def _change(self, handle: Any, beginning: bytes) -> None:
        file, content = handle
        # A store that is out of reach for a moment costs the lease at worst.
        with suppress(InputError):
            self._store.write(_lease(file), beginning + content[len(beginning) :])

    def _content(self, file: str) -> bytes:
        return self._store.read(_lease(file))

    def _files(self) -> list[str]:
        return self._store.names(leases.FOLDER)

    def _is_dead(self, file: str) -> bool:
        return False

    def _remove(self, file: str) -> None:
        with suppress(InputError):
            self._store.remove(_lease(file))

    def _release(self, handle: Any) -> None:
        pass

    def _leave(self) -> None:
        pass


def _lease(file: str) -> str:
    return f"{leases.FOLDER}/{file}"


def _is_description(name: str) -> bool:
    return re.fullmatch(r"manifest\.json|part-\d+\.json", name) is not None
