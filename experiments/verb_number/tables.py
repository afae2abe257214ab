"""Tables 1 and 2 of Abnar & Zuidema (2020): how raw attention, rollout and flow rank tokens, against two scores.

For each layer, the row of the first position is compared with blank-out scores (Table 1) and with input gradients
(Table 2), example by example.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import jaxflow as jf
from experiments.verb_number.beginnings import LABELS, Beginning
from jaxflow.evaluation import (
    Gradient,
    GradientNorm,
    GradientTimesInput,
    Spearman,
    Target,
    gradient_scores,
    occlusion_scores,
    padded,
    rank_agreement,
    token_inputs,
)
from jaxflow.models import TextEncoder

METHODS = ("raw", "rollout", "flow")
# The paper's numbers (mean, standard deviation over samples), layers 1 to 6.
PAPER = {
    "blank-out": {
        "raw": ((0.69, 0.27), (0.10, 0.43), (-0.11, 0.49), (-0.09, 0.52), (0.20, 0.45), (0.29, 0.39)),
        "rollout": ((0.32, 0.26), (0.38, 0.27), (0.51, 0.26), (0.62, 0.26), (0.70, 0.25), (0.71, 0.24)),
        "flow": ((0.32, 0.26), (0.44, 0.29), (0.70, 0.25), (0.70, 0.22), (0.71, 0.22), (0.70, 0.22)),
    },
    "gradient": {
        "raw": ((0.53, 0.33), (0.16, 0.38), (-0.06, 0.42), (0.00, 0.47), (0.24, 0.40), (0.46, 0.35)),
        "rollout": ((0.22, 0.31), (0.27, 0.32), (0.39, 0.32), (0.47, 0.32), (0.53, 0.32), (0.54, 0.31)),
        "flow": ((0.22, 0.31), (0.31, 0.34), (0.54, 0.32), (0.61, 0.28), (0.60, 0.28), (0.61, 0.28)),
    },
}
# Flows are exact to 1e-9, so what is nearer than that ties.
TIES = 1e-9


def tables(model: TextEncoder, found: Sequence[Beginning]) -> dict[str, Any]:
    """Agreement of each method at each layer with each score, under three protocols, for one model.

    "paper": the published code's ranks and formula over all positions. "standard": average ranks over all positions.
    "words": average ranks over the words alone, without `<s>` and `</s>`.
    """
    texts = [" ".join(b.words) for b in found]
    gold = [b.number for b in found]
    started = time.monotonic()
    inputs = token_inputs(model, texts, truncate=True)
    result = jf.attribute(model, texts, methods=METHODS, truncate=True)
    attributed = time.monotonic()
    scores, unresolved = _scores(model, inputs, gold)
    scored = time.monotonic()
    words = inputs.positions("words")
    agreement: dict[str, Any] = {}
    for method in METHODS:
        relevance, mask = padded([row[:, 0] for row in result.relevance[method]])
        for name, values in scores.items():
            agreement.setdefault(name, {})[method] = _protocols(relevance, values, mask, words)
    return {
        "agreement": agreement,
        "certified": result.certified_share,
        "flows": int(sum(row[:, 0].size for row in result.relevance["flow"])),
        "gradient scores that are rounding": unresolved,
        "accuracy on these": float(np.mean([p == LABELS[g] for p, g in zip(result.prediction, gold, strict=True)])),
        "seconds": {
            "attribution": attributed - started,
            "scores": scored - attributed,
            "ranks": time.monotonic() - scored,
        },
    }


def _scores(model: TextEncoder, inputs: Any, gold: list[int]) -> tuple[dict[str, np.ndarray], float]:
    difference = Target(0, against=1)
    blank = occlusion_scores(model, inputs, target=gold, positions="all_but_last")
    plain = gradient_scores(model, inputs, Gradient(), target=difference)
    norm = gradient_scores(model, inputs, GradientNorm(), target=difference)
    times = gradient_scores(model, inputs, GradientTimesInput(absolute=True), target=difference)
    unresolved = float(plain.unresolved[plain.mask].mean())
    scores = {"blank-out": blank, "gradient": plain, "gradient norm": norm, "gradient x input": times}
    return {name: part.values for name, part in scores.items()}, unresolved


def _protocols(relevance: np.ndarray, scores: np.ndarray, mask: np.ndarray, words: np.ndarray) -> dict[str, Any]:
    """For each protocol the mean and standard deviation over examples, layer by layer, and how much ties."""
    kinds = {
        "paper": (mask, Spearman(protocol="paper")),
        "standard": (mask, Spearman(tol=TIES)),
        "words": (words, Spearman(tol=TIES)),
    }
    report = {}
    for kind, (chosen, measure) in kinds.items():
        found = rank_agreement(relevance, scores[:, None], chosen[:, None], measure)
        report[kind] = {
            "mean": found.mean().tolist(),
            "std": found.std().tolist(),
            "undefined": found.undefined().tolist(),
            "tied tokens": found.tied_tokens[0].mean(0).tolist(),
        }
    return report


def over_seeds(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean over seeds of each cell's mean and standard deviation, and the standard deviation of the means."""
    first = each[0]["agreement"]
    return {
        score: {
            method: {
                protocol: {
                    "mean": np.mean([s["agreement"][score][method][protocol]["mean"] for s in each], 0).tolist(),
                    "std": np.mean([s["agreement"][score][method][protocol]["std"] for s in each], 0).tolist(),
                    "seeds": np.std([s["agreement"][score][method][protocol]["mean"] for s in each], 0).tolist(),
                }
                for protocol in first[score][method]
            }
            for method in first[score]
        }
        for score in first
    }


def markdown(cells: dict[str, Any], score: str, protocol: str) -> str:
    """One table, ours over the paper's where the paper has it: mean ± standard deviation over samples.

    Where seeds differ, the standard deviation of the mean over seeds follows in brackets.
    """
    layers = len(cells[score]["raw"][protocol]["mean"])
    lines = ["| | " + " | ".join(f"L{layer + 1}" for layer in range(layers)) + " |", "| --- " * (layers + 1) + "|"]
    for method in METHODS:
        cell = cells[score][method][protocol]
        spread = [f" ({seeds:.2f})" if any(cell["seeds"]) else "" for seeds in cell["seeds"]]
        ours = (f"{m:.2f}±{s:.2f}{d}" for m, s, d in zip(cell["mean"], cell["std"], spread, strict=True))
        lines.append(f"| {method} | " + " | ".join(ours) + " |")
        if score in PAPER and layers == 6:
            lines.append(
                f"| {method}, paper | " + " | ".join(f"{m:.2f}±{s:.2f}" for m, s in PAPER[score][method]) + " |"
            )
    return "\n".join(lines)
