"""What the command line's arguments may be, and those that several commands or others than `attribute` have."""

import argparse
from collections.abc import Callable
from typing import Any

from jaxflow._checks import InputError
from jaxflow._parser import count, integers, layers, names, natural, output, path, real
from jaxflow.devices import Processes, initialize

# Seconds to wait for other processes at the start, and after which JAX takes one that gives it no sign for dead.
START, SILENCE = 60, 600
# Arguments that errors may name as Python has them, by their flags.
FLAGS = {
    "name_or_path": "--model",
    "texts": "--text",
    "pairs": "--pair",
    "labels": "--label-column",
    "path": "--out",
    "source": "--input",
    "name": "NAME",
    # Of results: --out of one command, and what another is given without a flag.
    "folder": "the folder",
    "count": "--processes",
    "index": "--process",
} | {
    name: f"--{name.replace('_', '-')}"
    for name in (
        *("methods", "layers", "queries", "residual", "heads", "flow", "batch_size", "max_length", "on_error"),
        *(
            "threshold",
            "units",
            "correction",
            "truncate",
            "resume",
            "column",
            "pair_column",
            "label_column",
            "out",
            "target",
        ),
        *("separator", "quotes", "encoding"),
        "coordinator",
    )
}
METHODS = ("raw", "rollout", "flow")
# Comes with the package, so that a first run needs nothing else.
MODEL = "verb-number"
MODELS = f"minilm, a folder, or a model's name on the hub (default: {MODEL}, which reads beginnings of sentences)"
TEXT_HELP = "a text; may be given again; one that begins with a dash goes as --text='-x'"
QUERIES = "positions whose make-up is asked for: 0,3 or all (default: 0, which is [CLS] or its equivalent)"
ON_ERROR = "at a row that cannot be used: stop (the default), or skip it and say so at the end"

EXAMPLES = """examples:
  jaxflow fetch minilm
  jaxflow attribute --text "The keys to the cabinet" --out out
  jaxflow attribute --input reviews.csv --column review --model minilm --layers 1,6 --out out
  cat sentences.txt | jaxflow attribute --model minilm --methods raw,rollout --out out
  jaxflow summarize out

The folder given by --out gets Parquet files with one row an example, and in its folder
__about__ report.html (open it in a browser) and manifest.json, which says what made
them. A run that was stopped goes on with --resume.
"""


def add_attribute(commands: Any, run: Callable[[argparse.Namespace], int]) -> None:
    """Add `attribute`, which `run` runs."""
    parser = commands.add_parser(
        "attribute",
        help="attribute texts: raw attention, rollout, flow",
        description="Say how much each token of each text contributed, at each layer, by each method.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_texts(parser)
    add = parser.add_argument_group("model and methods").add_argument
    _ = add("--model", default=MODEL, metavar="M", help=MODELS)
    _ = add("--methods", type=names, default=METHODS, metavar="A,B", help="of raw,rollout,flow (default: all three)")
    _ = add("--layers", type=integers, default=None, metavar="N,N", help="counted from 1 (default: all)")
    _ = add("--queries", type=integers, default=(0,), metavar="N,N", help=QUERIES)
    _ = add("--residual", type=real, default=0.5, metavar="R", help="the residual connection's share (default: 0.5)")
    _ = add("--heads", default="mean", metavar="H", help="how heads are fused: mean, max or min (default: mean)")
    how = "how flow is solved: auto, exact, relaxed, bounds or smooth (default: auto)"
    _ = add("--flow", default="auto", metavar="F", help=how)
    _ = add("--batch-size", type=count, metavar="N", help="texts in a batch, at most (default: as many as fit)")
    _ = add("--max-length", type=count, metavar="N", help="most tokens of a text (default: what the model takes)")
    _ = add("--truncate", action="store_true", help="cut longer texts (default: refuse them)")
    _ = add("--on-error", default="stop", metavar="E", help=ON_ERROR)
    add = parser.add_argument_group("output").add_argument
    _ = add("--out", required=True, type=output, metavar="DIR", help="the folder for results; new, or empty")
    _ = add("--resume", action="store_true", help="go on with a run of the same settings that was stopped")
    _ = add("--top", type=natural, default=5, metavar="N", help="tokens to show in the terminal (default: 5)")
    _ = add("--quiet", action="store_true", help="print nothing but errors")
    add_devices(parser)
    parser.set_defaults(run=run)


def add_texts(parser: argparse.ArgumentParser) -> None:
    """Add where texts come from."""
    group = parser.add_argument_group("texts (without any of them: standard input)")
    add = group.add_argument
    _ = add("--text", action="append", metavar="TEXT", help=TEXT_HELP)
    _ = add("--pair", action="append", metavar="TEXT", help="the second text of each --text, for models that read two")
    _ = add(
        "--input",
        metavar="FILE",
        help=".txt (one text a line), .jsonl, .csv, .tsv or .parquet, also .gz and .zst of them; - is standard input",
    )
    _add_columns(group)


def _add_columns(group: Any) -> None:
    """Add which columns of a file hold the texts, and how it is read."""
    add = group.add_argument
    _ = add("--column", metavar="C", help="the column of the texts (default: text, or the only one there is)")
    _ = add("--pair-column", metavar="C", help="the column of second texts, for models that read two")
    separators = "of .csv and .tsv: comma, semicolon, tab, pipe or another character (default: by the header)"
    _ = add("--separator", metavar="S", help=separators)
    quotes = "yes: cells of .csv and .tsv may stand in quotes; no: quotes are characters (default: auto, by the file)"
    _ = add("--quotes", default="auto", metavar="Q", help=quotes)
    _ = add("--encoding", metavar="E", help="of a file: utf-16, cp1252, ... (default: utf-8, or by the file's mark)")


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add the processes that share the work."""
    about = "processes (each uses all accelerators of its own, and writes its own shards into --out)"
    add = parser.add_argument_group(about).add_argument
    _ = add("--distributed", action="store_true", help="join those that SLURM, Open MPI, a TPU pod or the rest started")
    _ = add("--coordinator", metavar="HOST:PORT", help="of process 0 (default: what the cluster says)")
    _ = add("--processes", type=count, metavar="N", help="how many there are (default: what the cluster says)")
    about = "how long to wait for the others at the start (default: 60)"
    _ = add("--start-seconds", type=count, metavar="S", help=about)
    _ = add("--process", type=natural, metavar="I", help="which one this is, from 0 (default: what the cluster says)")


def joined(arguments: argparse.Namespace) -> Processes:
    """Join the other processes, where there are some; which of them this is."""
    given = (arguments.coordinator, arguments.processes, arguments.process)
    if not arguments.distributed:
        if (*given, arguments.start_seconds) != (None,) * 4:
            raise InputError("--coordinator, --processes, --process and --start-seconds go with --distributed")
        return Processes(0, 1)
    # Signs of life in the folder tell of a dead process sooner. JAX ends this process without a word of why, and
    # would do so to one that was merely stopped for a while.
    return initialize(*given, start_seconds=arguments.start_seconds or START, silence_seconds=SILENCE)


def add_compare(commands: Any, run: Callable[[argparse.Namespace], int]) -> None:
    """Add `compare`, which `run` runs."""
    about = "Say what differs between two models that read the same texts: a pretrained one and its fine-tuned self."
    parser = commands.add_parser("compare", help="compare two models on the same texts", description=about)
    group = parser.add_argument_group("models and texts")
    add = group.add_argument
    _ = add("--model-a", required=True, metavar="A", help="the first model: minilm, a folder, or a name on the hub")
    _ = add("--model-b", required=True, metavar="B", help="the second; what it has more of counts as gained")
    _ = add("--input", metavar="FILE", help="texts, as for attribute (without it: standard input)")
    _add_columns(group)
    add = parser.add_argument_group("what is compared").add_argument
    _ = add("--methods", type=names, default=METHODS, metavar="A,B", help="of raw,rollout,flow (default: all three)")
    _ = add("--layers", type=layers, metavar="N,N", help="from 1; pairs 1:2,6:12 for models of different depth")
    _ = add("--queries", type=integers, default=(0,), metavar="N,N", help=QUERIES)
    _ = add("--residual", type=real, default=0.5, metavar="R", help="the residual connection's share (default: 0.5)")
    _ = add("--heads", default="mean", metavar="H", help="how heads are fused: mean, max, min or class (default: mean)")
    _ = add(
        "--target", default="predicted", metavar="L", help="with --heads class: a class, or predicted (the default)"
    )
    _ = add("--flow", default="auto", metavar="F", help="how flow is solved, as for attribute (default: auto)")
    _ = add("--threshold", type=real, default=0.1, metavar="T", help="share of its row that makes an arc strong (0.1)")
    _ = add("--units", default="auto", metavar="U", help="tokens, words, or auto: words where tokenizers differ")
    _ = add(
        "--correction",
        default="benjamini-hochberg",
        metavar="C",
        help="for many tests: benjamini-hochberg (the default), holm or none",
    )
    _ = add("--batch-size", type=count, default=16, metavar="N", help="texts in a batch, at most (default: 16)")
    _ = add("--max-length", type=count, metavar="N", help="most tokens of a text (default: what the models take)")
    _ = add("--truncate", action="store_true", help="cut longer texts (default: refuse them)")
    add = parser.add_argument_group("output").add_argument
    _ = add("--out", required=True, type=output, metavar="DIR", help="the folder for results; new, or empty")
    _ = add("--attention", type=natural, default=50, metavar="N", help="texts whose attention is kept (default: 50)")
    _ = add("--top", type=natural, default=5, metavar="N", help="heads and words to name (default: 5)")
    _ = add("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(run=run, text=None, pair=None)


def add_explore(commands: Any, run: Callable[[argparse.Namespace], int]) -> None:
    """Add `explore`, which `run` runs."""
    about = "Write one page, which opens offline, to explore what one model, or two, attend to: heads, rollout, flow."
    parser = commands.add_parser("explore", help="a page to explore one model, or two", description=about)
    group = parser.add_argument_group("models and texts")
    add = group.add_argument
    _ = add("--model", default=MODEL, metavar="M", help=MODELS)
    _ = add("--other", metavar="M", help="a second model, to set beside the first")
    _ = add("--text", action="append", metavar="TEXT", help="a text; may be given again")
    _ = add("--pair", action="append", metavar="TEXT", help="the second text of each --text, for models that read two")
    _ = add("--input", metavar="FILE", help="texts, as for attribute (without it: standard input)")
    _add_columns(group)
    _ = add("--label-column", metavar="C", help="the column of each text's true class, for the losses")
    add = parser.add_argument_group("what the page holds").add_argument
    _ = add("--methods", type=names, default=METHODS, metavar="A,B", help="raw,rollout leaves out flow")
    _ = add("--queries", type=integers, metavar="N,N", help="positions that flow is computed for (default: all)")
    _ = add("--residual", type=real, default=0.5, metavar="R", help="the residual connection's share (default: 0.5)")
    _ = add("--heads", default="mean", metavar="H", help="how heads are fused: mean, max or min (default: mean)")
    _ = add("--flow", default="auto", metavar="F", help="how flow is solved, as for attribute (default: auto)")
    _ = add("--max-length", type=count, metavar="N", help="most tokens of a text (default: what the models take)")
    _ = add("--truncate", action="store_true", help="cut longer texts (default: refuse them)")
    _ = add("--out", required=True, type=output, metavar="FILE", help="the page; replaced if it is there")
    parser.set_defaults(run=run)


def add_summarize(commands: Any, run: Callable[[argparse.Namespace], int]) -> None:
    """Add `summarize`, which `run` runs."""
    about = "What the results of a data set come to: by layer, token, position, part of speech; where methods disagree."
    parser = commands.add_parser("summarize", help="what the results in a folder come to", description=about)
    _ = parser.add_argument("folder", type=path, metavar="DIR", help="that `jaxflow attribute` wrote")
    _ = parser.add_argument("--top", type=natural, default=5, metavar="N", help="tokens and examples (default: 5)")
    _ = parser.add_argument(
        "--conllu", type=path, metavar="FILE", help="the texts parsed: adds means by part of speech"
    )
    parser.set_defaults(run=run)
