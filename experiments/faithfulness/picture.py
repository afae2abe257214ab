"""One picture of the table: the rank of every contestant in every cell."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments._figures import MAP, new_figure, save_figure
from experiments.faithfulness.table import SIGN, contestants, markdown
from experiments.faithfulness.tasks import TASKS
from jaxflow import InputError


def draw(folder: Path) -> None:
    """Draw the records in a folder to `faithfulness.png` and `.svg` there.

    Raises:
        InputError: there is none.
    """
    records = {task: json.loads(path.read_text()) for task in TASKS if (path := folder / f"{task}.json").is_file()}
    if not records:
        raise InputError("out", "be a folder that holds records of tasks", "none", "run a task first")
    save_figure(picture(records), folder / "faithfulness")
    for task, record in records.items():
        print(f"\n{task}\n\n{markdown(record)}")


def picture(records: dict[str, Any]) -> Any:
    """A panel a task: contestants down, protocols across, each with its removals; the colour is the rank."""
    settings = list(dict.fromkeys(setting for record in records.values() for setting in record["table"]))
    figure = new_figure(13.5, 1.2 + 2.9 * len(records))
    panels = figure.subplots(len(records), 1, squeeze=False)[:, 0]
    image = None
    for panel, (task, record) in zip(panels, records.items(), strict=True):
        # A removal that a task was not measured by stays empty.
        table, names = record["table"], contestants(record)
        cells = [(table.get(setting, {}).get(name), sign) for name, sign in SIGN.items() for setting in settings]
        ranks = np.stack([_ranks(*each, names) for each in cells], axis=-1)
        image = panel.imshow(ranks, cmap=f"{MAP}_r", vmin=1, vmax=len(names), aspect="auto")
        for row, column in zip(*np.nonzero(ranks <= 1), strict=True):
            _ = panel.text(column, row, "1", ha="center", va="center", fontsize=7, color="black")
        panel.set_yticks(range(len(names)), names, fontsize=8)
        # A line between what is of the graph and the references, and between protocols.
        panel.axhline(3.5, color="white", linewidth=2)
        for edge in range(1, len(SIGN)):
            panel.axvline(edge * len(settings) - 0.5, color="white", linewidth=2)
        middle = [place * len(settings) + (len(settings) - 1) / 2 for place in range(len(SIGN))]
        panel.set_xticks(middle, [name.replace("comprehensiveness", "compr.") for name in SIGN], fontsize=8)
        panel.tick_params(length=0)
        panel.set_title(f"{task}: {record['texts']['reported']} texts", fontsize=10, loc="left")
    _ = figure.supxlabel(f"in each block from left to right: {'; '.join(settings)}", fontsize=9)
    bar = figure.colorbar(image, ax=panels.tolist(), shrink=0.5, pad=0.01)
    bar.set_label("rank (1 is the most faithful)", fontsize=9)
    bar.ax.invert_yaxis()
    return figure


def _ranks(cell: dict[str, Any] | None, sign: int, names: list[str]) -> np.ndarray:
    """Ranks of the contestants from 1; equal ones share the mean. NaN where there is no cell."""
    from scipy.stats import rankdata

    if cell is None:
        return np.full(len(names), np.nan)

    return rankdata([-sign * cell["contestants"][name]["mean"][0] for name in names])
