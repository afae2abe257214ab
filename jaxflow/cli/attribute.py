"""`jaxflow attribute`: texts into a folder of relevance, with a page."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from jaxflow._checks import InputError
from jaxflow._parser import Parser, count, natural, output
from jaxflow._signals import interrupts
from jaxflow.attribution import Question
from jaxflow.cli.arguments import MODEL, MODELS, add_images, add_lengths, add_texts, lengths_of, source_of
from jaxflow.cli.commands import COMMANDS, EXAMPLES
from jaxflow.cli.options import METHODS, add_question, by_default, question_of
from jaxflow.cli.output import leave, mixing_line, note, note_assumed, said
from jaxflow.devices import Processes, UnmetError, default_mesh, initialize
from jaxflow.models import load_model
from jaxflow.models.generation import NEW_TOKENS
from jaxflow.pages.carried import carried_by
from jaxflow.pages.page import write_report
from jaxflow.pages.terminal import shortened, top_tokens, unknown_words
from jaxflow.running import Compiled
from jaxflow.store.results import Store, open_sweep
from jaxflow.store.shards import about_folder, has_manifest, read_manifest
from jaxflow.sweep import runner
from jaxflow.sweep.checks import check_folder
from jaxflow.sweep.progress import progress
from jaxflow.sweep.tally import Summary, Tally
from jaxflow.sweep.together import Peers, wait_for_all
from jaxflow.sweep.words import skipped_lines, summary_lines

NAMES = {"folder": "--out", "count": "--processes", "index": "--process"}
DEFAULT = Question(METHODS)
# Seconds to wait for other processes at the start, and after which JAX takes one that gives it no sign for dead.
START, SILENCE = 60, 600
# Seconds that process 0 of several, when it gives up, leaves the others to do so.
LEAVE = 20.0
# Most examples whose top tokens are shown in the terminal.
SHOWN = 5
# Most examples that are searched for words that the model doesn't know, and most of these that are named.
SEARCHED, NAMED = 1000, 12
ON_ERROR = "at a row that cannot be used: stop (the default), or skip it and say so at the end"
ANSWERS = "most tokens of an answer, which a decoder generates with --queries answer where there are no pairs"


@dataclass(frozen=True)
class Swept:
    """The outcome of a sweep.

    Attributes:
        summary: of this process.
        compiled: the programs that had to be compiled.
        unknown: the token that stands for a word that the model does not know; None where there is none.
    """

    summary: Summary
    compiled: list[Compiled]
    unknown: str | None


def add(commands: Any) -> Parser:
    """Add the command."""
    parser = commands.add_parser(
        "attribute",
        help=COMMANDS["attribute"],
        description="Say how much each token of each text contributed, at each layer, by each method.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_texts(parser)
    add_images(parser)
    add_question(parser, DEFAULT)
    group = parser.add_argument_group("model")
    add = group.add_argument
    _ = add("--model", default=MODEL, metavar="M", help=MODELS)
    _ = add("--batch-size", type=count, metavar="N", help="texts in a batch, at most (default: as many as fit)")
    add_lengths(group)
    _ = add("--new-tokens", type=count, default=NEW_TOKENS, metavar="N", help=f"{ANSWERS} (default: {NEW_TOKENS})")
    _ = add("--on-error", default="stop", metavar="E", help=ON_ERROR)
    add = parser.add_argument_group("output").add_argument
    _ = add("--out", required=True, type=output, metavar="DIR", help="the folder for results; new, or empty")
    _ = add("--resume", action="store_true", help="go on with a run of the same question that was stopped")
    _ = add("--top", type=natural, default=5, metavar="N", help="tokens to show in the terminal (default: 5)")
    _ = add("--quiet", action="store_true", help="print nothing but errors")
    _add_devices(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Attribute the texts, write the page, and show the first examples."""
    try:
        here = _joined(arguments)
    except UnmetError as error:
        leave(said(error, arguments.flags))
    # Signs of life begin before the model is loaded, which may take a process longer than another.
    peers = Peers(arguments.out, here.index, here.count)
    with _leaving_at_once(arguments, here, peers), peers:
        swept = _swept(arguments, here, peers)
    # Process 0 alone writes the page and speaks; the others have waited for the last shard.
    if here.index:
        return 0
    results = open_sweep(arguments.out)
    # Shards of the other processes included.
    summary = replace(swept.summary, records=results.records)
    page = write_report(results, about_folder(arguments.out) / "report.html")
    if not arguments.quiet:
        _show(results, arguments.top)
        print("\n".join(summary_lines(summary, swept.compiled)))
        print(mixing_line(results.manifest["question"]))
        print(f"results: {arguments.out}   report: {page}")
        note(skipped_lines(summary))
        _note_unknown(results, swept.unknown)
    return 0


def _swept(arguments: argparse.Namespace, here: Processes, peers: Peers) -> Swept:
    """Attribute this process's share of the texts, and wait for the others."""
    question, quiet, compiled = question_of(arguments, DEFAULT), arguments.quiet, []
    # Before the model is loaded: a mistake in a folder should not cost minutes. Process 0 may have made it already.
    check_folder(arguments.out, arguments.resume or here.index > 0)
    with source_of(arguments) as source:
        model = load_model(arguments.model)
        if not hasattr(arguments, "methods"):
            begun = arguments.resume and has_manifest(arguments.out)
            methods = read_manifest(arguments.out)["question"]["methods"] if begun else None
            question = by_default(question, [model], methods)
        sweep = runner.prepare(
            model,
            source,
            arguments.out,
            question,
            **lengths_of(arguments),
            new_tokens=arguments.new_tokens,
            resume=arguments.resume,
            on_error=arguments.on_error,
            process_index=here.index,
            process_count=here.count,
        )
        note_assumed(source, quiet=quiet)
        with (
            interrupts() as stop_if_asked,
            progress(None if quiet else sweep.rows(), sweep.rows_done, sys.stderr, quiet=quiet) as show,
        ):

            def look_up() -> None:
                stop_if_asked()
                peers.check()

            def told(tally: Tally) -> None:
                look_up()
                show(tally)

            summary = sweep.run(arguments.batch_size, told, compiled=compiled.append, mesh=default_mesh())
            # JAX's own barrier at the end has a time limit; the folder says when all are done.
            if here.count > 1:
                wait_for_all(arguments.out, look_up)
    return Swept(summary, compiled, getattr(getattr(model, "tokenizer", None), "unk_token", None))


def _add_devices(parser: argparse.ArgumentParser) -> None:
    """Add the processes that share the work."""
    about = "processes (each uses all accelerators of its own, and writes its own shards into --out)"
    add = parser.add_argument_group(about).add_argument
    _ = add("--distributed", action="store_true", help="join those that SLURM, Open MPI, a TPU pod or the rest started")
    _ = add("--coordinator", metavar="HOST:PORT", help="of process 0 (default: what the cluster says)")
    _ = add("--processes", type=count, metavar="N", help="how many there are (default: what the cluster says)")
    about = "how long to wait for the others at the start (default: 60)"
    _ = add("--start-seconds", type=count, metavar="S", help=about)
    _ = add("--process", type=natural, metavar="I", help="which one this is, from 0 (default: what the cluster says)")


def _joined(arguments: argparse.Namespace) -> Processes:
    """Join the other processes, if there are any; this one's number and theirs."""
    given = {name: getattr(arguments, name) for name in ("coordinator", "processes", "process", "start_seconds")}
    if not arguments.distributed:
        for name, value in given.items():
            if value is not None:
                raise InputError(name, "go with `distributed`", str(value))
        return Processes(0, 1)
    # Signs of life in the folder tell of a dead process sooner. JAX ends this process without a word of why, and
    # would do so to one that was merely stopped for a while.
    # In the order of `given`: coordinator, processes, process; then the seconds.
    *others, start = given.values()
    return initialize(*others, start_seconds=start or START, silence_seconds=SILENCE)


@contextmanager
def _leaving_at_once(arguments: argparse.Namespace, here: Processes, peers: Peers) -> Iterator[None]:
    """End one of several processes at once with its error; at an ordinary exit JAX would wait for the others."""
    try:
        yield
    except BaseException as error:
        if here.count == 1:
            raise
        code = said(error, arguments.flags)
        # The process that the others are connected to.
        if here.index == 0:
            # JAX ends the others with it, without a word of why, which they shall find first.
            peers.wait_for_the_end(LEAVE)
        leave(code)


def _show(results: Store, top: int) -> None:
    """The top tokens of the first examples."""
    if not top:
        return
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size((100, 24)).columns
    for row in islice(results.rows(), SHOWN):
        carried = carried_by(row, results.manifest)
        said = None if carried is None else carried.in_words
        print("\n".join(top_tokens(row, top, carried=said, color=color, width=width)))
    rest = len(results) - SHOWN
    if rest > 0:
        print(f"and {rest} more\n")


def _note_unknown(results: Store, unknown: str | None) -> None:
    """Name the words that the model could not read."""
    words = unknown_words(islice(results.rows(), SEARCHED), unknown) if unknown else []
    if words:
        rest = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
        named = ", ".join(shortened(word) for word in words[:NAMED])
        print(f"note: not in the model's vocabulary, read as {unknown}: {named}{rest}", file=sys.stderr)
