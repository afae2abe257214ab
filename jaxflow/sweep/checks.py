"""Before a sweep: the folder, the question and what an earlier run left are checked, and nothing is written."""

import os
from pathlib import Path

from jaxflow._checks import InputError, shown
from jaxflow._typing import Given
from jaxflow._untyped import JsonObject, JsonValue
from jaxflow.attribution.explaining import check_model
from jaxflow.attribution.items import is_row_by_row
from jaxflow.attribution.question import Question
from jaxflow.inputs.images import ImageSource
from jaxflow.inputs.source import Source
from jaxflow.models import Model
from jaxflow.models.images import images_of
from jaxflow.store import shards as store
from jaxflow.store.manifest import another_run, check_same
from jaxflow.store.place import Place
from jaxflow.store.places import place_of
from jaxflow.store.record import Record
from jaxflow.sweep.shards import Cut, Lengths, cut_by, cuts

NAME_ANOTHER = "name another `folder`"


def check_folder(place: Given[Path | Place], resume: bool | None) -> None:
    """Refuse a folder that results cannot go into, before any work, without touching anything.

    Raises:
        InputError: it holds something already (and `resume` is false, or None for what cannot be gone on with), is no
            folder, or cannot be written.
    """
    place = place_of("folder", place)
    folder = place.folder
    try:
        if place.is_taken:
            raise _not_ours(folder)
        if folder.exists() and not folder.is_dir():
            raise InputError("folder", "be a folder", f"the file {shown(str(folder))}", NAME_ANOTHER)
        if folder.is_dir() and not store.is_empty(folder):
            _check_filled(folder, resume)
        # The folder, or what it would be made in.
        parent = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    except InputError:
        # One of the above, which says all there is to say. (An InputError is a ValueError.)
        raise
    except (OSError, ValueError) as error:
        raise not_writable(folder, str(getattr(error, "strerror", None) or error)) from None
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise not_writable(folder, f"no permission in {shown(str(parent))}")


def begun_methods(folder: Path) -> list[JsonValue] | None:
    """The methods, as manifests have them, of the run whose results a folder holds; None where it holds none.

    Raises:
        InputError: its manifest cannot be used.
    """
    return store.read_manifest(folder)["question"]["methods"] if store.has_manifest(folder) else None


def not_writable(folder: Path, why: str) -> InputError:
    """The error for a folder that cannot be made or written."""
    return InputError("folder", "be one that can be written", f"{shown(str(folder))}: {why}", NAME_ANOTHER)


def make_folder(folder: Path) -> None:
    """Make the folder that results go into.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, str(error.strerror)) from None


def check_question(question: Question, model: Model, lengths: Lengths, *, paired: bool) -> None:
    """Refuse what a model cannot do, or a sweep, before any text is read.

    Raises:
        InputError: a layer is not there, positions differ from text to text, or the model has no tokenizer or cannot
            take so many tokens.
    """
    _ = question.layers_of(model.layers)
    check_model(question, model)
    if is_row_by_row(question.queries):
        expected = "be the same for all texts"
        raise InputError("queries", expected, f"{len(question.queries)} rows", "pass ints, or None for all positions")
    # No text at all: what is checked is that there is a tokenizer and that the length makes sense.
    _ = model.tokenize([], [] if paired else None, **cut_by(lengths))


def check_images(model: Model, source: Source) -> None:
    """Refuse images for a model of texts, and texts for a model of images."""
    images = isinstance(source, ImageSource)
    if images != (images_of(model) is not None):
        read, given = ("texts", "images") if images else ("images", "texts")
        raise InputError("source", f"hold {read} for {model.name}", given, f"pass {read}, or a model of {given}")


def finished(
    place: Place, wanted: JsonObject, model: Model, source: Source, question: Question, *, alone: bool
) -> dict[int, Record]:
    """Records of the shards that need not be made again.

    Where this process is `alone`, shards are read and held against their checksums. Where the input can be read twice,
    it is held against all that is kept, so that a sweep of another input is refused before it begins.

    Raises:
        InputError: the folder holds results of another sweep; says what differs.
    """
    folder = place.folder
    check_same(folder, store.read_manifest(folder), wanted)
    records = store.read_records(folder)
    # Processes that are at work made their shards just now, and the first of them checked those that were there.
    done = {i: record for i, record in records.items() if not alone or place.is_kept(record)}
    if done and not source.once:
        # Later rows may be new: only up to the last shard that is kept must the input be the same.
        furthest = max(done)
        for rows in cuts(source.rows(), model, question, wanted["lengths"]["max_length"]):
            if rows.index in done:
                check_unchanged(folder, done[rows.index], rows)
            if rows.index == furthest:
                break
        else:
            raise _changed(folder, done[furthest])
    return done


def check_unchanged(folder: Path, record: Record, rows: Cut) -> None:
    """Refuse rows that are not those that a shard was made of.

    Raises:
        InputError: they are others.
    """
    if record.input_sha256 != rows.sha256():
        raise _changed(folder, record)


def _changed(folder: Path, record: Record) -> InputError:
    return changed_input(folder, f"other rows are in {record.file}")


def changed_input(folder: Path, where: str) -> InputError:
    """The error for rows of another input; `where` says which they are."""
    return another_run(folder, f"the input's content ({where})")


def _check_filled(folder: Path, resume: bool | None) -> None:
    got = f"{shown(str(folder))}, which is not empty"
    # The errors say the way out that fits: another folder, or to go on with this one.
    if resume is None:
        raise InputError("folder", "be new, or empty", got, NAME_ANOTHER)
    if not store.has_manifest(folder):
        raise _not_ours(folder)
    if not resume:
        got = f"{shown(str(folder))}, which holds results already"
        raise InputError("folder", "be new, or empty, with `resume=False`", got, f"leave it out, or {NAME_ANOTHER}")


def _not_ours(folder: Path) -> InputError:
    got = f"{shown(str(folder))}, which is not empty, and holds no results of jaxflow"
    return InputError("folder", "be new, or empty", got, NAME_ANOTHER)
