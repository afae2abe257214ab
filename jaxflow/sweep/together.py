"""Several processes that fill one folder."""

import time
from collections.abc import Callable
from pathlib import Path

from jaxflow.sweep import store
from jaxflow.sweep.results import open_sweep

# Seconds between two looks into the folder.
PERIOD = 0.5


def wait_for_all(folder: Path, look_up: Callable[[], None] = lambda: None) -> None:
    """Wait until no shard is missing. Where a process dies, JAX ends those that wait.

    A process that ended before the others would wait for them in JAX's own way of ending, which has a time limit, so
    all of them wait here first.

    Args:
        folder: which they fill.
        look_up: called now and then, for interrupts.
    """
    while not ((folder / store.MANIFEST).exists() and _is_whole(folder)):
        look_up()
        time.sleep(PERIOD)


def _is_whole(folder: Path) -> bool:
    """Whether no shard is missing, nor damaged and about to be made again."""
    results = open_sweep(folder)
    return results.complete and all(store.is_whole(results.folder, record) for record in results.records)
