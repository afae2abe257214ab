"""Signals on the command line: none is lost, and each has its exit code."""

import gc
import os
import signal
import time

import pytest

from jaxflow._signals import Terminated, interrupts, signals
from jaxflow.cli import main as cli


def wait(seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.005)
    pytest.fail("the interrupt was lost")


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_an_interrupt_within_the_collectors_callback_is_not_lost(number, kind):
    calls = []

    def callback(phase, _):
        if not calls:
            calls.append(phase)
            os.kill(os.getpid(), number)
            # Python looks for signals here, within the callback, and drops what is raised.
            for _ in range(1000):
                pass

    gc.callbacks.append(callback)
    try:
        with pytest.raises(KeyboardInterrupt) as stopped, signals():  # noqa: PT012
            _ = gc.collect()
            assert calls
            wait()
    finally:
        gc.callbacks.remove(callback)
    assert stopped.type is kind


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_work_stops_where_it_looks_and_at_once_the_second_time(number, kind):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt) as stopped, interrupts() as stop_if_asked:  # noqa: PT012
        stop_if_asked()
        os.kill(os.getpid(), number)
        time.sleep(0.01)
        stop_if_asked()
    assert stopped.type is kind
    with pytest.raises(KeyboardInterrupt), interrupts():  # noqa: PT012
        os.kill(os.getpid(), number)
        time.sleep(0.01)
        os.kill(os.getpid(), number)
        wait()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_the_work_says_of_its_end_is_kept():
    with pytest.raises(Terminated, match="3 texts are kept"), interrupts():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        raise KeyboardInterrupt("3 texts are kept")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_each_signal_has_its_exit_code_and_one_line(monkeypatch, capsys, number, code):
    def work(*_, **__):
        os.kill(os.getpid(), number)
        wait()

    monkeypatch.setattr("jaxflow.models.builtin.fetch", work)
    assert cli.main(["fetch", "minilm"]) == code
    assert capsys.readouterr().err == "jaxflow: stopped\n"


def test_a_signal_that_the_process_was_started_to_ignore_is_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with signals(), interrupts() as stop_if_asked:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            stop_if_asked()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        _ = signal.signal(signal.SIGTERM, before)
