"""What is said on the screen: progress, and how a command ended."""

import sys
import time
from collections.abc import Callable

from jaxflow import InputError

# Options that errors name as Python has them.
OPTIONS = ("data", "out", "quick", "model", "model_a", "model_b", "pair", "head", "texts", "columns", "masked_lm")


def say(line: str) -> None:
    """A line for people, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def _option(argument: str) -> str:
    return f"--{argument.replace('_', '-')}" if argument in OPTIONS else f"`{argument}`"


def ended(run: Callable[[], object]) -> int:
    """Run a command that can be taken up again; its exit code: 2 on bad input, 130 where it was interrupted."""
    try:
        _ = run()
    except InputError as error:
        print(f"error: {error.in_words(_option)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0
