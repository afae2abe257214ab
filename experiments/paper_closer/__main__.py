"""What could bring back the paper's .7 of flow against blank-out (ours: less), one change at a time and combined.

    python -m experiments.paper_closer variants --data DIR     # the shipped model, Linzen's test beginnings
    python -m experiments.paper_closer floats --data DIR       # networkx on floats, as the authors' code: minutes
    python -m experiments.paper_closer dropout --work RUN      # trains two small models, with and without dropout
    python -m experiments.paper_closer real --data DIR --corpus RUN/corpus --work RUN    # trains two on real sentences
    python -m experiments.paper_closer variants --quick        # sentences made here; likewise the others

Every change of residual, positions, ranks and blank is measured alone and with all others; the best combination is
chosen on one half of the texts and reported on the other. Records go into `results`.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import jaxflow as jf
from experiments._quick import checked, folder_of
from experiments._record import provenance, write_record
from experiments._say import ended, say
from experiments.paper_closer.real import STUDENTS, right, student
from experiments.paper_closer.training import DROPOUTS, SIZE, trained
from experiments.paper_closer.variants import BASE, BLANKS, COLUMNS, RANKS, RESIDUALS, agreements, float_ties, interval
from experiments.verb_number import made
from experiments.verb_number.__main__ import quick_corpus
from experiments.verb_number.beginnings import Beginning
from experiments.verb_number.corpus import load as load_corpus
from experiments.verb_number.measure import accuracies
from experiments.verb_number.model import Architecture
from experiments.verb_number.testsets import linzen, test_sets
from experiments.verb_number.train import Settings
from jaxflow import InputError

RESULTS, WORK = Path(__file__).parent / "results", Path("runs/paper-closer")
SHORTEST, LONGEST = 8, 25
PROTOCOLS = ("as the paper", "every position blanked", "<s> and </s> count 0", "without <s>", "words")
# The deepest layer of the paper's model.
LAST = 6
# The student of `real --quick`: it needs all that the others need.
QUICK = "an LSTM's probabilities"


def beginnings(options: argparse.Namespace, count: int) -> list[Beginning]:
    """Held-out beginnings, drawn by a fixed seed, or made ones of one length."""
    if options.quick:
        found = made.Grammar(made.SMALL, 0).beginnings(400)
        return [each for each in found if len(each.words) == SHORTEST][:6]
    if options.data is None:
        raise InputError("data", "name the folder of the public data sets", "nothing", "or pass `quick=True`")
    found = {each.words: each for each in linzen(options.data) if SHORTEST <= len(each.words) <= LONGEST}
    chosen = [found[words] for words in sorted(found)]
    return [chosen[place] for place in np.random.default_rng(0).permutation(len(chosen))[:count]]


def variants(options: argparse.Namespace) -> dict[str, Any]:
    """The shipped model under every combination."""
    chosen = beginnings(options, options.texts)
    model = jf.load_model("verb-number")
    found = agreements(model, [" ".join(each.words) for each in chosen], [each.number for each in chosen])
    return {"texts": len(chosen), **one_by_one(found), "best": best(found)}


def name_of(method: str, residual: str, *others: str) -> str:
    """A combination's name in `agreements`."""
    return " | ".join((method if method == "raw" else f"{method}, {residual}", *others))


def one_by_one(found: dict[str, np.ndarray]) -> dict[str, Any]:
    """The base and each single change of it: every method and layer, with intervals."""
    choices = (tuple(RESIDUALS), PROTOCOLS, tuple(RANKS), tuple(BLANKS))
    singles: list[tuple[str, ...]] = [BASE]
    for place, options in enumerate(choices):
        singles += [(*BASE[:place], option, *BASE[place + 1 :]) for option in options if option != BASE[place]]
    # The right ranks over words: what the paper's protocol stands for.
    singles.append((BASE[0], "words", "average ranks", BASE[3]))
    report = {}
    for single in dict.fromkeys(singles):
        changed = [option for option, base in zip(single, BASE, strict=True) if option != base]
        report[" and ".join(changed) or "base"] = {
            **{method: by_layer(found[name_of(method, *single)]) for method in ("raw", "rollout", "flow")},
            "layer 1's column sums": by_layer(found[" | ".join((COLUMNS, *single[1:]))]),
        }
    return {"one by one": report}


def by_layer(values: np.ndarray) -> list[list[float]]:
    """Mean and interval of each layer."""
    return [interval(column) for column in values.T]


def best(found: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """The ten combinations whose last flow agrees best on one half of the texts, and what they do on the other."""
    flows = {name: values[:, -1] for name, values in found.items() if name.startswith("flow")}
    texts = len(next(iter(flows.values())))
    half = np.arange(texts) % 2 == 0
    order = sorted(flows, key=lambda name: -flows[name][half].mean())[:10]
    return [{"name": n, "chosen": float(flows[n][half].mean()), "held out": interval(flows[n][~half])} for n in order]


def floats(options: argparse.Namespace) -> dict[str, Any]:
    """The authors' floats, on some of the texts."""
    chosen = beginnings(options, options.texts)[: 2 if options.quick else options.floats]
    texts, gold = [" ".join(each.words) for each in chosen], [each.number for each in chosen]
    layers = (LAST,) if options.quick else (3, LAST)
    return float_ties(jf.load_model("verb-number"), texts, gold, layers, say)


def dropout(options: argparse.Namespace) -> dict[str, Any]:
    """Two models of one seed trained with and without dropout, on held-out sentences of the grammar."""
    size = Architecture(layers=2, heads=2, width=16, feed_forward=16) if options.quick else SIZE
    report: dict[str, Any] = {}
    for name, steps in zip(DROPOUTS, (4, 4) if options.quick else options.steps, strict=True):
        model, corpus = trained(name, size, steps, options.seed, options.work, say)
        held = corpus.splits["test"]
        long = [each for each in held if len(each.words) >= SHORTEST][: 6 if options.quick else options.texts]
        texts, gold = [" ".join(each.words) for each in long], [each.number for each in long]
        found = agreements(model, texts, gold)
        report[name] = {
            "steps": steps,
            "texts": len(texts),
            "accuracy": accuracies(model, {"held": held})["held"]["accuracy"],
            "entropy over uniform": entropies(model, texts),
            **one_by_one(found),
            "best": best(found),
        }
        say(f"{name}: accuracy {report[name]['accuracy']}")
    return report


def real(options: argparse.Namespace) -> dict[str, Any]:
    """Students that learnt real sentences from probabilities, not from hidden states, on held-out test beginnings."""
    if options.quick:
        corpus, size = quick_corpus(), Architecture(layers=2, heads=2, width=16, feed_forward=16)
        settings = Settings(steps=4, tokens=96, teacher_steps=4, parts=1, part=200, of=1)
    elif options.corpus is None:
        raise InputError(
            "corpus", "name the corpus of experiments.verb_number train", "nothing", "or pass `quick=True`"
        )
    else:
        corpus, size = load_corpus(options.corpus), Architecture()
        settings = Settings(steps=options.steps[0], parts=3, teacher_steps=options.steps[1])
    settings = replace(settings, seed=options.seed)
    chosen = beginnings(options, options.texts)
    texts, gold = [" ".join(each.words) for each in chosen], [each.number for each in chosen]
    sets = {
        "held out": corpus.splits["test"],
        **({} if options.quick else {"linzen": test_sets(options.data)["linzen"]}),
    }
    report: dict[str, Any] = {}
    for name in options.only or ([QUICK] if options.quick else STUDENTS):
        model, teacher = student(name, corpus, size, settings, options.work, say)
        measured = accuracies(model, sets)
        report[name] = {
            "steps": settings.steps,
            "texts": len(texts),
            "accuracy": {each: measured[each]["accuracy"] for each in sets},
            "teacher's accuracy": {each: right(teacher, model, found) for each, found in sets.items()},
            "entropy over uniform": entropies(model, texts),
            **one_by_one(agreements(model, texts, gold)),
        }
        say(", ".join(f"{name}: {key} {report[name][key]}" for key in ("accuracy", "teacher's accuracy")))
    return report


def entropies(model: Any, texts: Sequence[str]) -> list[float]:
    """Entropy of the first position's attention over a uniform row's, by layer."""
    rows = jf.attribute(model, list(texts), methods="raw", queries=0).relevance["raw"]
    shares = [np.asarray(row[:, 0], np.float64) for row in rows]
    each = [-(share * np.log(np.maximum(share, 1e-300))).sum(-1) / np.log(share.shape[-1]) for share in shares]
    return np.mean(each, 0).tolist()


COMMANDS = {"variants": variants, "floats": floats, "dropout": dropout, "real": real}


def run(options: argparse.Namespace) -> None:
    """Measure and write the record."""
    about, begun = provenance(texts=options.texts, seed=options.seed, quick=options.quick), time.process_time()
    out = folder_of(options, RESULTS)
    # A quick run's few steps never stand where a real run goes on.
    options.work = options.work or (out if options.quick else WORK)
    report = COMMANDS[options.what](options)
    about["processor seconds"] = time.process_time() - begun
    write_record(out / f"{options.what}.json", {**about, **report})


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.paper_closer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("what", choices=COMMANDS)
    _ = parser.add_argument("--data", type=Path, help="folder of the public data sets")
    _ = parser.add_argument("--texts", type=int, default=300)
    _ = parser.add_argument("--floats", type=int, default=40, help="texts that networkx solves")
    _ = parser.add_argument(
        "--steps",
        type=int,
        nargs=2,
        default=(1500, 3000),
        help="without and with dropout; real: a student's and the LSTM's",
    )
    _ = parser.add_argument("--corpus", type=Path, help="folder of the corpus that experiments.verb_number built")
    _ = parser.add_argument("--only", nargs="+", choices=STUDENTS, help="students to train now (default: all)")
    _ = parser.add_argument("--seed", type=int, default=0)
    _ = parser.add_argument("--work", type=Path, help=f"where training goes on (default: {WORK})")
    _ = parser.add_argument("--quick", action="store_true", help="a few sentences made here; under a minute")
    _ = parser.add_argument("--out", type=Path, help="where the record goes (default: with the experiment)")
    options = parser.parse_args(arguments)
    return ended(lambda: run(checked(options, parser, "texts", "floats", "steps")))


if __name__ == "__main__":
    sys.exit(main())
