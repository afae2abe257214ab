"""Figure 1: raw attention, rollout and flow as layered graphs."""

from typing import Any

import numpy as np
from jaxtyping import Float

from experiments._figures import COLOURS, GREYS, new_figure

TITLES = {"raw": "raw attention", "rollout": "attention rollout", "flow": "attention flow"}
# Edges below this part of their layer's largest are left out.
FAINTEST = 0.04


def draw_graphs(tokens: tuple[str, ...], relevance: dict[str, Float[np.ndarray, "layer token token"]]) -> Any:
    """The paper's layered picture: words from top to bottom, layers from left to right.

    Between the columns of layers l - 1 and l stands the method's matrix at layer l, as the authors draw it: an edge
    from row i on the right to row j on the left is as wide and dark as `relevance[l, i, j]` is part of the largest in
    that matrix (the diagonal of rollout and flow not counted, which would drown the rest). For raw attention that is
    the layer's own attention; for rollout and flow `j` is the input token, so a column shows what its nodes hold of
    the input. Edges into the first token, which classifiers read, are in the method's colour.
    """
    count, layers = len(tokens), len(next(iter(relevance.values())))
    figure = new_figure(4.4 * len(relevance) + 1.0, 1.0 + 0.34 * count)
    panels = figure.subplots(1, len(relevance), squeeze=False)[0]
    for panel, (name, matrices) in zip(panels, relevance.items(), strict=True):
        _edges(panel, matrices, COLOURS[name])
        columns = np.repeat(np.arange(layers + 1), count)
        panel.scatter(columns, np.tile(np.arange(count), layers + 1), s=9, color=GREYS[1], zorder=3)
        panel.set_title(TITLES[name], fontsize=12)
        panel.set_xticks(range(layers + 1), ["input", *(str(layer + 1) for layer in range(layers))])
        panel.set_xlabel("layer")
        panel.set_yticks(range(count), tokens, fontsize=10)
        panel.set_ylim(count - 0.5, -0.5)
        panel.set_xlim(-0.15, layers + 0.15)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
    return figure


def _edges(panel: Any, matrices: Float[np.ndarray, "layer token token"], colour: str) -> None:
    from matplotlib.collections import LineCollection

    count = matrices.shape[-1]
    for layer, matrix in enumerate(matrices):
        off = np.where(np.eye(count, dtype=bool), 0, matrix)
        shares = np.clip(matrix / max(float(off.max()), 1e-12), 0, 1)
        upper, lower = np.nonzero(shares >= FAINTEST)
        # [CLS]'s own edges last, so that they lie above the others.
        order = np.lexsort((shares[upper, lower], upper == 0))
        upper, lower = upper[order], lower[order]
        shown = shares[upper, lower]
        lines = [[(layer, j), (layer + 1, i)] for i, j in zip(upper, lower, strict=True)]
        first = upper == 0
        colours = np.where(first, colour, GREYS[2])
        alphas = np.where(first, 0.15 + 0.85 * shown, 0.35 * shown**1.5)
        panel.add_collection(
            LineCollection(
                lines,
                colors=colours.tolist(),
                alpha=alphas.tolist(),
                linewidths=0.3 + np.where(first, 2.7, 1.7) * shown,
            )
        )
