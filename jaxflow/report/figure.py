"""Static figures, for papers and notebooks."""

from typing import Any

import numpy as np

from jaxflow._checks import InputError, missing_extra
from jaxflow.attribution import Example

# Even in lightness and told apart by colour-blind readers.
COLOURS = "cividis"


def plot_relevance(example: Example, query: int | None = None) -> Any:
    """Draw what each token contributed to one position, layer by layer, the methods side by side.

    Each row is one layer, the deepest on top. Colours go from 0 to the method's largest value of the text's own tokens
    (the position itself and special tokens, which nearly always hold the most, may go beyond the scale).

    Args:
        example: one text's attribution.
        query: the position, among those that were asked for; None for the first of them.

    Returns:
        A `matplotlib.figure.Figure`, to show or to save; drawing it opens no window.

    Raises:
        InputError: matplotlib is not installed, or relevance to that position was not asked for.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("matplotlib", "plots", "A figure") from None
    asked = example.queries.tolist()
    if query is not None and query not in asked:
        raise InputError(f"`query` must be among the positions that were asked for, {asked}, got {query}")
    row = 0 if query is None else asked.index(query)
    maps = {name: np.asarray(values)[:, row] for name, values in example.relevance.items()}
    count = len(example.tokens)
    figure = Figure(figsize=(len(maps) * max(3.2, 0.3 * count), 1.5 + 0.3 * len(example.layers)), layout="constrained")
    panels = figure.subplots(1, len(maps), sharey=True, squeeze=False)[0]
    scaling = np.array([source >= 0 and token != asked[row] for token, source in enumerate(example.source)])
    for panel, (name, values) in zip(panels, maps.items(), strict=True):
        top = values[:, scaling].max(initial=0.0) or 1.0
        drawn = panel.imshow(values, origin="lower", aspect="auto", cmap=COLOURS, vmin=0, vmax=top)
        _ = panel.set_title(name)
        panel.set_xticks(range(count), printable(example.tokens), rotation=90)
        panel.set_yticks(range(len(example.layers)), [str(layer) for layer in example.layers])
        _ = figure.colorbar(drawn, ax=panel, extend="max" if values.max() > top else "neither")
    _ = panels[0].set_ylabel("layer")
    _ = figure.supxlabel(
        f"what each token contributed to position {asked[row]}, {printable(example.tokens)[asked[row]]}"
    )
    return figure


def printable(tokens: tuple[str, ...]) -> list[str]:
    """Tokens as labels: nothing in them is a formula, and what cannot be seen is written out."""
    shown = ["".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in token) for token in tokens]
    return [token.replace("$", r"\$") for token in shown]
