"""Processes that fill a folder together: leases, and what each makes of the others' work."""

import os
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Question
from jaxflow.inputs.source import InlineSource, as_source
from jaxflow.store import leases as module
from jaxflow.store import locks
from jaxflow.store import shards as store
from jaxflow.store.leases import Leases
from jaxflow.store.results import open_sweep
from jaxflow.sweep import claims, runner, shards
from tests.sweep.folders import contents
from tests.sweep.holding import check_that_one_has_it, one_stands_still

TEXTS = ("The key to the cabinets is on the table.", "Unbelievable!", "no", "is it on the table", "keys")
FAST = Question(methods=("raw",))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)
    monkeypatch.setattr(runner, "PERIOD", 0.01)


@pytest.fixture
def far_apart(monkeypatch):
    """Processes as if on hosts of their own, with short leases."""
    monkeypatch.setattr(module, "SYSTEM", "-")
    monkeypatch.setattr(module, "LEASE", 0.2)


def sweep_of(encoder, folder, texts=TEXTS, question=FAST):
    return runner.prepare(encoder, InlineSource(texts), folder, question)


def test_a_lease_is_one_processs_until_it_gives_it_back(tmp_path):
    with closing(Leases(tmp_path)) as one, closing(Leases(tmp_path)) as other:
        check_that_one_has_it(one, other)
    assert not list(tmp_path.iterdir())


def test_of_many_that_want_a_lease_one_gets_it(tmp_path):
    with closing(Leases(tmp_path)) as one:
        together, taken = threading.Barrier(8), []

        def take(leases):
            together.wait()
            taken.extend([leases] if leases.take("a") else [])

        for _ in range(20):
            others = [Leases(tmp_path) for _ in range(8)]
            threads = [threading.Thread(target=take, args=(leases,)) for leases in others]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(taken) == 1
            assert not one.take("a")
            taken.pop().give_back("a", done=True)
            for leases in others:
                leases.close()


def test_a_lease_that_shows_no_sign_of_life_is_taken_over_whatever_the_clocks_say(tmp_path, far_apart):
    with closing(Leases(tmp_path)) as still, closing(Leases(tmp_path)) as alive, closing(Leases(tmp_path)) as other:
        assert still.take("a")
        assert alive.take("b")
        still._ended.set()
        for hours in (-(10**4), 10**4):
            for path in (tmp_path / module.FOLDER).iterdir():
                os.utime(path, (time.time() + 3600 * hours,) * 2)
        looks, end = [], time.monotonic() + 60
        while not looks or not looks[-1]:
            looks.append(other.take("a"))
            # One that lives is never taken over, however long that takes.
            assert not other.take("b")
            assert time.monotonic() < end
            time.sleep(0.02)
        # Not at the first look: nothing was seen of it yet.
        assert len(looks) > 2
        assert other.holds("a")
        assert not still.holds("a")
        # What the first one gives back is its own, and what is done is done for both.
        still.give_back("a", done=False)
        assert other.holds("a")
        other.give_back("a", done=True)
        assert [path.stem for path in (tmp_path / module.FOLDER).iterdir()] == ["b"]


HOLDING = """
import sys
from pathlib import Path
from jaxflow.store import locks
from jaxflow.store.leases import Leases
leases = Leases(Path(sys.argv[1]))
assert leases.take("a")
with locks.new_file(Path(sys.argv[1]) / ".jaxflow-part-00000.parquet-x.tmp"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_died_on_this_host_is_known_at_once(tmp_path):
    half, command = tmp_path / ".jaxflow-part-00000.parquet-x.tmp", [sys.executable, "-c", HOLDING, str(tmp_path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1) as process, closing(Leases(tmp_path)) as leases:
        assert process.stdout.readline() == b"held\n"
        assert not leases.take("a")
        assert not locks.is_free(half)
        store.remove_leftovers(tmp_path)
        assert half.exists()
        process.kill()
        _ = process.wait()
        # On another host only time would tell.
        assert leases.rows("a") is None
        assert leases.take("a")
        store.remove_leftovers(tmp_path)
        assert not half.exists()
    assert list((tmp_path / module.FOLDER).iterdir()) == [tmp_path / module.FOLDER / "a.1"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / module.FOLDER).write_text("")
    with pytest.raises(InputError, match="must be a file that can be written, got Not a directory"):
        _ = Leases(tmp_path).take("a")


def test_processes_at_once_make_what_one_makes(encoder, tmp_path):
    out, texts = tmp_path / "out", TEXTS * 4
    sweep_of(encoder, tmp_path / "whole", texts).run(2)
    summaries, sweeps = [], [sweep_of(encoder, out, texts) for _ in range(3)]
    threads = [threading.Thread(target=lambda sweep=sweep: summaries.append(sweep.run(2))) for sweep in sweeps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(out) == contents(tmp_path / "whole")
    assert [summary.examples for summary in summaries] == [20] * 3
    assert [summary.tally.examples + summary.elsewhere for summary in summaries] == [20] * 3
    assert sum(summary.tally.examples for summary in summaries) == 20
    assert not list(out.rglob(".*"))
    # Who comes late finds all done; who asks something else is refused.
    assert sweep_of(encoder, out, texts).run(2).before == 20
    with pytest.raises(InputError, match=r"differs in .*residual \(there 0\.5, now 0\.1\).*name another `folder`"):
        jf.run_sweep(encoder, texts, out, methods="raw", mixing=jf.mixing.Attention(residual=0.1))


def test_what_a_process_left_in_work_is_made_by_another(encoder, tmp_path, far_apart):
    out = tmp_path / "out"
    _ = sweep_of(encoder, tmp_path / "whole").run(2)
    sweep = sweep_of(encoder, out)
    with closing(claims.Claims(out, sweep.manifest, {})) as dead:
        (first, *_) = shards.cuts(sweep.source.rows(), encoder, FAST)
        assert dead.is_free(first)
        assert dead.take(0)
        dead._leases._ended.set()
        _ = sweep_of(encoder, out).run(2)
    assert contents(out) == contents(tmp_path / "whole")


def test_texts_that_are_read_once_are_not_read_again_for_another_process(encoder, tmp_path, far_apart):
    out = tmp_path / "out"
    sweep = sweep_of(encoder, out)
    with closing(claims.Claims(out, sweep.manifest, {})) as dead:
        (first, *_) = shards.cuts(sweep.source.rows(), encoder, FAST)
        assert dead.is_free(first)
        assert dead.take(0)
        dead._leases._ended.set()
        with pytest.raises(InputError, match=r"`source` must be read again .*; pass it anew: .*; 3 examples are kept"):
            _ = runner.prepare(encoder, as_source(iter(TEXTS)), out, FAST).run(2)
    assert len(jf.run_sweep(encoder, iter(TEXTS), out, FAST)) == 5


def test_who_ends_before_it_has_read_all_is_stopped_and_leaves_others_leases(encoder, tmp_path):
    out, texts, calls = tmp_path / "out", TEXTS * 4, []

    def ending():
        calls.append(None)
        if len(calls) == 2:
            # While the first shard is in work, another process makes all that this one may have read, and goes on.
            other = threading.Thread(target=make_more_than_is_read_ahead)
            other.start()
            other.join()
        return len(calls) > 1

    def make_more_than_is_read_ahead():
        with pytest.raises(runner.Stopped):
            _ = sweep_of(encoder, out, texts).run(2, ending=lambda: len(store.read_records(out)) >= 5)

    with closing(Leases(out)) as still:
        out.mkdir()
        assert still.take("part-00009")
        with pytest.raises(runner.Stopped, match=r"stopped: \d+ of 20 examples are kept"):
            _ = sweep_of(encoder, out, texts).run(2, ending=ending)
        assert 5 < len(store.read_records(out)) < 10
        assert still.holds("part-00009")
        assert [path.name for path in (out / module.FOLDER).iterdir()] == ["part-00009.1"]


def test_other_rows_are_refused_while_nothing_is_finished_yet(encoder, tmp_path):
    out = tmp_path / "out"
    sweep = sweep_of(encoder, out)
    with closing(claims.Claims(out, sweep.manifest, {})) as first:
        (cut, *_) = shards.cuts(sweep.source.rows(), encoder, FAST)
        assert first.is_free(cut)
        assert first.take(0)
        message = r"differs in the input's content \(another process makes part-00000 of other rows\)"
        with pytest.raises(InputError, match=message):
            _ = sweep_of(encoder, out, ("no", *TEXTS[1:])).run(2)
    assert not out.exists()


@pytest.fixture
def late(encoder, tmp_path, far_apart):
    """A process whose lease another took over, and the other, each with a shard of its own to write."""
    with one_stands_still(encoder, tmp_path, tmp_path, TEXTS) as both:
        yield both


def texts_of(folder):
    return open_sweep(folder).table(["text"]).column("text").to_pylist()


def test_a_process_that_stood_still_before_it_wrote_leaves_what_is_there(tmp_path, late):
    write, taken_over = late
    taken_over()
    before = contents(tmp_path)
    write()
    assert texts_of(tmp_path) == ["xxxx"]
    assert before.items() >= contents(tmp_path).items()


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_a_process_that_stood_still_while_it_wrote_leaves_a_file_and_its_record(tmp_path, late, monkeypatch, suffix):
    write, taken_over = late
    whole, others = store.sync, []

    def sync(path):
        whole(path)
        # The file is written, and about to get its name.
        if not others and path.name.startswith(f".jaxflow-part-00000{suffix}"):
            others.append(path)
            taken_over()

    monkeypatch.setattr(store, "sync", sync)
    write()
    assert len(others) == 1
    # Reading compares the file with its record.
    assert texts_of(tmp_path) in (["xxx"], ["xxxx"])
    assert not list(tmp_path.glob(".jaxflow-part*"))
