"""How a sweep shows that it is getting on: a bar on a terminal, plain lines elsewhere, or nothing."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from jaxflow._typing import Given
from jaxflow.sweep.tally import Tally

# Seconds between two plain lines.
PERIOD = 10.0


@contextmanager
def progress(
    total: int | None, done: int, stream: Given[TextIO], *, quiet: bool = False
) -> Iterator[Callable[[Tally], None]]:
    """Something to call with how far the run is.

    Args:
        total: rows of the input in all, where that is known.
        done: rows that were done before.
        stream: where to show it.
        quiet: show nothing.
    """
    if quiet or done == total:
        yield lambda _: None
    elif stream.isatty():
        yield from _bar(total, done, stream)
    else:
        yield from _lines(total, done, stream)


def duration(seconds: int | float) -> str:
    """A time in words of its size: `4.2 s`, `3:05`, `2:10:00`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def rates(tally: Tally, seconds: float) -> list[str]:
    """What a run does in a second, and how well, in words: parts of a line."""
    seconds = max(seconds, 1e-9)
    # Idle time is an upper bound, and may exceed a short run.
    busy = 100 * max(0.0, 1 - tally.idle / seconds)
    parts = [f"{tally.tokens / seconds:.0f} tokens/s", f"device busy {busy:.0f} %"]
    if tally.flows:
        parts.append(f"certified {100 * tally.certified / tally.flows:.2f} %")
    return parts


def _bar(total: int | None, done: int, stream: Given[TextIO]) -> Iterator[Callable[[Tally], None]]:
    try:
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm
    except ImportError:
        yield from _lines(total, done, stream)
        return
    known = "{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left, {rate_fmt}{postfix}]"
    form = None if total is None else known
    bar = tqdm(total=total, initial=done, unit=" examples", file=stream, bar_format=form, dynamic_ncols=True)
    # A line that the library says goes above the bar.
    with bar, logging_redirect_tqdm([logging.getLogger("jaxflow")]):
        start = time.perf_counter()

        def show(tally: Tally) -> None:
            bar.set_postfix_str(", ".join(rates(tally, time.perf_counter() - start)), refresh=False)
            # tqdm takes steps, a tally is a total.
            _ = bar.update(done + tally.rows - bar.n)

        yield show


def _lines(total: int | None, done: int, stream: Given[TextIO]) -> Iterator[Callable[[Tally], None]]:
    """A plain line now and then, for logs, and one at the end."""
    start = shown_at = time.perf_counter()
    shown = latest = Tally()

    def show(tally: Tally) -> None:
        nonlocal shown_at, shown, latest
        now, latest = time.perf_counter(), tally
        # A line that says the same again tells nothing.
        if now - shown_at >= PERIOD and tally.rows != shown.rows:
            shown_at, shown = now, tally
            _ = stream.write(_line(tally, total, done, now - start))
            stream.flush()

    yield show
    # The end is always shown.
    if latest.rows != shown.rows:
        _ = stream.write(_line(latest, total, done, time.perf_counter() - start))
        stream.flush()


def _line(tally: Tally, total: int | None, done: int, seconds: float) -> str:
    at = done + tally.rows
    rate = tally.examples / max(seconds, 1e-9)
    parts = [f"{at} examples" if total is None else f"{at}/{total} examples", f"{rate:.1f} examples/s"]
    parts += rates(tally, seconds)
    if total is not None:
        parts.append(f"{duration(max(0, total - at) * seconds / max(tally.rows, 1))} left")
    return ", ".join(parts) + "\n"
