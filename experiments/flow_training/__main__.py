"""Does a term of the loss on flow make a small model better, and better explained?

    python -m experiments.flow_training attractors
    python -m experiments.flow_training shortcut
    python -m experiments.flow_training attractors --quick --out DIR

A model of three layers learns a verb's number from 400 made sentences whose evidence is known by construction: the
subject's noun. Beside the cross-entropy the loss has a term: `-log` of the share that one word has of what the
classifier's position gets at the last layer, by attention, rollout, widest path or flow, of attention or of the class.
The word is the evidence, or another one drawn at random; each arm tries the same strengths on sentences that choose.
Trainings that an earlier run into the same folder finished are read again.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from experiments._record import provenance, write_record
from experiments._say import ended, say
from experiments.flow_training.data import TASKS
from experiments.flow_training.fit import Size
from experiments.flow_training.measure import MEASURES
from experiments.flow_training.picture import draw
from experiments.flow_training.runs import Plan, run
from experiments.flow_training.table import markdown, rows
from experiments.flow_training.terms import TERMS

RESULTS = Path(__file__).parent / "results"


def plan_of(options: argparse.Namespace) -> Plan:
    """What the options ask for."""
    if options.quick:
        size = Size(layers=2, width=16, sentences=64, steps=20, batch=16)
        return Plan(options.task, ("rollout",), (1.0,), 2, 1, 20, 6, size)
    return Plan(options.task, tuple(options.terms), seeds=options.seeds)


def study(options: argparse.Namespace) -> None:
    """Run a task, and write its record and picture."""
    plan = plan_of(options)
    about = provenance(quick=options.quick, **asdict(plan))
    measured = run(plan, options.work or options.out, say)
    record = rows(measured)
    write_record(
        options.out / f"{plan.task}.json",
        {**about, "measures": MEASURES, "arms": record},
    )
    draw(record, TASKS[plan.task].hard, options.out / plan.task)
    print(markdown(record))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.flow_training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("task", choices=tuple(TASKS))
    _ = parser.add_argument("--terms", nargs="+", choices=tuple(TERMS), default=tuple(TERMS))
    _ = parser.add_argument("--seeds", type=int, default=5)
    _ = parser.add_argument("--quick", action="store_true", help="one term, a tiny model; under a minute")
    _ = parser.add_argument("--work", type=Path, help="where finished trainings are kept (default: --out)")
    _ = parser.add_argument("--out", type=Path, default=RESULTS, help="where record and picture go")
    options = parser.parse_args(arguments)
    return ended(lambda: study(options))


if __name__ == "__main__":
    sys.exit(main())
