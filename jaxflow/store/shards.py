"""Results on disk: Parquet shards in one folder, and their descriptions in a folder inside it.

    part-00000.parquet            rows of shard 0, one a text
    __about__/manifest.json       origin of the results: written once, before the first shard
    __about__/part-00000.json     record of shard 0: its checksum, and the rows of the input it covers; with it the
                                  shard is done

Whatever reads Parquet takes the folder for one table: pyarrow and pandas skip names that begin with an underscore or a
dot, `datasets` those with a dot or two underscores, and `*.parquet` finds the shards alone.

Folders up to format 4 do not say where flows are saturated. Those of the first edition have settings in the place of a
question; of these format 2 also has the files of `__about__` beside the shards, and a column of maps, which `datasets`
cannot read. They are read and resumed as such.

Every file is written whole or not at all, and none by two processes, so a sweep may be killed at any moment and
several processes may fill one folder. A shard without its record counts as not made.
"""

import dataclasses
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from jaxflow._checks import InputError, shown
from jaxflow._paths import open_regular
from jaxflow._untyped import JsonObject, JsonValue
from jaxflow.attribution.question import Question
from jaxflow.store import arrow, locks
from jaxflow.store.arrow import Row
from jaxflow.store.record import Record, checked, parsed, read_record, record_file, unchecked

FORMAT, UNSATURATED_FORMAT, SETTINGS_FORMAT, FIRST_FORMAT = 5, 4, 3, 2
ABOUT = "__about__"
MANIFEST, FIRST_MANIFEST = f"{ABOUT}/manifest.json", "manifest.json"
LEFTOVERS = ".jaxflow-*.tmp"
# Rows that are decoded together where one is wanted.
ROW_GROUP = 128
# Letters of a file's name that its temporary file's name repeats: names are limited to 255 bytes.
NAMED = 50


def about_folder(folder: Path) -> Path:
    """The folder of the manifest, the records, and the pages and tables about the results."""
    return folder if is_first_edition(folder) else folder / ABOUT


def is_first_edition(folder: Path) -> bool:
    """Whether a folder is of the first edition's format 2, which has everything beside the shards."""
    return not os.path.lexists(folder / MANIFEST) and os.path.lexists(folder / FIRST_MANIFEST)


def has_manifest(folder: Path) -> bool:
    """Whether a folder holds results."""
    return os.path.lexists(folder / MANIFEST) or os.path.lexists(folder / FIRST_MANIFEST)


def read_manifest(folder: Path) -> JsonObject:
    """The manifest of the results in a folder.

    Raises:
        InputError: there are no results, they are of another version's format, or the manifest is damaged.
    """
    first = is_first_edition(folder)
    file, versions = (
        (FIRST_MANIFEST, (FIRST_FORMAT,)) if first else (MANIFEST, (FORMAT, UNSATURATED_FORMAT, SETTINGS_FORMAT))
    )
    manifest = read_description(folder, file, "results of jaxflow", versions, has_check=not first)
    # A field that is missing passes, as folders of earlier versions lack some; one of a wrong type is damage.
    has_question = manifest["format"] > SETTINGS_FORMAT
    asked = ("question", "lengths") if has_question else ("settings",)
    kinds = {"model": str, "fingerprint": dict, "input": dict, "versions": dict, **dict.fromkeys(asked, dict)}
    mistyped = [name for name, kind in kinds.items() if not isinstance(manifest.get(name, kind()), kind)]
    if mistyped or not isinstance(manifest.get("input", {}).get("name"), str):
        raise _unreadable(folder / file, f"{mistyped[0] if mistyped else 'input'!r} has a wrong type")
    manifest = manifest if has_question else _with_question(manifest)
    if not _is_asked(manifest.get("question"), manifest.get("lengths")):
        raise _unreadable(folder / file, "its question lacks fields or has a wrong type")
    return manifest


def _is_asked(question: JsonValue, lengths: JsonValue) -> bool:
    """Whether a question and lengths have all their fields, and those that pages show have their types."""
    if not isinstance(question, dict) or question.keys() != Question().as_json().keys():
        return False
    methods, mixing, flow = question["methods"], question["mixing"], question["flow"]
    return (
        isinstance(lengths, dict)
        # And where answers were generated, most tokens of one.
        and lengths.keys() - {"new_tokens"} == {"max_length", "truncate"}
        and isinstance(methods, list)
        and all(isinstance(method, str | dict) for method in methods)
        and isinstance(mixing, dict)
        and isinstance(mixing.get("name"), str)
        and isinstance(mixing.get("fields", {}), dict)
        and (isinstance(flow, str) or (isinstance(flow, dict) and isinstance(flow.get("class"), str)))
    )


def _with_question(manifest: JsonObject) -> JsonObject:
    """A manifest of the first edition with its settings as a question and lengths."""
    # Options that did not exist have today's defaults, which compute what the first edition did.
    known = Question().as_json()
    settings = {"max_length": None, "truncate": False, **manifest.pop("settings", {})}
    lengths = {name: settings.pop(name) for name in ("max_length", "truncate")}
    mixing = known["mixing"] | {name: settings.pop(name) for name in ("heads", "residual") if name in settings}
    return manifest | {"question": known | settings | {"mixing": mixing}, "lengths": lengths}


def read_description(
    folder: Path, file: str, holding: str, versions: tuple[int, ...], *, has_check: bool = True
) -> JsonObject:
    """The JSON file that describes a folder.

    Args:
        folder: the folder.
        file: the file's name in it.
        holding: expected content of the folder, in words.
        versions: readable formats, the newest first.
        has_check: whether it must have a checksum of itself; one that it need not have is compared as well.

    Raises:
        InputError: it is missing or cannot be read, or its `format` is none of `versions`.
    """
    path = folder / file
    if not os.path.lexists(path):
        # Of a folder its own name is there too; a name that is too long is no error here.
        why = f"there is no {Path(file).name} in it" if os.path.lexists(f"{folder}/.") else "there is no such folder"
        got = f"{shown(str(folder))}, which holds no {holding}: {why}"
        raise InputError("folder", f"hold {holding}", got, "name a folder that jaxflow wrote")
    try:
        description = parsed(path)
        if not isinstance(description, dict) or "format" not in description:
            raise ValueError("it does not say its format")
        version = description["format"]
        # Another version may count its checksum otherwise, so the format is looked at before it.
        if type(version) is int and version in versions and (has_check or "check" in description):
            description = unchecked(description)
    except ValueError as error:
        raise _unreadable(path, str(error)) from None
    if type(version) is not int or version not in versions:
        got = f"{shown(str(folder))} of format {shown(version)}"
        way_out = "read it by the version of jaxflow that wrote it"
        raise InputError("folder", f"be of format {versions[0]}", got, way_out)
    return description


def _unreadable(path: Path, why: str) -> InputError:
    got = f"{shown(str(path))}, which cannot be read: {why}"
    way_out = "put it back from a copy, or compute the results again in another folder"
    return InputError("folder", "hold a whole description of its results", got, way_out)


def write_manifest(folder: Path, manifest: JsonObject) -> None:
    """Write the manifest, with a checksum of itself, unless there is one: the first of several processes names it.

    Raises:
        InputError: it cannot be written.
    """
    path = folder / MANIFEST
    make_about(path)
    with replaced(path, new=True) as temporary:
        _ = temporary.write_text(json.dumps(checked(manifest), indent=1) + "\n", "utf-8")


def read_records(folder: Path) -> dict[int, Record]:
    """Records of finished shards by index; a shard with a damaged record counts as not finished."""
    return {index: each for index, each in _records(folder) if isinstance(each, Record)}


def damaged_records(folder: Path) -> dict[int, str]:
    """Damaged records, each in words, by their shards' index."""
    return {index: each for index, each in _records(folder) if isinstance(each, str)}


def read_record_of(folder: Path, index: int, sweep: str | None) -> Record | None:
    """The record of a shard; None where there is none, or a damaged one, or that of another sweep."""
    try:
        record = read_record(about_folder(folder) / record_file(index))
    except ValueError:
        return None
    return record if record.sweep == sweep else None


def _records(folder: Path) -> Iterator[tuple[int, Record | str]]:
    """Each record, or in words its damage, by the index in its file's name, in order."""
    about, sweep = about_folder(folder), _sweep_of(folder)
    # By index, not by name: part-100000 comes before part-99999 in the order of names. Only names as they are written.
    digits = (path.stem.removeprefix("part-") for path in about.glob("part-*.json"))
    places = ((int(each), each) for each in digits if each.isascii() and each.isdecimal())
    for index in sorted(index for index, each in places if record_file(index) == f"part-{each}.json"):
        path = about / record_file(index)
        try:
            record = read_record(path)
            # A shard and its record may have been copied from another folder, both of them whole.
            if sweep is not None and record.sweep != sweep.get("sweep"):
                raise ValueError("it is the record of another sweep")
            yield index, record
        except ValueError as error:
            yield index, f"{shown(str(path))}, which cannot be read: {error}"


def _sweep_of(folder: Path) -> JsonObject | None:
    """The manifest of a folder, or None where it has none that can be read."""
    try:
        return read_manifest(folder)
    except InputError:
        return None


def write_shard(folder: Path, record: Record, rows: Sequence[Row], metadata: dict[str, str]) -> Record:
    """Write a shard's rows, and then its record, which is returned with the rows' checksum."""
    path = folder / record.file
    if rows:
        # All shards of a folder have the same columns.
        manifest = _sweep_of(folder)
        if manifest is not None and manifest["format"] < FORMAT:
            rows = list(map(arrow.without_saturation, rows))
        table = arrow.to_table(rows, metadata, maps=is_first_edition(folder))
        # An open file: Arrow takes some paths for addresses.
        with replaced(path) as temporary, temporary.open("wb") as file:
            arrow.write_table(table, file, ROW_GROUP, page_checksum=True)
            file.flush()
            record = dataclasses.replace(record, sha256=checksum(temporary))
    # The record last: from here on the shard is done.
    path = about_folder(folder) / record_file(record.index)
    make_about(path)
    with replaced(path) as temporary:
        _ = temporary.write_text(json.dumps(checked(dataclasses.asdict(record))) + "\n", "utf-8")
    return record


def make_about(path: Path) -> None:
    """Make the folder `__about__` of a file, unless it is there."""
    if path.parent.name == ABOUT:
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error


def checksum(path: Path) -> str:
    """The sha256 of a file."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(folder: Path, record: Record) -> bool:
    """Whether a shard's file is as it was written, by its checksum."""
    if not record.examples:
        return True
    try:
        return checksum(folder / record.file) == record.sha256
    except OSError:
        return False


@contextmanager
def replaced(path: Path, *, new: bool = False) -> Iterator[Path]:
    """A temporary file in the folder of `path` that takes its place in one step, once it is safely on disk.

    After a kill or a full disk at any moment `path` is as before or complete. While this process lives, no other one
    removes the temporary file.

    Args:
        path: of the file.
        new: leave a file that is there already: of several processes the first makes it.

    Raises:
        InputError: the folder cannot be written.
    """
    temporary = path.with_name(f".jaxflow-{path.name[:NAMED]}-{secrets.token_hex(4)}.tmp")
    try:
        with locks.new_file(temporary):
            yield temporary
            # First the content, then the name, so that the name never stands for less than the whole.
            sync(temporary)
            if not (new and _is_named(temporary, path)):
                _ = temporary.replace(path)
            sync(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _is_named(temporary: Path, path: Path) -> bool:
    """Give a file a second name, which it gets only if no file has it; whether any file has it now."""
    with suppress(OSError):
        os.link(temporary, path)
    # Where there are no links, two processes may replace each other's file in the same moment.
    return os.path.lexists(path)


def unwritable(path: Path, error: OSError) -> InputError:
    """The error for a file that cannot be written."""
    return InputError(None, "be a file that can be written", error.strerror or str(error), place=shown(str(path)))


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing but files that a killed writer left."""
    left = {*folder.iterdir()} - {*folder.glob(LEFTOVERS)}
    if left != {folder / ABOUT} or not (folder / ABOUT).is_dir():
        return not left
    return is_empty(folder / ABOUT)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed writers, but none of a living process; to be called while no other writes.

    Locks say which processes live, where the file system tells all hosts of them.
    """
    for path in (*folder.glob(LEFTOVERS), *(folder / ABOUT).glob(LEFTOVERS)):
        locks.remove_abandoned(path)


def remove_records(folder: Path, indices: Iterable[int]) -> None:
    """Remove records, so that their shards count as not done.

    Raises:
        InputError: a record cannot be removed.
    """
    for index in indices:
        path = about_folder(folder) / record_file(index)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            got = f"{shown(str(path))}, which cannot be removed: {error.strerror or error}"
            raise InputError("folder", "hold records that can be replaced", got, "remove it by hand") from None


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is safely on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
