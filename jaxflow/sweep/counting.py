"""A bar, or lines now and then, of how many texts are done."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from jaxflow._typing import Given
from jaxflow.sweep.progress import PERIOD, duration


@contextmanager
def counting(total: int, stream: Given[TextIO], *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Something to call with the number of texts that were just finished.

    Args:
        total: texts in all.
        stream: where to show it: a bar on a terminal, lines elsewhere.
        quiet: show nothing.
    """
    if quiet:
        yield lambda _: None
        return
    # Without tqdm a terminal gets lines as well.
    bar = _bar(total, stream) if stream.isatty() else None
    if bar is None:
        yield _lines(total, stream)
        return
    from tqdm.contrib.logging import logging_redirect_tqdm

    # A line that the library says goes above the bar.
    with bar, logging_redirect_tqdm([logging.getLogger("jaxflow")]):
        yield lambda texts: bar.update(texts) and None


def _bar(total: int, stream: Given[TextIO]) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit=" texts", file=stream, dynamic_ncols=True)


def _lines(total: int, stream: Given[TextIO]) -> Callable[[int], None]:
    start = shown = time.perf_counter()
    done = 0

    def show(texts: int) -> None:
        nonlocal done, shown
        done += texts
        now = time.perf_counter()
        if now - shown >= PERIOD or done == total:
            shown = now
            # At the mean pace so far.
            left = duration((total - done) * (now - start) / max(done, 1))
            _ = stream.write(f"{done}/{total} texts, {left} left\n")
            stream.flush()

    return show
