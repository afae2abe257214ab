"""A figure of an exploration, for papers: the same arcs and numbers that the page shows, as vectors."""

import numpy as np
from jaxtyping import Float

from jaxflow._checks import InputError, missing_extra
from jaxflow._typing import Axes, Figure
from jaxflow.compare.paths import stronger_in
from jaxflow.pages.exploration import Exploration
from jaxflow.pages.figure import NAME, WIDEST, printable

# Okabe & Ito (2008): told apart by colour-blind readers; and by dash where there is no colour.
LOOKS = {"shared": ("#4a4f57", "-"), "first": ("#d55e00", (0, (5, 2))), "second": ("#0072b2", (0, (1, 1)))}
# Arcs that the automatic threshold leaves.
AUTOMATIC = 70


def plot_exploration(
    exploration: Exploration, index: int = 0, position: int = 0, *, threshold: float | None = None
) -> Figure:
    """Draw what one text's position is made of: the layered network of shares, and below it rollout's words.

    An arc is as wide as the share of the position that passes along it (over a layer these sum to 1, and at the words
    they are rollout, where tokens and not words are shown). With two models, arcs that are alike in both are solid,
    those that are at least twice as strong in one dashed.

    Args:
        exploration: from `explore`.
        index: which text.
        position: whose make-up is shown, at the last layer.
        threshold: the least share that is drawn; None for one that leaves about 70 arcs.

    Returns:
        A `matplotlib.figure.Figure`, to show or to save as PDF or SVG.

    Raises:
        InputError: matplotlib is not installed, or there is no such text or position.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("matplotlib", "plots", "a figure") from None
    if not 0 <= index < len(exploration):
        raise InputError("index", f"be below {len(exploration)}, the number of texts", str(index))
    examples = [side.examples[index] for side in exploration.sides]
    tokens = printable(examples[0].tokens)
    if not 0 <= position < len(tokens):
        raise InputError("position", f"be below {len(tokens)}, the text's length", str(position))
    residual = exploration.settings["residual"]
    shares = [path_shares(example.relevance["raw"], residual, position) for example in examples]
    least = _automatic(shares) if threshold is None else threshold
    layers = len(shares[0])
    width = min(WIDEST, max(5.0, 0.32 * len(tokens)))
    figure = Figure(figsize=(width, 1.8 + 0.42 * layers + 1.4), layout="constrained")
    # Layers above, rollout below, on one axis of tokens.
    network, bars = figure.subplots(2, 1, sharex=True, height_ratios=(0.42 * layers + 1, 1.4))
    names = list(printable(tuple(side.name for side in exploration.sides)))
    _draw_arcs(network, shares, least, names)
    _ = network.plot(position, layers, "o", color="black", zorder=3)
    network.set_yticks(range(layers + 1), ["words", *map(str, range(1, layers + 1))])
    _ = network.set_ylabel("layer")
    _draw_words(bars, [example.relevance["rollout"][-1, position] for example in examples], names)
    # Where tokens are narrower than their names, only some names are written.
    step = max(1, int(np.ceil(NAME * len(tokens) / width)))
    bars.set_xticks(range(0, len(tokens), step), tokens[::step], rotation=90)
    if len(shares) == 2:
        # Below, as arcs may be anywhere above.
        _ = figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    _ = figure.suptitle(f"what {tokens[position]} ({position}) is made of; arcs of at least {least:.2g}", fontsize=9)
    return figure


def path_shares(
    fused: Float[np.ndarray, "layer token token"], residual: float, position: int
) -> Float[np.ndarray, "layer token token"]:
    """The share of a position that passes along each arc, `layer query token`: its paths' sum, top to input."""
    # layer query token: attention rollout's matrices, in double precision as products are long
    mixing = residual * np.eye(fused.shape[-1]) + (1 - residual) * fused.astype(np.float64)
    # From the top down: the share that reaches a position, times where it goes from there.
    found, share = [], np.eye(fused.shape[-1])[position]
    for layer in mixing[::-1]:
        found.append(share[:, None] * layer)
        share = share @ layer
    return np.stack(found[::-1])


def _automatic(shares: list[np.ndarray]) -> float:
    # Staying where it is (the diagonal) is no arc that is worth looking at.
    values = np.sort(np.maximum.reduce(shares)[:, ~np.eye(shares[0].shape[-1], dtype=bool)].ravel())
    values = values[values > 0]
    return float(values[-min(AUTOMATIC, len(values))]) if len(values) else 0.0


def _draw_arcs(axes: Axes, shares: list[np.ndarray], least: float, names: list[str]) -> None:
    # One model alone stands for both, so that all its arcs are alike.
    strongest = np.maximum(shares[0], shares[-1])
    drawn = (strongest >= least) & (strongest > 0)
    speaks_for = stronger_in(shares[0], shares[-1])
    widest = strongest.max()
    labels = {"shared": "alike in both", "first": f"stronger in {names[0]}", "second": f"stronger in {names[-1]}"}
    for number, kind in enumerate(labels):
        colour, dash = LOOKS[kind]
        for layer, to, source in np.argwhere(drawn & (speaks_for == number)):
            width = 0.4 + 4 * np.sqrt(strongest[layer, to, source] / widest)
            _ = axes.plot([source, to], [layer, layer + 1], color=colour, linestyle=dash, linewidth=width, alpha=0.75)
        if len(shares) == 2:
            _ = axes.plot([], [], color=colour, linestyle=dash, label=labels[kind])


def _draw_words(axes: Axes, rows: list[np.ndarray], names: list[str]) -> None:
    width = 0.8 / len(rows)
    for number, (row, kind) in enumerate(zip(rows, ("first", "second"), strict=False)):
        # Bars of both models stand side by side within 0.8 of a token's width.
        places = np.arange(len(row)) + (number - (len(rows) - 1) / 2) * width
        _ = axes.bar(places, row, width, color=LOOKS[kind][0], label=names[number])
    _ = axes.set_ylabel("rollout")
