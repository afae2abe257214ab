"""What part of each target's relevance goes to the source token that it was written from, by every method."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

import jaxflow as jf
from experiments._methods import REFERENCES, methods_of, mixings_of
from experiments.source_target.dates import PARTS, Dated
from jaxflow import InputError
from jaxflow.attribution.registry import METHODS
from jaxflow.evaluation import ground_truth, mean_interval, padded
from jaxflow.graph.encoder_decoder import layer_name
from jaxflow.mixing import MIXINGS
from jaxflow.models.encoder_decoder.model import PairModel

# The source token's share of the relevance of all sources, whether it is the first of them, and the share that all
# sources have of a target's relevance, of which earlier targets have the rest.
MEASURES = ("share", "first", "sources")
# Targets that are written from a source token.
WRITTEN = [place for place, part in enumerate(PARTS) if part is not None]
# Values of a row that are nearer than this share of its largest tie: flows are exact to 1e-9.
TIES = 1e-9
RESAMPLES = 1999

Measured = dict[str, Float[np.ndarray, "measure text target"]]


def explained_by(model: PairModel, mixings: Sequence[str] | None = None) -> list[Any]:
    """What the model can be asked by: raw attention, rollout and flow of its mixings, or of those named; references."""
    taken = {name: each for name, each in mixings_of(model).items() if mixings is None or name in mixings}
    # Raw attention is its rows as shares, whatever the own streams are.
    alone = {name: each for name, each in taken.items() if ", own " not in name}
    references = [name for name in REFERENCES if _needs(name) <= model.gives]
    return [*methods_of(alone, ("raw",), ()), *methods_of(taken, ("rollout", "flow"), references)]


def measured(model: PairModel, texts: Sequence[Dated], methods: Sequence[Any]) -> Measured:
    """All measures by the method's name; of raw attention by layer too."""
    result = jf.attribute(
        model,
        [each.text for each in texts],
        pairs=[each.target for each in texts],
        queries="answer",
        methods=tuple(methods),
    )
    evidence, sources = places(result, texts)
    found: Measured = {}
    for name, rows in result.relevance.items():
        # text layer target token.
        values, _ = padded([row[:, WRITTEN] for row in rows])
        layers = against(np.abs(values), evidence, sources)
        if not name.startswith("raw "):
            found[name] = layers[:, :, -1]
            continue
        # Raw attention of a cross layer is its cross-attention; the others move no sources into targets.
        for layer in range(model.encoder_layers + 1, layers.shape[2], 2):
            found[f"{name}, {layer_name(layer + 1, model.encoder_layers)}"] = layers[:, :, layer]
    return found


def places(
    result: jf.Attribution, texts: Sequence[Dated]
) -> tuple[Bool[np.ndarray, "text target token"], Bool[np.ndarray, "text token"]]:
    """Where the source token of each written target stands, and where sources stand."""
    width = max(len(example.tokens) for example in result)
    evidence = np.zeros((len(texts), len(WRITTEN), width), bool)
    sources = np.zeros((len(texts), width), bool)
    for row, (example, text) in enumerate(zip(result, texts, strict=True)):
        count = len(example.sources)
        sources[row, :count] = True
        for target, place in enumerate(WRITTEN):
            evidence[row, target, example.offsets[:count].index(text.evidence[place] or (0, 0))] = True
    return evidence, sources


def against(
    values: Float[np.ndarray, "text layer target token"],
    evidence: Bool[np.ndarray, "text target token"],
    sources: Bool[np.ndarray, "text token"],
) -> Float[np.ndarray, "measure text layer target"]:
    """The measures of relevance that is not negative."""
    texts, layers, targets, tokens = values.shape
    # Each target is an example of its own: text target layer token.
    rows = np.moveaxis(values, 2, 1).reshape(-1, layers, tokens).astype(np.float64)
    # Sizes differ by method, so that ties are told relative to each row.
    rows /= np.maximum(rows.max(-1, keepdims=True), np.finfo(float).tiny)
    part = np.repeat(sources, targets, axis=0)
    found = ground_truth(rows, evidence.reshape(-1, tokens), part, tol=TIES)
    total = rows.sum(-1)
    of_sources = (rows * part[:, None]).sum(-1) / np.where(total == 0, 1, total)
    stacked = np.stack([1 - found.irrelevant, found.hit_at_1, of_sources])
    return np.moveaxis(stacked.reshape(len(MEASURES), texts, targets, layers), 2, 3)


def table(groups: Sequence[Measured], resamples: int = RESAMPLES) -> dict[str, Any]:
    """Of each method the means over the texts of all groups, with intervals, and the share by what a target is.

    Targets of one text are alike, so texts are drawn, not targets. Groups are models with texts of their own.
    """
    report: dict[str, Any] = {}
    for name in groups[0]:
        # text target measure.
        values = np.moveaxis(np.concatenate([found[name] for found in groups], axis=1), 0, -1)
        interval = mean_interval(values.mean(1), resamples=resamples)
        report[name] = {
            measure: [interval.mean[index], interval.low[index], interval.high[index]]
            for index, measure in enumerate(MEASURES)
        }
        kinds = np.array([PARTS[place] for place in WRITTEN])
        report[name]["share of"] = {kind: values[:, kinds == kind, 0].mean() for kind in dict.fromkeys(kinds.tolist())}
        report[name]["share by seed"] = [found[name][0].mean() for found in groups]
    return report


def refused(model: PairModel, text: Dated) -> dict[str, str]:
    """What is said of each mixing and each reference that the model does not take, by name."""
    asked: dict[str, Any] = {
        name: {"mixing": name} for name, kind in MIXINGS.items() if not kind().needs <= model.gives
    }
    asked |= {name: {"methods": name} for name in REFERENCES if not _needs(name) <= model.gives}
    said: dict[str, str] = {}
    for name, question in asked.items():
        try:
            _ = jf.attribute(model, [text.text], pairs=[text.target], queries="last", **question)
        except InputError as error:
            said[name] = str(error)
    return said


def markdown(report: Mapping[str, Any]) -> str:
    """The table, the method with the largest share first."""
    lines = ["| method | share | first | sources | year / month / day |", "|---|---|---|---|---|"]
    for name, cell in sorted(report.items(), key=lambda each: -each[1]["share"][0]):
        share, first, sources = ("{:.2f} [{:.2f}, {:.2f}]".format(*cell[measure]) for measure in MEASURES)
        parts = " / ".join(f"{value:.2f}" for value in cell["share of"].values())
        lines.append(f"| {name} | {share} | {first} | {sources} | {parts} |")
    return "\n".join(lines)


def _needs(name: str) -> frozenset[str]:
    return getattr(METHODS[name], "needs", frozenset())
