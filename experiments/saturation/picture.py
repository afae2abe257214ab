"""One picture: saturation by layer and model, by length, and the kinds of minimum cuts by mixing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments._figures import new_figure, save_figure
from experiments.saturation.measure import KINDS

COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#BBBBBB")
LINES = ("o-", "s--", "^:", "D-.", "v-", "x--", "*:")


def draw(records: Mapping[str, Any], compared: int, path: Path) -> None:
    """Draw the records of models; mixings are those of the model that has most."""
    figure = new_figure(13, 4.6)
    by_layer, by_mixing = figure.subplots(1, 2, width_ratios=(1, 1.5))
    for line, (name, record) in zip(LINES, records.items(), strict=False):
        layers = record["cells"].get(f"attention, {compared} tokens", {}).get("layers", {})
        shares = [each["saturated"][0] for each in layers.values()]
        _ = by_layer.plot([int(layer) for layer in layers], shares, line, label=name, markersize=5)
    _ = by_layer.set(xlabel="layer", ylabel="share of pairs that are saturated", ylim=(-0.03, 1.03))
    by_layer.xaxis.get_major_locator().set_params(integer=True)
    _ = by_layer.set_title(f"the paper's capacities, {compared} tokens")
    _ = by_layer.legend(frameon=False)
    name, record = max(records.items(), key=lambda item: len(item[1]["cells"]))
    end = f", {compared} tokens"
    cells = {
        key.removesuffix(end): cell for key, cell in record["cells"].items() if key.endswith(end) and cell["texts"]
    }
    lasts = {key: list(cell["layers"].values())[-1] for key, cell in cells.items() if cell["layers"]}
    left = [0.0] * len(lasts)
    for kind, colour in zip(KINDS, COLOURS, strict=True):
        shares = [each[kind][0] for each in lasts.values()]
        _ = by_mixing.barh(list(lasts), shares, left=left, color=colour, label=kind)
        left = [start + share for start, share in zip(left, shares, strict=True)]
    _ = by_mixing.invert_yaxis()
    _ = by_mixing.set(xlabel="share of pairs, last layer", xlim=(0, 1), title=f"which cut is minimal: {name}{end}")
    _ = by_mixing.legend(frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.4, -0.12), columnspacing=1)
    save_figure(figure, path)
