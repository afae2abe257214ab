"""Progress on the screen."""

import time


def say(line: str) -> None:
    """A line for people, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
