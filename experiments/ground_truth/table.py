"""The table: how every method ranks known evidence, at the last layer and at the one that is best on other texts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

import jaxflow as jf
from experiments._methods import FUNCTIONALS
from jaxflow.evaluation import ground_truth, mean_interval, padded

# Values of a row that are nearer than this share of its largest tie: flows are exact to 1e-9.
TIES = 1e-9
RESAMPLES = 9999
# The measure that layers and mixings are chosen by, and what the table says beside it.
CHOSEN_BY = "average_precision"
MEASURES = ("average_precision", "hits", "hit_at_1", "irrelevant")


@dataclass(frozen=True, eq=False)
class Asked:
    """Texts of one model that are asked about alike, and their evidence.

    Attributes:
        model: that reads them.
        texts: as the model takes them.
        evidence: true on the tokens that the answer depends on.
        part: true on the tokens that take part.
        question: fields of the question, such as `queries` and `target`.
        explains: whether a number of the model is explained; else methods that explain one have no part.
    """

    model: Any
    texts: Sequence[str]
    evidence: Bool[np.ndarray, "text token"]
    part: Bool[np.ndarray, "text token"]
    question: Mapping[str, Any]
    explains: bool = True


@dataclass(frozen=True, eq=False)
class Measured:
    """What one method comes to, `text layer` each; see `jaxflow.evaluation.GroundTruth`."""

    average_precision: Float[np.ndarray, "text layer"]
    hits: Float[np.ndarray, "text layer"]
    hit_at_1: Float[np.ndarray, "text layer"]
    irrelevant: Float[np.ndarray, "text layer"]


def measured(asked: Sequence[Asked], methods: Sequence[Any]) -> dict[str, Measured]:
    """Every method on all texts, in order."""
    parts = [dict(_relevance(each, methods)) for each in asked]
    return {
        name: Measured(
            *(np.concatenate([getattr(part[name], each.name) for part in parts]) for each in fields(Measured))
        )
        for name in parts[0]
    }


def _relevance(asked: Asked, methods: Sequence[Any]) -> Iterator[tuple[str, Measured]]:
    result = jf.attribute(asked.model, list(asked.texts), methods=tuple(methods), **asked.question)
    for name, rows in result.relevance.items():
        yield name, against(rows, asked.evidence, asked.part)


def against(rows: Sequence[np.ndarray], evidence: np.ndarray, part: np.ndarray) -> Measured:
    """Relevance of each text, `layer query token`, against its evidence: by absolute size, of the first query."""
    values, _ = padded([np.abs(row[:, 0]) for row in rows])
    # Sizes differ by method, so that ties are told relative to each row.
    values = values / np.maximum(values.max(-1, keepdims=True), np.finfo(values.dtype).tiny)
    found = ground_truth(values, evidence, part, tol=TIES)
    return Measured(*(getattr(found, each.name) for each in fields(Measured)))


def halves(texts: int) -> Bool[np.ndarray, " text"]:
    """The texts by which layers and mixings are chosen: every other one."""
    return np.arange(texts) % 2 == 0


def cells(groups: Mapping[str, Mapping[str, Measured]], resamples: int = RESAMPLES) -> dict[str, Any]:
    """For each method its measures on the texts that choose nothing: at the last layer, and at the best of each group.

    Groups are models, say, that differ in depth: each chooses its own layer, and all texts count alike.
    """
    report: dict[str, Any] = {}
    for name in next(iter(groups.values())):
        report[name] = {}
        for part in ("last", "best"):
            picked = {group: _picked(found[name], part) for group, found in groups.items()}
            held = {m: np.concatenate([one.held[m] for one in picked.values()]) for m in MEASURES}
            interval = mean_interval(np.stack([held[m] for m in MEASURES], -1), resamples=resamples)
            report[name][part] = {
                "chosen": float(np.mean(np.concatenate([one.chosen for one in picked.values()]))),
                **{m: interval.mean[i] for i, m in enumerate(MEASURES)},
                **{f"{m} interval": (interval.low[i], interval.high[i]) for i, m in enumerate(MEASURES)},
                "layers": {group: one.layer + 1 for group, one in picked.items()},
                "by group": {group: one.held[CHOSEN_BY].mean() for group, one in picked.items()},
            }
    return report


@dataclass(frozen=True)
class _Picked:
    """A layer, what it comes to on the texts that choose (by `CHOSEN_BY`), and all measures on the others."""

    layer: int
    chosen: np.ndarray
    held: dict[str, np.ndarray]


def _picked(found: Measured, part: str) -> _Picked:
    values = getattr(found, CHOSEN_BY)
    chosen_on = halves(len(values))
    layer = values.shape[1] - 1 if part == "last" else int(values[chosen_on].mean(0).argmax())
    held = {m: getattr(found, m)[~chosen_on, layer] for m in MEASURES}
    return _Picked(layer, values[chosen_on, layer], held)


def verdicts(
    groups: Mapping[str, Mapping[str, Measured]], report: Mapping[str, Any], resamples: int = RESAMPLES
) -> dict[str, Any]:
    """For each functional, and for all of the graph, what the mixing that one half chooses does on the other.

    Beside it by how much it is above the best reference that does not depend on layers, which is chosen likewise.
    """
    of_graph = [name for name in report if " of " in name]
    kinds = {functional: [n for n in of_graph if n.startswith(f"{functional} of ")] for functional in FUNCTIONALS}
    references = [name for name in report if " of " not in name]
    kinds = {"graph": of_graph, **{name: names for name, names in kinds.items() if names}, "references": references}
    best = {
        (kind, part): max(names, key=lambda name: report[name][part]["chosen"])
        for kind, names in kinds.items()
        for part in ("last", "best")
    }

    def verdict(kind: str, part: str) -> dict[str, Any]:
        name, other = best[kind, part], best["references", part]
        apart = [
            _picked(found[name], part).held[CHOSEN_BY] - _picked(found[other], part).held[CHOSEN_BY]
            for found in groups.values()
        ]
        above = mean_interval(np.concatenate(apart), resamples=resamples)
        taken = {key: value for key, value in report[name][part].items() if key != "by group"}
        return {"method": name, **taken, "above": above.mean, "above interval": (above.low, above.high)}

    return {kind: {part: verdict(kind, part) for part in ("last", "best")} for kind in kinds}


def markdown(report: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """The table of mixings by functionals, the references beside it, and the verdicts."""
    of_graph = [name.split(" of ", 1) for name in report if " of " in name]
    functionals, mixings = (list(dict.fromkeys(names)) for names in zip(*of_graph, strict=True))
    lines = [_row("last / best layer", *functionals), _row(*["---"] * (len(functionals) + 1))]
    lines += [_row(mixing, *(_both(report[f"{each} of {mixing}"]) for each in functionals)) for mixing in mixings]
    head = ("average precision", "top k", "top 1", "on irrelevant tokens")
    lines += ["", _row("reference", *head), _row(*["---"] * 5)]
    references = [(name, cell["best"]) for name, cell in report.items() if " of " not in name]
    lines += [_row(name, *_figures(cell)) for name, cell in sorted(references, key=lambda each: -each[1][CHOSEN_BY])]
    lines += ["", _row("chosen on one half", *head, "above the best reference"), _row(*["---"] * 6)]
    for name, parts in verdict.items():
        for part, cell in parts.items():
            low, high = cell["above interval"]
            above = f"{cell['above']:+.3f} ({low:+.3f} to {high:+.3f})"
            lines.append(_row(f"{name}, {part} layer: {cell['method']}", *_figures(cell), above))
    return "\n".join(lines)


def _both(cell: Mapping[str, Any]) -> str:
    return f"{cell['last'][CHOSEN_BY]:.3f} / {cell['best'][CHOSEN_BY]:.3f}"


def _figures(cell: Mapping[str, Any]) -> tuple[str, str, str, str]:
    low, high = cell[f"{CHOSEN_BY} interval"]
    others = (f"{cell[m]:.2f}" for m in MEASURES[1:])
    return (f"{cell[CHOSEN_BY]:.3f} ({low:.3f} to {high:.3f})", *others)  # pyright: ignore[reportReturnType]


def _row(*entries: str) -> str:
    return f"| {' | '.join(entries)} |"
