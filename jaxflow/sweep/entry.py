"""A sweep from Python: `run_sweep`."""

import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import fields
from operator import index
from typing import Any

import jax

from jaxflow._checks import InputError, not_forked, one_of
from jaxflow._paths import local_path
from jaxflow.attribution.settings import METHODS, Settings
from jaxflow.inputs.files import check_unread, open_source
from jaxflow.inputs.source import as_source
from jaxflow.models import Model, as_model
from jaxflow.store.results import Store, open_sweep
from jaxflow.sweep import runner
from jaxflow.sweep.tally import Tally

# Messages are written for the command line.
WORDS = {
    "the same command with --resume": "the same call with resume=True",
    "--resume": "resume=True",
    "--on-error skip": 'on_error="skip"',
    "--out": "`out`",
    "--column": "`column`",
    "--pair-column": "`pair_column`",
    "--separator": "`separator`",
    "--quotes": "`quotes`",
    "--encoding": "`encoding`",
    "--input": "`source`",
    "--model": "`encoder`",
    **{f"--{field.name.replace('_', '-')}": f"`{field.name}`" for field in fields(Settings)},
}


def run_sweep(
    encoder: Model,
    source: Any,
    out: str | os.PathLike[str],
    methods: Any = METHODS,
    *,
    column: str | None = None,
    pair_column: str | None = None,
    separator: str | None = None,
    quotes: str = "auto",
    encoding: str | None = None,
    queries: Any = 0,
    layers: Any = None,
    heads: str = "mean",
    residual: Any = 0.5,
    flow: str = "auto",
    batch_size: int | None = None,
    max_length: int | None = None,
    truncate: bool = False,
    mesh: jax.sharding.Mesh | None = None,
    resume: bool = False,
    on_error: str = "stop",
    process_index: int = 0,
    process_count: int = 1,
    progress: Callable[[Tally], None] | None = None,
) -> Store:
    """`attribute` for data sets: texts come as a stream, and results go into a folder, shard by shard.

    Memory does not grow with the number of texts. A sweep that was killed at any moment goes on with `resume=True`.

    Args:
        encoder: from `load_model`.
        source: a .txt (one text a line), .jsonl, .csv, .tsv or .parquet file, also packed (.gz, .zst); or an iterable
            of texts or of dicts, a generator included; or a Hugging Face `datasets.Dataset` or `IterableDataset`.
        out: the folder for results; new, or empty.
        methods: of `"raw"`, `"rollout"` and `"flow"`.
        column: the column of the texts; None takes `text`, or else the only one that a file or data set has.
        pair_column: the column of second texts, for models that read two.
        separator: between the cells of a .csv or .tsv file: a character, or `"comma"`, `"semicolon"`, `"tab"` or
            `"pipe"`; None goes by the header. What was taken of this and the next two is in `manifest["input"]`.
        quotes: `"yes"` if cells of a .csv or .tsv file may stand in quotes, `"no"` if quotes are characters of the
            texts; `"auto"` looks through the file where tabs separate cells, and is `"yes"` elsewhere.
        encoding: of the file; None takes UTF-8, or what its byte order mark says.
        queries: positions whose make-up is asked for: an int, several, or None for every position.
        layers: counted from 1; None for all, an int, or several.
        heads: how heads are fused: `"mean"`, `"max"` or `"min"`.
        residual: share of the residual connection, in [0, 1].
        flow: one of `attention_flow`'s methods.
        batch_size: texts in a batch, at most; None for as many as fit.
        max_length: most tokens a text may have, special ones included; the model's limit where that is less.
        truncate: cut longer texts rather than refuse them.
        mesh: devices that each batch is spread over, as `attribute` has it.
        resume: go on with what the folder holds of the same sweep, whatever the number of processes was.
        on_error: `"stop"` at a row that cannot be used, or `"skip"` it; what was skipped is in the result.
        process_index: which of several processes that fill the folder together this is; every process is given the
            whole source, and takes one shard in `process_count` of it.
        process_count: how many processes there are.
        progress: called with how far the run is, when texts were finished and while it waits.

    Returns:
        The results, as `open_sweep` gives them.

    Raises:
        InputError: the settings, the source or the folder cannot be used; a row cannot be used (with
            `on_error="stop"`); the folder holds results of another sweep. What was computed before is kept.
    """
    not_forked()
    encoder = as_model("model", encoder)
    chosen = tuple(methods) if isinstance(methods, Iterable) and not isinstance(methods, str) else (methods,)
    for method in chosen:
        one_of("methods", method, METHODS)
    settings = Settings(
        methods=chosen,
        queries=_several("queries", queries),
        layers=_several("layers", layers),
        heads=heads,
        residual=_number("residual", residual),
        flow=flow,
        max_length=max_length,
        truncate=truncate,
    )
    folder = local_path("out", out)
    is_file = isinstance(source, str | os.PathLike)
    reading = {"separator": separator, "quotes": quotes, "encoding": encoding}
    check_unread(is_file, **reading)
    try:
        opened = open_source(os.fspath(source), column, pair_column, **reading) if is_file else None
        with opened or nullcontext(as_source(source, column, pair_column)) as texts:
            sweep = runner.prepare(
                encoder,
                texts,
                folder,
                settings,
                resume=resume,
                on_error=on_error,
                process_index=process_index,
                process_count=process_count,
            )
            _ = sweep.run(batch_size, progress or (lambda _: None), mesh=mesh)
    except InputError as error:
        raise InputError(_in_python(str(error))) from error
    except runner.Stopped as stop:
        raise runner.Stopped(_in_python(str(stop))) from None
    return open_sweep(folder)


def _in_python(message: str) -> str:
    for flag, word in WORDS.items():
        message = message.replace(flag, word)
    return message


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"`{name}` must be a number, got {value!r}") from None


def _several(name: str, value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(map(index, value)) if isinstance(value, Iterable) else (index(value),)
    except TypeError:
        raise InputError(f"`{name}` must be None, an int, or several ints, got {value!r}") from None
