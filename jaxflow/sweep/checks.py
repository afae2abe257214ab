"""Before a sweep: the folder, the settings and what an earlier run left are checked, and nothing is written."""

import os
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, one_of, shown
from jaxflow.attribution.settings import Settings
from jaxflow.inputs.source import Source
from jaxflow.models import Model
from jaxflow.store import shards as store
from jaxflow.store.manifest import check_same
from jaxflow.store.record import Record
from jaxflow.sweep.shards import ON_ERROR, Cut, cuts


def check_folder(folder: Path, resume: bool | None) -> None:
    """Refuse a folder that results cannot go into, before any work, without touching anything.

    Raises:
        InputError: it holds something already (and `resume` is false, or None for what cannot be gone on with), is no
            folder, or cannot be written.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{str(folder)!r} is a file; name a folder with --out")
        if folder.is_dir() and not store.is_empty(folder):
            _check_filled(folder, resume)
        parent = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    except InputError:
        # One of the above, which says all there is to say. (An InputError is a ValueError.)
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write to {shown(str(folder))}: {reason}; name another folder with --out") from None
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {str(folder)!r}: no permission in {str(parent)!r}; name another with --out")


def check_process(on_error: str, process_index: int, process_count: int) -> None:
    """Refuse what cannot be asked for."""
    one_of("on_error", on_error, ON_ERROR)
    if not 0 <= process_index < process_count:
        raise InputError(
            f"`process_index` must be from 0 to `process_count` - 1, got {process_index} and {process_count}"
        )


def finished(
    folder: Path, wanted: dict[str, Any], encoder: Model, source: Source, settings: Settings, mine: Any
) -> dict[int, Record]:
    """Records of the shards that need not be made again.

    Those of this process (`mine` tells) are read and held against their checksums; then, where the input can be read
    twice, it is held against all that is kept, so that a sweep of another input is refused before it begins.

    Raises:
        InputError: the folder holds results of another sweep; says what differs.
    """
    check_same(folder, store.read_manifest(folder), wanted)
    found = store.read_records(folder)
    done = {i: record for i, record in found.items() if not mine(i) or store.is_whole(folder, record)}
    if done and not source.once:
        furthest = max(done)
        for rows in cuts(source.rows(), encoder, settings):
            if rows.index in done:
                check_unchanged(folder, done[rows.index], rows)
            if rows.index == furthest:
                break
        else:
            raise _changed(folder, done[furthest])
    return done


def check_unchanged(folder: Path, record: Record, rows: Cut) -> None:
    """Refuse rows that are not those that a shard was made of.

    Raises:
        InputError: they are others.
    """
    if record.input_sha256 != rows.sha256():
        raise _changed(folder, record)


def _changed(folder: Path, record: Record) -> InputError:
    return InputError(
        f"{str(folder)!r} holds results of another run, which --resume cannot go on with: it differs in the input's "
        f"content (other rows are in {record.file}); name another --out"
    )


def _check_filled(folder: Path, resume: bool | None) -> None:
    if resume is None:
        raise InputError(f"{str(folder)!r} exists and is not empty; name another with --out")
    if not store.has_manifest(folder):
        raise InputError(
            f"{str(folder)!r} exists and is not empty, and holds no results of jaxflow; name another --out"
        )
    if not resume:
        raise InputError(f"{str(folder)!r} holds results already; go on with them by --resume, or name another --out")
