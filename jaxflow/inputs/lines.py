"""Files of text as lines: unpacked, decoded, and cut at their line ends, with bounded memory.

A line that cannot be used does not end the stream: an error stands beside it.
"""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from jaxflow._checks import InputError, missing_extra, shown, shown_text

# Line number from 1, the line with its end, and the error that makes it useless, if any.
Line = tuple[int, str, InputError | None]

# How packed files begin. No text does, in any encoding that is read here.
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
PACKED_SUFFIXES = {".gz": "gzip", ".zst": "zstd"}

# First bytes of files that are no text, whatever their names say; the kind of file, and the way out. ("PAR1" alone may
# begin a text; in a Parquet file a description in Thrift follows, whose first byte is this.)
UNPACK = "unpack it first (.gz and .zst are read as they are)"
FOREIGN = {
    **dict.fromkeys(PACKED, ("a packed file inside a packed one", UNPACK)),
    b"BZh": ("a file packed by bzip2", UNPACK),
    b"\xfd7zXZ\0": ("a file packed by xz", UNPACK),
    b"PK\x03\x04": ("a ZIP archive, as workbooks of Excel are", "unpack it first, or save the workbook as CSV"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("a workbook or document of old Office", "save it as CSV or as plain text"),
    b"PAR1\x15": ("a Parquet file", "name it .parquet"),
    b"ARROW1\0\0": ("a Feather (Arrow) file", "save it as Parquet"),
    b"SQLite format 3\0": ("an SQLite database", "save the table as Parquet or CSV"),
}

CHUNK = 2**18
# Bytes that encoding, line ends and separator are told from.
SAMPLE = 2**16
# Most bytes of a line: longer ones are refused, and never held.
LINE_MOST = 2**27

# UTF-32's little-endian mark begins with UTF-16's, so it comes first.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


@dataclass(frozen=True)
class Coding:
    """How the bytes of a file stand for lines.

    Attributes:
        packed: "gzip", "zstd", or None for bytes as they are.
        encoding: the canonical name of the encoding.
        end: line end: a line feed (which may have a carriage return before it), or a carriage return.
    """

    packed: str | None
    encoding: str
    end: str = "\n"


def packing(path: Path) -> str | None:
    """How a file is packed, by its first bytes."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((name for magic, name in PACKED.items() if start.startswith(magic)), None)


def unpacked(path: Path, packed: str | None, name: str) -> Iterator[bytes]:
    """The bytes of a file in pieces.

    Raises:
        InputError: it is packed, and damaged.
    """
    with path.open("rb") as file, closing(_unpacking(file, packed)) as stream:
        # One piece at a time: a few kilobytes may unpack to gigabytes.
        while True:
            try:
                chunk = stream.read(CHUNK)
            except (EOFError, zlib.error, OSError) as error:
                # An unpacked file that cannot be read is the disk's trouble, not the file's.
                if packed is None:
                    raise
                got = f"one that cannot be unpacked ({shown_text(str(error)) or type(error).__name__})"
                raise InputError(None, f"be a whole file of {packed}", got, "get it again", place=name) from None
            if not chunk:
                return
            yield chunk


def coding_of(path: Path, packed: str | None, encoding: str | None, name: str) -> tuple[Coding, str | None]:
    """The coding of a file, its line ends taken for line feeds, and a note on the assumption made.

    Args:
        path: where the file is.
        packed: how it is packed.
        encoding: the encoding that the user named; None goes by the file's mark, and is UTF-8 without one.
        name: what to call the file.

    Raises:
        InputError: the encoding is unknown or contradicts the file's mark, the file has NUL bytes as UTF-16 and UTF-32
            have them, or it is no text, by its first bytes.
    """
    start = b""
    for chunk in unpacked(path, packed, name):
        start += chunk
        if len(start) >= SAMPLE:
            break
    if not start:
        raise InputError(None, "hold a text", "an empty file", place=name)
    refuse_foreign(start, name)
    # A mark is proof; the user's word may only agree with it. Without either, NUL bytes speak against UTF-8.
    marked = next((known for mark, known in MARKS.items() if start.startswith(mark)), None)
    if encoding is not None:
        chosen = _known(encoding)
        if marked is not None and not _agree(chosen, marked):
            way_out = f"its mark says {marked}; leave it out"
            raise InputError("encoding", "be the file's own", shown(encoding), way_out, place=name)
        return Coding(packed, marked or chosen), None
    if marked is not None:
        note = None if marked == "utf-8" else f"reading {name} as {marked.upper()}, as its byte-order mark says"
        return Coding(packed, marked), note
    likely = _likely(start[:SAMPLE])
    if likely is not None:
        got = f"NUL bytes as in {likely.upper()}, where UTF-8 has none"
        way_out = f'pass `encoding="{likely}"`, or save the file as UTF-8'
        raise InputError("encoding", "be the file's own", got, way_out, place=name)
    return Coding(packed, "utf-8"), None


def refuse_foreign(start: bytes, name: str) -> None:
    """Refuse a file whose first bytes are those of a format that is no text.

    Raises:
        InputError: they are.
    """
    for magic, (what, way_out) in FOREIGN.items():
        # bzip2's own magic is short; a number and the first block's follow.
        if start.startswith(magic) and (magic != b"BZh" or start[4:10] == b"1AY&SY"):
            raise InputError("source", "be a file of text", what, way_out, place=name)


def sample(path: Path, coding: Coding, name: str) -> str:
    """The first characters of a file, up to a line end at least where there is one."""
    text = ""
    for chunk in _as_utf8(unpacked(path, coding.packed, name), coding.encoding, name):
        # A character that is cut in two at a chunk's end does no harm in a sample.
        text += chunk.decode("utf-8", errors="replace")
        if len(text) >= SAMPLE and (re.search("[\r\n]", text) or len(text) > LINE_MOST):
            break
    return text.removeprefix("\ufeff")


def lines(path: Path, coding: Coding, name: str) -> Iterator[Line]:
    """The lines of a file; its byte order mark is dropped."""
    # `start` is where the line begins, in bytes of the file, for errors.
    start = 0
    for number, (raw, size) in enumerate(raw_lines(path, coding, name), 1):
        if raw is None:
            expected, place = f"have at most {LINE_MOST:,} bytes", f"line {number} of {name}"
            yield number, "", InputError(None, expected, f"{size:,}", "break it up", place=place)
        else:
            yield number, *_decoded(raw, number, start, coding.encoding, name)
        start += size


def raw_lines(path: Path, coding: Coding, name: str) -> Iterator[tuple[bytes | None, int]]:
    """Lines of a file in UTF-8, with their ends, and the bytes of each; None in the place of one too long."""
    end = coding.end.encode()
    # Pieces of the line that is not yet complete, and its bytes so far. In UTF-8 a line end's byte is never part of
    # another character, so bytes may be split before they are decoded.
    pieces, size = [], 0
    for chunk in _as_utf8(unpacked(path, coding.packed, name), coding.encoding, name):
        *whole, rest = chunk.split(end)
        for piece in whole:
            size += len(piece) + len(end)
            if size > LINE_MOST:
                yield None, size
            else:
                yield (b"".join([*pieces, piece, end]) if pieces else piece + end), size
            pieces, size = [], 0
        if rest:
            size += len(rest)
            pieces.append(rest)
        if size > LINE_MOST:
            # What is too long is only counted.
            pieces = []
    # The last line may lack its end.
    if size:
        yield (None if size > LINE_MOST else b"".join(pieces)), size


def _decoded(raw: bytes, number: int, start: int, encoding: str, name: str) -> tuple[str, InputError | None]:
    place, coded = f"line {number} of {name}", encoding.upper()
    try:
        line, wrong = raw.decode("utf-8"), None
    except UnicodeDecodeError as error:
        line, byte = raw.decode("utf-8", errors="replace"), f"byte 0x{raw[error.start]:02x}"
        at, way_out = f" (byte {start + error.start} of the file)", "save it as UTF-8, or name its `encoding`"
        if encoding != "utf-8":
            # The file's own bytes were escaped as surrogates when they became UTF-8; a surrogate gives its byte back.
            escaped = ord(raw.decode("utf-8", "surrogatepass")[_surrogate(raw)])
            byte = f"byte 0x{escaped - 0xDC00:02x}" if 0xDC80 <= escaped <= 0xDCFF else f"unit 0x{escaped:04x}"
            at, way_out = "", "correct the line, or name another `encoding`"
        wrong = InputError(None, f"be {coded}", f"{byte}{at}", way_out, place=place)
    if wrong is None and "\0" in line:
        got = f"a NUL, as in a line that is damaged or not in {coded}"
        wrong = InputError(None, "be text", got, "correct it, or name the file's `encoding`", place=place)
    return line.removeprefix("\ufeff") if number == 1 else line, wrong


def _surrogate(raw: bytes) -> int:
    """The place of the first surrogate among a line's characters."""
    match = re.search("[\ud800-\udfff]", raw.decode("utf-8", "surrogatepass"))
    assert match is not None
    return match.start()


def _as_utf8(chunks: Iterable[bytes], encoding: str, name: str) -> Iterator[bytes]:
    """Bytes of any encoding as UTF-8. What cannot be decoded becomes surrogates, which UTF-8 refuses in its line."""
    if encoding == "utf-8":
        yield from chunks
        return
    # UTF-16 and UTF-32 have whole units as surrogates; other encodings escape single bytes.
    wide = re.match("utf-(16|32)", encoding)
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass" if wide else "surrogateescape")
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    except UnicodeError as error:
        # The decoder has lost its place in the bytes, so the rest is lost too.
        got = f"{error}, which is not {encoding.upper()}"
        raise InputError("encoding", "be the file's own", got, "name another `encoding`", place=name) from None
    try:
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
    except UnicodeError:
        # The last character is cut short.
        yield "\udfff".encode("utf-8", "surrogatepass")


def _unpacking(file: BinaryIO, packed: str | None) -> Any:
    if packed == "gzip":
        return gzip.GzipFile(fileobj=file)
    if packed != "zstd":
        return file
    # Two packages read Zstandard; Arrow comes first, as results need it too.
    try:
        import pyarrow as pa

        return pa.CompressedInputStream(file, "zstd")
    except ImportError:
        pass
    try:
        import zstandard  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise missing_extra("pyarrow", "text", "reading Zstandard files") from None
    return cast("Any", zstandard).ZstdDecompressor().stream_reader(file, read_across_frames=True)


def _known(encoding: str) -> str:
    """The canonical name of an encoding of text."""
    try:
        codec = codecs.lookup(encoding)
        # Others turn bytes into bytes, or text into text.
        _ = "a".encode(encoding)
    except (LookupError, ValueError, TypeError):
        codec = None
    if codec is None or codec.name in ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"):
        known = "be an encoding that Python knows, such as utf-8, utf-16-le or cp1252"
        raise InputError("encoding", known, shown(encoding))
    return "utf-8" if codec.name == "utf-8-sig" else codec.name


def _agree(chosen: str, marked: str) -> bool:
    return chosen == marked or marked.rpartition("-")[0] == chosen


def _reads_as_utf8(start: bytes) -> bool:
    """Whether the first bytes of a file are UTF-8, characters for the most part, but for a NUL here and there."""
    try:
        # A character may be cut in two at the end.
        _ = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    # In UTF-16, upper halves are control characters in many scripts: NUL in Latin ones, 4 in Cyrillic ones.
    return len(start.translate(None, bytes(range(32)))) * 4 > len(start) * 3


def _likely(start: bytes) -> str | None:
    """The encoding that NUL bytes speak for: in UTF-16 and UTF-32 they are the upper halves of spaces and line ends."""
    # Such a NUL is refused by its line; in a short file it stands beside a blank by chance.
    if _reads_as_utf8(start):
        return None
    # Whole units only. UTF-32 comes first, as its bytes also pass for UTF-16 with many NUL characters.
    start = start[: len(start) // 4 * 4] or start
    units = len(start) // 4
    if units and all(start[i::4].count(0) >= 0.9 * units for i in (2, 3)) and start[0::4].count(0) < 0.9 * units:
        return "utf-32-le"
    if units and all(start[i::4].count(0) >= 0.9 * units for i in (0, 1)) and start[3::4].count(0) < 0.9 * units:
        return "utf-32-be"
    even, odd = start[0::2], start[1::2]
    for encoding, low, high in (("utf-16-le", even, odd), ("utf-16-be", odd, even)):
        blanks = [above for below, above in zip(low, high, strict=False) if below in b" \t\r\n"]
        # Most letters of Latin scripts have a NUL too; of others, only blanks do.
        nuls = blanks.count(0) if blanks else high.count(0)
        if nuls and nuls >= 0.5 * len(blanks or high) and low.count(0) * 20 <= high.count(0):
            return encoding
    return None
