"""The paper's figures with our model: maps that turn uniform with depth, and [CLS] maps of single sentences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import jaxflow as jf
from experiments.verb_number.beginnings import LABELS, Beginning
from experiments.verb_number.tokenizer import SPECIALS, UNKNOWN
from jaxflow.models import TextEncoder

METHODS = ("raw", "rollout", "flow")
TITLES = {"raw": "raw attention", "rollout": "rollout", "flow": "flow"}


def entropies(model: TextEncoder, found: Sequence[Beginning]) -> dict[str, list[float]]:
    """Entropy of the first position's row at each layer over that of the uniform row, mean over beginnings."""
    result = jf.attribute(model, [" ".join(b.words) for b in found], methods=METHODS)
    report = {}
    for method in METHODS:
        rows = []
        for relevance in result.relevance[method]:
            share = np.asarray(relevance[:, 0], np.float64)
            share = share / share.sum(-1, keepdims=True)
            entropy = -(share * np.log(np.maximum(share, 1e-300))).sum(-1)
            rows.append(entropy / np.log(share.shape[-1]))
        report[method] = np.mean(rows, 0).tolist()
    return report


def uniform_figure(model: TextEncoder, example: Beginning, entropy: dict[str, list[float]], path: Path) -> None:
    """Maps of one sentence's first position, layer by layer, and the mean entropy of many."""
    plt = _pyplot()
    result = jf.attribute(model, [" ".join(example.words)], methods=METHODS)[0]
    words = _words(result)
    figure, axes = plt.subplots(
        1, 4, figsize=(15, 0.32 * len(words) + 1.4), width_ratios=(1, 1, 1, 1.3), layout="constrained"
    )
    for axis, method in zip(axes, METHODS, strict=False):
        _map(axis, result.relevance[method][:, 0], words if method == "raw" else None, TITLES[method])
    layers = np.arange(1, len(entropy["raw"]) + 1)
    for method, style in zip(METHODS, ("o-", "s--", "^:"), strict=True):
        axes[3].plot(layers, entropy[method], style, label=TITLES[method])
    axes[3].axhline(1, color="0.7", linewidth=0.8)
    axes[3].set(xlabel="layer", xticks=layers, ylabel="entropy / uniform row's", title="mean over held-out beginnings")
    # Below the axes, where no model's lines can be.
    axes[3].legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, columnspacing=1)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def sentence_figure(model: TextEncoder, examples: Sequence[Beginning], path: Path) -> None:
    """The first position's row by each method at each layer, one row of maps a sentence."""
    plt = _pyplot()
    result = jf.attribute(model, [" ".join(b.words) for b in examples], methods=METHODS)
    heights = [len(each.tokens) + 3 for each in result]
    figure, axes = plt.subplots(
        len(examples), 3, figsize=(11, 0.3 * sum(heights)), height_ratios=heights, layout="constrained", squeeze=False
    )
    for row, (each, example) in enumerate(zip(result, examples, strict=True)):
        verdict = "right" if each.prediction == LABELS[example.number] else "wrong"
        for column, method in enumerate(METHODS):
            _map(axes[row, column], each.relevance[method][:, 0], _words(each) if not column else None, TITLES[method])
        label = each.prediction or ""
        axes[row, 1].set_title(
            f"predicted {label} ({each.scores[label]:.2f}), {verdict}\n{TITLES['rollout']}", fontsize=10
        )
    figure.savefig(path, dpi=150)
    plt.close(figure)


def chosen_examples(model: TextEncoder, found: Sequence[Beginning], probabilities: np.ndarray) -> list[Beginning]:
    """Two beginnings predicted right and one wrong, each with attractors and of a length that can be read.

    The first of the list that qualify, so that nothing is picked by its looks.
    """
    known = set(model.tokenizer.get_vocab())
    right, wrong = [], []
    for b, chances in zip(found, probabilities, strict=True):
        if b.attractors >= 1 and 6 <= len(b.words) <= 12 and all(word in known for word in b.words):
            (right if chances.argmax() == b.number else wrong).append(b)
    return [*right[:2], *wrong[:1]]


def _map(axis: Any, relevance: np.ndarray, words: list[str] | None, title: str) -> None:
    share = relevance / relevance.sum(-1, keepdims=True)
    axis.imshow(share.T, aspect="auto", cmap="Blues", vmin=0)
    layers = range(share.shape[0])
    axis.set(xticks=layers, xticklabels=[str(layer + 1) for layer in layers], xlabel="layer")
    axis.set_yticks(range(share.shape[1]), words if words is not None else [""] * share.shape[1])
    axis.set_title(title, fontsize=10)


def _words(example: Any) -> list[str]:
    """The text's words as they were written, special tokens by their names; what the model doesn't know is marked."""
    words = []
    for piece, (start, end) in zip(example.tokens, example.offsets, strict=True):
        word = piece if start < 0 else example.text[start:end]
        words.append(f"{word} (unknown)" if piece == SPECIALS[UNKNOWN] and start >= 0 else word)
    return words


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt
