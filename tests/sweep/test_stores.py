"""Results in a store: sweeps that write there, alone and together, and what reads them."""

import gc
import threading
from contextlib import closing

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.cli import main as cli
from jaxflow.models import load_model
from jaxflow.store import leases as module
from jaxflow.store import stored
from jaxflow.store.places import place_of
from jaxflow.sweep import claims, runner
from tests.sweep.holding import check_that_one_has_it, one_stands_still
from tests.sweep.sweeping import FAST, TEXTS, interrupted_after, swept
from tests.tiny_text_model import model_folder

ROOT = "memory://jaxflow-stores/results"
TEXTS_LIST = list(TEXTS)
FILES = [f"part-{index:05d}.parquet" for index in range(3)]
DESCRIPTIONS = [f"__about__/part-{index:05d}.json" for index in range(3)] + ["__about__/manifest.json"]


@pytest.fixture(autouse=True)
def soon(small_shards, monkeypatch):
    monkeypatch.setattr(runner, "PERIOD", 0.01)
    monkeypatch.setattr(stored, "LISTED", 0.0)


@pytest.fixture
def memory():
    """An empty store, and the names of what is in it."""
    system = fsspec.filesystem("memory")
    yield lambda: sorted(name.removeprefix("/jaxflow-stores/results/") for name in system.find("/jaxflow-stores"))
    if system.exists("/jaxflow-stores"):
        system.rm("/jaxflow-stores", recursive=True)


def system():
    return fsspec.filesystem("memory")


def test_a_sweep_writes_to_a_store_what_it_writes_to_a_folder(encoder, memory, tmp_path):
    results = jf.run_sweep(encoder, TEXTS_LIST, ROOT, FAST)
    assert memory() == sorted(FILES + DESCRIPTIONS)
    # Shards were sent, and not kept here.
    assert not list(results.folder.glob("*.parquet"))
    expected = jf.run_sweep(encoder, TEXTS_LIST, tmp_path / "out", FAST)
    assert results.table().equals(expected.table())
    assert results.complete
    assert repr(results).startswith(f"Store('{ROOT}': 5 examples in 3 shards")
    # A file of the store is as one of the folder, but for what says when it was made.
    name = FILES[0]
    assert system().cat_file(f"/jaxflow-stores/results/{name}") == (tmp_path / "out" / name).read_bytes()
    opened = jf.open_sweep(f"{ROOT}/")
    np.testing.assert_array_equal(opened[4].relevance["flow"], expected[4].relevance["flow"])
    # Of three shards the one that was read was fetched.
    assert [path.name for path in opened.folder.glob("*.parquet")] == [FILES[2]]
    assert opened.dataset().to_table().num_rows == 5
    assert [path.name for path in opened.files] == FILES
    copies = [results.folder, opened.folder]
    assert all(copy.exists() for copy in copies)
    del results, opened
    # What the sweep ran in may hold itself.
    _ = gc.collect()
    assert not any(copy.parent.exists() for copy in copies)


def test_a_sweep_that_was_stopped_goes_on_from_the_store(encoder, memory, monkeypatch):
    with pytest.raises(KeyboardInterrupt, match="examples are kept in 'memory://jaxflow-stores/results'"):
        _ = swept(encoder, place_of("folder", ROOT), progress=interrupted_after(2))
    done = [name for name in memory() if name.endswith(".parquet")]
    assert 0 < len(done) < 3
    made, write = [], claims.Claims.write

    def noted(self, record, rows, metadata):
        made.append(record.file)
        write(self, record, rows, metadata)

    monkeypatch.setattr(claims.Claims, "write", noted)
    results = jf.run_sweep(encoder, TEXTS_LIST, ROOT, FAST)
    assert sorted(made + done) == FILES
    assert [example.text for example in results] == TEXTS_LIST
    assert memory() == sorted(FILES + DESCRIPTIONS)
    # A shard that went is made again, and nothing else.
    made.clear()
    system().rm_file(f"/jaxflow-stores/results/{FILES[1]}")
    assert len(jf.run_sweep(encoder, TEXTS_LIST, ROOT, FAST).table()) == 5
    assert made == [FILES[1]]


def test_other_sweeps_and_other_things_are_refused_by_their_address(encoder, memory):
    _ = jf.run_sweep(encoder, TEXTS_LIST, ROOT, FAST)
    kept = memory()
    for texts, options, message in (
        ([*TEXTS_LIST[:4], "others"], {}, "which differs in the input's content"),
        (TEXTS_LIST, {"queries": 1}, "which differs in queries"),
        (TEXTS_LIST, {"resume": False}, "which holds results already"),
    ):
        with pytest.raises(InputError, match=f"got '{ROOT}', {message}"):
            _ = jf.run_sweep(encoder, texts, ROOT, FAST, **options)
    assert memory() == kept
    system().pipe_file("/jaxflow-stores/mine/notes.txt", b"mine")
    with pytest.raises(InputError, match=r"'memory://jaxflow-stores/mine', which is not empty, and holds no results"):
        _ = jf.run_sweep(encoder, TEXTS_LIST, "memory://jaxflow-stores/mine", FAST)
    with pytest.raises(InputError, match=r"`folder` must hold results of jaxflow, got 'memory://jaxflow-stores/none"):
        _ = jf.open_sweep("memory://jaxflow-stores/none")
    system().rm_file(f"/jaxflow-stores/results/{FILES[0]}")
    with pytest.raises(InputError, match=rf"got '{ROOT}/{FILES[0]}', which cannot be read: No such file"):
        _ = jf.open_sweep(ROOT)[0]


def test_a_sweep_that_came_to_nothing_leaves_nothing(encoder, memory):
    with pytest.raises(InputError, match="row 1 of the texts must hold a text"):
        _ = jf.run_sweep(encoder, ["", "a"], ROOT, FAST)
    assert not memory()


@pytest.mark.parametrize("workers", [2, 3])
def test_processes_share_what_goes_into_a_store(memory, workers, monkeypatch):
    texts = [f"the key {'to the table ' * (index % 3)}is on" for index in range(16)]
    made, write = [], claims.Claims.write

    def noted(self, record, rows, metadata):
        made.append(record.index)
        write(self, record, rows, metadata)

    monkeypatch.setattr(claims.Claims, "write", noted)
    models, results = [load_model(model_folder()) for _ in range(workers)], []
    threads = [
        threading.Thread(target=lambda model=model: results.append(jf.run_sweep(model, texts, ROOT, methods="raw")))
        for model in models
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each returned when all was done, whoever did it; and no shard was made twice.
    assert [[example.text for example in each] for each in results] == [texts] * workers
    assert sorted(made) == list(range(8))
    assert memory() == sorted(
        [f"part-{i:05d}.parquet" for i in range(8)]
        + [f"__about__/part-{i:05d}.json" for i in range(8)]
        + ["__about__/manifest.json"]
    )


def test_leases_in_a_store_are_one_processs_until_it_gives_them_back(memory, monkeypatch):
    place = place_of("folder", ROOT)
    with closing(place.leases()) as one, closing(place_of("folder", ROOT).leases()) as other:
        check_that_one_has_it(one, other)
    assert not memory()
    # One that shows no sign of life is taken over; its process sees that.
    monkeypatch.setattr(module, "LEASE", 0.05)
    dead = place.leases()
    monkeypatch.setattr(dead, "_change", lambda handle, beginning: None)
    assert dead.take("a")
    with closing(place.leases()) as other:
        assert other.rows("a") == "-"
        for _ in range(1000):
            if other.rows("a") is None:
                break
            threading.Event().wait(0.01)
        assert other.take("a")
        assert not dead.holds("a")
    dead.close()


@pytest.mark.parametrize("moment", ["before", "between"])
def test_a_process_that_stood_still_leaves_a_file_and_its_record_in_the_store(encoder, memory, monkeypatch, moment):
    monkeypatch.setattr(module, "LEASE", 0.2)
    send, sent = stored.StoreFiles.send, []
    with one_stands_still(encoder, place_of("folder", ROOT), place_of("folder", ROOT), TEXTS) as (write, taken_over):
        if moment == "before":
            taken_over()
        else:

            def sending(self, path, name):
                send(self, path, name)
                # Its shard is there, and its record is not: then the other process writes both.
                if not sent:
                    sent.append(name)
                    taken_over()

            monkeypatch.setattr(stored.StoreFiles, "send", sending)
        write()
    # Whoever's they are, they fit: by the record's checksum a file is what was written.
    assert jf.open_sweep(ROOT).table(["text"]).column("text").to_pylist()[0] in ("xxx", "xxxx")
    assert memory() == sorted([FILES[0], DESCRIPTIONS[0], DESCRIPTIONS[-1]])


def test_the_command_line_writes_to_a_store_and_sums_it_up(memory, capsys, tmp_path):
    (tmp_path / "in.txt").write_text("\n".join(TEXTS))
    command = ["attribute", "--input", str(tmp_path / "in.txt"), "--model", str(model_folder()), "--out", ROOT]
    assert cli.main([*command, "--methods", "raw,rollout"]) == 0
    assert f"results: {ROOT}   report: {ROOT}/__about__/report.html" in capsys.readouterr().out
    assert cli.main(["summarize", ROOT]) == 0
    assert f"written: {ROOT}/__about__/summary.json" in capsys.readouterr().out
    pages = [f"__about__/{name}" for name in ("report.html", "summary.html", "summary.json", "summary.parquet")]
    assert memory() == sorted(FILES + DESCRIPTIONS + pages)
    assert b"<!doctype html>" in system().cat_file(f"/jaxflow-stores/results/{pages[0]}").lower()
    # Pages and tables beside the results are no results: the same run goes on.
    assert cli.main([*command, "--methods", "raw,rollout", "--quiet"]) == 0


def test_files_of_a_data_engine_are_read_in_a_store(memory):
    attributor = jf.Attributor(str(model_folder()), methods=("raw",), column="text")
    table = attributor(pa.table({"id": list(range(5)), "text": TEXTS_LIST}))
    with system().open("/jaxflow-stores/results/year=2024/a.parquet", "wb") as file:
        pa.parquet.write_table(table, file)
    results = jf.open_sweep(ROOT)
    assert [example.text for example in results] == TEXTS_LIST
    assert results.to_pandas(["year"])["year"].tolist() == [2024] * 5


class Refusing(MemoryFileSystem):
    """A store that may be read, and not written."""

    protocol = "refusing"
    cachable = False

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        raise PermissionError("no access to\nthis bucket")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "memory://",
            r"`folder` must be the address of a folder in a store, got 'memory://'; as in s3://bucket/results",
        ),
        ("simplecache::memory://a/b", r"`folder` must be the address of a folder in a store, got 'simplecache::memory"),
        ("nosuch://a/b", r"`folder` must be one that can be read and written, got 'nosuch://a/b' \(Protocol not known"),
        ("gs://bucket/out", r"`folder` must be in a store that can be reached, got 'gs://bucket/out'; .*gcsfs"),
        (
            "refusing://a/b",
            r"`folder` must be one that can be .* got 'refusing://a/b' \(no access to this bucket\); ",
        ),
    ],
)
def test_stores_that_cannot_be_used_are_one_line(encoder, address, message):
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    with pytest.raises(InputError, match=message) as caught:
        _ = jf.run_sweep(encoder, TEXTS_LIST, address, FAST)
    assert len(str(caught.value).splitlines()) == 1
