import threading
import time
from contextlib import closing
from itertools import count, islice

import pytest

from jaxflow.sweep.background import Ahead, Behind


def nothing():
    pass


def gated():
    """Work that waits until a gate is open, the gate, and the items that were worked on."""
    gate, done = threading.Event(), []

    def work(item):
        gate.wait(60)
        done.append(item)

    return work, gate, done


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_items_are_drawn_in_another_thread_in_order_and_not_far_ahead():
    drawn, threads = [], set()

    def items():
        for number in count():
            threads.add(threading.current_thread())
            drawn.append(number)
            yield number

    ahead = Ahead(items(), 3, nothing)
    for number in range(20):
        assert next(ahead) == number
        wait_until(lambda number=number: len(drawn) >= number + 3)
        assert len(drawn) == number + 3
    ahead.close()
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_what_ends_or_fails_beforehand_does_so_in_its_place():
    assert list(Ahead(iter("abc"), 5, nothing)) == ["a", "b", "c"]

    def failing():
        yield 1
        raise KeyError("gone")

    ahead = Ahead(failing(), 5, nothing)
    assert next(ahead) == 1
    with pytest.raises(KeyError, match="gone"):
        next(ahead)


def test_waiting_can_be_left():
    gate = threading.Event()

    def slow():
        yield gate.wait(60)

    calls = []

    def idle():
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt

    ahead = Ahead(slow(), 1, idle)
    with pytest.raises(KeyboardInterrupt):
        next(ahead)
    gate.set()
    assert next(ahead) is True
    ahead.close()


def test_work_is_done_in_order_and_waits_when_too_much_is_there():
    work, gate, done = gated()
    behind = Behind(work, 1, nothing)
    behind.put(0)
    blocked = threading.Thread(target=behind.put, args=(1,))
    blocked.start()
    blocked.join(0.3)
    assert blocked.is_alive()
    gate.set()
    blocked.join(60)
    behind.close()
    assert done == [0, 1]


def test_the_end_of_all_work_can_be_waited_for_and_the_wait_be_left():
    work, gate, done = gated()

    def idle():
        raise KeyboardInterrupt

    behind = Behind(work, 5, idle)
    for item in range(3):
        behind.put(item)
    with pytest.raises(KeyboardInterrupt):
        behind.finish()
    gate.set()
    behind.finish()
    assert done == [0, 1, 2]
    behind.close()


def test_an_error_of_the_work_comes_out_soon_and_at_the_latest_when_closed():
    done = []

    def work(item):
        if item == 1:
            raise OSError("full")
        done.append(item)

    behind = Behind(work, 5, nothing)
    behind.put(0)
    behind.put(1)
    wait_until(behind.begun[-1].done)
    with pytest.raises(OSError, match="full"):
        behind.put(2)
    behind.close()
    late = Behind(work, 5, nothing)
    with pytest.raises(OSError, match="full"), closing(late):
        late.put(1)
    # What comes after the error is tried all the same.
    assert done == [0, 2]


def test_what_was_put_is_done_though_the_wait_for_room_is_interrupted():
    work, gate, done = gated()

    def interrupted():
        raise KeyboardInterrupt

    behind = Behind(work, 1, interrupted)
    behind.put(0)
    with pytest.raises(KeyboardInterrupt):
        behind.put(1)
    gate.set()
    behind.close()
    assert done == [0, 1]


def test_nothing_of_an_endless_source_is_left_running_when_closed():
    ahead = Ahead(count(), 2, nothing)
    assert list(islice(ahead, 3)) == [0, 1, 2]
    ahead.close()
    wait_until(lambda: not any(thread.name.startswith("jaxflow-read") for thread in threading.enumerate()))
