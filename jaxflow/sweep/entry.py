"""A sweep from Python: `run_sweep`."""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Unpack

import jax

from jaxflow._checks import as_flag, not_forked
from jaxflow._typing import Given
from jaxflow.attribution.defaults import default_question, question_for
from jaxflow.attribution.question import Asked, GivenQuestion
from jaxflow.inputs.files import check_unread, open_source
from jaxflow.inputs.images import as_image_source
from jaxflow.inputs.source import Source, as_source
from jaxflow.models import Model, as_model
from jaxflow.models.images import images_of
from jaxflow.store.places import place_of
from jaxflow.store.results import Store, open_sweep
from jaxflow.sweep import runner
from jaxflow.sweep.checks import begun_methods
from jaxflow.sweep.tally import Tally


def run_sweep(
    model: Model,
    source: Given[str | os.PathLike[str] | Iterable[Any] | Source],
    folder: str | os.PathLike[str],
    question: GivenQuestion = None,
    *,
    column: str | None = None,
    pair_column: str | None = None,
    separator: str | None = None,
    quotes: str = "auto",
    encoding: str | None = None,
    batch_size: int | None = None,
    max_length: int | None = None,
    truncate: Given[bool] = False,
    new_tokens: int | None = None,
    mesh: jax.sharding.Mesh | None = None,
    resume: Given[bool] = True,
    on_error: str = "stop",
    progress: Callable[[Tally], None] | None = None,
    **changes: Unpack[Asked],
) -> Store:
    """`attribute` for data sets: texts come as a stream, and results go into a folder, shard by shard.

    Memory does not grow with the number of texts. A sweep that was killed at any moment goes on by the same call. Any
    number of processes on any hosts that see the folder may make it, all by the same call: they share the work shard by
    shard, may begin and end at any time, and each returns when all of it is done. What a process that died had in work
    is made by another, after a minute where that is on another host.

    Args:
        model: from `load_model`.
        source: a .txt (one text a line), .jsonl, .csv, .tsv or .parquet file, also packed (.gz, .zst); or an iterable
            of texts or of dicts, a generator included; or a Hugging Face `datasets.Dataset` or `IterableDataset`. Of a
            model of images: a folder of them, whose names are the results' ids, or an iterable of paths, pictures or
            arrays; or of dicts or a data set with a column `image`.
        folder: for results; new, or of the same sweep, which it then goes on with. Or its address in a store that
            `fsspec` knows, such as `"s3://bucket/results"`: shards are sent there as they are made.
        question: what is asked about every text; by default as `attribute` has it. Its positions are the same for all
            texts.
        column: the column of the texts; None takes `text`, or else the only one that a file or data set has.
        pair_column: the column of second texts, for models that read two.
        separator: between the cells of a .csv or .tsv file: a character, or `"comma"`, `"semicolon"`, `"tab"` or
            `"pipe"`; None goes by the header. What was taken of this and the next two is in `manifest["input"]`.
        quotes: `"yes"` if cells of a .csv or .tsv file may stand in quotes, `"no"` if quotes are characters of the
            texts; `"auto"` looks through the file where tabs separate cells, and is `"yes"` elsewhere.
        encoding: of the file; None takes UTF-8, or what its byte order mark says.
        batch_size: texts in a batch, at most; None for as many as fit.
        max_length: most tokens a text may have, special ones included; the model's limit where that is less.
        truncate: cut longer texts rather than refuse them.
        new_tokens: most tokens that the model writes, as `attribute` has it; of sources without pairs.
        mesh: devices that each batch is spread over, as `attribute` has it.
        resume: go on with what the folder holds of the same sweep; False refuses a folder that holds results.
        on_error: `"stop"` at a row that cannot be used, or `"skip"` it; what was skipped is in the result.
        progress: called with how far the run is, when texts were finished and while it waits.
        changes: fields of the question by name, such as `methods="rollout"`.

    Returns:
        The results, as `open_sweep` gives them.

    Raises:
        InputError: the question, the source or the folder cannot be used; a row cannot be used (with
            `on_error="stop"`); the folder holds results of another sweep. What was computed before is kept.
    """
    not_forked()
    model = as_model("model", model)
    place = place_of("folder", folder)
    with place.named():
        begun = begun_methods(place.folder) if as_flag("resume", resume) else None
    question = question_for(question, changes, (model,), default_question(model), begun)
    reading = {"separator": separator, "quotes": quotes, "encoding": encoding}
    if images_of(model) is not None:
        check_unread(False, **reading)
        opened: AbstractContextManager[Source] = nullcontext(as_image_source(source, column))
    else:
        opened = _opened(source, column, pair_column, **reading)
    with place.named(), opened as texts:
        sweep = runner.prepare(
            model,
            texts,
            place,
            question,
            max_length=max_length,
            truncate=truncate,
            new_tokens=new_tokens,
            resume=resume,
            on_error=on_error,
        )
        _ = sweep.run(batch_size, progress or (lambda _: None), mesh=mesh)
    return open_sweep(place)


def _opened(source: Any, column: str | None, pair_column: str | None, **reading: Any) -> AbstractContextManager[Source]:
    """The texts of a file, or of what Python holds, which needs no closing."""
    # Options of reading belong to files alone, and are refused with anything else.
    is_file = isinstance(source, str | os.PathLike)
    check_unread(is_file, **reading)
    if is_file:
        return open_source(os.fspath(source), column, pair_column, **reading)
    return nullcontext(as_source(source, column, pair_column))
