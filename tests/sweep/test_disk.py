import os
import resource
import stat
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from jaxflow._checks import InputError
from jaxflow.attribution import Question
from jaxflow.inputs.source import InlineSource
from jaxflow.store import manifest
from jaxflow.store import shards as store
from jaxflow.store.results import open_sweep
from jaxflow.sweep import runner, shards
from jaxflow.sweep.checks import check_folder

QUESTION = Question(methods=("raw",), queries=None)
CHECKING = """
import sys
from pathlib import Path
from jaxflow import InputError
from jaxflow.sweep.checks import check_folder
try:
    check_folder(Path(sys.argv[1]), resume=False)
except InputError as error:
    print(error)
"""
# The third shard's file is several times as large as the others'.
TEXTS = ("no", "is", "the", "to", "a b c d e f g h i j k l m n o p q r s t", "b a d c f e h g j i l k n m p o r q t s")


@pytest.fixture(autouse=True)
def same_name(monkeypatch):
    """Each sweep draws a name of its own; here all have the same, so that their files can be compared byte by byte."""
    monkeypatch.setattr(manifest, "secrets", SimpleNamespace(token_hex=lambda size: "0" * 2 * size))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)


def sweep_of(encoder, folder, **options):
    return runner.prepare(encoder, InlineSource(TEXTS), folder, QUESTION, **options)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def whole(encoder, tmp_path):
    sweep_of(encoder, tmp_path / "whole").run(2)
    return contents(tmp_path / "whole")


@contextmanager
def files_of_at_most(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield disk
    # A writer that failed may hold its file until it is collected.
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_what_cannot_be_written_whole_is_not_there_and_the_rest_is_kept(encoder, whole, tmp_path):
    sizes = [len(whole[f"part-0000{index}.parquet"]) for index in range(3)]
    assert sizes[2] > max(sizes[:2]) + 200
    out = tmp_path / "out"
    said = r"part-00002\.parquet' must be a file that can be written, .*; 4 of 6 examples are kept, and the same run"
    with files_of_at_most(sizes[2] - 100), pytest.raises(InputError, match=said) as stopped:
        sweep_of(encoder, out).run(2)
    assert "\n" not in str(stopped.value)
    kept = contents(out)
    assert kept.items() <= whole.items()
    assert {f"{store.ABOUT}/part-0000{index}.json" for index in range(2)} <= kept.keys()
    assert [example.text for example in open_sweep(out)] == list(TEXTS[:4])
    assert sweep_of(encoder, out).run(2).before == 4
    assert contents(out) == whole


def test_a_full_disk_is_named_and_what_was_there_stays(encoder, whole, small_disk):
    out = small_disk / "out"
    space = os.statvfs(small_disk)
    size = (space.f_bavail - 3) * space.f_frsize
    (small_disk / "ballast").write_bytes(b"x" * size)
    with pytest.raises(
        InputError, match=r"No space left on device; \d of 6 examples are kept|No space left on device$"
    ):
        sweep_of(encoder, out).run(2)
    assert contents(out).items() <= whole.items()
    assert not list(out.rglob(".jaxflow-*"))
    (small_disk / "ballast").unlink()
    _ = sweep_of(encoder, out).run(2)
    assert contents(out) == whole


def test_a_disk_that_becomes_read_only_is_named_and_refused_the_next_time(encoder, whole, small_disk):
    out = small_disk / "out"
    (small_disk / "out").mkdir()
    sweep = sweep_of(encoder, out)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(
        InputError, match=r"manifest\.json' must be a file that can be written, got Read-only file system$"
    ):
        sweep.run(2)
    with pytest.raises(InputError, match="no permission"):
        check_folder(out, resume=False)
    with pytest.raises(InputError, match="no permission"):
        check_folder(small_disk / "new", resume=False)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    sweep.run(2)
    assert contents(out) == whole


def test_a_read_only_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(stat.S_IRUSR | stat.S_IXUSR)
    program = [sys.executable, "-c", CHECKING, str(tmp_path / "locked")]
    # Root may write anywhere, unless it gives that right away.
    giving_up = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run([*giving_up, *program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no permission" in done.stdout
