"""The table: every mixing with every functional, at the last layer and at the best one, beside the references."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

import jaxflow as jf
from experiments._methods import FUNCTIONALS, SUMS
from experiments._say import say
from jaxflow.evaluation import Spearman, mean_interval, occlusion_scores, padded, rank_agreement, token_inputs

# Values of a row that are nearer than this share of its largest tie: flows are exact to 1e-9.
TIES = 1e-9
RESAMPLES = 9999

Cells = dict[str, dict[str, Any]]


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
        measured = rank_agreement(values, blank[:, None], words[:, None], Spearman(tol=TIES))
        top = np.where(words[:, None], values, -1).argmax(-1) == best[:, None]
        # A method that ties all words has no top word either.
        defined = np.isfinite(measured.value)
        agreement[name] = Ranked(np.where(defined, measured.value, 0), top & defined, (~defined).sum(0))
    return agreement


def cells(agreement: Mapping[str, Ranked], chosen_on: np.ndarray, resamples: int = RESAMPLES) -> Cells:
    """For each method its agreement at the last layer and at the one that is best on some texts, on the others."""
    report = {}
    for name, each in agreement.items():
        by_layer = each.spearman[chosen_on].mean(0)
        report[name] = {
            part: _cell(each, chosen_on, layer, resamples)
            for part, layer in (("last", len(by_layer) - 1), ("best", int(by_layer.argmax())))
        } | {"spearman by layer": each.spearman[~chosen_on].mean(0)}
    return report


def _cell(each: Ranked, chosen_on: np.ndarray, layer: int, resamples: int) -> dict[str, Any]:
    interval = mean_interval(each.spearman[~chosen_on, layer], resamples=resamples)
    top = mean_interval(each.top[~chosen_on, layer].astype(float), resamples=resamples)
    return {
        "layer": layer + 1,
        "chosen": each.spearman[chosen_on, layer].mean(),
        "spearman": interval.mean,
        "spearman interval": (interval.low, interval.high),
        "top-1": top.mean,
        "top-1 interval": (top.low, top.high),
        "all words tied": int(each.undefined[layer]),
    }


def verdicts(
    agreement: Mapping[str, Ranked], report: Cells, chosen_on: np.ndarray, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """For each functional, and for all of the graph, the mixing and layer that one half chooses, and what they do.

    On the other half: their agreement, and by how much it is above the column sums', whose layer is chosen likewise.
    """
    sums = _values(agreement, report, SUMS, "best")[~chosen_on]

    def verdict(names: Sequence[str], part: str) -> dict[str, Any]:
        best = max(names, key=lambda name: report[name][part]["chosen"])
        above = mean_interval(_values(agreement, report, best, part)[~chosen_on] - sums, resamples=resamples)
        return {
            "method": best,
            **report[best][part],
            "above column sums": above.mean,
            "interval": (above.low, above.high),
        }

    of_graph = [name for name in report if " of " in name]
    groups = {functional: [n for n in of_graph if n.startswith(f"{functional} of ")] for functional in FUNCTIONALS}
    groups = {"graph": of_graph, **{name: names for name, names in groups.items() if names}}
    return {name: {part: verdict(names, part) for part in ("last", "best")} for name, names in groups.items()}


def _values(agreement: Mapping[str, Ranked], report: Cells, name: str, part: str) -> Float[np.ndarray, " text"]:
    return agreement[name].spearman[:, report[name][part]["layer"] - 1]


def markdown(report: Cells, verdict: Mapping[str, Any]) -> str:
    """The table of mixings by functionals, the references beside it, and the verdicts."""
    of_graph = [name.split(" of ", 1) for name in report if " of " in name]
    functionals, mixings = (list(dict.fromkeys(names)) for names in zip(*of_graph, strict=True))
    lines = [_row("last layer / best layer", *functionals), _row(*["---"] * (len(functionals) + 1))]
    lines += [_row(mixing, *(_both(report[f"{each} of {mixing}"]) for each in functionals)) for mixing in mixings]
    lines += ["", _row("reference", "layer", "Spearman", "top-1"), _row(*["---"] * 4)]
    references = [(name, cell["best"]) for name, cell in report.items() if " of " not in name]
    lines += [_row(name, *_figures(cell)) for name, cell in sorted(references, key=lambda each: -each[1]["spearman"])]
    lines += ["", _row("chosen on one half", "layer", "Spearman", "top-1", "above the column sums"), _row(*["---"] * 5)]
    for name, parts in verdict.items():
        for part, cell in parts.items():
            low, high = cell["interval"]
            above = f"{cell['above column sums']:+.3f} ({low:+.3f} to {high:+.3f})"
            lines.append(_row(f"{name}, {part} layer: {cell['method']}", *_figures(cell), above))
    return "\n".join(lines)


def _both(cell: Mapping[str, Any]) -> str:
    last, best = cell["last"], cell["best"]
    return f"{last['spearman']:.3f} / {best['spearman']:.3f} (L{best['layer']})"


def _figures(cell: Mapping[str, Any]) -> tuple[str, str, str]:
    low, high = cell["spearman interval"]
    return str(cell["layer"]), f"{cell['spearman']:.3f} ({low:.3f} to {high:.3f})", f"{cell['top-1']:.2f}"


def _row(*entries: str) -> str:
    return f"| {' | '.join(entries)} |"
