"""`jaxflow attribute`: texts into a folder of relevance, with a page."""

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from itertools import islice

from jaxflow._parser import Commands, Parser, count, natural, results_at
from jaxflow._signals import interrupts
from jaxflow.attribution import Question
from jaxflow.attribution.defaults import DEFAULT_METHODS, by_default
from jaxflow.cli.arguments import MODEL, MODELS, add_inputs, add_lengths, lengths_of, source_named, source_of
from jaxflow.cli.commands import COMMANDS, USAGE
from jaxflow.cli.engine import add_engine, by_engine
from jaxflow.cli.options import add_question, question_of, with_positions
from jaxflow.cli.output import mixing_line, namer, note, note_assumed
from jaxflow.devices import default_mesh
from jaxflow.models import load_model
from jaxflow.models.builtin import MEANINGS
from jaxflow.models.generation import NEW_TOKENS
from jaxflow.pages.carried import carried_by, of_image
from jaxflow.pages.page import mixings_words, write_report
from jaxflow.pages.terminal import shortened, top_tokens, unknown_words
from jaxflow.running import Compiled
from jaxflow.store.places import place_of
from jaxflow.store.results import Store, open_sweep
from jaxflow.store.shards import about_folder
from jaxflow.sweep import runner
from jaxflow.sweep.checks import begun_methods, check_folder
from jaxflow.sweep.progress import progress
from jaxflow.sweep.tally import Summary, Tally
from jaxflow.sweep.words import skipped_lines, summary_lines

NAMES = {"folder": "--out"}
DEFAULT = Question(DEFAULT_METHODS)
# Most examples whose top tokens are shown in the terminal.
SHOWN = 5
# Most examples that are searched for words that the model doesn't know, and most of these that are named.
SEARCHED, NAMED = 1000, 12
ON_ERROR = "at a row that cannot be used: stop (the default), or skip it and say so at the end"
ANSWERS = "most tokens that are written without pairs: a decoder's answer (--queries answer), an encoder-decoder's text"


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


def add(commands: Commands) -> Parser:
    """Add the command."""
    parser = commands.add_parser(
        "attribute",
        help=COMMANDS["attribute"],
        description="Say how much each token of each text contributed, at each layer, by each method.",
        epilog=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_inputs(parser)
    add_question(parser, DEFAULT)
    group = parser.add_argument_group("model")
    add = group.add_argument
    _ = add("--model", default=MODEL, metavar="M", help=MODELS)
    _ = add("--batch-size", type=count, metavar="N", help="texts in a batch, at most (default: as many as fit)")
    add_lengths(group)
    _ = add("--new-tokens", type=count, metavar="N", help=f"{ANSWERS} (default: {NEW_TOKENS})")
    _ = add("--on-error", default="stop", metavar="E", help=ON_ERROR)
    add = parser.add_argument_group("output").add_argument
    about = "the folder for results; new, or of the same run; or its address in a store, such as s3://bucket/results"
    _ = add("--out", required=True, type=results_at, metavar="DIR", help=about)
    about = "go on with the same run, or join its processes (the default); or refuse a folder that holds results"
    _ = add("--resume", action=argparse.BooleanOptionalAction, default=True, help=about)
    _ = add("--top", type=natural, default=5, metavar="N", help="tokens to show in the terminal (default: 5)")
    _ = add("--special", action="store_true", help="show special tokens such as [CLS] in the terminal too")
    _ = add("--quiet", action="store_true", help="print nothing but errors")
    add_engine(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Attribute the texts, write the page, and show the first examples."""
    swept = by_engine(_swept, arguments)
    results = open_sweep(arguments.out)
    page = results.place.wrote_file(write_report(results, about_folder(results.folder) / "report.html"))
    if not arguments.quiet:
        _show(results, arguments.top, special=arguments.special)
        print("\n".join(summary_lines(swept.summary, swept.compiled)))
        print(mixing_line(mixings_words(results.manifest["question"])))
        print(f"results: {arguments.out}   report: {page}")
        note(skipped_lines(swept.summary, namer(arguments.flags)))
        _note_unknown(results, swept.unknown)
    return 0


def _swept(arguments: argparse.Namespace) -> Swept:
    """Attribute the texts, together with any other process that does."""
    question, quiet, compiled = question_of(arguments, DEFAULT), arguments.quiet, []
    # Before the model is loaded: a mistake in a folder should not cost minutes.
    place = place_of("folder", arguments.out)
    with place.named(), source_of(arguments) as source:
        check_folder(place, arguments.resume)
        model = load_model(arguments.model)
        question = with_positions(question, arguments, [model])
        if not hasattr(arguments, "methods"):
            begun = begun_methods(place.folder) if arguments.resume else None
            question = by_default(question, [model], begun)
        with source_named(arguments):
            sweep = runner.prepare(
                model,
                source,
                place,
                question,
                **lengths_of(arguments),
                new_tokens=arguments.new_tokens,
                resume=arguments.resume,
                on_error=arguments.on_error,
            )
        note_assumed(source, quiet=quiet)
        with (
            interrupts(_end_soon) as stop_if_asked,
            progress(None if quiet else source.count(), sweep.rows_done, sys.stderr, quiet=quiet) as show,
        ):

            def told(tally: Tally) -> None:
                stop_if_asked()
                show(tally)

            summary = sweep.run(
                arguments.batch_size,
                told,
                lambda: stop_if_asked.ending,
                compiled=compiled.append,
                mesh=default_mesh(),
            )
    return Swept(summary, compiled, getattr(getattr(model, "tokenizer", None), "unk_token", None))


def _end_soon(name: str) -> None:
    """Say that a signal of the cluster's was understood."""
    note([f"jaxflow: {name}: ending after the shards in work; a second signal stops at once"])


def _show(results: Store, top: int, *, special: bool) -> None:
    """The top tokens of the first examples."""
    if not top:
        return
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size((100, 24)).columns
    meanings = MEANINGS.get(results.manifest["model"])
    for row in islice(results.rows(), SHOWN):
        carried = carried_by(row, results.manifest)
        said = None if carried is None else carried.in_words(images=of_image(row))
        print(
            "\n".join(top_tokens(row, top, carried=said, meanings=meanings, special=special, color=color, width=width))
        )
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
