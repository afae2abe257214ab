"""`jaxflow summarize`: what the results of a data set say as a whole."""

import argparse
import shutil
import sys

from jaxflow._parser import Commands, Parser, natural, path, results_at
from jaxflow.cli.commands import COMMANDS
from jaxflow.cli.output import mixing_line, note
from jaxflow.inputs.conllu import read_conllu
from jaxflow.pages.page import mixings_words
from jaxflow.pages.summary_page import write_summary_page
from jaxflow.pages.terminal import visible
from jaxflow.store.results import open_sweep
from jaxflow.store.shards import about_folder
from jaxflow.summary.summary import summarize, write_summary
from jaxflow.summary.words import summary_table
from jaxflow.sweep.counting import counting
from jaxflow.sweep.words import left_out_lines

NAMES = {"folder": "the folder"}


def add(commands: Commands) -> Parser:
    """Add the command."""
    about = "What the results of a data set come to: by layer, token, position, part of speech; where methods disagree."
    parser = commands.add_parser("summarize", help=COMMANDS["summarize"], description=about)
    _ = parser.add_argument("folder", type=results_at, metavar="DIR", help="that `jaxflow attribute` wrote")
    _ = parser.add_argument("--top", type=natural, default=5, metavar="N", help="tokens and examples (default: 5)")
    _ = parser.add_argument(
        "--conllu", type=path, metavar="FILE", help="the texts parsed: adds means by part of speech"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Sum up the results, show them and write them beside the manifest."""
    results = open_sweep(arguments.folder)
    left_out: list[str] = []
    sentences = () if arguments.conllu is None else read_conllu(arguments.conllu, skipped=left_out.append)
    with counting(len(results), sys.stderr) as show:
        summary = summarize(results, sentences, show)
    width = shutil.get_terminal_size((100, 24)).columns
    note(left_out_lines(left_out))
    if not results.complete:
        note(["the sweep was not finished: this is of what is there; the same `jaxflow attribute` goes on with it"])
    print("\n".join(visible(line) for line in summary_table(summary, arguments.top, width)))
    print(mixing_line(mixings_words(results.manifest["question"])))
    # Shown first: a folder that cannot be written still gives the table.
    written = write_summary(summary, results.folder)
    written.append(write_summary_page(summary, results, about_folder(results.folder) / "summary.html"))
    print("\nwritten:", *map(results.place.wrote_file, written))
    return 0
