"""One picture: the share of each target's relevance that goes to the source token it was written from, by method."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments._figures import COLOURS, GREYS, new_figure, save_figure


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the methods of a table, the largest share on top, with their intervals."""
    cells = sorted(report.items(), key=lambda each: each[1]["share"][0])
    figure = new_figure(8, 1 + 0.24 * len(cells))
    axes = figure.subplots()
    for height, (name, cell) in enumerate(cells):
        mean, low, high = cell["share"]
        # Methods of the graph begin with their functional; references are grey.
        colour = COLOURS.get(name.split(" ")[0], GREYS[2])
        _ = axes.barh(height, mean, color=colour, xerr=[[mean - low], [high - mean]], error_kw={"lw": 1})
    _ = axes.set_yticks(range(len(cells)), [name for name, _ in cells])
    _ = axes.set(xlabel="share of the sources, on the token that is written", xlim=(0, 1))
    axes.margins(y=0.01)
    save_figure(figure, path)
