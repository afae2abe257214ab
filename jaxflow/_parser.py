"""The command line's parser and the types of its options' values; every error is one line."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from jaxflow._checks import InputError, shown
from jaxflow._paths import is_address, is_local, local_path

# Longer messages are cut: argparse repeats the whole value.
MESSAGE = 400
# Whole numbers beyond 64 bits fit no array.
LARGEST = 2**63 - 1


class UsageError(InputError):
    """A command line that cannot be parsed; `got` is the parser's message, which names flags already."""

    def in_words(self, name: Callable[[str], str] = str) -> str:
        """The parser's message, and where to read on; there are no arguments that `name` would write."""
        del name
        return f"{self.got}; {self.way_out}"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose options are written out: `--out`, never `--ou`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        if len(message) > MESSAGE:
            message = f"{message[:MESSAGE]}... ({len(message)} characters)"
        expected, way_out = "be a known command", f"see {self.prog} --help"
        raise UsageError(None, expected, message, way_out, place="the command line")

    def flags(self) -> dict[str, str]:
        """The options, by the names that Python has for their values."""
        return {action.dest: action.option_strings[-1] for action in self._actions if action.option_strings}

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Parse arguments, as argparse does."""
        for argument in args or ():
            # argparse drops the dashes and passes an empty list on as the value.
            if re.fullmatch(r"--[\w-]+=--", argument):
                self.error(f"argument {argument[:-3]}: a value is expected, got '--'")
        return super().parse_known_args(args, namespace)


# argparse has no public names for the parsers of commands, and for what options are added to.
Commands: TypeAlias = argparse._SubParsersAction
Group: TypeAlias = argparse._ActionsContainer


def names(text: str) -> tuple[str, ...]:
    """Words with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def integers(text: str) -> tuple[int, ...] | None:
    """Whole numbers with commas between them; None is all."""
    if text.strip() == "all":
        return None
    numbers = [_integer(part) for part in text.split(",")]
    if None in numbers:
        raise _unfit("whole numbers with commas between them, or all", text)
    return tuple(number for number in numbers if number is not None)


def positions(text: str) -> tuple[int, ...] | str | None:
    """Whole numbers with commas between them, or a word; None is all."""
    return text if text.isalpha() and text != "all" else integers(text)


def layers(text: str) -> tuple[int, ...] | tuple[tuple[int | None, ...], ...] | None:
    """Whole numbers, or pairs of them with a colon between; None is all."""
    if ":" not in text:
        return integers(text)
    # Pairs of two models' layers. A part that is no number becomes None and is refused below.
    pairs = tuple(tuple(map(_integer, part.split(":"))) for part in text.split(","))
    if any(len(pair) != 2 or None in pair for pair in pairs):
        raise _unfit("pairs of whole numbers such as 1:2,6:12", text)
    return pairs


def count(text: str) -> int:
    """A whole number, 1 or more."""
    return _whole(text, 1)


def count_or_any(text: str) -> int | str:
    """A whole number, 1 or more, or the word any."""
    number = _integer(text)
    if text != "any" and (number is None or number < 1):
        raise _unfit("any, or a whole number, 1 or more,", text)
    return "any" if number is None else number


def natural(text: str) -> int:
    """A whole number, 0 or more."""
    return _whole(text, 0)


def real(text: str) -> float:
    """A number."""
    try:
        # Python also reads other scripts' digits, and underscores between them.
        return float(text) if text.isascii() and "_" not in text else float("")
    except ValueError:
        raise _unfit("a number", text) from None


def share(text: str) -> float | str:
    """A number, or a word."""
    return text if text.isalpha() and text.lower() not in ("nan", "inf", "infinity") else real(text)


def path(text: str) -> Path:
    """A path that the file system can have; `~` is the home where the shell has left it."""
    if not text:
        raise _unfit("a path", text)
    try:
        return local_path("path", text)
    except InputError as error:
        # argparse takes it for a ValueError, whose message it drops.
        rest = "" if error.way_out is None else f"; {error.way_out}"
        raise argparse.ArgumentTypeError(f"a path is expected, got {error.got}{rest}") from None


def output(text: str) -> Path:
    """A path of results, which their own descriptions name in UTF-8."""
    try:
        _ = text.encode("utf-8")
    except UnicodeEncodeError:
        raise _unfit("a path in UTF-8", text) from None
    return path(text)


def results_at(text: str) -> Path | str:
    """A path of results, or the address of a folder in a store."""
    return text if is_address(text) and not is_local(text) else output(text)


def _integer(text: str) -> int | None:
    """A whole number in ASCII digits that fits 64 bits; None for anything else."""
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text.strip(" ")):
        return None
    number = int(text)
    return number if -LARGEST <= number <= LARGEST else None


def _whole(text: str, least: int) -> int:
    number = _integer(text)
    if number is None or number < least:
        raise _unfit(f"a whole number, {least} or more,", text)
    return number


def _unfit(expected: str, text: str) -> argparse.ArgumentTypeError:
    # Plural words take "are".
    many = "are" if expected.startswith(("whole numbers", "pairs")) else "is"
    return argparse.ArgumentTypeError(f"{expected} {many} expected, got {shown(text)}")
