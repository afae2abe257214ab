"""The pictures of a pair's record."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments._figures import MAP, new_figure

# Before and after; they differ in dash and marker too.
BEFORE = {"color": "#555555", "linestyle": "--", "marker": "o", "label": "pretrained"}
AFTER = {"color": "#D55E00", "linestyle": "-", "marker": "s", "label": "fine-tuned"}
CHANGE = "#0072B2"
METHODS = ("raw", "rollout", "flow")


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """The figures, by the ends of their names."""
    found = {"layers": draw_layers(record), "heads": draw_heads(record)}
    if "case" in record.get("debugging", {}):
        found["case"] = draw_case(record["debugging"]["case"])
    if "bias" in record:
        found["bias"] = draw_bias(record["bias"])
    return found


def draw_layers(record: dict[str, Any]) -> Any:
    """Above, relevance of marked words by method; below, what changes by layer."""
    figure = new_figure(10.5, 6.6)
    above, below = figure.subplots(2, 3)
    for panel, method in zip(above, METHODS, strict=True):
        found = record["marks"][method]
        layers = [int(layer) for layer in found]
        _lines(panel, layers, [[found[str(layer)][f"lift {when}"] for layer in layers] for when in ("before", "after")])
        _ = panel.axhline(1, color="#888888", linewidth=1, linestyle=":")
        panel.set_title(method, fontsize=10)
    above[0].set_ylabel(f"{record['marked']}:\nrelevance over the mean")
    _ = above[0].legend(frameon=False, fontsize=8)
    _changes(below[0], record["layers"]["jensen_shannon"])
    below[0].set_title("change of heads", fontsize=10)
    below[0].set_ylabel("Jensen-Shannon distance")
    below[0].set_ylim(bottom=0)
    _changes(below[1], record["layers"]["entropy_change"])
    below[1].set_title("change of entropy", fontsize=10)
    below[1].set_ylabel("bits")
    _ = below[1].axhline(0, color="#888888", linewidth=1, linestyle=":")
    if "syntax" in record:
        syntax = record["syntax"]
        layers = list(range(1, len(syntax["before"]) + 1))
        _lines(below[2], layers, [syntax["before"], syntax["after"]])
        _ = below[2].axhline(0, color="#888888", linewidth=1, linestyle=":")
        below[2].set_title("arcs of syntax", fontsize=10)
        below[2].set_ylabel("best head less fixed distance")
    else:
        layers = list(range(1, len(record["layers"]["cka_of_namesakes"]) + 1))
        for name, style, label in (("cka_of_namesakes", "-", "same head"), ("cka_of_others", "--", "other heads")):
            _ = below[2].plot(
                layers, record["layers"][name], color=CHANGE, linestyle=style, marker="o", markersize=4, label=label
            )
        below[2].set_title("similarity of heads", fontsize=10)
        below[2].set_ylabel("CKA")
        below[2].set_ylim(0, 1.03)
        _ = below[2].legend(frameon=False, fontsize=8)
    for panel in (*above, *below):
        _tidy(panel)
    return figure


def draw_heads(record: dict[str, Any]) -> Any:
    """Every head: its change, and what it gives marked words before and after."""
    heads = record["heads"]
    maps = [("change (Jensen-Shannon)", heads["jensen_shannon"], None)]
    lifts = [np.array(heads[f"lift_{when}"]) for when in ("before", "after")]
    ends = tuple(float(end) for end in np.quantile(np.concatenate(lifts), [0.01, 0.99]))
    marked = record["marked"]
    maps += [
        (f"{marked},\n{when}", values, ends) for when, values in zip(("pretrained", "fine-tuned"), lifts, strict=True)
    ]
    if "importance" in heads:
        maps.append(("importance", heads["importance"]["mean"], None))
    figure = new_figure(3.1 * len(maps), 3.4)
    for panel, (title, values, ends) in zip(figure.subplots(1, len(maps)), maps, strict=True):
        array = np.array(values)
        low, high = ends or (0.0, float(array.max()))
        image = panel.imshow(array, cmap=MAP, vmin=low, vmax=high, origin="lower", aspect="auto")
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("head")
        panel.set_yticks(range(0, len(array), max(1, len(array) // 6)))
        panel.set_yticklabels([str(place + 1) for place in range(0, len(array), max(1, len(array) // 6))])
        step = max(1, array.shape[1] // 4)
        panel.set_xticks(range(0, array.shape[1], step))
        panel.set_xticklabels([str(place + 1) for place in range(0, array.shape[1], step)])
        panel.set_ylabel("layer")
        _ = figure.colorbar(image, ax=panel, shrink=0.85)
    return figure


def draw_case(case: dict[str, Any]) -> Any:
    """The wrong prediction: what class attention says of each word, and what blanking it does."""
    words = case["words"]
    figure = new_figure(8.4, 1.3 + 0.24 * len(words))
    panels = figure.subplots(1, 3, sharey=True)
    places = np.arange(len(words))[::-1]
    shares = [np.array([word[f"raw {when}"] for word in words], float) for when in ("before", "after")]
    for shift, values, style in zip((0.2, -0.2), shares, (BEFORE, AFTER), strict=True):
        _ = panels[0].barh(places + shift, values / values.sum(), 0.38, color=style["color"], label=style["label"])
    _ = figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=2, frameon=False, fontsize=9
    )
    panels[0].set_title("raw attention, last layer", fontsize=10)
    weights = np.array([word["class attention"] for word in words], float)
    _ = panels[1].barh(places, weights / weights.sum(), 0.7, color=CHANGE)
    panels[1].set_title(f"class attention: {case['model']}", fontsize=10)
    falls = [word["blanked"]["fall"] for word in words]
    turned = [word["blanked"]["turned"] for word in words]
    bars = panels[2].barh(places, falls, 0.7, color="#BBBBBB", edgecolor="#333333")
    for bar, turns in zip(bars, turned, strict=True):
        bar.set_hatch("////" if turns else "")
    panels[2].set_title("blanked: fall of probability\n(hatched: another class wins)", fontsize=10)
    panels[0].set_yticks(places)
    panels[0].set_yticklabels([word["word"] for word in words])
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_xlabel("share of the words' relevance")
    panels[1].set_xlabel("share of the words' relevance")
    return figure


def draw_bias(bias: dict[str, Any]) -> Any:
    """Female less male pronoun, by occupation."""
    values = sorted(bias["by_occupation"].items(), key=lambda each: each[1])
    figure = new_figure(5.2, 1.1 + 0.14 * len(values))
    panel = figure.subplots()
    places = range(len(values))
    _ = panel.axvline(0, color="#888888", linewidth=1, linestyle=":")
    _ = panel.plot([value for _, value in values], places, "o", color=CHANGE, markersize=4)
    panel.set_yticks(places)
    panel.set_yticklabels([name for name, _ in values], fontsize=7)
    panel.set_ylim(-1, len(values))
    panel.set_xlabel("p(positive): female less male pronoun")
    panel.spines[["top", "right"]].set_visible(False)
    return figure


def _lines(panel: Any, layers: Sequence[int], sides: Sequence[Sequence[dict[str, float]]]) -> None:
    for shift, cells, style in zip((-0.08, 0.08), sides, (BEFORE, AFTER), strict=True):
        _errors(panel, [layer + shift for layer in layers], cells, **style)


def _changes(panel: Any, cells: Sequence[dict[str, float]]) -> None:
    _errors(panel, range(1, len(cells) + 1), cells, color=CHANGE, linestyle="-", marker="o")


def _errors(panel: Any, places: Any, cells: Sequence[dict[str, float]], **style: Any) -> None:
    means = [cell["mean"] for cell in cells]
    errors = [
        [max(0.0, cell["mean"] - cell["low"]) for cell in cells],
        [max(0.0, cell["high"] - cell["mean"]) for cell in cells],
    ]
    _ = panel.errorbar(places, means, errors, markersize=4, capsize=2, linewidth=1.3, **style)


def _tidy(panel: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.set_xlabel("layer")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.spines[["top", "right"]].set_visible(False)
