"""The experiment's command line: `python -m experiments.verb_number --help`."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments._quick import checked
from experiments._record import provenance, write_record
from experiments._run import environment, write_json
from experiments._say import ended
from experiments.finetune.train import course
from experiments.verb_number import corpus, figures, made, ship, student, tables
from experiments.verb_number.corpus import Corpus
from experiments.verb_number.measure import accuracies, class_probabilities
from experiments.verb_number.model import Architecture
from experiments.verb_number.testsets import test_sets
from experiments.verb_number.tokenizer import SPECIALS
from experiments.verb_number.train import Settings, train
from jaxflow.models import load_model, save_encoder

# Held-out beginnings that the best weights are chosen by.
VALIDATION = 1500
RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 where it went well."""
    parser = argparse.ArgumentParser(prog="python -m experiments.verb_number", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _train_command(commands.add_parser("train", help="build the data where it isn't there, then train one model"))
    _results_command(
        commands.add_parser("evaluate", help="accuracy on held-out text and on others' test sets"), _evaluate
    )
    comparing = commands.add_parser("tables", help="Tables 1 and 2 of the paper")
    _results_command(comparing, _tables)
    _ = comparing.add_argument("--samples", type=int, default=2000)
    _ = comparing.add_argument(
        "--set", default="test", choices=("test", "linzen"), help="held-out text, or Linzen's set"
    )
    drawing = commands.add_parser("figures", help="the paper's figures, with one of the models")
    _results_command(drawing, _figures)
    _ = drawing.add_argument("--model", type=Path, help="its folder (default: the first seed's)")
    shipping = commands.add_parser("ship", help="put the best seed's model into the package, with its card")
    _ = shipping.add_argument("--out", type=Path, required=True, help="where `train` wrote")
    _ = shipping.add_argument("--results", type=Path, default=RESULTS, help="where `evaluate` wrote")
    _ = shipping.add_argument("--before", type=Path, help="record of the training that the model went on from")
    shipping.set_defaults(run=lambda options: _say(str(ship.ship(options.out, options.results, options.before))))
    options = parser.parse_args(arguments)
    return ended(lambda: options.run(options))


def _train_command(parser: argparse.ArgumentParser) -> None:
    _ = parser.add_argument("--data", type=Path, help="folder of the public data sets (experiments/README.md)")
    _ = parser.add_argument("--prose", type=Path, help="folder of prose (prose.py says how to make it)")
    _ = parser.add_argument(
        "--out", type=Path, required=True, help="where to write; a run that was stopped goes on there"
    )
    _ = parser.add_argument("--seed", type=int, default=0)
    _ = parser.add_argument(
        "--teacher", help='pretrained encoder: a built-in name, folder or hub name; "none" trains on labels alone'
    )
    _ = parser.add_argument("--start", help="a trained student to go on from: a built-in name or a folder")
    _ = parser.add_argument("--steps", type=int, default=Settings.steps)
    _ = parser.add_argument("--rate", type=float, default=Settings.rate, help="the highest learning rate")
    _ = parser.add_argument(
        "--parts",
        type=int,
        default=Settings.parts,
        choices=range(1, Settings.of + 1),
        help=f"how many times {Settings.part:,} beginnings to learn from",
    )
    _ = parser.add_argument("--vocabulary", type=int, default=13_000)
    _ = parser.add_argument("--made", type=int, default=60_000, help="beginnings to make from the grammar")
    _ = parser.add_argument(
        "--quick", action="store_true", help="a tiny model on sentences made here, in under a minute"
    )
    decided = ("data", "prose", "steps", "rate", "parts", "vocabulary", "made")
    parser.set_defaults(run=lambda options: _train(checked(options, parser, *decided)))


def _results_command(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], None]) -> None:
    _ = parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    _ = parser.add_argument("--out", type=Path, required=True, help="where `train` wrote, all seeds")
    _ = parser.add_argument("--results", type=Path, default=RESULTS, help="where results go")
    parser.set_defaults(run=run)


def _evaluate(options: argparse.Namespace) -> None:
    sets = {"test": corpus.load(options.out / "corpus").splits["test"], **test_sets(options.data)}
    report = {}
    for seed, folder in _models(options.out).items():
        report[seed] = accuracies(load_model(folder), sets)
        _say(f"{seed}: " + ", ".join(f"{name} {row['accuracy']:.4f}" for name, row in report[seed].items()))
    write_json(options.results / "accuracy.json", {"seeds": report, **environment()})


def _tables(options: argparse.Namespace) -> None:
    if options.set == "linzen":
        found = test_sets(options.data)["linzen"]
    else:
        found = corpus.load(options.out / "corpus").splits["test"]
    drawn = np.random.default_rng(0).permutation(len(found))[: options.samples].tolist()
    chosen = [found[place] for place in drawn]
    each = {}
    for seed, folder in _models(options.out).items():
        each[seed] = tables.tables(load_model(folder), chosen)
        _say(f"{seed}: {each[seed]['seconds']}, {each[seed]['certified']:.6f} of {each[seed]['flows']} flows certified")
    cells = tables.over_seeds(list(each.values()))
    write_json(options.results / f"tables-{options.set}.json", {"seeds": each, "cells": cells, **environment()})
    for score in cells:
        for protocol in ("paper", "standard", "words"):
            _say(f"\n{score}, {protocol}, {len(chosen)} samples\n\n" + tables.markdown(cells, score, protocol))


def _figures(options: argparse.Namespace) -> None:
    folder = next(iter(_models(options.out).values())) if options.model is None else options.model
    model = load_model(folder)
    found = test_sets(options.data)["linzen"]
    options.results.mkdir(parents=True, exist_ok=True)
    held_out = corpus.load(options.out / "corpus").splits["test"][:300]
    examples = figures.chosen_examples(model, found, class_probabilities(model, found))
    entropy = figures.entropies(model, held_out)
    figures.uniform_figure(model, examples[0], entropy, options.results / "uniform.png")
    figures.sentence_figure(model, examples, options.results / "sentences.png")
    write_json(options.results / "entropy.json", {"entropy over uniform": entropy, **environment()})


def _models(out: Path) -> dict[str, Path]:
    found = {path.parent.name: path for path in sorted(out.glob("seed*/model"))}
    if not found:
        raise SystemExit(f"no trained model in {out}; run `train` first")
    return found


def _train(options: argparse.Namespace) -> None:
    folder = options.out / f"seed{options.seed}"
    if (folder / "training.json").is_file():
        return _say(f"{folder / 'model'} was trained before")
    if options.quick:
        found, size = quick_corpus(), Architecture(layers=3, heads=4, width=64, feed_forward=128)
        settings = Settings(steps=200, tokens=768, warmup=20, teacher_steps=30, parts=1, part=4000, of=1)
    else:
        found, size = _corpus(options), Architecture()
        settings = Settings(steps=options.steps, rate=options.rate, parts=options.parts)
    teacher = options.teacher or ("none" if options.quick else "minilm")
    settings = replace(settings, seed=options.seed, teacher=teacher, start=options.start)
    trained = train(found, size, settings, options.out, _say)
    held_out = found.splits["validation"][:VALIDATION]
    validation = accuracies(trained.model, {"validation": held_out})["validation"]["accuracy"]
    if not (folder / "model").exists():
        _ = save_encoder(trained.model, folder / "model")
    record = {
        **provenance(**vars(settings), **vars(size)),
        "data": found.counts,
        "validation": validation,
        "teacher validation": trained.teacher_accuracy,
        **course(trained.course, trained.tokens),
    }
    write_record(folder / "training.json", record)
    _say(f"validation accuracy {validation:.4f}; model in {folder / 'model'}")
    return None


def _corpus(options: argparse.Namespace) -> Corpus:
    place = options.out / "corpus"
    if not (place / "corpus.json.gz").is_file():
        if options.data is None:
            raise SystemExit("--data is needed to build the corpus (or --quick)")
        _say("building the corpus (minutes)")
        built = corpus.build(options.data, options.prose, place, size=options.vocabulary, made_up=options.made)
        _say(json.dumps(built.counts))
    return corpus.load(place)


def quick_corpus() -> Corpus:
    """A corpus made from the small lexicon, of short beginnings: they have one shape, which is compiled once."""
    made_up = made.Grammar(made.SMALL, 0).beginnings(14_000)
    found = list({b.words: b for b in made_up if len(b.words) <= student.BUCKETS[0] - 2}.values())
    vocabulary = [*SPECIALS, *sorted({word for b in found for word in b.words})]
    splits = {"validation": found[:500], "test": found[500:1000], "train": found[1000:]}
    return Corpus(splits, vocabulary, list(made.SMALL.singular), list(made.SMALL.plural), {})


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
