"""How well each mixing and functional ranks words as blank-out does, on held-out texts.

    python -m experiments.agreement verb-number --data DIR
    python -m experiments.agreement sst2 --data DIR --model RUN/model
    python -m experiments.agreement verb-number --quick

Every mixing goes with every functional of the graph, at every layer, for the position that the classifier reads; the
references of `jaxflow.references` stand beside them. Agreement is Spearman's rank correlation with blank-out scores
(the fall of the predicted class's probability when a word becomes the blank) over a text's words, and how often both
have the same top word. Layers and mixings are chosen on one half of the texts and reported on the other, with intervals
by bootstrap. `--quick` takes two mixings and a few texts that are made here, and needs no data.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import jaxflow as jf
from experiments._methods import FUNCTIONALS, QUICK_MIXINGS, methods_of, mixings_of
from experiments._quick import checked
from experiments._record import provenance, write_record
from experiments._say import ended
from experiments.agreement.table import RESAMPLES, cells, markdown, ranked, verdicts
from experiments.finetune.made import GOOD, PLACES, THINGS
from experiments.finetune.sst2 import DEV, read_labelled
from experiments.verb_number import made
from experiments.verb_number.testsets import linzen
from jaxflow import InputError

RESULTS = Path(__file__).parent / "results"
# Texts have so many words, so that there is something to rank.
SHORTEST, LONGEST = 8, 25
QUICK_TEXTS, QUICK_RESAMPLES = 12, 199


def texts_of(task: str, data: Path, count: int) -> list[str]:
    """Held-out texts of a task, drawn by a fixed seed."""
    if task == "verb-number":
        texts = [" ".join(each.words) for each in linzen(data)]
    else:
        texts = list(read_labelled(data / "sst" / DEV).texts)
    texts = sorted({text for text in texts if SHORTEST <= len(text.split()) <= LONGEST})
    return [texts[index] for index in np.random.default_rng(0).permutation(len(texts))[:count]]


def made_texts(task: str) -> list[str]:
    """A few texts of a task, made from a few words, of one length."""
    if task == "verb-number":
        texts = [" ".join(each.words) for each in made.Grammar(made.SMALL, 0).beginnings(400)]
        return [text for text in texts if len(text.split()) == SHORTEST][:QUICK_TEXTS]
    return [f"the {thing} on the {place} is very {GOOD[0]}" for place in PLACES[:2] for thing in THINGS][:QUICK_TEXTS]


def run(options: argparse.Namespace) -> None:
    """Run a task and write its record."""
    # The commit that the run begins with.
    about = provenance(functionals=options.functionals, quick=options.quick)
    begun = time.process_time()
    if options.quick:
        texts = made_texts(options.task)
    elif options.data is None:
        raise InputError("data", "name the folder of the public data sets", "nothing", "or pass `quick=True`")
    else:
        texts = texts_of(options.task, options.data, options.texts)
    model = jf.load_model(str(options.model or options.task))
    mixings = mixings_of(model)
    if options.quick:
        mixings = {name: mixings[name] for name in QUICK_MIXINGS}
    agreement = ranked(model, texts, methods_of(mixings, options.functionals))
    # Every other text chooses, the rest is reported on.
    chosen_on = np.arange(len(texts)) % 2 == 0
    resamples = QUICK_RESAMPLES if options.quick else RESAMPLES
    report = cells(agreement, chosen_on, resamples)
    verdict = verdicts(agreement, report, chosen_on, resamples)
    # A folder by its name alone: where it lay says nothing elsewhere.
    about["settings"] |= {"texts": len(texts), "model": Path(model.name).name}
    seconds = time.process_time() - begun
    # Quick figures say nothing: they never take the place of a real run's.
    out = options.out or (None if options.quick else RESULTS)
    if out is not None:
        record = {**about, "processor seconds": seconds, "verdict": verdict, "methods": report}
        write_record(out / f"{options.task}.json", record)
    print(markdown(report, verdict))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.agreement",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("task", choices=("verb-number", "sst2"))
    _ = parser.add_argument("--data", type=Path, help="folder of the public data sets")
    _ = parser.add_argument(
        "--model", type=Path, help="the fine-tuned classifier's folder (verb-number: the shipped one)"
    )
    _ = parser.add_argument("--texts", type=int, default=240)
    _ = parser.add_argument("--functionals", nargs="+", choices=FUNCTIONALS, default=FUNCTIONALS)
    _ = parser.add_argument("--quick", action="store_true", help="two mixings, a few texts made here; about a minute")
    _ = parser.add_argument("--out", type=Path, help="where the record goes (default: with the experiment)")
    options = parser.parse_args(arguments)
    return ended(lambda: run(checked(options, parser, "texts")))


if __name__ == "__main__":
    sys.exit(main())
