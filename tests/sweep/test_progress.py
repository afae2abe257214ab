import io

import pytest

from jaxflow.sweep import progress as module
from jaxflow.sweep.progress import duration, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (59.5, "59.5 s"), (60.2, "1:00"), (185, "3:05"), (7800, "2:10:00")]
)
def test_durations_read_well(seconds, words):
    assert duration(seconds) == words


def test_logs_get_plain_lines_with_rates(monkeypatch):
    monkeypatch.setattr(module, "PERIOD", 0.0)
    stream = io.StringIO()
    with progress(6, 2, 10.0, stream) as advance:
        advance(2)
        advance(2)
    first, last = stream.getvalue().splitlines()
    assert first.startswith("4/6 examples, ")
    assert last.startswith("6/6 examples, ")
    assert "examples/s" in last
    assert "tokens/s" in last
    assert last.endswith("0.0 s left")
    assert "\r" not in stream.getvalue()


def test_lines_come_no_more_often_than_the_period():
    stream = io.StringIO()
    with progress(1000, 0, 10.0, stream) as advance:
        for _ in range(999):
            advance(1)
    assert stream.getvalue() == ""


def test_terminals_get_a_bar():
    stream = Terminal()
    with progress(4, 0, 10.0, stream) as advance:
        advance(4)
    assert "4/4" in stream.getvalue()
    assert "tokens/s" in stream.getvalue()


def test_quiet_and_finished_sweeps_show_nothing():
    stream = Terminal()
    with progress(4, 0, 10.0, stream, quiet=True) as advance:
        advance(4)
    with progress(4, 4, 10.0, stream):
        pass
    assert stream.getvalue() == ""
