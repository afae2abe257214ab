"""What is kept on disk between starts: compiled programs, JAX's and Numba's, so that a second start compiles nothing.

They lie in the user's cache folder, or in the folder that `JAXFLOW_CACHE` names. Any number of processes may share it.
"""

import hashlib
import logging
import os
import platform
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, shown

VARIABLE = "JAXFLOW_CACHE"
LOGGER = logging.getLogger("jaxflow")
# Seconds of the processor that JAX's compiler may take before a line says so; to read a program that was kept takes
# less, however busy the machine.
PATIENCE = 1.5
# Values of the variable that keep nothing on disk; the folder of fetched models is then the usual one.
OFF = ("", "off")
# Programs that took the compiler less, in seconds, are not kept: reading one takes some milliseconds as well.
LEAST_SECONDS = 0.03
# Bytes that programs may take in all; those unused for longest go. Some 3,000 programs of the usual size.
MOST_BYTES = 1 << 30


def cache_folder() -> Path:
    """The folder of all that is kept: $JAXFLOW_CACHE, else $XDG_CACHE_HOME/jaxflow, else ~/.cache/jaxflow.

    Raises:
        InputError: it is named by the home of a user who is not known, or who has none.
    """
    named = os.environ.get(VARIABLE, "")
    if named.lower() not in OFF:
        return _with_home(named, VARIABLE)
    if os.environ.get("XDG_CACHE_HOME"):
        return _with_home(os.environ["XDG_CACHE_HOME"], "XDG_CACHE_HOME") / "jaxflow"
    return _with_home("~/.cache/jaxflow", "the cache folder")


def _with_home(path: str, place: str) -> Path:
    """A path whose `~` or `~name` is written out; `place` says in errors where the path stands."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        got, way_out = f"{shown(path)} (no home of such a user is known)", f"set {VARIABLE} to a folder written out"
        raise InputError(None, "be a folder", got, way_out, place=place) from None


def is_off() -> bool:
    """Whether the user has switched off that programs are kept."""
    return VARIABLE in os.environ and os.environ[VARIABLE].lower() in OFF


@cache
def keep_programs() -> None:
    """Have JAX keep compiled programs on disk, for all of this process; call it before a program is compiled.

    Nothing is changed where the user has set a folder of JAX's own (`jax_compilation_cache_dir`) or has switched JAX's
    cache off. A folder that cannot be written gives one warning.
    """
    import jax

    settings: Any = jax.config
    if is_off() or settings.jax_compilation_cache_dir is not None or not settings.jax_enable_compilation_cache:
        return
    # Programs are machine code: those of another processor that shares the home may not run on this one.
    folder = writable(f"programs/jax-{jax.__version__}-{_processor()}")
    if folder is None:
        return
    settings.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        settings.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
    _write_whole_files(folder)
    # Beside the work: it takes some milliseconds for a folder of thousands.
    threading.Thread(target=_drop_oldest, args=(folder, MOST_BYTES), name="jaxflow-cache", daemon=True).start()


@cache
def writable(part: str) -> Path | None:
    """A folder within the cache's, made and tried; None, with a warning the first time, where it cannot be written."""
    try:
        folder = cache_folder() / part
    except InputError as error:
        _warn(str(error.got))
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError, ValueError) as error:
        _warn(f"{folder} ({getattr(error, 'strerror', None) or error})")
        return None


# Whether a folder that cannot be written was named already, and that programs are being compiled.
_process = {"warned": False, "told": False}


def _warn(what: str) -> None:
    if not _process["warned"]:
        _process["warned"] = True
        message = f"compiled programs cannot be kept in {what}: each start compiles them anew; set {VARIABLE} to a "
        warnings.warn(f"{message}folder that can be written, or to 'off'", stacklevel=2)


@contextmanager
def compiling() -> Iterator[None]:
    """A block in which JAX compiles a program; a line says so if it takes long, the first time in a process."""
    done, begun = threading.Event(), time.process_time()

    def watch() -> None:
        while not done.wait(0.2):
            if time.process_time() - begun >= PATIENCE:
                tell_of_compiling()
                return

    if not _process["told"]:
        threading.Thread(target=watch, name="jaxflow-compiling", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def tell_of_compiling() -> None:
    """Say once in a process that programs are being compiled, so that a first run does not seem to hang.

    It goes to the logger `jaxflow`, which shows it on standard error where the user has set nothing up.
    """
    if _process["told"]:
        return
    _process["told"] = True
    lost = is_off() or _process["warned"]
    rest = "they are not kept, so each start does this" if lost else "they are kept, so later runs do without"
    LOGGER.warning("jaxflow: compiling programs; %s", rest)


@cache
def _tell_of_kernels() -> None:
    """Have a line say when Numba compiles one of the package's kernels, which it could not read from disk."""
    # Numba has had these events since 0.53; they stand for real compilation, not for reading a kept kernel.
    from numba.core import event

    class Kernels(event.Listener):
        def on_start(self, event: Any) -> None:
            if event.data["dispatcher"].py_func.__module__.startswith("jaxflow."):
                tell_of_compiling()

        def on_end(self, event: Any) -> None:
            pass

    event.register("numba:compile", Kernels())


def _write_whole_files(folder: Path) -> None:
    """Have JAX write each program to a file of its own first, and give it its name when it is whole.

    JAX writes in place: another process would read half a program, and one that a killed process left would stay.
    Where JAX has changed within, its own way must do.
    """
    with suppress(ImportError, AttributeError, TypeError):
        from jax._src import compilation_cache
        from jax._src.lru_cache import LRUCache

        class WholeFiles(LRUCache):
            def get(self, key: str) -> bytes | None:
                program = super().get(key)
                if program is not None:
                    with suppress(OSError):
                        # The time of its last use, by which the oldest are found.
                        os.utime(folder / f"{key}-cache")
                return program

            def put(self, key: str, value: bytes) -> None:
                write_whole(folder / f"{key}-cache", value)

        made = WholeFiles(str(folder), max_size=-1)
        # Forgets, too, that JAX may have found no folder for an earlier program of the user's.
        compilation_cache.reset_cache()
        compilation_cache._cache, compilation_cache._cache_initialized = made, True


def write_whole(path: Path, value: bytes) -> None:
    """Write a file that no one ever sees in part. A full disk is no reason to stop."""
    with suppress(OSError):
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
        try:
            with os.fdopen(handle, "wb") as file:
                _ = file.write(value)
            _ = Path(partial).replace(path)
        except OSError:
            Path(partial).unlink(missing_ok=True)


def _drop_oldest(folder: Path, most: int) -> None:
    """Delete the files that were not used for longest until the rest take no more than `most` bytes."""
    files = []
    for path in folder.iterdir():
        # Another process may delete it first.
        with suppress(OSError):
            about = path.stat()
            files.append((about.st_mtime, about.st_size, path))
    left = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if left <= most:
            return
        with suppress(OSError):
            path.unlink()
            left -= size


@cache
def _processor() -> str:
    """The processor's kind and abilities, as a short hash."""
    abilities = platform.processor()
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
        # "flags" on x86, "Features" on ARM; all cores have the same.
        abilities = next((line for line in lines if line.lower().startswith(("flags", "features"))), abilities)
    return hashlib.sha256(f"{platform.machine()} {abilities}".encode()).hexdigest()[:12]


def numba_kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` for the package's own kernels, whose machine code is kept on disk beside JAX's programs.

    A folder that the user has set for Numba goes before. Numba itself tells processors and its own versions apart.
    """
    import numba
    from numba.core import config

    _tell_of_kernels()

    def compiled(function: Callable[..., Any]) -> Any:
        if is_off():
            return numba.njit(**options)(function)
        with _numba_folder(config, Path(function.__code__.co_filename).parent):
            try:
                return numba.njit(**options, cache=True)(function)
            # Numba's error where it finds no folder that it can write.
            except RuntimeError as error:
                _warn(f"Numba's cache ({error})")
                return numba.njit(**options)(function)

    return compiled


@contextmanager
def _numba_folder(config: Any, sources: Path) -> Iterator[None]:
    """Numba's cache in our folder, for kernels that are defined within the block; a user's own keep their place."""
    before = config.CACHE_DIR
    folder = None if before else writable(f"kernels/{_sources(sources)}")
    if folder is None:
        yield
        return
    config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        config.CACHE_DIR = before


@cache
def _sources(folder: Path) -> str:
    """A folder's source as a short hash: a kernel holds steps of other files, which Numba does not look at."""
    files = sorted(folder.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
