"""Results on disk: Parquet shards and a manifest in one folder, each file written whole or not at all."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError
from jaxflow.sweep import arrow
from jaxflow.sweep.arrow import Row

FORMAT = 1
MANIFEST = "manifest.json"
LEFTOVERS = ".jaxflow-*.tmp"


@dataclass(frozen=True)
class Store:
    """A folder of results that can be read.

    Attributes:
        folder: where it is.
        manifest: what made it: model, settings, versions, input, and the shards that are done.
    """

    folder: Path
    manifest: dict[str, Any]

    def table(self, columns: Sequence[str] | None = None) -> Any:
        """All rows as a `pyarrow.Table`, or only some of the columns."""
        pa = arrow.pyarrow()
        tables = [_read(self.folder / shard["file"], columns) for shard in self.manifest["shards"]]
        return pa.concat_tables(tables) if tables else pa.table({})

    def rows(self) -> Iterator[Row]:
        """Rows in order, one at a time; relevance as NumPy arrays (layer, query, token)."""
        for shard in self.manifest["shards"]:
            yield from arrow.to_rows(_read(self.folder / shard["file"]))


def open_store(folder: str | Path) -> Store:
    """The results that `jaxflow attribute` wrote into a folder, finished or not.

    A row is an example: `id` (row or line number, from 1), `text`, `pair`, `tokens`, `offsets` (characters (start, end)
    of each token, (-1, -1) for special ones), `source` (0 for the text's tokens, 1 for the pair's, -1 for special
    ones), `queries`, `layers`, `prediction`, `probabilities`, and for each method that was asked for its relevance as
    nested lists layer, query, token (`raw` and `rollout` in float32, `flow` in float64). With flow, `certified` says
    which values are proven, and `certified_share` how large a share of them.

    Raises:
        InputError: there are none, or they are of a later version of jaxflow.
    """
    path = Path(folder)
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
        version = manifest["format"]
    except FileNotFoundError:
        raise InputError(f"{str(path)!r} holds no results of jaxflow: there is no {MANIFEST} in it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(path / MANIFEST)!r} cannot be read: {error}") from None
    if version != FORMAT:
        raise InputError(f"{str(path)!r} is of format {version}, and this version of jaxflow reads format {FORMAT}")
    return Store(path, manifest)


def read_table(folder: str | Path, columns: Sequence[str] | None = None) -> Any:
    """The results in a folder as a `pyarrow.Table`, one row an example."""
    return open_store(folder).table(columns)


def write_shard(path: Path, rows: Sequence[Row], metadata: dict[str, str]) -> None:
    """Write rows as a Parquet file."""
    _ = arrow.pyarrow()
    import pyarrow.parquet as pq

    table = arrow.to_table(rows, metadata)
    with replaced(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write what made the results, and which shards are done."""
    with replaced(folder / MANIFEST) as temporary:
        _ = temporary.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")


def checksum(path: Path) -> str:
    """The sha256 of a shard's file, as the manifest keeps it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(path: Path, written: str | None) -> bool:
    """Whether a shard is there as it was written, by its checksum."""
    try:
        return checksum(path) == written
    except OSError:
        return False


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary file in the folder of `path` that takes its place in one step, once it is safely on disk.

    After a kill or a full disk at any moment `path` is what it was before, or complete.

    Raises:
        InputError: the folder cannot be written.
    """
    temporary = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".jaxflow-", suffix=".tmp")
        temporary = Path(name)
        os.close(handle)
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        _ = temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def is_empty(folder: Path) -> bool:
    """Whether nothing is in a folder but what a killed writer may have left."""
    return set(folder.iterdir()) <= set(folder.glob(LEFTOVERS))


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of a writer that was killed."""
    for path in folder.glob(LEFTOVERS):
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """The process's mask for new files; it can only be read by setting it."""
    mask = os.umask(0o077)
    _ = os.umask(mask)
    return mask


def _read(path: Path, columns: Sequence[str] | None = None) -> Any:
    pa = arrow.pyarrow()
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return file.read(None if columns is None else list(columns))
    except (pa.ArrowException, OSError) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"the shard {str(path)!r} cannot be read ({said}); --resume makes it again") from None
