"""The command line: `main` reads it and runs a command, of which each has a file here. Nothing else prints."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from jaxflow._checks import InputError
from jaxflow._parser import Parser
from jaxflow._signals import signals
from jaxflow._versions import own_version
from jaxflow.cli import attribute, compare, explore, fetch, summarize
from jaxflow.cli.output import said

COMMANDS = (attribute, compare, explore, summarize, fetch)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments; those of the process by default.

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
        with signals():
            arguments = _parsers()[0].parse_args(argv)
            return arguments.run(arguments)
    except (InputError, KeyboardInterrupt) as error:
        return said(error, arguments.flags)
    except BrokenPipeError:
        # Whoever read our output has gone; say nothing more, also not when Python flushes at exit.
        _ = os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def command_parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command by its name, for the documentation."""
    _, commands = _parsers()
    return dict(commands.choices)


def _parsers() -> tuple[argparse.ArgumentParser, Any]:
    """The parser of the whole, and its commands."""
    parser = Parser(
        prog="jaxflow",
        description="How much each input token contributed to each position of a Transformer, at each layer.",
        epilog=attribute.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("--version", action="version", version=f"jaxflow {own_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        added = command.add(commands)
        # Errors name what Python calls by another name by the command's own options.
        added.set_defaults(run=command.run, flags=added.flags() | command.NAMES)
    return parser, commands
