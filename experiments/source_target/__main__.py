"""Does each target's relevance go to the source token that it was written from?

    python -m experiments.source_target                 # three small T5, trained here on dates
    python -m experiments.source_target --quick         # one, trained for less; under a minute
    python -m experiments.source_target --ship          # also put the first seed's model into weights/

A T5 of two layers on each side reads a text with a date among other numbers ("order 12 due March 3rd, 2011 2nd page")
and writes the date ("2011-03-03"). Each digit of the year, the month and the day is written from one source token,
known by construction. Models are trained on texts of their seed and asked about others; those that write fewer than
99 % of new dates exactly are not reported. Every mixing goes with raw cross-attention of each layer, rollout and flow,
beside the references of `jaxflow.references`; intervals are bootstrapped over texts.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from experiments._methods import QUICK_MIXINGS
from experiments._quick import checked, folder_of
from experiments._record import provenance, write_record
from experiments._say import ended, say
from experiments.source_target.dates import drawn
from experiments.source_target.measure import RESAMPLES, Measured, explained_by, markdown, measured, refused, table
from experiments.source_target.model import WIDTH, save_model
from experiments.source_target.picture import draw
from experiments.source_target.train import BATCH, POOL, RATE, STEPS, right, trained
from jaxflow import InputError

RESULTS, WEIGHTS = Path(__file__).parent / "results", Path(__file__).parent / "weights"
# Share of new texts whose whole date a model must write, to be asked where it comes from.
RIGHT = 0.99
SEEDS, TEXTS, TESTED = 3, 60, 2000
QUICK_STEPS, QUICK_POOL, QUICK_TEXTS, QUICK_TESTED, QUICK_RESAMPLES = 200, 1024, 6, 64, 199
# Seeds of texts that no model is trained on: those that test it, and those that it explains.
TESTING, EXPLAINING = 1000, 2000


def run(options: argparse.Namespace) -> None:
    """Train, measure, and write the record and its picture."""
    out = folder_of(options, RESULTS)
    seeds = range(1 if options.quick else options.seeds)
    steps, pool = (QUICK_STEPS, QUICK_POOL) if options.quick else (options.steps, POOL)
    texts, tested = (QUICK_TEXTS, QUICK_TESTED) if options.quick else (options.texts, TESTED)
    mixings = QUICK_MIXINGS if options.quick else None
    about = provenance(
        seeds=list(seeds), steps=steps, batch=BATCH, rate=RATE, pool=pool, width=WIDTH, texts=texts, tested=tested
    )
    groups, models = list[Measured](), list[dict[str, Any]]()
    said: dict[str, str] = {}
    for seed in seeds:
        begun = time.process_time()
        model = trained(seed, steps, pool=pool)
        seconds = time.process_time() - begun
        matched = float(right(model, drawn(tested, TESTING + seed)).mean())
        models.append({"seed": seed, "exact match": matched, "processor seconds of training": seconds})
        say(f"seed {seed}: {matched:.4f} of {tested} new dates written exactly")
        if matched < RIGHT and not options.quick:
            continue
        asked = drawn(4 * texts, EXPLAINING + seed)
        # What a model writes wrongly it does not write from where it should.
        kept = [each for each, good in zip(asked, right(model, asked), strict=True) if good or options.quick][:texts]
        groups.append(measured(model, kept, explained_by(model, mixings)))
        said = said or refused(model, kept[0])
        say(f"seed {seed}: {len(groups[-1])} methods on {len(kept)} texts")
        if options.ship and len(groups) == 1:
            save_model(model, WEIGHTS)
    if not groups:
        raise InputError("steps", f"train at least one model to {RIGHT:.0%} exact match", str(steps), "train for more")
    report = table(groups, QUICK_RESAMPLES if options.quick else RESAMPLES)
    write_record(out / "dates.json", {**about, "models": models, "refused": said, "methods": report})
    draw(report, out / "dates.png")
    print(markdown(report))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.source_target",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("--seeds", type=int, default=SEEDS, help="models, each of a seed from 0")
    _ = parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    _ = parser.add_argument("--texts", type=int, default=TEXTS, help="texts that each model is asked about")
    _ = parser.add_argument("--ship", action="store_true", help="put the first model into weights/")
    _ = parser.add_argument("--quick", action="store_true", help="one model, trained for less, and a few texts")
    _ = parser.add_argument("--out", type=Path, help="where record and picture go (default: with the experiment)")
    options = parser.parse_args(arguments)
    return ended(lambda: run(checked(options, parser, "seeds", "steps", "texts")))


if __name__ == "__main__":
    sys.exit(main())
