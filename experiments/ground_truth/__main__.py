"""Does a method find the tokens that an answer is known to depend on?

    python -m experiments.ground_truth programs                  # Transformers compiled from programs by Tracr
    python -m experiments.ground_truth planted                   # classifiers trained here on planted evidence
    python -m experiments.ground_truth facts --model DIR         # SmolLM2: a fact of the prompt is copied; slow, so
                                                                 # pass some --mixings and --references alone
    python -m experiments.ground_truth agreement --data DIR --model DIR   # SmolLM2: the subject; likewise
    python -m experiments.ground_truth reacting --data DIR --model DIR    # rxnfp's classifier: the atoms that react
    python -m experiments.ground_truth pronouns --data DIR --model DIR    # the gender classifier: the pronoun
    python -m experiments.ground_truth atoms --data DIR --model DIR       # rxnmapper: the mapped atom
    python -m experiments.ground_truth subjects --data DIR       # the verb-number model: the subject
    python -m experiments.ground_truth planted --quick           # two mixings, one small model; under a minute

Every mixing goes with raw attention, rollout, flow and joint flow, at the last layer and at the best one, beside the
references of `jaxflow.references`. The layer (by model) and the mixing are chosen by average precision on every other
text and reported on the rest, with bootstrap intervals over texts. Finished models are kept in `--out` (`pieces/`), so
that a run which was stopped goes on.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jaxflow as jf
from experiments._methods import FUNCTIONALS, QUICK_MIXINGS, REFERENCES, SUMS, methods_of, mixings_of
from experiments._pieces import Pieces
from experiments._quick import checked
from experiments._record import provenance, write_record
from experiments._say import ended, say
from experiments.ground_truth import compiled, planted, real
from experiments.ground_truth.programs import PROGRAMS
from experiments.ground_truth.table import RESAMPLES, Asked, Measured, cells, markdown, measured, verdicts
from jaxflow import InputError
from jaxflow.attribution.registry import METHODS
from jaxflow.mixing import Mixing

RESULTS = Path(__file__).parent / "results"
# The widest path is left out: it bounds flow, and the agreement experiment has it.
GRAPH = FUNCTIONALS[:4]
QUICK_RESAMPLES = 199
# A classifier below this on new texts is not reported: its evidence would not be known.
RIGHT = 0.99

# A group's name, and what makes its texts: models are only made where there is something to measure.
Group = tuple[str, Callable[[], Sequence[Asked]]]


def program_groups(options: argparse.Namespace) -> Iterator[Group]:
    """One group a program."""
    names = list(PROGRAMS)[:1] if options.quick else list(PROGRAMS)
    for name in names:
        yield name, lambda name=name: compiled.asked_of(name, 4 if options.quick else options.texts, options.seed)


def planted_groups(options: argparse.Namespace) -> Iterator[Group]:
    """One group a task and seed."""
    steps, texts = (600, 8) if options.quick else (planted.STEPS, options.texts)
    for seed in range(options.seed, options.seed + (1 if options.quick else 3)):
        for task in list(planted.TASKS)[:1] if options.quick else planted.TASKS:

            def ask(task: str = task, seed: int = seed) -> Sequence[Asked]:
                found = planted.trained(task, seed, steps)
                say(f"{task}, seed {seed}: right on {found.accuracy:.3f} of new texts")
                return planted.asked_of(task, found.model, texts, seed) if found.accuracy >= RIGHT else []

            yield f"{task}, seed {seed}", ask


def real_groups(options: argparse.Namespace) -> Iterator[Group]:
    """The one group of a part with a real model."""
    part, texts = options.part, options.texts
    if options.model is None and part != "subjects":
        raise InputError("model", f"name the folder of the model for {part!r}", "nothing")
    if options.data is None and part != "facts":
        raise InputError("data", "name the folder of the public data sets", "nothing")

    def ask() -> Sequence[Asked]:
        model = jf.load_model(str(options.model or "verb-number"))
        given = (model, texts, options.seed) if part == "facts" else (model, options.data, texts, options.seed)
        asked = getattr(real, part)(*given)
        if options.without_first:
            for each in asked:
                each.part[:, 0] = False
        return asked

    yield part + "-without-first" * options.without_first, ask


GROUPS = {"programs": program_groups, "planted": planted_groups}
REAL = ("facts", "agreement", "reacting", "pronouns", "atoms", "subjects")
# Compiled programs by a model's shape: they take the parameters as arguments, so models of one shape share them.
_SHARED: dict[Any, Any] = {}


def _measured(ask: Callable[[], Sequence[Asked]], options: argparse.Namespace) -> dict[str, Any]:
    """One group's measures as flat arrays, `method|measure`."""
    asked = ask()
    if not asked:
        return {}
    model = asked[0].model
    vars(model)["kept"] = _SHARED.setdefault(model.config, model.kept)
    wanted = options.mixings or (QUICK_MIXINGS if options.quick else None)
    mixings = {name: each for name, each in mixings_of(model).items() if wanted is None or name in wanted}
    found = measured(asked, methods_for(asked[0], mixings, options.references))
    return {f"{name}|{key}": array for name, each in found.items() for key, array in asdict(each).items()}


def methods_for(asked: Asked, mixings: Mapping[str, Mixing], references: Sequence[str] = REFERENCES) -> list[Any]:
    """Every method that the model can give; without a number to explain, none that explains one."""
    if not asked.explains:
        mixings = {name: each for name, each in mixings.items() if not each.needs & {"gradients", "relevance"}}
    known: dict[str, Any] = METHODS
    fit = [
        name
        for name in references
        if name == SUMS or getattr(known[name], "needs", frozenset()) <= asked.model.gives
        if asked.explains or not (name == SUMS or getattr(known[name], "explains", False))
    ]
    return methods_of(mixings, GRAPH, fit)


def run(options: argparse.Namespace) -> None:
    """Run a part and write its record."""
    # The commit that the run begins with.
    about, begun = provenance(seed=options.seed, quick=options.quick), time.process_time()
    out = options.out or RESULTS.parent / "run"
    pieces, groups = Pieces(out / "pieces" / f"{options.part}{'-quick' * options.quick}", say), {}
    for name, ask in GROUPS.get(options.part, real_groups)(options):
        piece = f"{name.replace(' ', '_')}-{options.texts}-{options.seed}"
        if options.finished and not (pieces.folder / f"{piece}.npz").is_file():
            say(f"{name} is left out: it is not measured yet")
            continue
        flat = pieces(piece, lambda ask=ask: _measured(ask, options))
        if not flat:
            say(f"{name} is left out: it was not right on {RIGHT} of new texts")
            continue
        methods = dict.fromkeys(key.split("|")[0] for key in flat)
        groups[name] = {
            method: Measured(**{key.split("|")[1]: flat[key] for key in flat if key.split("|")[0] == method})
            for method in methods
        }
    if not groups:
        raise InputError("out", "hold models that were measured", "none", "leave `finished` out")
    resamples = QUICK_RESAMPLES if options.quick else RESAMPLES
    report = cells(groups, resamples)
    verdict = verdicts(groups, report, resamples)
    counts = {name: len(next(iter(found.values())).hits) for name, found in groups.items()}
    record = {
        **about,
        "processor seconds of this run": time.process_time() - begun,
        "texts": counts,
        "verdict": verdict,
        "methods": report,
    }
    # Quick figures say nothing: they never take the place of a real run's.
    if options.out is not None or not options.quick:
        name = options.part + "-without-first" * options.without_first
        write_record((options.out or RESULTS) / f"{name}.json", record)
    print(markdown(report, verdict))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.ground_truth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("part", choices=(*GROUPS, *REAL))
    _ = parser.add_argument("--data", type=Path, help="folder of the public data sets")
    _ = parser.add_argument("--model", type=Path, help="the model's folder")
    _ = parser.add_argument("--texts", type=int, default=24, help="texts of each model")
    _ = parser.add_argument("--mixings", nargs="+", help="some mixings alone, by their names in the table")
    _ = parser.add_argument("--references", nargs="+", choices=REFERENCES, default=REFERENCES)
    _ = parser.add_argument("--seed", type=int, default=0)
    _ = parser.add_argument("--quick", action="store_true", help="two mixings, one small model; under a minute")
    _ = parser.add_argument(
        "--without-first", action="store_true", help="the first token, a decoder's sink, is not ranked"
    )
    _ = parser.add_argument("--finished", action="store_true", help="the table of what is measured already")
    _ = parser.add_argument("--out", type=Path, help="where the record and finished pieces go")
    options = parser.parse_args(arguments)
    return ended(lambda: run(checked(options, parser, *(("texts",) if options.part in GROUPS else ()))))


if __name__ == "__main__":
    sys.exit(main())
