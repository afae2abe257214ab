"""The picture of the gender record: hits by layer, beside what has no layers."""

from typing import Any

from experiments._figures import COLOURS, GREYS, MARKERS, STYLES, new_figure

TITLES = {"gendered": "he, she: all", "gendered_and_right": "he, she: predicted right", "neutral": "they"}


def draw_hits(record: dict[str, Any], candidates: str = "words") -> Any:
    """Share of sentences whose pronoun comes first, by layer; bars are 95 % intervals."""
    groups = record[candidates]
    figure = new_figure(3.6 * len(groups) + 1.6, 3.6)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    ticks = [int(layer) for layer in next(iter(groups.values()))["hits"]["raw"]]
    for panel, (group, found) in zip(panels, groups.items(), strict=True):
        for shift, (name, colour) in enumerate(COLOURS.items()):
            cells = found["hits"][name]
            layers = [int(layer) + 0.12 * (shift - 1) for layer in cells]
            means = [cell["mean"] for cell in cells.values()]
            errors = [
                [cell["mean"] - cell["low"] for cell in cells.values()],
                [cell["high"] - cell["mean"] for cell in cells.values()],
            ]
            _ = panel.errorbar(
                layers, means, errors, color=colour, marker=MARKERS[name], markersize=5, capsize=2, label=name
            )
        flat = {name: found["hits"][name] for name in ("gradient norm", "gradient x input", "blank-out")}
        for (name, cell), style in zip((flat | {"chance": found["chance"]}).items(), STYLES, strict=True):
            colour = GREYS[2] if name == "chance" else GREYS[0]
            _ = panel.axhline(cell["mean"], color=colour, linestyle=style, linewidth=1.2, label=name)
        panel.set_title(f"{TITLES[group]} ({found['sentences']})", fontsize=10)
        panel.set_xlabel("layer")
        panel.set_xticks(ticks)
        panel.set_ylim(-0.02, 1.02)
        panel.spines[["top", "right"]].set_visible(False)
    _ = panels[0].set_ylabel("pronoun is the top word")
    handles, labels = panels[0].get_legend_handles_labels()
    _ = figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
    return figure
