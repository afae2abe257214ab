"""Paths as users write them, and files that are opened without trusting what stands in their place."""

import io
import os
import stat
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, shown


def local_path(argument: str, value: Any) -> Path:
    """A path that a user wrote: `~` and `~name` stand for homes, as in a shell.

    Args:
        argument: what the path was passed as, for errors.
        value: a string or a path.

    Raises:
        InputError: it is no path, or empty, or there is no such user.
    """
    try:
        text = os.fspath(value)
        text = text if isinstance(text, str) else os.fsdecode(text)
    except TypeError:
        raise InputError(argument, "be a path", f"{shown(value)} of type {type(value).__name__}") from None
    if not text:
        raise InputError(argument, "be a path", shown(text))
    if "\0" in text:
        raise InputError(argument, "be a path", f"{shown(text)}, in which a NUL stands")
    if not text.startswith("~"):
        path = Path(text)
        # `./~x` loses its dot: so that nobody takes it for a home later on, it is written out.
        return path.absolute() if str(path).startswith("~") else path
    try:
        return Path(text).expanduser()
    except RuntimeError:
        way_out = "write the folder out, or ./~... for a file whose name begins with ~"
        raise InputError(argument, "be a path", f"{shown(text)}, and no such user is known", way_out) from None


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading; a FIFO or a device in its place would make the caller wait for ever.

    Raises:
        OSError: it is not there, cannot be read, or is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    raise OSError(None, "it is a folder" if stat.S_ISDIR(mode) else "it is no regular file", str(path))
