"""The command line: attribute, summarize, compare, explore and fetch. The only module that prints."""

import argparse
import io
import os
import re
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from importlib import metadata
from itertools import islice
from typing import Any, NoReturn

from jaxflow._checks import InputError
from jaxflow._parser import Parser
from jaxflow._signals import Terminated, interrupts, signals
from jaxflow.attribution.settings import Settings
from jaxflow.cli import arguments as _arguments
from jaxflow.cli.arguments import EXAMPLES, FLAGS, add_attribute, add_compare, add_explore, add_summarize
from jaxflow.compare import Settings as Compared
from jaxflow.compare import findings, read_conllu
from jaxflow.devices import Processes, UnmetError, default_mesh
from jaxflow.inputs.files import FileSource, check_unread, open_source
from jaxflow.inputs.source import InlineSource, Source
from jaxflow.models import builtin, load_model
from jaxflow.pages.explore import EXAMPLES as MOST
from jaxflow.pages.explorer import write_explorer
from jaxflow.pages.page import write_page
from jaxflow.pages.source_page import explore_source, write_source_page
from jaxflow.pages.summary_page import write_summary_page
from jaxflow.pages.terminal import shortened, top_tokens, unknown_words, visible
from jaxflow.running import Compiled
from jaxflow.store.output import check_file
from jaxflow.store.results import Store, open_sweep
from jaxflow.store.shards import about_folder
from jaxflow.summary.summary import summarize, write_summary
from jaxflow.summary.words import summary_table
from jaxflow.sweep import comparison, runner
from jaxflow.sweep.checks import check_folder
from jaxflow.sweep.counting import counting
from jaxflow.sweep.progress import progress
from jaxflow.sweep.tally import Summary, Tally
from jaxflow.sweep.together import Peers, wait_for_all
from jaxflow.sweep.words import left_out_lines, skipped_lines, summary_lines

# Most examples whose top tokens are shown in the terminal.
SHOWN = 5
# Seconds that process 0 of several, when it gives up, leaves the others to do so.
LEAVE = 20.0
# Most examples that are searched for words that the model doesn't know, and most of these that are named.
SEARCHED, NAMED = 1000, 12


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        The exit code: 0, or 2 for input that cannot be used (one line on standard error says why), 130 when the user
        stopped it, and 143 when SIGTERM did.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal's encoding lacks is shown as an escape.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with signals():
            arguments = _parser().parse_args(argv)
            return arguments.run(arguments)
    except (InputError, KeyboardInterrupt) as error:
        return _said(error)
    except BrokenPipeError:
        # Whoever read our output has gone; say nothing more, also not when Python flushes at exit.
        _ = os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _failed(message: str, code: int) -> int:
    print(f"jaxflow: {visible(' '.join(_in_flags(message).splitlines()))}", file=sys.stderr)
    return code


def _in_flags(message: str) -> str:
    """A message written for Python with the command line's names of arguments."""
    for name, flag in FLAGS.items():
        message = message.replace(f"`{name}`", flag)
    message = message.replace("pass truncate=True", "pass --truncate").replace("units='words'", "--units words")
    message = re.sub(r"\[\((\d+), (\d+)\), \((\d+), (\d+)\)\]", r"\1:\2,\3:\4", message)  # pairs of layers
    # Whatever was passed shows in one line that can be read.
    return re.sub(r"\S{400,}", lambda word: f"{word[0][:200]}... ({len(word[0])} characters)", message)


def _flag(argument: str) -> str:
    """An argument that an error names, with its value if it has one, as the command line writes it."""
    name, _, value = argument.partition("=")
    flag = FLAGS.get(name)
    if flag is None:
        return f"`{argument}`"
    return flag if value in ("", "True") else f"{flag} {value.strip(chr(34) + chr(39))}"


def _said(error: BaseException) -> int:
    """Say on standard error what went wrong; the exit code."""
    if isinstance(error, InputError):
        return _failed(error.in_words(_flag), 2)
    if isinstance(error, KeyboardInterrupt):
        return _failed(str(error) or "stopped", 143 if isinstance(error, Terminated) else 130)
    traceback.print_exception(error)
    return 1


@contextmanager
def _leaving_at_once(here: Processes, peers: Peers) -> Iterator[None]:
    """Ends one of several processes with its error: by Python's own way of ending JAX would wait for the others."""
    try:
        yield
    except BaseException as error:
        if here.count == 1:
            raise
        code = _said(error)
        if here.index == 0:
            # JAX ends the others with it, without a word of why, which they shall find first.
            peers.wait_for_the_end(LEAVE)
        _leave(code)


def _leave(code: int) -> NoReturn:
    """End this process without what Python and JAX do at their end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            _ = stream.flush()
    os._exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="jaxflow",
        description="How much each input token contributed to each position of a Transformer, at each layer.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("--version", action="version", version=f"jaxflow {metadata.version('jaxflow')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_attribute(commands, _attribute)
    add_compare(commands, _compare)
    add_explore(commands, _explore)
    add_summarize(commands, _summarize)
    fetch = commands.add_parser("fetch", help="get a built-in model, once", description="Get a built-in model, once.")
    _ = fetch.add_argument("name", metavar="NAME", help="the model's name: minilm")
    _ = fetch.add_argument("--force", action="store_true", help="fetch it again, whatever is there")
    fetch.set_defaults(run=_fetch)
    return parser


def _fetch(arguments: argparse.Namespace) -> int:
    _ = builtin.fetch(arguments.name, report=print, force=arguments.force)
    return 0


def _attribute(arguments: argparse.Namespace) -> int:
    try:
        here = _arguments.joined(arguments)
    except UnmetError as error:
        _leave(_said(error))
    peers = Peers(arguments.out, here.index, here.count)
    with _leaving_at_once(here, peers), peers:
        summary, compiled, unknown = _swept(arguments, here, peers)
    if here.index:
        return 0
    results = open_sweep(arguments.out)
    # With what other processes made.
    summary = replace(summary, records=results.records)
    page = write_page(results, about_folder(arguments.out) / "report.html")
    if not arguments.quiet:
        _show(results, arguments.top)
        print("\n".join(summary_lines(summary, compiled)))
        print(f"results: {arguments.out}   report: {page}")
        _note(skipped_lines(summary))
        _note_unknown(results, unknown)
    return 0


def _swept(arguments: argparse.Namespace, here: Processes, peers: Peers) -> tuple[Summary, list[Compiled], str | None]:
    """Attribute the texts, this process its share, until all are done: what was done, and the unknown word's token."""
    names = ("methods", "queries", "layers", "heads", "residual", "flow", "max_length", "truncate")
    settings = Settings(**{name: getattr(arguments, name) for name in names})
    quiet, compiled = arguments.quiet, []
    check_folder(arguments.out, arguments.resume or here.index > 0)
    share = {"process_index": here.index, "process_count": here.count}
    with _source(arguments) as source:
        encoder = load_model(arguments.model)
        sweep = runner.prepare(
            encoder, source, arguments.out, settings, resume=arguments.resume, on_error=arguments.on_error, **share
        )
        _note_assumed(source, quiet=quiet)
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
            if here.count > 1:
                wait_for_all(arguments.out, look_up)
    return summary, compiled, getattr(encoder.tokenizer, "unk_token", None)


def _compare(arguments: argparse.Namespace) -> int:
    given = ("methods", "layers", "queries", "residual", "heads", "target", "flow", "threshold", "units", "correction")
    sizes = {"batch_size": arguments.batch_size, "keep_heads": arguments.attention}
    settings = Compared(**{name: getattr(arguments, name) for name in given}, **sizes)
    check_folder(arguments.out, None)
    with _source(arguments) as source:
        _note_assumed(source, quiet=arguments.quiet)
        models = load_model(arguments.model_a), load_model(arguments.model_b)
        limits = comparison.Limits(arguments.max_length, arguments.truncate)
        prepared = comparison.prepare(*models, source, arguments.out, settings, limits)
        with (
            interrupts() as stop_if_asked,
            counting(prepared.texts, sys.stderr, quiet=arguments.quiet) as show,
        ):

            def told(texts: int) -> None:
                stop_if_asked()
                show(texts)

            summary = prepared.run(told)
            if summary.texts < prepared.texts:
                raise KeyboardInterrupt(
                    f"stopped; the first {summary.texts} of {prepared.texts} texts are in {arguments.out}"
                )
        names = ("methods", "queries", "residual", "heads", "flow", "max_length", "truncate")
        options = {name: getattr(arguments, name) for name in names}
        if prepared.units == "words" and arguments.queries != (0,):
            # They were words; the page's are tokens. The first is the leading token in both.
            options["queries"] = None
        if arguments.heads == "class":
            # The page shows attention as it is.
            options["heads"] = "mean"
        most = max(1, arguments.attention)
        page = write_source_page(models, source, arguments.out / "explore.html", most=most, **options)
    if not arguments.quiet:
        print("\n".join(map(visible, findings(summary, arguments.top))))
        print(f"results: {arguments.out}" + (f"   page: {page}" if page else ""))
    return 0


def _note(lines: Sequence[str]) -> None:
    """Lines on standard error, without what would steer a terminal."""
    for line in lines:
        print(visible(_in_flags(line)), file=sys.stderr)


def _note_assumed(source: Source, *, quiet: bool = False) -> None:
    """What was assumed about how the texts are to be read."""
    if source.note and not quiet:
        _note([source.note])


def _explore(arguments: argparse.Namespace) -> int:
    column, file = arguments.label_column, arguments.input
    if column is not None and file in (None, "-"):
        raise InputError("--label-column goes with --input and a file")
    names = ("methods", "queries", "residual", "heads", "flow", "max_length", "truncate")
    options = {name: getattr(arguments, name) for name in names}
    _ = check_file(arguments.out)
    models = [load_model(name) for name in (arguments.model, arguments.other) if name is not None]
    with _source(arguments) as source:
        # Of the source that is open already: a pipe can be opened but once.
        labels = source.of_column(column) if isinstance(source, FileSource) and column is not None else None
        _note_assumed(source)
        texts = min(source.count() or MOST, MOST)
        with counting(texts * len(models), sys.stderr) as show:
            found = explore_source(models, source, labels, progress=show, **options)
    print(f"page: {write_explorer(found, arguments.out)}   {len(found)} texts")
    return 0


def _summarize(arguments: argparse.Namespace) -> int:
    results = open_sweep(arguments.folder)
    left_out: list[str] = []
    sentences = () if arguments.conllu is None else read_conllu(arguments.conllu, skipped=left_out.append)
    with counting(len(results), sys.stderr) as show:
        summary = summarize(results, sentences, show)
    width = shutil.get_terminal_size((100, 24)).columns
    _note(left_out_lines(left_out))
    if not results.complete:
        _note(["the sweep was not finished: this is of what is there; `jaxflow attribute --resume` goes on with it"])
    print("\n".join(visible(line) for line in summary_table(summary, arguments.top, width)))
    written = write_summary(summary, arguments.folder)
    written.append(write_summary_page(summary, results, about_folder(arguments.folder) / "summary.html"))
    print("\nwritten:", *written)
    return 0


def _source(arguments: argparse.Namespace) -> AbstractContextManager[Source]:
    texts, pairs = arguments.text, arguments.pair
    reading = {name: getattr(arguments, name) for name in ("separator", "quotes", "encoding")}
    if texts is not None and arguments.input is not None:
        raise InputError("--text and --input cannot be given together; choose one")
    if texts is None:
        if pairs is not None:
            raise InputError("--pair goes with --text; the second texts of a file are named by --pair-column")
        path = _input(arguments.input)
        stdin: Any = sys.stdin.buffer if path == "-" and sys.stdin is not None else None
        return open_source(path, arguments.column, arguments.pair_column, stdin=stdin, **reading)
    check_unread(False, **reading)
    for flag, value in (("--column", arguments.column), ("--pair-column", arguments.pair_column)):
        if value is not None:
            raise InputError(f"{flag} goes with --input")
    if pairs is not None and len(pairs) != len(texts):
        raise InputError(f"--pair must be given once for each --text: {len(texts)} expected, got {len(pairs)}")
    return nullcontext(InlineSource(tuple(texts), None if pairs is None else tuple(pairs)))


def _input(path: str | None) -> str:
    if path is not None:
        return path
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("no text: pass --text or --input, or pipe texts in, one a line")
    return "-"


def _show(results: Store, top: int) -> None:
    """The top tokens of the first examples."""
    if not top:
        return
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size((100, 24)).columns
    for row in islice(results.rows(), SHOWN):
        print("\n".join(top_tokens(row, top, color=color, width=width)))
    rest = len(results) - SHOWN
    if rest > 0:
        print(f"and {rest} more\n")


def _note_unknown(results: Store, unknown: str | None) -> None:
    """Names the words that the model could not read."""
    words = unknown_words(islice(results.rows(), SEARCHED), unknown) if unknown else []
    if words:
        rest = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
        named = ", ".join(shortened(word) for word in words[:NAMED])
        print(f"note: not in the model's vocabulary, read as {unknown}: {named}{rest}", file=sys.stderr)
