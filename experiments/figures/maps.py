"""Figures 2 and 3: what [CLS] is made of, layer by layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments._figures import MAP, new_figure
from jaxflow import Example

TITLES = {"raw": "raw attention", "rollout": "attention rollout", "flow": "attention flow"}


def draw_raw(examples: Sequence[Example]) -> Any:
    """Raw attention of [CLS] to the others in each layer: a panel a sentence.

    Each row is scaled to its own largest weight of a word, so that a row that is bright in one place is focused and
    one that is bright all over is spread evenly. What [CLS] keeps for itself, which may be nearly everything, stands
    at the right.
    """
    figure = new_figure(9.0, 0.9 + 2.3 * len(examples))
    panels, drawn = figure.subplots(len(examples), 1, squeeze=False)[:, 0], None
    for panel, example in zip(panels, examples, strict=True):
        values = np.asarray(example.relevance["raw"])[:, 0]
        top = values[:, np.array(example.source) >= 0].max(axis=-1, keepdims=True)
        drawn = panel.imshow(values / top, origin="lower", aspect="auto", cmap=MAP, vmin=0, vmax=1)
        _labels(panel, example)
        _ = panel.set_ylabel("layer")
        own = panel.secondary_yaxis("right")
        own.set_yticks(range(len(values)), [f"{weight:.2f}" for weight in values[:, 0]], fontsize=8)
        _ = own.set_ylabel("[CLS] itself", fontsize=8)
    _ = figure.colorbar(drawn, ax=panels, label="weight / the largest of a word", shrink=0.7, extend="max")
    return figure


def draw_methods(examples: Sequence[Example], titles: Sequence[str]) -> Any:
    """Raw, rollout and flow of [CLS], a row of panels for each sentence.

    Colours go from 0 to the largest value of the sentence's own words; special tokens may go beyond.
    """
    names = list(examples[0].relevance)
    longest = max(len(example.tokens) for example in examples)
    figure = new_figure(1.0 + len(names) * max(3.0, 0.27 * longest), 0.4 + 2.6 * len(examples))
    rows = figure.subfigures(len(examples), 1, squeeze=False)[:, 0]
    for row, example, title in zip(rows, examples, titles, strict=True):
        _ = row.suptitle(title, fontsize=10)
        panels = row.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for panel, name in zip(panels, names, strict=True):
            values = np.asarray(example.relevance[name])[:, 0]
            words = np.array(example.source) >= 0
            top = float(values[:, words].max())
            drawn = panel.imshow(values, origin="lower", aspect="auto", cmap=MAP, vmin=0, vmax=top)
            _labels(panel, example)
            panel.set_title(TITLES[name], fontsize=9)
            bar = row.colorbar(drawn, ax=panel, extend="max" if values.max() > top else "neither")
            bar.ax.tick_params(labelsize=7)
        _ = panels[0].set_ylabel("layer")
    return figure


def _labels(panel: Any, example: Example) -> None:
    panel.set_xticks(range(len(example.tokens)), example.tokens, rotation=60, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(example.layers)), [str(layer) for layer in example.layers])
    panel.tick_params(labelsize=8, length=2)
