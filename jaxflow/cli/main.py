"""The command line: `main` reads it and runs a command, of which each has a file here. Nothing else prints."""

import argparse
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from jaxflow._checks import InputError
from jaxflow._parser import Commands, Parser
from jaxflow._signals import signals
from jaxflow._versions import own_version
from jaxflow._without import do_without, hidden
from jaxflow.cli.commands import COMMANDS, USAGE
from jaxflow.cli.output import hushed, said

# New objects after which Python looks for garbage among them; 700 is its own number.
MANY_OBJECTS = 100_000


def process() -> int:
    """Run the command of this process, which is the command line's alone; the exit code."""
    # Imports and traces make millions of objects that stay: to look through them for garbage again and again, and once
    # more at the end of a process that is over, takes a sixth of a short command's time.
    gc.set_threshold(MANY_OBJECTS, *gc.get_threshold()[1:])
    try:
        return main(alone=True)
    finally:
        gc.freeze()


def main(argv: Sequence[str] | None = None, *, alone: bool = False) -> int:
    """Run a command.

    Args:
        argv: the arguments; those of the process by default.
        alone: whether the process does nothing else; packages that others import for long are then left out.

    Returns:
        The exit code: 0, or 2 for input that cannot be used (one line on standard error says why), 130 when the user
        stopped it, 143 when SIGTERM did and 138 when SIGUSR1 did.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal's encoding lacks is shown as an escape.
        sys.stdout.reconfigure(errors="backslashreplace")
    # An error while the arguments are read has no command yet, and so no options of its own.
    arguments: Any = argparse.Namespace(flags={})
    try:
        if alone:
            # Flax looks for it, to show its modules in notebooks.
            do_without("IPython")
        with signals():
            arguments = _parsers(sys.argv[1:] if argv is None else argv)[0].parse_args(argv)
            if alone:
                _do_without(arguments)
            with hushed(getattr(arguments, "quiet", False)):
                return arguments.run(arguments)
    except (InputError, KeyboardInterrupt) as error:
        return said(error, arguments.flags)
    except BrokenPipeError:
        # Whoever read our output has gone; say nothing more, also not when Python flushes at exit.
        _ = os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _do_without(arguments: argparse.Namespace) -> None:
    do_without("transformers")
    # Images are read by transformers' image processors, which are of torch.
    if getattr(arguments, "images", None) is None:
        do_without("torch")
    # Ray's own tables may become data frames.
    if getattr(arguments, "engine", None) != "ray":
        do_without("pandas")


def command_parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command by its name, for the documentation."""
    _, commands = _parsers(list(COMMANDS))
    return dict(commands.choices)


def _parsers(argv: Sequence[str]) -> tuple[argparse.ArgumentParser, Commands]:
    """The parser of the whole, and its commands; one that the arguments do not name has its line of help alone.

    The module of a command brings the library with it, which takes a second to import.
    """
    parser = Parser(
        prog="jaxflow",
        description="How much each input token contributed to each position of a Transformer, at each layer.",
        epilog=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("--version", action="version", version=f"jaxflow {own_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, about in COMMANDS.items():
        if name not in argv:
            _ = commands.add_parser(name, help=about)
            continue
        with hidden("IPython"):
            command = importlib.import_module(f"jaxflow.cli.{name}")
        added = command.add(commands)
        # Errors name what Python calls by another name by the command's own options.
        added.set_defaults(run=command.run, flags=added.flags() | command.NAMES)
    return parser, commands
