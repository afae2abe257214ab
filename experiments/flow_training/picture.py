"""The picture: accuracy on hard sentences by term, towards the evidence and towards random words."""

from pathlib import Path
from typing import Any

from experiments._figures import new_figure, save_figure

LOOKS = {"evidence": ("#0072B2", "o"), "random": ("#D55E00", "s")}
SHOWN = ("flow finds evidence", "blank-out finds evidence")


def draw(record: dict[str, Any], hard: str, path: Path) -> None:
    """Dots with intervals; the control is the grey line and its band."""
    terms = list(dict.fromkeys(name.rsplit(", ", 1)[0] for name in record if name != "control"))
    panels = [("right", hard, f"right on hard sentences\n({hard})"), *(("explained", name, name) for name in SHOWN)]
    figure = new_figure(9.5, 1.3 + 0.34 * len(terms))
    axes = figure.subplots(1, len(panels), sharey=True)
    for panel, (kind, measure, title) in zip(axes, panels, strict=True):
        control = record["control"][kind][measure]
        panel.axvspan(*control["interval"], color="#DDDDDD", lw=0)
        panel.axvline(control["mean"], color="#888888", lw=1, label="no term, with its interval")
        for towards, (colour, marker) in LOOKS.items():
            for row, term in enumerate(terms):
                cell = record[f"{term}, {towards}"][kind][measure]
                at = row + (-0.13 if towards == "evidence" else 0.13)
                panel.plot(cell["interval"], (at, at), color=colour, lw=1.5)
                label = {"evidence": "towards the evidence", "random": "towards a random word"}[towards]
                panel.plot(cell["mean"], at, marker, color=colour, ms=5, label=label if row == 0 else None)
        panel.set(title=title, xlim=(0, 1.02), yticks=range(len(terms)), yticklabels=terms)
        panel.title.set_fontsize(10)
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    save_figure(figure, path)
