"""How a sweep shows that it is getting on: a bar on a terminal, plain lines elsewhere, or nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Seconds between two plain lines.
PERIOD = 10.0


@contextmanager
def progress(
    total: int, done: int, mean_tokens: float, stream: Any, *, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Something to call with the number of texts that were just finished.

    Args:
        total: texts in all.
        done: texts that were done before.
        mean_tokens: tokens of a text, on average, for the rate.
        stream: where to show it.
        quiet: show nothing.
    """
    if quiet or done == total:
        yield lambda _: None
    elif stream.isatty():
        yield from _bar(total, done, mean_tokens, stream)
    else:
        yield _Lines(total, done, mean_tokens, stream)


def duration(seconds: int | float) -> str:
    """A time in words of its size: `4.2 s`, `3:05`, `2:10:00`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _bar(total: int, done: int, mean_tokens: float, stream: Any) -> Iterator[Callable[[int], None]]:
    try:
        from tqdm import tqdm
    except ImportError:
        yield _Lines(total, done, mean_tokens, stream)
        return
    form = "{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left, {rate_fmt}{postfix}]"
    with tqdm(total=total, initial=done, unit=" examples", file=stream, bar_format=form, dynamic_ncols=True) as bar:
        clock = _Clock(mean_tokens)

        def advance(texts: int) -> None:
            clock.advance(texts)
            bar.set_postfix_str(f"{clock.rate * mean_tokens:.0f} tokens/s", refresh=False)
            _ = bar.update(texts)

        yield advance


class _Clock:
    """Rate of this run."""

    def __init__(self, mean_tokens: float):
        self.start, self.texts, self.mean_tokens = time.perf_counter(), 0, mean_tokens

    def advance(self, texts: int) -> None:
        self.texts += texts

    @property
    def rate(self) -> float:
        """Texts a second."""
        return self.texts / max(time.perf_counter() - self.start, 1e-9)


class _Lines:
    """A plain line now and then, for logs."""

    def __init__(self, total: int, done: int, mean_tokens: float, stream: Any):
        self.total, self.done, self.stream = total, done, stream
        self.clock, self.shown = _Clock(mean_tokens), time.perf_counter()

    def __call__(self, texts: int) -> None:
        self.done += texts
        self.clock.advance(texts)
        now = time.perf_counter()
        if now - self.shown >= PERIOD or self.done == self.total:
            self.shown = now
            rate = self.clock.rate
            left = duration((self.total - self.done) / rate)
            tokens = rate * self.clock.mean_tokens
            self.stream.write(
                f"{self.done}/{self.total} examples, {rate:.1f} examples/s, {tokens:.0f} tokens/s, {left} left\n"
            )
            self.stream.flush()
