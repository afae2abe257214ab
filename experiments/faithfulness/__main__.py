"""Which attribution is faithful, by every protocol and every way of removing tokens at once?

    python -m experiments.faithfulness verb-number --data DIR --out RUN
    python -m experiments.faithfulness sst2 --data DIR --model SST2/model --out RUN
    python -m experiments.faithfulness snli --data DIR --model SNLI/model --out RUN
    python -m experiments.faithfulness gender --data DIR --model NLPTEST --out RUN
    python -m experiments.faithfulness figure --out RUN
    python -m experiments.faithfulness sst2 --time --data DIR --model SST2/model --out RUN     # what each method costs
    python -m experiments.faithfulness verb-number --quick --out RUN

Every mixing goes with raw attention, rollout, flow and joint flow at every layer, for the position that the classifier
reads; the references of `jaxflow.references` stand beside them. Layers and mixings are chosen on some of the texts, for
each protocol and removal by itself, and reported on the others, with bootstrap intervals and sign-flip tests against
random orders, position and the column sums. A run that was killed goes on with the same command. `--quick` takes two
mixings, two removals and a few texts that are made here.
"""

import argparse
import sys
import time
from pathlib import Path

from experiments._methods import QUICK_MIXINGS, mixings_of
from experiments._pieces import pieces_of
from experiments._record import provenance, write_record
from experiments._say import ended, say
from experiments.faithfulness.measure import (
    HARD,
    PROTOCOLS,
    QUICK_SETTINGS,
    SETTINGS,
    all_methods,
    costs,
    relevance,
    scores,
)
from experiments.faithfulness.picture import draw
from experiments.faithfulness.table import RESAMPLES, agreements, cell, chosen, markdown, reported_rows
from experiments.faithfulness.tasks import TASKS, task_of

QUICK_RESAMPLES = 199
# Texts of one batch that methods are timed on.
TIMED = 16


def run(options: argparse.Namespace) -> None:
    """Measure a task and write its record."""
    # A folder that is there is recorded by its name alone.
    options.out.mkdir(parents=True, exist_ok=True)
    # The commit that the run begins with.
    about, begun = provenance(quick=options.quick), time.process_time()
    task = task_of(options.task, options.data, options.model, options.quick)
    mixings = mixings_of(task.model)
    if options.quick:
        mixings = {name: mixings[name] for name in QUICK_MIXINGS}
    if options.time:
        timed = task.some(range(min(TIMED, len(task.texts))))
        shape = {
            "model": Path(task.model.name).name,
            "texts": len(timed.texts),
            "tokens": timed.inputs().lengths.mean(),
        }
        found = costs(timed, mixings, say)
        write_record(options.out / f"costs-{options.task}.json", {**about, **shape, **found})
        return
    settings = options.settings or (QUICK_SETTINGS if options.quick else tuple(SETTINGS))
    both = [*task.texts, *(task.pairs or ())]
    # Other mixings or counts of texts are other pieces.
    pieces = pieces_of(task.model, [*both, *mixings, str(task.choosing)], options.out, say)
    found = relevance(task, all_methods(mixings), pieces)
    choosing, held = list(range(task.choosing)), list(range(task.choosing, len(task.texts)))
    choices, rows, held_scores, passes = {}, {}, {}, {}
    for setting in settings:
        of_choice = scores(task, choosing, found.values[choosing], setting, HARD, pieces, "choice")
        for protocol in PROTOCOLS:
            choices[setting, protocol.name] = chosen(found.rows, of_choice, protocol.name)
        rows[setting] = reported_rows(found.rows, [choices[setting, each.name] for each in PROTOCOLS])
        values = found.values[held][:, found.places(rows[setting])]
        held_scores[setting] = scores(task, held, values, setting, PROTOCOLS, pieces, "report")
        passes[setting] = {
            part: {name: each[name].sum() for name in ("passes", "seconds")}
            for part, each in (("choice", of_choice), ("report", held_scores[setting]))
        }
        say(f"{setting} is there")
    resamples = QUICK_RESAMPLES if options.quick else RESAMPLES
    record = {
        **about,
        "model": Path(task.model.name).name,
        "texts": {"choose": len(choosing), "reported": len(held), "tokens": task.inputs().lengths.mean()},
        "faithful": {protocol.name: protocol.faithful for protocol in PROTOCOLS},
        "table": {
            setting: {
                each.name: cell(choices[setting, each.name], rows[setting], held_scores[setting], each.name, resamples)
                for each in PROTOCOLS
            }
            for setting in settings
        },
        "agreement of rankings": agreements(choices, rows, held_scores),
        "passes": passes,
        "processor seconds of this run": time.process_time() - begun,
    }
    write_record(options.out / f"{options.task}.json", record)
    print(markdown(record))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.faithfulness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("task", choices=(*TASKS, "figure"), help="figure draws the records in the folder")
    _ = parser.add_argument("--data", type=Path, help="folder of the public data sets")
    _ = parser.add_argument("--model", type=Path, help="the classifier's folder (verb-number: the shipped one)")
    _ = parser.add_argument("--quick", action="store_true", help="few methods and texts, which are made here")
    _ = parser.add_argument("--settings", nargs="+", choices=SETTINGS, help="ways of removing tokens (default: all)")
    _ = parser.add_argument("--time", action="store_true", help="time each method by itself, and nothing else")
    _ = parser.add_argument("--out", type=Path, required=True, help="where records and unfinished runs go")
    options = parser.parse_args(arguments)
    return ended(lambda: draw(options.out) if options.task == "figure" else run(options))


if __name__ == "__main__":
    sys.exit(main())
