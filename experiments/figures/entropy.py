"""Figure 4: how evenly [CLS] is spread over the input, by layer and method."""

from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float

from experiments._figures import COLOURS, MARKERS, new_figure
from experiments._pieces import Pieces
from jaxflow import attribute
from jaxflow.evaluation import mean_interval, padded
from jaxflow.models import TextEncoder

METHODS = ("raw", "rollout", "flow")
# Which positions share the whole: all of them, or without the first, which holds most of itself by the residual.
KINDS = {"all positions": 0, "without the first": 1}
PAIRS = (("flow", "rollout"), ("flow", "raw"), ("raw", "rollout"))
PIECE = 64
RESAMPLES = 4999


def entropies(
    model: TextEncoder, texts: list[str], pieces: Pieces
) -> dict[str, Float[np.ndarray, "text method layer"]]:
    """Entropy of [CLS]'s relevance over positions, as a part of the largest possible: 1 is even, 0 all in one."""
    found: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for start in range(0, len(texts), PIECE):
        here = texts[start : start + PIECE]
        piece = pieces(f"relevance-{start:05d}", lambda here=here: _relevance(model, here))
        for kind, first in KINDS.items():
            rows = zip(piece["values"], piece["lengths"], strict=True)
            found[kind] += [evenness(values[..., first:length]) for values, length in rows]
    return {kind: np.stack(rows) for kind, rows in found.items()}


def evenness(values: Float[np.ndarray, "*rest token"]) -> Float[np.ndarray, "*rest"]:
    """`-sum p log p / log n` with p the values' shares of their sum; 1 where there is one token."""
    shares = values / values.sum(axis=-1, keepdims=True)
    entropy = -scipy.special.xlogy(shares, shares).sum(axis=-1)
    count = values.shape[-1]
    return entropy / np.log(count) if count > 1 else np.ones_like(entropy)


def entropy_record(
    found: dict[str, Float[np.ndarray, "text method layer"]], resamples: int = RESAMPLES
) -> dict[str, Any]:
    """By kind: each method's mean at each layer, and paired differences of methods with Wilcoxon's signed-rank test."""
    record: dict[str, Any] = {}
    for kind, values in found.items():
        layers = range(1, values.shape[-1] + 1)
        interval = mean_interval(values, resamples=resamples)
        means = {
            name: {
                str(layer): {
                    "mean": interval.mean[row, layer - 1],
                    "low": interval.low[row, layer - 1],
                    "high": interval.high[row, layer - 1],
                }
                for layer in layers
            }
            for row, name in enumerate(METHODS)
        }
        record[kind] = {"means": means, "differences": {}}
        for one, other in PAIRS:
            difference = values[:, METHODS.index(one)] - values[:, METHODS.index(other)]
            between = mean_interval(difference, resamples=resamples)
            record[kind]["differences"][f"{one} - {other}"] = {
                str(layer): {
                    "mean": between.mean[layer - 1],
                    "low": between.low[layer - 1],
                    "high": between.high[layer - 1],
                    "positive": (difference[:, layer - 1] > 0).mean(),
                    "p": _signed_rank(difference[:, layer - 1]),
                }
                for layer in layers
            }
    return record


def draw_entropy(record: dict[str, Any]) -> Any:
    """Means with 95 % intervals by layer, a panel for each kind."""
    figure = new_figure(8.4, 3.4)
    panels = figure.subplots(1, len(KINDS), sharey=True)
    layers = [int(layer) for layer in record[next(iter(KINDS))]["means"]["raw"]]
    for panel, kind in zip(panels, KINDS, strict=True):
        for name in METHODS:
            cells = record[kind]["means"][name]
            means = [cell["mean"] for cell in cells.values()]
            low, high = ([cell[end] for cell in cells.values()] for end in ("low", "high"))
            _ = panel.plot(layers, means, color=COLOURS[name], marker=MARKERS[name], markersize=5, label=name)
            _ = panel.fill_between(layers, low, high, color=COLOURS[name], alpha=0.25, linewidth=0)
        panel.set_title(kind, fontsize=10)
        panel.set_xlabel("layer")
        panel.set_xticks(layers)
        panel.spines[["top", "right"]].set_visible(False)
    _ = panels[0].set_ylabel("entropy of [CLS] / log(tokens)")
    _ = panels[-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _relevance(model: TextEncoder, texts: list[str]) -> dict[str, np.ndarray]:
    result = attribute(model, texts, methods=METHODS, flow="exact")
    rows = [np.stack([example.relevance[name][:, 0] for name in METHODS]) for example in result]
    values, mask = padded(rows)
    return {"values": values, "lengths": mask.sum(axis=-1)}


def _signed_rank(difference: np.ndarray) -> float:
    """Wilcoxon's p of a median of 0, two-sided; 1 where nothing differs."""
    if np.abs(difference).max() == 0:
        return 1.0
    found: Any = scipy.stats.wilcoxon(difference)
    return float(found.pvalue)
