"""`jaxflow compare`: what differs between two models on the same texts."""

import argparse
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

from jaxflow._parser import Commands, Parser, natural, output
from jaxflow._signals import interrupts
from jaxflow.attribution import Question
from jaxflow.cli.arguments import (
    add_inputs,
    add_label_column,
    add_lengths,
    labels_of,
    lengths_of,
    source_named,
    source_of,
)
from jaxflow.cli.commands import COMMANDS
from jaxflow.cli.options import add_fields, add_question, given_fields, question_of, with_positions
from jaxflow.cli.output import large, mixing_line, note, note_assumed
from jaxflow.compare import CompareOptions, findings
from jaxflow.compare.result import ChangeSummary
from jaxflow.inputs.files import FileSource
from jaxflow.inputs.source import Source
from jaxflow.models import load_model
from jaxflow.pages.comparison_page import Compared, write_comparison_page
from jaxflow.pages.explore import names_apart
from jaxflow.pages.explore_inputs import as_labels
from jaxflow.pages.page import mixing_words
from jaxflow.pages.source_page import write_source_page
from jaxflow.pages.terminal import visible
from jaxflow.sweep import comparison
from jaxflow.sweep.checks import check_folder
from jaxflow.sweep.comparison_folder import CHANGES, PAGE
from jaxflow.sweep.counting import counting

NAMES = {"folder": "--out", "model": "--model-a", "labels": "--label-column"}
DEFAULT = Question()


def add(commands: Commands) -> Parser:
    """Add the command."""
    about = "Say what differs between two models that read the same texts: a pretrained one and its fine-tuned self."
    parser = commands.add_parser("compare", help=COMMANDS["compare"], description=about)
    add = parser.add_argument_group("models").add_argument
    _ = add("--model-a", required=True, metavar="A", help="the first model: minilm, a folder, or a name on the hub")
    _ = add("--model-b", required=True, metavar="B", help="the second; what it has more of counts as gained")
    add_inputs(parser)
    add_question(parser, DEFAULT)
    group = parser.add_argument_group("how the models are compared (layers of models of different depth: 1:2,6:12)")
    add_fields(group, CompareOptions(), leave_out=("keep_heads",))
    add_label_column(group, "for the page: which are right, and the losses")
    add_lengths(group)
    add = parser.add_argument_group("output").add_argument
    _ = add("--out", required=True, type=output, metavar="DIR", help="the folder for results; new, or empty")
    _ = add("--attention", type=natural, default=50, metavar="N", help="texts whose attention is kept (default: 50)")
    _ = add("--top", type=natural, default=5, metavar="N", help="heads and words to name (default: 5)")
    _ = add("--quiet", action="store_true", help="print nothing but errors")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Compare, write the folder and its page, and say what changed."""
    question = question_of(arguments, DEFAULT)
    options = CompareOptions(keep_heads=arguments.attention, **given_fields(arguments, CompareOptions))
    _ = labels_of(arguments)
    # Before the models are loaded; a comparison cannot be gone on with, so the folder must be empty.
    check_folder(arguments.out, None)
    with source_of(arguments) as source, source_named(arguments):
        note_assumed(source, quiet=arguments.quiet)
        labels = labels_of(arguments, source)
        first, second = load_model(arguments.model_a), load_model(arguments.model_b)
        question = with_positions(question, arguments, (first, second))
        lengths = lengths_of(arguments)
        prepared = comparison.prepare(first, second, source, arguments.out, question, options, **lengths)
        if labels is not None:
            # A wrong label is said now, not when all is compared.
            known = list(islice(labels.values(), max(1, arguments.attention)))
            _ = as_labels(known, len(known), (first, second))
        summary = _compared(prepared, arguments)
        page = _page(prepared, source, labels, arguments)
    changes = _changes(summary, prepared, page, question)
    if not arguments.quiet:
        print("\n".join(map(visible, findings(summary, arguments.top))))
        print(mixing_line(mixing_words(question.as_json()["mixing"])))
        print(f"results: {arguments.out}   page: {changes}   explorer: {page}{large(page)}")
    return 0


def _compared(prepared: comparison.Prepared, arguments: argparse.Namespace) -> ChangeSummary:
    with interrupts() as stop_if_asked, counting(prepared.texts, sys.stderr, quiet=arguments.quiet) as show:

        def told(texts: int) -> None:
            stop_if_asked()
            show(texts)

        summary = prepared.run(told)
        # What was finished is kept and summed up; the exit code still says that it was stopped.
        if summary.texts < prepared.texts:
            raise KeyboardInterrupt(
                f"stopped; the first {summary.texts} of {prepared.texts} texts are in {arguments.out}"
            )
    return summary


def _changes(summary: ChangeSummary, prepared: comparison.Prepared, page: Path, question: Question) -> Path:
    """Write the page of what changed over all texts, which leads to the explorer's."""
    first, second = names_apart([model.name for model in prepared.plan.encoders])
    mixing = mixing_words(question.as_json()["mixing"])
    of = Compared(first, second, prepared.source.name, mixing, explorer=page.name)
    return write_comparison_page(summary, prepared.folder / CHANGES, of)


def _page(
    prepared: comparison.Prepared, source: Source, labels: FileSource | None, arguments: argparse.Namespace
) -> Path:
    """Write the explorer's page of the first texts."""
    # The page shows all layers.
    question = replace(prepared.plan.question, layers=None)
    if prepared.units == "words" and question.queries != (0,):
        # Positions were words, and the page's are tokens; only the first is the same in both.
        question = replace(question, queries=None)
    most, path = max(1, arguments.attention), arguments.out / PAGE
    models = prepared.plan.encoders
    texts = min(prepared.texts, most)
    if not arguments.quiet:
        note([f"the page of the first {texts} texts, in both models:"])
    with counting(len(models) * texts, sys.stderr, quiet=arguments.quiet) as show:
        options = {"labels": labels, "question": question, "most": most, "progress": show, **lengths_of(arguments)}
        return write_source_page(models, source, path, **options)
