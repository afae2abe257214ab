"""Relevance by all methods, and their scores, measured piece by piece; finished pieces are read again.

All layers of all methods are scored on the texts that choose. On the others each method has its last layer and those
that a protocol chose, which is what there is time for.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

import jaxflow as jf
from experiments._methods import REFERENCES, methods_of
from experiments._pieces import Pieces, Report
from experiments.faithfulness.tasks import Task
from jaxflow.evaluation import PROTOCOLS as EVERY
from jaxflow.evaluation import (
    FaithfulnessProtocol,
    SoftComprehensiveness,
    SoftSufficiency,
    faithfulness_scores,
    padded,
)
from jaxflow.evaluation.batches import whole_logits
from jaxflow.references import Random

FUNCTIONALS = ("raw", "rollout", "flow", "joint-flow")
# Removal, and which positions take part, by what tables call them. Of special tokens the one that is read stays.
SETTINGS = {
    "mask": ("mask", "words"),
    "pad": ("pad", "words"),
    "blank": ("blank", "words"),
    "delete": ("delete", "words"),
    "mask, special too": ("mask", "special too"),
}
QUICK_SETTINGS = ("mask", "delete")
DRAWS = 4
# Soft measures take passes of their own for each row; the layer is the one that their hard counterpart chooses.
SOFT = {"soft-comprehensiveness": "comprehensiveness", "soft-sufficiency": "sufficiency"}
HARD = tuple(protocol for protocol in EVERY if protocol.name not in SOFT)
PROTOCOLS = (*HARD, SoftComprehensiveness(DRAWS), SoftSufficiency(DRAWS))
# Random orders, whose mean is the reference.
SEEDS = 5
# Mixings whose functionals are all timed, and how often.
TIMED = ("attention", "attention-gradient")
ROUNDS = 5
# What takes so many seconds once is known well enough.
LONG = 2.0
FORWARD = "forward pass"
PIECE = 8
# Larger batches are no faster on a processor.
BATCH_TOKENS = 2048


@dataclass(frozen=True)
class Row:
    """A method at a layer, counted from 1; references that know no layers have the last."""

    method: str
    layer: int


@dataclass(frozen=True)
class Relevance:
    """Relevance of all methods.

    Attributes:
        rows: methods and layers.
        values: padded with 0.
    """

    rows: tuple[Row, ...]
    values: Float[np.ndarray, "text row token"]

    def places(self, rows: Sequence[Row]) -> list[int]:
        """Where some of the rows stand."""
        at = {row: place for place, row in enumerate(self.rows)}
        return [at[row] for row in rows]


def all_methods(mixings: dict[str, Any]) -> list[Any]:
    """Every mixing with every functional, the references, and orders at random."""
    references = [name for name in REFERENCES if name != "random"]
    return [*methods_of(mixings, FUNCTIONALS, references), *(Random(seed, f"random {seed}") for seed in range(SEEDS))]


def relevance(task: Task, methods: Sequence[Any], pieces: Pieces) -> Relevance:
    """Relevance of the position that the classifier reads."""
    # Methods without a mixing know no layers: one row each.
    layered = [getattr(method, "mixing", None) is not None for method in methods]
    layers = task.model.layers
    rows = tuple(
        Row(method.name, layer)
        for method, every in zip(methods, layered, strict=True)
        for layer in (range(1, layers + 1) if every else (layers,))
    )

    def measure(part: Task) -> dict[str, np.ndarray]:
        pairs = None if part.pairs is None else list(part.pairs)
        result = jf.attribute(part.model, list(part.texts), pairs=pairs, methods=tuple(methods), queries="classifier")
        whole = [
            np.concatenate(
                [
                    np.asarray(result.relevance[method.name][text][:, 0], np.float64)[0 if every else -1 :]
                    for method, every in zip(methods, layered, strict=True)
                ]
            )
            for text in range(len(part.texts))
        ]
        return {"values": padded(whole)[0]}

    found = []
    for start in range(0, len(task.texts), PIECE):
        part = task.some(range(start, min(start + PIECE, len(task.texts))))
        found.append(pieces(f"relevance-{start:04d}", lambda part=part: measure(part))["values"])
    return Relevance(rows, padded([row for piece in found for row in piece])[0])


def scores(
    task: Task,
    texts: Sequence[int],
    values: Float[np.ndarray, "text row token"],
    setting: str,
    protocols: Sequence[FaithfulnessProtocol],
    pieces: Pieces,
    name: str,
) -> dict[str, Float[np.ndarray, "text row"]]:
    """Scores of rows of relevance on some of the texts by protocols; an undefined one is 0.

    Args:
        task: whose texts these are.
        texts: numbers of the texts.
        values: relevance of those texts.
        setting: of `SETTINGS`.
        protocols: that score.
        pieces: where they are kept.
        name: of the pieces.
    """
    removal, positions = SETTINGS[setting]

    def measure(part: Task, rows: np.ndarray) -> dict[str, np.ndarray]:
        inputs = part.inputs()
        chosen = inputs.positions("words" if positions == "words" else "tokens").copy()
        if positions != "words" and task.model.reads_at is not None:
            chosen[np.arange(len(chosen)), task.model.reads_at % inputs.lengths] = False
        rows = rows[..., : inputs.mask.shape[1]]
        begun = time.process_time()
        found = faithfulness_scores(
            part.model,
            inputs,
            rows,
            protocols=list(protocols),
            removal=removal,
            positions=chosen,
            batch_tokens=BATCH_TOKENS,
        )
        spent = {"passes": np.array(found.passes), "seconds": np.array(time.process_time() - begun)}
        return {protocol: np.nan_to_num(each) for protocol, each in found.scores.items()} | spent

    found = []
    for start in range(0, len(texts), PIECE):
        here = slice(start, start + PIECE)
        part = task.some(texts[here])
        title = f"{name}-{setting.replace(', ', '-').replace(' ', '-')}-{start:04d}"
        found.append(pieces(title, lambda part=part, here=here: measure(part, values[here])))
    totals = {each: np.array([piece[each] for piece in found]) for each in ("passes", "seconds")}
    return {each.name: np.concatenate([piece[each.name] for piece in found]) for each in protocols} | totals


def costs(task: Task, mixings: dict[str, Any], report: Report) -> dict[str, Any]:
    """Processor time of each method by itself, for the position that is read at the last layer, compilation aside.

    Rollout stands for a mixing's own cost; the other functionals are timed over `TIMED`. The smallest of `ROUNDS`.
    """
    methods = [each for each in methods_of(mixings, FUNCTIONALS) if _timed(each.name)]
    pairs, inputs = None if task.pairs is None else list(task.pairs), task.inputs()
    question = {"queries": "classifier", "layers": task.model.layers}
    runs: dict[str, Callable[[], object]] = {FORWARD: lambda: whole_logits(task.model, inputs, BATCH_TOKENS)}
    for method in methods:
        runs[method.name] = lambda m=method: jf.attribute(
            task.model, list(task.texts), pairs=pairs, methods=(m,), **question
        )
    best: dict[str, float] = {}
    for name, run in runs.items():
        # The first run compiles.
        _, rounds = run(), 0
        while (rounds := rounds + 1) <= ROUNDS and (rounds == 1 or best[name] < LONG):
            begun = time.process_time()
            _ = run()
            best[name] = min(best.get(name, np.inf), time.process_time() - begun)
        report(f"{name}: {best[name] / best[FORWARD]:.2f} forward passes")
    return {
        "milliseconds an example": {name: 1e3 * value / len(task.texts) for name, value in best.items()},
        "forward passes": {name: value / best[FORWARD] for name, value in best.items()},
    }


def _timed(name: str) -> bool:
    functional, _, mixing = name.partition(" of ")
    return not mixing or functional == "rollout" or mixing in TIMED
