import io

import pytest

from jaxflow.store.shards import Record
from jaxflow.sweep import progress as module
from jaxflow.sweep.progress import duration, progress, rates
from jaxflow.sweep.tally import Summary, Tally
from jaxflow.sweep.words import skipped_lines, summary_lines


class Terminal(io.StringIO):
    def isatty(self):
        return True


def at(rows):
    return Tally(rows=rows, examples=rows, tokens=10 * rows, flows=4 * rows, certified=3 * rows)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (59.5, "59.5 s"), (60.2, "1:00"), (185, "3:05"), (7800, "2:10:00")]
)
def test_durations_read_well(seconds, words):
    assert duration(seconds) == words


def test_rates_are_of_this_run():
    tally = Tally(rows=9, examples=8, tokens=200, flows=400, certified=399, idle=0.5)
    assert rates(tally, 2.0) == ["100 tokens/s", "device busy 75 %", "certified 99.75 %"]
    assert rates(Tally(tokens=3, idle=5.0), 1.0) == ["3 tokens/s", "device busy 0 %"]


def test_logs_get_plain_lines_with_rates(monkeypatch):
    monkeypatch.setattr(module, "PERIOD", 0.0)
    stream = io.StringIO()
    with progress(6, 2, stream) as show:
        for rows in (0, 2, 2, 4):
            show(at(rows))
    first, last = stream.getvalue().splitlines()
    assert first.startswith("4/6 examples, ")
    assert last.startswith("6/6 examples, ")
    for part in ("examples/s", "tokens/s", "device busy", "certified 75.00 %"):
        assert part in last
    assert last.endswith("0.0 s left")
    assert "\r" not in stream.getvalue()


def test_lines_come_no_more_often_than_the_period_and_one_at_the_end():
    stream = io.StringIO()
    with progress(1000, 0, stream) as show:
        for rows in range(998):
            show(at(rows))
        assert stream.getvalue() == ""
    assert stream.getvalue().startswith("997/1000 examples, ")
    assert stream.getvalue().count("\n") == 1
    failed = io.StringIO()

    def fail():
        with progress(1000, 0, failed) as show:
            show(at(3))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert failed.getvalue() == ""


def test_an_input_of_unknown_length_has_no_end_to_count_to():
    stream = io.StringIO()
    with progress(None, 3, stream) as show:
        show(at(2))
    assert stream.getvalue().startswith("5 examples, ")
    assert "left" not in stream.getvalue()
    terminal = Terminal()
    with progress(None, 3, terminal) as show:
        show(at(2))
    assert "5 examples" in terminal.getvalue()


def test_terminals_get_a_bar():
    stream = Terminal()
    with progress(4, 1, stream) as show:
        show(at(1))
        show(at(3))
    assert "4/4" in stream.getvalue()
    assert "tokens/s" in stream.getvalue()


def test_quiet_and_finished_sweeps_show_nothing():
    stream = Terminal()
    with progress(4, 0, stream, quiet=True) as show:
        show(at(4))
    with progress(4, 4, stream):
        pass
    assert stream.getvalue() == ""


def test_the_end_says_what_was_done_and_what_was_left_out():
    skipped = tuple({"id": i, "reason": f"line {i} is empty"} for i in range(1, 8))
    record = Record(0, 19, "x", True, 12, "y", 120, 4, 3, {"bounds": 1, "closed_form": 3}, skipped)
    summary = Summary(4, 0, 2.0, at(8), (record,))
    lines = summary_lines(summary)
    assert lines[0] == "8 examples in 2.0 s (4 were there before): 4.0 examples/s, 40 tokens/s, device busy 100 %"
    assert lines[1] == "flows certified: 75.00 % (25.00 % by bounds, 75.00 % by closed forms)"
    told = skipped_lines(summary)
    assert told[:2] == ["rows skipped: 7", "  line 1 is empty"]
    assert told[-1].startswith("  and 2 more")
    assert len(told) == 7
    nothing = Summary(4, 0, 0.0, Tally(), ())
    assert summary_lines(nothing) == ["0 examples in 0.0 s (4 were there before)"]
    assert skipped_lines(nothing) == []
