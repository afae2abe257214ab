"""`jaxflow explore`: a page to explore one model, or two."""

import argparse
import sys
from dataclasses import replace

from jaxflow._parser import Commands, Parser, output
from jaxflow.attribution import Question
from jaxflow.attribution.defaults import DEFAULT_METHODS, PLAIN, by_default
from jaxflow.cli.arguments import (
    MODEL,
    MODELS,
    add_inputs,
    add_label_column,
    add_lengths,
    labels_of,
    lengths_of,
    source_named,
    source_of,
)
from jaxflow.cli.commands import COMMANDS
from jaxflow.cli.options import add_question, question_of
from jaxflow.cli.output import large, mixing_line, note, note_assumed
from jaxflow.models import load_model
from jaxflow.models.two_streams import encoder_layers_of
from jaxflow.pages.explore_inputs import MOST_EXPLORED
from jaxflow.pages.explorer import write_explorer
from jaxflow.pages.page import mixing_words
from jaxflow.pages.source_page import explore_source
from jaxflow.store.output import check_file
from jaxflow.sweep.counting import counting

NAMES = {"labels": "--label-column", "path": "--out"}
DEFAULT = Question(DEFAULT_METHODS, queries=None)


def add(commands: Commands) -> Parser:
    """Add the command."""
    about = "Write one page, which opens offline, to explore what one model, or two, attend to: heads, rollout, flow."
    parser = commands.add_parser("explore", help=COMMANDS["explore"], description=about)
    add = parser.add_argument_group("models").add_argument
    _ = add("--model", default=MODEL, metavar="M", help=MODELS)
    _ = add("--other", metavar="M", help="a second model, to set beside the first")
    add_inputs(parser)
    # The page shows all layers; raw attention and rollout are there at every position.
    add_question(parser, DEFAULT, leave_out=("layers",))
    group = parser.add_argument_group("what the page holds")
    add_label_column(group, "for the losses")
    add_lengths(group)
    _ = group.add_argument(
        "--out", required=True, type=output, metavar="FILE", help="the page; replaced if it is there"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Write the page."""
    _ = labels_of(arguments)
    question = question_of(arguments, DEFAULT)
    # Before anything is loaded or computed.
    _ = check_file(arguments.out)
    models = [load_model(name) for name in (arguments.model, arguments.other) if name is not None]
    if not hasattr(arguments, "methods"):
        # Sources and targets are shown by their attention alone, which has no class.
        pairs = any(map(encoder_layers_of, models))
        question = replace(question, methods=PLAIN) if pairs else by_default(question, models)
    with source_of(arguments) as source, source_named(arguments):
        labels = labels_of(arguments, source)
        note_assumed(source)
        # A stream does not tell its length.
        texts = min(source.count() or MOST_EXPLORED, MOST_EXPLORED)
        with counting(texts * len(models), sys.stderr) as show:
            exploration = explore_source(
                models, source, labels, question=question, progress=show, **lengths_of(arguments)
            )
    if labels is not None and not any(model.labels for model in models):
        note(["note: no model has classes, so labels are shown beside the texts alone"])
    print(mixing_line(mixing_words(question.as_json()["mixing"])))
    page = write_explorer(exploration, arguments.out)
    what = "image" if arguments.images else "text"
    print(f"page: {page}   {len(exploration)} {what}{'s' * (len(exploration) != 1)}{large(page)}")
    return 0
