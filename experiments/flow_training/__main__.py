"""Does a term of the loss on flow make a small model better, and better explained?

    python -m experiments.flow_training attractors
    python -m experiments.flow_training shortcut
    python -m experiments.flow_training attractors --real DIR --terms attention flow    # on a treebank
    python -m experiments.flow_training attractors --quick --out DIR

A model of three layers learns a verb's number from 400 made sentences whose evidence is known by construction: the
subject's noun. Beside the cross-entropy the loss has a term: `-log` of the share that one word has of what the
classifier's position gets at the last layer, by attention, rollout, widest path or flow, of attention or of the class.
The word is the evidence, or another one drawn at random; each arm tries the same strengths on sentences that choose.
Trainings that an earlier run into the same folder finished are read again.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from experiments._quick import checked, folder_of
from experiments._record import provenance, write_record
from experiments._say import ended, say
from experiments.flow_training import real
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
    plan, out = plan_of(options), folder_of(options, RESULTS)
    about = provenance(quick=options.quick, **asdict(plan))
    measured = run(plan, options.work or out, say)
    record = rows(measured)
    write_record(
        out / f"{plan.task}.json",
        {**about, "measures": MEASURES, "arms": record},
    )
    draw(record, TASKS[plan.task].hard, out / plan.task)
    print(markdown(record))


def study_real(options: argparse.Namespace) -> None:
    """Train the arms of a record again with the strengths that they chose, and test them on real sentences."""
    plan, out = plan_of(options), folder_of(options, RESULTS)
    chosen = json.loads((RESULTS / f"{plan.task}.json").read_text())["arms"]
    arms = [replace(arm, strength=chosen[arm.name]["strength"]) for arm in plan.arms]
    about = provenance(quick=options.quick, **asdict(plan))
    found = real.measured(plan.task, arms, plan.seeds, plan.size, options.real, options.work or out, say)
    record = rows(found)
    counts = {name: len(each[0]) for name, each in found["control"].right.items()}
    write_record(out / f"{plan.task}-real.json", {**about, "sentences": counts, "arms": record})
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
    _ = parser.add_argument("--real", type=Path, help="folder of the public data sets: test on its treebank instead")
    _ = parser.add_argument("--quick", action="store_true", help="one term, a tiny model; under a minute")
    _ = parser.add_argument("--work", type=Path, help="where finished trainings are kept (default: --out)")
    _ = parser.add_argument("--out", type=Path, help="where record and picture go (default: with the experiment)")
    options = parser.parse_args(arguments)
    return ended(lambda: (study_real if options.real else study)(checked(options, parser, "terms", "seeds")))


if __name__ == "__main__":
    sys.exit(main())
