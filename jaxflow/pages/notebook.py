"""A result in a notebook: the words of its first texts, shaded."""

from html import escape

import numpy as np

from jaxflow.attribution import Attribution, Example
from jaxflow.pages.pieces import pieces

SHOWN = 10
# Blue, its opacity the share of the full shade: readable on a light page and on a dark one.
SHADE = "background: rgba(0, 114, 178, {:.2f}); border-radius: 3px"


def attribution_html(result: Attribution) -> str:
    """The first texts, each with a line a method: relevance to the first position asked for, at the last layer.

    Shades go up to the method's largest value of the text's own tokens; a token's number is in the box that opens when
    it is pointed at. Nothing in it runs.
    """
    # Every string of the data is escaped where it is put in.
    shown = [_example(example) for example in result[:SHOWN]]
    if len(result) > SHOWN:
        shown.append(f"<p>and {len(result) - SHOWN} more; <code>result[{SHOWN}]</code> is the next</p>")
    return f"<div>{''.join(shown)}</div>"


def _example(example: Example) -> str:
    asked = int(example.queries[0])
    said = f"layer {example.layers[-1]}, position {asked} ({escape(example.tokens[asked])})"
    if example.prediction is not None:
        said += f", prediction: {escape(example.prediction)}"
    left = 'style="text-align: left"'
    lines = [
        f"<tr><th {left}>{escape(method)}</th><td {left}>{_words(example, row)}</td></tr>"
        for method, row in ((name, values[-1, 0]) for name, values in example.relevance.items())
    ]
    return f'<p style="margin: .6em 0 0; opacity: .7">{said}</p><table>{"".join(lines)}</table>'


def _words(example: Example, row: np.ndarray) -> str:
    # Special tokens and the position itself, which hold the most, would leave the rest without shade.
    own = [source >= 0 and token != example.queries[0] for token, source in enumerate(example.source)]
    top = float(np.max(row[own], initial=0.0)) or 1.0
    fields = {"text": example.text, "pair": example.pair, "tokens": list(example.tokens)}
    cut = pieces(fields | {"offsets": np.array(example.offsets), "source": np.array(example.source)})
    # Pieces, not tokens: the text reads as it was written.
    return "".join(
        f'{escape(gap)}<span style="{SHADE.format(min(1.0, float(value) / top) * 0.75)}" '
        f'title="{escape(token)}: {value:.4g}">{escape(surface)}</span>'
        for (gap, surface), token, value in zip(cut, example.tokens, row, strict=True)
    )
