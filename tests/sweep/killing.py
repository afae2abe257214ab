"""Run as a process of its own: sweeps in child processes that are killed, at random moments or at every step.

Children are forked before anything of JAX runs, so that they need not import it again.
"""

import os
import shutil
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import numpy as np

from jaxflow.attribution import Question
from jaxflow.inputs.files import open_source
from jaxflow.models import load_model
from jaxflow.store import arrow, leases
from jaxflow.store import shards as store
from jaxflow.store.record import record_file
from jaxflow.sweep import claims, runner, shards
from tests.sweep.folders import contents

QUESTION = Question(methods=("raw", "rollout"))
RECORD = store.Record(7, 2, "x", True, 2, None, 6, 0, 0, {}, ())


def sweep(model, file, out, begun, pause=0.0):
    """In a child: all that is left to do of the sweep, with a pause after each batch."""
    shards.SHARD_ROWS = 4
    encoder = load_model(model)
    with open_source(file) as source:
        work = runner.prepare(encoder, source, Path(out), QUESTION)
        os.write(begun, b"!")
        _ = work.run(4, lambda _: time.sleep(pause))


def forked(work):
    """A child that does the work and leaves."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def attempt(model, file, out, count, seconds):
    """Let so many processes work, and kill those that have not finished so long after all have begun.

    Returns how many were killed, and how long the work took.
    """
    read, write = os.pipe()
    children = [forked(lambda: sweep(model, file, out, write)) for _ in range(count)]
    for _ in children:
        assert os.read(read, 1) == b"!"
    start, left, killed = time.monotonic(), dict.fromkeys(children), 0
    while left:
        if seconds is not None and time.monotonic() - start > seconds:
            for child in left:
                os.kill(child, signal.SIGKILL)
        for child in list(left):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                del left[child]
                assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "a sweep failed"
                killed += os.WIFSIGNALED(status)
        time.sleep(0.001)
    for end in (read, write):
        os.close(end)
    return killed, time.monotonic() - start


def at_random(model, file, folder, kills, seed):
    """Kill until it was done so often; every folder must end as one that was never touched."""
    rng = np.random.default_rng(int(seed))
    # The first one compiles: the others take about a third of its time.
    _, seconds = attempt(model, file, f"{folder}/whole", 1, None)
    whole = contents(f"{folder}/whole")
    done = rounds = 0
    while done < int(kills):
        out = Path(folder) / f"round-{rounds}"
        killed = True
        while killed:
            limit = rng.uniform(0, 0.3 * seconds) if done < int(kills) else None
            killed, _ = attempt(model, file, out, int(rng.choice((1, 1, 1, 2))), limit)
            done += killed
            for record in store.read_records(out).values():
                assert store.is_whole(out, record), "a shard that counts as done is not whole"
        assert contents(out) == whole, "rows differ from those of a sweep that was never interrupted"
        rounds += 1
    _ = sys.stdout.write(f"killed {done} rounds {rounds}")


# Of processes that are killed, stopped and late: seconds of a lease, and between two looks.
LEASE, PERIOD = 0.6, 0.05


def waiting_no_longer_than_a_lease():
    """In a child: refuse to look at an unchanged lease more often than a lease is long."""
    can_take, looks = claims.Claims.can_take, {}

    def looked(self, indices):
        for index in indices:
            _, file = self._leases._latest(f"part-{index:05d}")
            content = None
            with suppress(OSError):
                content = file and self._leases._content(file)
            before, count = looks.get(index, (None, 0))
            looks[index] = content, count + 1 if content is not None and content == before else 1
            # Each look comes a period after the last one, at least.
            assert looks[index][1] <= LEASE / PERIOD + 3, "it waited for a process that shows no sign of life"
        return can_take(self, indices)

    claims.Claims.can_take = looked


def unsteady_sweep(model, file, out, begun, late, is_far):
    """In a child: a sweep of short leases that begins late, and as if on a host of its own where it `is_far`."""
    leases.LEASE, runner.PERIOD = LEASE, PERIOD
    if is_far:
        # Nothing but the leases tells that a process died.
        leases.SYSTEM = "-"
    waiting_no_longer_than_a_lease()
    time.sleep(late)
    sweep(model, file, out, begun, pause=0.03)


def three_at_once(model, file, out, rng, is_far):
    """Three processes: two may come late, one or two are killed, and one stands still. How many were killed."""
    read, write = os.pipe()
    lates = (0, rng.uniform(0, 1), rng.uniform(0, 1.5))
    children = [forked(lambda late=late: unsteady_sweep(model, file, out, write, late, is_far)) for late in lates]
    assert os.read(read, 1) == b"!"
    *others, still = map(int, rng.permutation(children))
    doomed = others[: int(rng.integers(1, 3))]
    for child in doomed:
        time.sleep(rng.uniform(0, 0.5))
        os.kill(child, signal.SIGKILL)
        _ = os.waitpid(child, 0)
    os.kill(still, signal.SIGSTOP)
    # Shorter or longer than a lease.
    time.sleep(rng.uniform(0.2, 3) * LEASE)
    os.kill(still, signal.SIGCONT)
    for child in {*children} - {*doomed}:
        _, status = os.waitpid(child, 0)
        assert os.WIFEXITED(status), "a process was killed by something else"
        assert os.WEXITSTATUS(status) == 0, "a process failed"
    for end in (read, write):
        os.close(end)
    return len(doomed)


def unsteady(model, file, folder, runs, seed):
    """Processes that are killed, stand still or come late: each folder must be as one process makes it."""
    rng = np.random.default_rng(int(seed))
    _ = attempt(model, file, f"{folder}/whole", 1, None)
    whole, killed = contents(f"{folder}/whole"), 0
    for run in range(int(runs)):
        out = f"{folder}/run-{run}"
        killed += three_at_once(model, file, out, rng, is_far=bool(run % 2))
        assert contents(out) == whole, "files differ from those of one process"
    _ = sys.stdout.write(f"killed {killed} runs {runs}")


def rows():
    """Two rows as a store keeps them."""
    for number in (1, 2):
        yield {"id": number, "text": f"t{number}", "tokens": ["a", "b"], "raw": np.full((1, 1, 2), number, np.float32)}


def at_every_step(folder):
    """Kill a process that writes a shard before each line of the store's code that it runs."""
    import pyarrow.parquet  # noqa: F401

    # Before the fork, for the children are many: what Arrow imports when it is first used.
    _ = arrow.to_table(list(rows()), {})

    step, states = 0, set()
    out = Path(folder)
    while True:
        left = step

        def trace(frame, event, _, killed_at=step):
            nonlocal left
            if frame.f_code.co_filename != store.__file__:
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        def write():
            sys.settrace(trace)
            _ = store.write_shard(out, RECORD, list(rows()), {"jaxflow": "{}"})
            sys.settrace(None)

        _, status = os.waitpid(forked(write), 0)
        found = store.read_records(out)
        assert set(found) <= {7}
        assert all(store.is_whole(out, record) for record in found.values())
        states.add((bool(found), (out / RECORD.file).exists()))
        files = {path for path in out.rglob("*") if path.is_file()} - {*out.rglob(store.LEFTOVERS)}
        assert files <= {out / RECORD.file, out / store.ABOUT / record_file(RECORD.index)}
        store.remove_leftovers(out)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            assert found
            break
        assert files == {path for path in out.rglob("*") if path.is_file()}
        shutil.rmtree(out)
        out.mkdir()
        step += 1
    _ = sys.stdout.write(f"killed {step} states {sorted(states)}")


if __name__ == "__main__":
    {"at_random": at_random, "unsteady": unsteady, "at_every_step": at_every_step}[sys.argv[1]](*sys.argv[2:])
