"""Results in a notebook: the words of first texts, shaded, and what changed between two models."""

from collections.abc import Sequence
from html import escape

import numpy as np

from jaxflow._words import readable
from jaxflow.attribution import Attribution, Example
from jaxflow.compare.findings import findings
from jaxflow.compare.result import Comparison
from jaxflow.pages.carried import apart_words, carried_of, class_method_of, of_image, words_of
from jaxflow.pages.pictures import cover, patch_values, shares, uri_of
from jaxflow.pages.pieces import pieces, row_of
from jaxflow.store.arrow import rows_of

SHOWN = 10
# Blue, its opacity the share of the full shade, and orange for what speaks against the explained number: readable on a
# light page and on a dark one.
SHADE = "background: rgba({}, {:.2f}); border-radius: 3px"
FOR, AGAINST = "0, 114, 178", "213, 94, 0"
# A token of whose flow a trivial cut is all that can be said.
SATURATED = "; text-decoration: underline dotted"
# Special tokens stand apart from the words beside them.
SPECIAL = "; opacity: .7; margin: 0 .2em"
# Jupyter breaks lines within words otherwise.
LINES = "white-space: pre-wrap; word-break: normal"
# marimo's tables have no space between their cells.
CELL = "padding: 2px 6px"


def attribution_html(result: Attribution) -> str:
    """The first texts, each with the words that carry its prediction where a method is of a class, and a line a method.

    A method's line is relevance to the first position asked for, at the last layer.
    Shades go up to the method's largest value of the text's own tokens, in a second hue for what is negative; a token's
    number is in the box that opens when it is pointed at. Tokens of saturated flows are underlined with dots, and a
    line says how many a flow tells apart. Nothing in it runs.
    """
    # Every string of the data is escaped where it is put in.
    shown = [_lead(example, result) + _example(example) for example in result[:SHOWN]]
    if len(result) > SHOWN:
        shown.append(f"<p>and {len(result) - SHOWN} more; <code>result[{SHOWN}]</code> is the next</p>")
    return f"<div>{''.join(shown)}{_legend(result[:SHOWN])}</div>"


def _lead(example: Example, result: Attribution) -> str:
    """The words that carry an example's prediction; nothing where nothing was asked of a class."""
    if result.question is None:
        return ""
    row = next(rows_of([1], Attribution((example,))))
    carried = carried_of(row, class_method_of(result.question), result.reads_at)
    if carried is None:
        return ""
    # A class that was asked for need not be the predicted one.
    what = "" if carried.target else f"<strong>{escape(readable(str(example.prediction)))}</strong>, "
    return f'<p style="margin: .6em 0 0">{what}{escape(readable(carried.in_words(images=of_image(row))))}</p>'


def example_html(example: Example) -> str:
    """One text, as `attribution_html` shows several."""
    return f"<div>{_example(example)}{_legend([example])}</div>"


def _legend(examples: Sequence[Example]) -> str:
    """What shades, hues and lines mean, of those that are there."""
    rows = [values[-1, 0] for example in examples for values in example.relevance.values()]
    flat = [values[-1, 0] for example in examples for values in example.saturation.values()]
    said = ["full shade: the largest of a line"]
    said += ["orange: against"] * any((row < 0).any() for row in rows)
    said += ["dotted: saturated, this flow says nothing of it"] * any(map(np.any, flat))
    return f'<p style="margin: .6em 0 0; opacity: .7; font-size: .9em">{"; ".join(said)}</p>'


def comparison_html(comparison: Comparison) -> str:
    """What changed most between two models: the distance of each head, shaded, and the findings in words.

    Nothing in it runs.
    """
    distance = comparison.summary.head.jensen_shannon.mean
    top = float(distance.max(initial=0)) or 1.0
    names = "".join(f"<th>{number}</th>" for number in range(1, distance.shape[1] + 1))
    # The last layer above, as in the pages.
    rows = "".join(
        f"<tr><th>{layer}</th>{''.join(_cell(float(value), float(value) / top) for value in distance[layer - 1])}</tr>"
        for layer in range(len(distance), 0, -1)
    )
    said = escape("\n".join(findings(comparison.summary)))
    return (
        f"<div><p>How far each head's attention is apart (Jensen-Shannon, 0 to 1); rows are layers, columns heads</p>"
        f'<table>{rows}<tr><th></th>{names}</tr></table><pre style="{LINES}">{said}</pre></div>'
    )


def _cell(value: float, share: float) -> str:
    return f'<td style="{_shade(share)}; {CELL}" title="{value:.4g}">{value:.2f}</td>'


def _example(example: Example) -> str:
    asked = int(example.queries[0])
    layer = example.layer_names.get(example.layers[-1], f"layer {example.layers[-1]}")
    said = f"{layer}, position {asked} ({escape(readable(example.tokens[asked]))})"
    if example.prediction is not None:
        said += f", prediction: {escape(readable(example.prediction))}"
    left = f'style="text-align: left; {CELL}"'
    lines = [
        f"<tr><th {left}>{escape(method)}</th><td {left}>{_shaded(example, method)}</td></tr>"
        for method in example.relevance
    ]
    words, images = words_of(example.source, asked), example.picture is not None
    told = [
        f'<p style="margin: 0; opacity: .7">{escape(line)}</p>'
        for line in apart_words(example.saturation, example.relevance, -1, 0, words, images=images)
    ]
    heading = f'<p style="margin: .6em 0 0; opacity: .7">{said}</p>'
    return f"{heading}<table>{''.join(lines)}</table>{''.join(told)}"


def _shaded(example: Example, method: str) -> str:
    return _words(example, method) if example.picture is None else _patches(example, method)


def _patches(example: Example, method: str) -> str:
    """The picture in grey, its patches shaded over it, each with its number where it is pointed at."""
    assert example.picture is not None
    row = example.relevance[method][-1, 0]
    _, found = shares(example, row)
    rows, columns = found.shape
    names = [token for token, source in zip(example.tokens, example.source, strict=True) if source == 0]
    cells = "".join(
        f'<span style="background: {cover(share)}" title="{escape(name)}: {value:.4g}"></span>'
        for name, share, value in zip(names, found.ravel(), patch_values(example, row).ravel(), strict=True)
    )
    grid = f"position: absolute; inset: 0; display: grid; grid-template: repeat({rows}, 1fr) / repeat({columns}, 1fr)"
    return (
        '<div style="position: relative; width: 16em; line-height: 0">'
        f'<img alt="{escape(example.text)}" style="width: 100%; filter: grayscale(1)" src="{uri_of(example.picture)}">'
        f'<div style="{grid}">{cells}</div></div>'
    )


def _words(example: Example, method: str) -> str:
    # The last layer and the first position asked for.
    row = example.relevance[method][-1, 0]
    saturated = example.saturation[method][-1, 0] if method in example.saturation else np.zeros(len(row), bool)
    # Special tokens and the position itself, which hold the most, would leave the rest without shade.
    own = [source >= 0 and token != example.queries[0] for token, source in enumerate(example.source)]
    top = float(np.max(np.abs(row[own]), initial=0.0)) or 1.0
    cut = pieces(row_of(example))
    # Pieces, not tokens: the text reads as it was written.
    return "".join(
        f'{escape(gap)}<span style="{_shade(float(value) / top)}{SATURATED * bool(flat)}{SPECIAL * (source < 0)}" '
        f'title="{escape(readable(token))}: {value:.4g}{", saturated" * bool(flat)}">{escape(surface)}</span>'
        for (gap, surface), token, value, flat, source in zip(
            cut, example.tokens, row, saturated, example.source, strict=True
        )
    )


def _shade(share: float) -> str:
    return SHADE.format(AGAINST if share < 0 else FOR, min(1.0, abs(share)) * 0.75)
