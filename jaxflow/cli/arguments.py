"""Arguments that several commands have: where texts come from, and how long they may be."""

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from jaxflow._checks import InputError, arguments_named
from jaxflow._parser import Group, count
from jaxflow.inputs.files import FileSource, check_unread, open_source
from jaxflow.inputs.images import as_image_source
from jaxflow.inputs.source import InlineSource, Source

# Comes with the package, so that a first run needs nothing else.
MODEL = "verb-number"
MODELS = f"minilm, a folder, or a model's name on the hub (default: {MODEL}, which reads beginnings of sentences)"
TEXT_HELP = "a text; may be given again; one that begins with a dash goes as --text='-x'"
PAIR_HELP = "the second text of each --text, for models that read two"


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add where texts, or images, come from; `source_of` reads it."""
    _add_texts(parser)
    group = parser.add_argument_group("images (for a model that reads them)")
    about = "image files (PNG, JPEG, ...), or a folder of them"
    _ = group.add_argument("--images", nargs="+", metavar="PATH", help=about)


def _add_texts(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("texts (without any of them: standard input)")
    add = group.add_argument
    _ = add("--text", action="append", metavar="TEXT", help=TEXT_HELP)
    _ = add("--pair", action="append", metavar="TEXT", help=PAIR_HELP)
    _ = add(
        "--input",
        metavar="FILE",
        help=".txt (one text a line), .jsonl, .csv, .tsv or .parquet, also .gz and .zst of them; - is standard input",
    )
    _ = add("--column", metavar="C", help="the column of the texts (default: text, or the only one there is)")
    _ = add("--pair-column", metavar="C", help="the column of second texts, for models that read two")
    separators = "of .csv and .tsv: comma, semicolon, tab, pipe or another character (default: by the header)"
    _ = add("--separator", metavar="S", help=separators)
    quotes = "yes: cells of .csv and .tsv may stand in quotes; no: quotes are characters (default: auto, by the file)"
    _ = add("--quotes", default="auto", metavar="Q", help=quotes)
    _ = add("--encoding", metavar="E", help="of a file: utf-16, cp1252, ... (default: utf-8, or by the file's mark)")


def add_lengths(group: Group) -> None:
    """Add how long texts may be."""
    _ = group.add_argument(
        "--max-length", type=count, metavar="N", help="most tokens of a text (default: what the model takes)"
    )
    _ = group.add_argument("--truncate", action="store_true", help="cut longer texts (default: refuse them)")


def lengths_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """How long texts may be, as functions take it."""
    return {"max_length": arguments.max_length, "truncate": arguments.truncate}


def source_of(arguments: argparse.Namespace) -> AbstractContextManager[Source]:
    """The texts that a command was given."""
    texts, pairs = arguments.text, arguments.pair
    reading = {name: getattr(arguments, name) for name in ("separator", "quotes", "encoding")}
    if (images := arguments.images) is not None:
        for name in ("text", "pair", "input", "column", "pair_column"):
            if getattr(arguments, name) is not None:
                raise InputError(name, "be left out where `images` are given", None, "choose one of them")
        check_unread(False, **reading)
        with source_named(arguments):
            return nullcontext(as_image_source(images))
    if texts is not None and arguments.input is not None:
        raise InputError("text", "be left out where `input` is given", None, "choose one of them")
    if texts is None:
        if pairs is not None:
            raise InputError("pair", "go with `text`", None, "second texts of a file are named by `pair_column`")
        path = _input(arguments.input)
        # Bytes, as the encoding is found out or given.
        stdin: Any = sys.stdin.buffer if path == "-" and sys.stdin is not None else None
        return open_source(path, arguments.column, arguments.pair_column, stdin=stdin, **reading)
    # Texts on the command line have no columns and no cells.
    check_unread(False, **reading)
    for name in ("column", "pair_column"):
        if getattr(arguments, name) is not None:
            raise InputError(name, "go with `input`")
    if pairs is not None and len(pairs) != len(texts):
        raise InputError("pair", f"be given once for each `text`, {len(texts)} times", str(len(pairs)))
    return nullcontext(InlineSource(tuple(texts), None if pairs is None else tuple(pairs)))


def add_label_column(group: Group, use: str) -> None:
    """Add the option that names the column of true classes."""
    _ = group.add_argument("--label-column", metavar="C", help=f"the column of each text's true class, {use}")


def labels_of(arguments: argparse.Namespace, source: Source | None = None) -> FileSource | None:
    """The column of true classes, of a source that is open already, since a pipe can be opened but once.

    Raises:
        InputError: texts come from no file, or it has no such column; without a source the first is looked at alone.
    """
    column = arguments.label_column
    if column is not None and arguments.input in (None, "-"):
        raise InputError("label_column", "go with `input` and a file")
    return source.of_column(column) if isinstance(source, FileSource) and column is not None else None


def source_named(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """Errors about the source name the option that gave it."""
    if arguments.images is not None:
        return arguments_named(source="images")
    return arguments_named(source="input" if arguments.text is None else "text")


def texts_are_shared(arguments: argparse.Namespace) -> None:
    """Refuse texts that only this process has.

    Raises:
        InputError: they would come from standard input.
    """
    if arguments.text is None and arguments.input in (None, "-"):
        raise InputError("input", "be a file that all workers see", "standard input", "write it into a file")


def _input(path: str | None) -> str:
    if path is not None:
        return path
    # A program without arguments that waits for a terminal looks as if it hung.
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("text", "be given, or `input`, or texts on standard input, one a line", "no text")
    return "-"
