"""Paths as users write them, and files that are opened only if they are regular."""

import io
import os
import re
import stat
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, shown

# Of the local file system, an address's beginning.
LOCAL = "file://"
# The beginning of an address: a scheme, maybe behind those of ways to read it, as in `simplecache::s3://`.
SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*::)*[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether text is the address of something in a store, such as `s3://bucket/texts.parquet`, rather than a path."""
    return SCHEME.match(text) is not None


def is_local(text: str) -> bool:
    """Whether text is a path, or an address of the local file system."""
    return not is_address(text) or with_scheme(text).startswith(LOCAL)


def with_scheme(address: str) -> str:
    """An address with its scheme in small letters, as stores are known by; in capital letters it means the same."""
    return SCHEME.sub(lambda match: match[0].lower(), address, count=1)


def local_path(argument: str, value: Any) -> Path:
    """Take in a user's path: `~` and `~name` stand for homes, as in a shell.

    Args:
        argument: the argument that holds the path, for errors.
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
        raise InputError(argument, "be a path", f"{shown(text)}, which holds a NUL")
    if is_address(text):
        # Of the local file system an address is a path.
        if is_local(text):
            return Path(with_scheme(text).removeprefix(LOCAL))
        way_out = (
            "name a folder or file here, or one that is mounted; `jf.Attributor` lets a data engine write elsewhere"
        )
        raise InputError(argument, "be a path on this host", shown(text), way_out)
    if not text.startswith("~"):
        path = Path(text)
        # `Path` drops the dot of `./~x`: written out, it is never taken for a home later on.
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
    # Opening a FIFO waits for its writer, unless it is asked not to. The mode is the open file's: its name may change.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    raise OSError(None, "it is a folder" if stat.S_ISDIR(mode) else "it is no regular file", str(path))
