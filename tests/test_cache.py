"""What is kept on disk between starts: where, when not, whole, and not without end."""

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from numba.core import config

from jaxflow import _cache
from jaxflow._checks import InputError
from jaxflow.models import load_model

# Rollout of one graph in a process of its own; the last line counts the programs that were read from disk and that
# were compiled.
JOB = """
import warnings, jax, numpy as np
counts = {"hits": 0, "misses": 0}
def count(event, **_):
    if event.startswith("/jax/compilation_cache/cache_"):
        counts[event.removeprefix("/jax/compilation_cache/cache_")] += 1
jax.monitoring.register_event_listener(count)
_ = jax.jit(lambda x: x + 1)(1.0)  # of the user's, before the library is used
import jaxflow as jf
attention = np.full((2, 3, 4, 5, 5), 0.2, np.float32)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    rollout = jf.attention_rollout(jf.attention_graph(attention))
    jf.attention_graph(attention[:1])
assert np.allclose(rollout.sum(-1), 1, atol=1e-5)
print(*[str(one.message) for one in caught if "cannot be kept" in str(one.message)], sep="\\n")
print(counts["hits"], counts["misses"])
"""


def start(**variables):
    """Lines that the job printed, in a process with these variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX", "XLA", "XDG", "NUMBA"))}
    # However short the compiler took.
    kept |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(JOB)],
        env=kept | {name: str(value) for name, value in variables.items()},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *said, numbers = done.stdout.strip().splitlines()
    return said, *map(int, numbers.split())


def files_of(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_a_second_start_compiles_nothing(tmp_path):
    said, hits, misses = start(XDG_CACHE_HOME=tmp_path)
    assert (said, hits) == ([], 0)
    assert misses >= 2
    kept = files_of(tmp_path / "jaxflow" / "programs")
    assert len(kept) == misses
    assert start(XDG_CACHE_HOME=tmp_path) == ([], misses, 0)


@pytest.mark.slow
@pytest.mark.parametrize("value", ["off", ""])
def test_the_variable_switches_it_off(tmp_path, value):
    assert start(XDG_CACHE_HOME=tmp_path, JAXFLOW_CACHE=value) == ([], 0, 0)
    assert files_of(tmp_path) == []


@pytest.mark.slow
def test_a_folder_of_the_users_own_stays(tmp_path):
    said, hits, misses = start(JAXFLOW_CACHE=tmp_path / "ours", JAX_COMPILATION_CACHE_DIR=tmp_path / "own")
    assert (said, hits) == ([], 0)
    assert misses > 0
    assert files_of(tmp_path / "own")
    assert not (tmp_path / "ours").exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_gives_one_warning(tmp_path):
    # A file stands where the folder should be; nobody can write below it, whatever their rights.
    (tmp_path / "file").touch()
    (said,), hits, misses = start(JAXFLOW_CACHE=tmp_path / "file" / "folder")
    assert (hits, misses) == (0, 0)
    assert str(tmp_path / "file" / "folder") in said
    assert "JAXFLOW_CACHE" in said


@pytest.mark.parametrize("variable", ["JAXFLOW_CACHE", "XDG_CACHE_HOME"])
def test_a_folder_of_a_user_who_is_not_known_is_told_in_one_line(first_run, monkeypatch, variable):
    monkeypatch.delenv("JAXFLOW_CACHE")
    monkeypatch.setenv(variable, "~no-such-user/x")
    with pytest.warns(UserWarning, match=r"cannot be kept in '~no-such-user/x' \(no home .*; set JAXFLOW_CACHE to a"):
        assert _cache.writable("programs") is None
    with pytest.raises(InputError, match=rf"^{variable} must be a folder, got '~no-such-user/x' .*; set JAXFLOW_CACHE"):
        _ = load_model("minilm")


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch):
    # As in a container that runs under a number of its own.
    for variable in ("JAXFLOW_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    with pytest.raises(InputError, match=r"^the cache folder must be a folder, got '~/.cache/jaxflow' \(no home"):
        _ = _cache.cache_folder()


def test_a_file_is_whole_or_not_there(tmp_path):
    path, values = tmp_path / "one", [bytes([number]) * (1 << 20) for number in range(4)]
    threads = [threading.Thread(target=_cache.write_whole, args=(path, value)) for value in values]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            seen.add(path.read_bytes())
    assert seen | {path.read_bytes()} <= set(values)
    assert list(tmp_path.iterdir()) == [path]
    # Where nothing can be written nothing is raised, and nothing is left behind.
    _cache.write_whole(path / "below a file", b"")
    assert list(tmp_path.iterdir()) == [path]


def test_programs_that_were_not_used_for_longest_go(tmp_path):
    for age, name in enumerate(["newest", "newer", "older", "oldest"]):
        (tmp_path / name).write_bytes(b"x" * 10)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    _cache._drop_oldest(tmp_path, 25)
    assert {path.name for path in tmp_path.iterdir()} == {"newest", "newer"}
    _cache._drop_oldest(tmp_path, 25)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXFLOW_CACHE", str(tmp_path))
    monkeypatch.setattr(config, "CACHE_DIR", "")
    _cache.writable.cache_clear()
    yield tmp_path
    _cache.writable.cache_clear()


def twice(x):
    return 2 * x


def test_kernels_are_kept_beside_the_programs(own_folder):
    kernel = _cache.numba_kernel(nogil=True)(twice)
    assert kernel(np.float64(1.5)) == 3
    assert [path for path in files_of(own_folder / "kernels") if path.suffix == ".nbi"]
    # Kernels of the user's own keep their place.
    assert config.CACHE_DIR == ""


def test_kernels_are_not_kept_if_switched_off(own_folder, monkeypatch):
    monkeypatch.setenv("JAXFLOW_CACHE", "off")
    assert _cache.numba_kernel()(twice)(4) == 8
    assert files_of(own_folder) == []


@pytest.fixture
def first_run(own_folder, monkeypatch, caplog):
    """A process that has said nothing yet, and what its library says from here on."""
    monkeypatch.setitem(_cache._process, "told", False)
    monkeypatch.setitem(_cache._process, "warned", False)
    return caplog


def own_kernel(monkeypatch):
    """A kernel as the package's are, compiled for a number."""

    def thrice(x):
        return 3 * x

    monkeypatch.setattr(thrice, "__module__", "jaxflow.flow.exact.thrice", raising=False)
    return _cache.numba_kernel()(thrice)(2)


def test_a_kernel_that_is_compiled_is_told_of_once_and_one_that_is_kept_is_not(first_run, monkeypatch):
    assert own_kernel(monkeypatch) == 6
    (said,) = first_run.messages
    assert said == "jaxflow: compiling programs; they are kept, so later runs do without"
    # As in a second process: read from the folder, and nothing said.
    _cache._process["told"] = False
    assert own_kernel(monkeypatch) == 6
    assert len(first_run.messages) == 1


def test_kernels_of_the_users_own_are_none_of_our_business(first_run):
    assert _cache.numba_kernel()(twice)(np.int8(3)) == 6
    assert first_run.messages == []


def test_where_programs_are_not_kept_the_line_says_so(first_run, monkeypatch):
    monkeypatch.setenv("JAXFLOW_CACHE", "off")
    _cache.tell_of_compiling()
    _cache.tell_of_compiling()
    assert first_run.messages == ["jaxflow: compiling programs; they are not kept, so each start does this"]


def test_only_a_program_that_takes_the_compiler_long_is_told_of(first_run, monkeypatch):
    with _cache.compiling():
        pass
    assert first_run.messages == []
    monkeypatch.setattr(_cache, "PATIENCE", 0.0)
    told = threading.Event()
    monkeypatch.setattr(_cache, "tell_of_compiling", told.set)
    with _cache.compiling():
        assert told.wait(60)


def test_fetched_models_have_a_folder_where_programs_have_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for value in ("off", "OFF", ""):
        monkeypatch.setenv("JAXFLOW_CACHE", value)
        assert _cache.is_off()
        assert _cache.cache_folder() == tmp_path / "jaxflow"
    monkeypatch.delenv("JAXFLOW_CACHE")
    assert not _cache.is_off()
