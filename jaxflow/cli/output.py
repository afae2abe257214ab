"""What commands say on standard error: errors and notes, with the command line's names of arguments."""

import logging
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from jaxflow._checks import InputError
from jaxflow.inputs.source import Source

# Bytes of a page that opens at once.
SMALL = 2_000_000
# Options whose arguments have another name in Python.
FLAGS = {"name_or_path": "--model", "texts": "--text", "pairs": "--pair", "source": "--input"}


def said(error: BaseException, flags: Mapping[str, str]) -> int:
    """Say on standard error what went wrong; the exit code.

    Args:
        error: what went wrong.
        flags: the command's options, by their arguments' names in Python.
    """
    if isinstance(error, InputError):
        return _failed(error.in_words(namer(flags)), 2)
    if isinstance(error, KeyboardInterrupt):
        # Imported where it is used, as below: the help comes without the library behind it.
        from jaxflow.sweep.tally import Stopped

        # Exit codes are 128 and the signal's number, which interrupts of ours have; one of these may stand for a
        # Stopped, which says what is kept.
        stopped = error if isinstance(error, Stopped) else error.__cause__
        is_stopped = isinstance(stopped, Stopped)
        message = stopped.in_words("the same command") if is_stopped else str(error) or "stopped"
        return _failed(message, 128 + getattr(error, "number", signal.SIGINT))
    traceback.print_exception(error)
    return 1


def namer(flags: Mapping[str, str]) -> Callable[[str], str]:
    """A function that writes an argument of an error, with its value if it has one, as an option."""
    known = {**FLAGS, **flags}

    def written(argument: str) -> str:
        name, _, value = argument.partition("=")
        # An argument may come with a value, as in "on_error='skip'"; a switch has none on the command line.
        flag = known.get(name)
        if flag is None:
            return f"`{argument}`"
        return flag if value in ("", "True") or flag.startswith("--no-") else f"{flag} {_value(value)}"

    return written


def _value(value: str) -> str:
    """A value as the command line takes it: without quotes, and pairs of layers as 1:1,6:12."""
    return ",".join(":".join(pair) for pair in re.findall(r"\((\d+), (\d+)\)", value)) or value.strip("\"'")


def mixing_line(words: str) -> str:
    """What the capacities were made of."""
    from jaxflow.pages.terminal import visible

    return f"mixing: {visible(words)}"


def large(page: Path) -> str:
    """What is said of a page that does not open at once: its size, and what makes it smaller; else nothing."""
    size = page.stat().st_size
    return "" if size < SMALL else f"   {size / 1e6:.1f} MB: fewer or shorter texts would make it smaller"


def note(lines: Sequence[str]) -> None:
    """Lines on standard error, without what would steer a terminal."""
    from jaxflow.pages.terminal import visible

    for line in lines:
        print(visible(line), file=sys.stderr)


@contextmanager
def hushed(quiet: bool) -> Iterator[None]:
    """A block in which the library says nothing of its own accord, if `quiet`: that it compiles, say."""
    logger = logging.getLogger("jaxflow")
    before = logger.level
    if quiet:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def note_assumed(source: Source, *, quiet: bool = False) -> None:
    """What was assumed about how the texts are to be read."""
    if source.note and not quiet:
        note([source.note])


def _failed(message: str, code: int) -> int:
    from jaxflow.pages.terminal import visible

    # Whatever was passed shows in one line that can be read.
    line = re.sub(r"\S{400,}", lambda word: f"{word[0][:200]}... ({len(word[0])} characters)", message)
    print(f"jaxflow: {visible(' '.join(line.splitlines()))}", file=sys.stderr)
    return code
