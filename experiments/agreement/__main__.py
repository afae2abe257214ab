"""How well each mixing and functional ranks words as blank-out does, on held-out texts.

    python -m experiments.agreement verb-number --data DIR
    python -m experiments.agreement sst2 --data DIR --model RUN/model

Every mixing goes with every functional of the graph, at every layer, for the position that the classifier reads; the
references of `jaxflow.references` stand beside them. Agreement is Spearman's rank correlation with blank-out scores
(the fall of the predicted class's probability when a word becomes the blank) over a text's words, and how often both
have the same top word. The layer of each cell is chosen on one half of the texts and reported on the other, with
intervals by bootstrap; so is the best functional of the graph.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

import jaxflow as jf
from experiments._record import provenance, write_record
from experiments._say import ended, say
from experiments.finetune.sst2 import DEV, read_labelled
from experiments.verb_number.testsets import linzen
from jaxflow.attribution.registry import METHODS
from jaxflow.evaluation import Spearman, mean_interval, occlusion_scores, padded, rank_agreement, token_inputs
from jaxflow.mixing import MIXINGS, Mixing

RESULTS = Path(__file__).parent / "results"
FUNCTIONALS = ("raw", "rollout", "flow", "joint-flow", "widest-path")
# Texts have so many words, so that there is something to rank.
SHORTEST, LONGEST = 8, 25
# Values of a row that are nearer than this share of its largest tie: flows are exact to 1e-9.
TIES = 1e-9


@dataclass(frozen=True)
class Ranked:
    """How a method ranks the words of each text, at each layer.

    Attributes:
        spearman: correlation with blank-out; 0 where the method ties all words.
        top: whether its top word is blank-out's.
        undefined: how many texts had all words tied, by layer.
    """

    spearman: Float[np.ndarray, "text layer"]
    top: Bool[np.ndarray, "text layer"]
    undefined: Float[np.ndarray, " layer"]


def mixings_of(model: jf.models.Model) -> dict[str, Mixing]:
    """Every mixing that the model can give, by what tables call it; those of gradients with each own stream."""
    made = {name: kind() for name, kind in MIXINGS.items()}
    for name in ("gradient", "attention-gradient"):
        made |= {f"{name}, own {own}": MIXINGS[name](own=own) for own in ("identity", 0.5)}
    return {name: mixing for name, mixing in made.items() if mixing.needs <= model.gives}


def methods_of(mixings: Mapping[str, Mixing], functionals: Sequence[str]) -> list[Any]:
    """Every functional over every mixing, and the references; names tell them apart."""
    made: list[Any] = []
    for functional in functionals:
        kind: Any = type(METHODS[functional])
        made += [kind(name=f"{functional} of {name}", mixing=mixing) for name, mixing in mixings.items()]
    return [*made, *(method for name, method in METHODS.items() if name not in FUNCTIONALS)]


def ranked(model: Any, texts: Sequence[str], methods: Sequence[Any]) -> dict[str, Ranked]:
    """Each method's agreement with blank-out."""
    inputs = token_inputs(model, texts)
    words, blank = inputs.positions("words"), occlusion_scores(model, inputs).values
    say("blank-out is there")
    result = jf.attribute(model, texts, methods=tuple(methods), queries="classifier")
    say("relevance is there")
    best = np.where(words, blank, -1).argmax(-1)
    agreement = {}
    for name, rows in result.relevance.items():
        # text layer token; sizes differ by method, so that ties are told relative to each row.
        values, _ = padded([np.abs(row[:, 0]) for row in rows])
        values = values / np.maximum(values.max(-1, keepdims=True), np.finfo(float).tiny)
        found = rank_agreement(values, blank[:, None], words[:, None], Spearman(tol=TIES))
        top = np.where(words[:, None], values, -1).argmax(-1) == best[:, None]
        # A method that ties all words has no top word either.
        defined = np.isfinite(found.value)
        agreement[name] = Ranked(np.where(defined, found.value, 0), top & defined, (~defined).sum(0))
    return agreement


def cells(agreement: Mapping[str, Ranked], chosen_on: np.ndarray) -> dict[str, dict[str, Any]]:
    """For each method the layer that is best on some texts, and its agreement on the others."""
    report = {}
    for name, each in agreement.items():
        layer = int(each.spearman[chosen_on].mean(0).argmax())
        held = each.spearman[~chosen_on, layer]
        interval, top = mean_interval(held), mean_interval(each.top[~chosen_on, layer].astype(float))
        report[name] = {
            "layer": layer + 1,
            "chosen": each.spearman[chosen_on, layer].mean(),
            "spearman": interval.mean,
            "spearman interval": (interval.low, interval.high),
            "top-1": top.mean,
            "top-1 interval": (top.low, top.high),
            "all words tied": int(each.undefined[layer]),
            "spearman by layer": each.spearman[~chosen_on].mean(0),
        }
    return report


def verdict(agreement: Mapping[str, Ranked], report: Mapping[str, Any], chosen_on: np.ndarray) -> dict[str, Any]:
    """The best functional of the graph, chosen on one half, and by how much it beats the column sums on the other."""
    of_graph = [name for name in report if " of " in name]
    best = max(of_graph, key=lambda name: report[name]["chosen"])
    sums = agreement["column-sums"].spearman[~chosen_on, report["column-sums"]["layer"] - 1]
    difference = mean_interval(agreement[best].spearman[~chosen_on, report[best]["layer"] - 1] - sums)
    flows = [name for name in of_graph if name.startswith("flow")]
    return {
        "best of the graph": best,
        "best flow": max(flows, key=lambda name: report[name]["chosen"]),
        "less column sums": difference.mean,
        "interval": (difference.low, difference.high),
    }


def texts_of(task: str, data: Path, count: int) -> list[str]:
    """Held-out texts of a task, drawn by a fixed seed."""
    if task == "verb-number":
        texts = [" ".join(each.words) for each in linzen(data)]
    else:
        texts = list(read_labelled(data / "sst" / DEV).texts)
    texts = sorted({text for text in texts if SHORTEST <= len(text.split()) <= LONGEST})
    return [texts[index] for index in np.random.default_rng(0).permutation(len(texts))[:count]]


def markdown(report: Mapping[str, Any]) -> str:
    """The table of a report, best first within the functionals and the references."""
    lines = ["| method | layer | Spearman | top-1 |", "| --- | --- | --- | --- |"]
    for name, cell in sorted(report.items(), key=lambda entry: -entry[1]["spearman"]):
        low, high = cell["spearman interval"]
        lines.append(
            f"| {name} | {cell['layer']} | {cell['spearman']:.3f} ({low:.3f} to {high:.3f}) | {cell['top-1']:.2f} |"
        )
    return "\n".join(lines)


def run(options: argparse.Namespace) -> None:
    """Run a task and write its record."""
    begun = time.monotonic()
    model = jf.load_model(str(options.model or options.task))
    texts = texts_of(options.task, options.data, options.texts)
    agreement = ranked(model, texts, methods_of(mixings_of(model), options.functionals))
    # Every other text chooses, the rest is reported on.
    chosen_on = np.arange(len(texts)) % 2 == 0
    report = cells(agreement, chosen_on)
    found = verdict(agreement, report, chosen_on)
    settings = {"texts": len(texts), "model": model.name, "functionals": options.functionals}
    record = {**provenance(**settings), "seconds": time.monotonic() - begun, "verdict": found, "methods": report}
    write_record(RESULTS / f"{options.task}.json", record)
    print(markdown(report))
    print(found)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.agreement", description=__doc__)
    _ = parser.add_argument("task", choices=("verb-number", "sst2"))
    _ = parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    _ = parser.add_argument(
        "--model", type=Path, help="the fine-tuned classifier's folder (verb-number: the shipped one)"
    )
    _ = parser.add_argument("--texts", type=int, default=240)
    _ = parser.add_argument("--functionals", nargs="+", choices=FUNCTIONALS, default=FUNCTIONALS)
    options = parser.parse_args(arguments)
    return ended(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
