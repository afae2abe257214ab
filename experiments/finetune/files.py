"""Lines of data files, gzipped or plain, and what is said of files that are missing or broken."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from jaxflow import InputError
from jaxflow._checks import shown, shown_text


def text_of(path: Path) -> str:
    """A file's text.

    Raises:
        InputError: it does not exist, or is not a text in UTF-8.
    """
    if not path.is_file():
        got = f"{shown(str(path))}, which does not exist"
        raise InputError("data", f"name a folder with {path.name}", got)
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        expected = "be a file of text in UTF-8 that can be read"
        raise InputError(None, expected, shown_text(str(error)), "fetch it again", place=str(path)) from error


def rows_of(path: Path, separator: str = "\t") -> Iterator[tuple[int, list[str]]]:
    """Numbers, from 1, and fields of a file's lines; quotes mean nothing, as in GLUE's files."""
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if line.strip():
            yield number, line.removesuffix("\r").split(separator)
