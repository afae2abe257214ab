"""Single files for the user: pages and tables, written whole or not at all, replacing nothing but ordinary files."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jaxflow._checks import InputError, shown
from jaxflow.store import locks
from jaxflow.store.shards import sync

# Words for things at a path that are no ordinary file.
OTHER_THINGS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def write_text(path: Path, text: str) -> None:
    """Write a file of text in UTF-8, as `written` does.

    Raises:
        InputError: the file cannot be written.
    """
    with written(path) as temporary:
        _ = temporary.write_text(text, "utf-8")


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of `path` in one step, once it is safely on disk.

    After a kill or a full disk at any moment `path` is as before or complete. A symbolic link stays, and its
    target is written. A file that was there hands its mode on, and its owner where that is allowed.

    Raises:
        InputError: `path` is no ordinary file, or cannot be written.
    """
    target, before = check_file(path)
    # A name of its own length: the target's may be as long as the file system allows.
    temporary = target.with_name(f".jaxflow-{secrets.token_hex(8)}.tmp")
    try:
        # Locked, as another process that ends its sweep removes what nobody writes.
        with locks.new_file(temporary, 0o666 if before is None else 0o600) as handle:
            if before is not None:
                # Before anything is written, so that nobody else can read it meanwhile. A new owner clears bits of the
                # mode, so the mode comes last.
                with suppress(OSError):
                    os.fchown(handle, before.st_uid, before.st_gid)
                os.fchmod(handle, stat.S_IMODE(before.st_mode))
            yield temporary
            # The content must be on disk before the name points to it, and then the name itself.
            sync(temporary)
            _ = temporary.replace(target)
            sync(target.parent)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error
    finally:
        # Gone already where it took the target's place.
        with suppress(OSError):
            temporary.unlink()


def check_file(path: Path) -> tuple[Path, os.stat_result | None]:
    """Refuse a file that could not be written; touches nothing.

    Returns:
        The path to write, all links followed, and the state of the file there, if any.

    Raises:
        InputError: something is there that is no ordinary file or must not be written, or its folder is not there or
            cannot be written to.
    """
    try:
        target = Path(os.path.realpath(path))
        before = _stat(path)
        if before is None:
            # A link to nothing is followed as well; one that leads in a circle raises here.
            _ = target.parent.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise _unwritable(path, "no such folder") from None
    except (OSError, ValueError) as error:
        raise _unwritable(path, getattr(error, "strerror", None) or str(error)) from None
    if before is not None and not stat.S_ISREG(before.st_mode):
        kind = OTHER_THINGS.get(stat.S_IFMT(before.st_mode), "something else")
        raise InputError("path", "be a new file or an ordinary one", f"{shown(str(path))}, {kind}", "name another")
    if before is not None and not os.access(target, os.W_OK):
        raise _unwritable(path, "the file there may not be written to")
    # The temporary file is made beside the target, so the folder must be writable too.
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise _unwritable(path, f"no permission in {shown(str(target.parent))}")
    return target, before


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _unwritable(path: Path, reason: str) -> InputError:
    return InputError("path", "be a file that can be written", f"{shown(str(path))} ({reason})", "name another")
