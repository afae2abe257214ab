"""What is said on the screen: progress, and how a command ended."""

import sys
import time
from collections.abc import Callable

from jaxflow import InputError


def say(line: str) -> None:
    """A line for people, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def ended(run: Callable[[], object]) -> int:
    """Run a command that can be taken up again; its exit code: 2 on bad input, 130 where it was interrupted."""
    try:
        _ = run()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0
