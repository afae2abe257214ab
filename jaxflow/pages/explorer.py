"""The explorer's page: one HTML file of an exploration, with its data, style, script and drawing library inside.

The drawing is on canvases, with D3's scales, links, paths and colours (Bostock, Ogievetsky & Heer 2011).

`jaxflow.pages.numbers` says how the numbers of each text and model are kept.
"""

from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

import numpy as np

from jaxflow._checks import InputError
from jaxflow._untyped import JsonObject
from jaxflow._versions import own_version
from jaxflow._words import readable, readable_scores
from jaxflow.pages.exploration import Exploration, Side
from jaxflow.pages.numbers import Numbers, numbers_text
from jaxflow.pages.page import as_base64, whole_page, write_html
from jaxflow.pages.pictures import picture_data
from jaxflow.pages.pieces import joined, pieces, row_of
from jaxflow.pages.units import Pooled


def write_explorer(exploration: Exploration, path: str | Path) -> Path:
    """Write the explorer's page.

    Args:
        exploration: from `explore`.
        path: of the page; an ordinary file there is replaced in one step, and keeps its mode.

    Returns:
        The path.

    Raises:
        InputError: the file cannot be written.
    """
    return write_html(render_explorer(exploration), path)


def render_explorer(exploration: Exploration) -> str:
    """The page as HTML; text of the data is nowhere markup, and nothing but this very script and style may run."""
    pictures = exploration.sides[0].examples[0].picture is not None
    data, blocks = explorer_data(exploration), []
    for index, sentence in enumerate(data["sentences"]):
        sides = [_side_numbers(side, index, data["methods"]) for side in exploration.sides]
        grain, fused, texts = numbers_text(sides)
        sentence["kept"] = {**asdict(grain), "fused": fused}
        # Apart from the JSON, so that a page of many texts opens before all numbers are unpacked.
        blocks += [
            f'<script type="text/plain" id="numbers-{index}-{number}">{text}</script>'
            for number, text in enumerate(texts)
        ]
    return whole_page("explorer", data, draws=True, pictures=pictures, rest="\n".join(blocks))


def framed(exploration: Exploration, height: int = 900) -> str:
    """The page in a frame of its own, for a notebook's cell."""
    # The page is an attribute of the frame. The sandbox keeps its script from the notebook's own.
    page = escape(render_explorer(exploration), quote=True)
    about = 'sandbox="allow-scripts allow-downloads" width="100%" style="border: 0"'
    # Frames are taken out of notebooks that Jupyter does not trust; what stands within them is left.
    instead = "The explorer is shown once you trust this notebook, or run the cell again."
    return f'<iframe {about} height="{height}" srcdoc="{page}">{instead}</iframe>'


def explorer_data(exploration: Exploration) -> JsonObject:
    """The page's data on all sentences as JSON; their numbers stand apart."""
    first = exploration.sides[0]
    return {
        "models": [_model(side) for side in exploration.sides],
        "methods": _methods(exploration),
        "lead": exploration.settings.get("lead"),
        # A decoder's first position sees itself alone, and targets stand last; the page begins with the last position.
        "last": bool(exploration.settings.get("last")),
        "measures": sorted(first.measures),
        "roles": [side.roles for side in exploration.sides] if first.roles is not None else None,
        # What was asked to be chosen at first, such as a layer and its head.
        "first": dict(exploration.settings.get("first", {})),
        "settings": {name: value for name, value in exploration.settings.items() if name != "first"},
        "versions": {"jaxflow": own_version()},
        "total": exploration.total,
        "sentences": [_sentence(exploration, index) for index in range(len(exploration))],
    }


def _model(side: Side) -> JsonObject:
    layers, heads = side.heads
    measures = {name: as_base64(table, "<f4") for name, table in side.measures.items()}
    return {"name": side.name, "layers": layers, "heads": heads, "measures": measures}


def _methods(exploration: Exploration) -> list[str]:
    return list(exploration.sides[0].examples[0].relevance)


def _sentence(exploration: Exploration, index: int) -> JsonObject:
    first = exploration.sides[0].examples[index]
    pair = len(exploration.sides) == 2
    # Empty for one model, and for two of different shapes.
    change = exploration.change[index] if exploration.change else None
    certified = [side.examples[index].certified for side in exploration.sides]
    return {
        "id": index + 1,
        "text": first.text,
        "pair": first.pair,
        "label": exploration.labels[index],
        # Only of methods that were not asked for every position.
        "queries": {
            name: asked.tolist()
            for name, asked in first.queries.items()
            if not np.array_equal(asked, np.arange(len(first.tokens)))
        },
        # The lower share of the two models speaks for the text.
        "flows_certified": min((share for share in certified if share is not None), default=None),
        "change": None if change is None else [_rounded(value) for value in change.ravel()],
        "mean_change": None if change is None else float(change.mean(dtype=np.float64)),
        "moved": exploration.moved[index] if pair else None,
        "sides": [_side(side, index, number) for number, side in enumerate(exploration.sides)],
    }


def _side(side: Side, index: int, number: int) -> JsonObject:
    example = side.examples[index]
    carried = side.carried[index] if side.carried else None
    described: JsonObject = {
        "prediction": None if example.prediction is None else readable(example.prediction),
        "probabilities": {name: _rounded(score) for name, score in readable_scores(example.scores).items()} or None,
        "loss": side.losses[index],
        # Each model may cut and resize an image in its own way.
        "picture": None if example.picture is None else picture_data(example.picture),
        "carried": None if carried is None else asdict(carried),
        "scales": {name: scale for name, scale in _scales(example).items() if scale != 1},
        # By flow method, layer and query how many tokens it tells apart, where there is one that does not tell all.
        "apart": {name: (~values).sum(-1).tolist() for name, values in example.saturated.items() if values.any()},
    }
    if number == 0:
        # The second model's are the same.
        row = row_of(example)
        cut = pieces(row)
        tokens = list(map(readable, example.tokens))
        described |= {"tokens": tokens, "source": example.source, "pieces": cut, "joined": joined(row, cut)}
    return described


def _scales(example: Pooled) -> dict[str, float]:
    """By method, the power of two that its numbers are divided by, so that half precision holds them."""
    largest = {name: float(values.max(initial=0)) for name, values in example.relevance.items()}
    # Gradients are small, and half precision keeps few digits below 2^-14.
    ordinary = {name: value == 0 or not np.isfinite(value) or 2**-6 <= value < 2**15 for name, value in largest.items()}
    return {name: 1.0 if ordinary[name] else 2.0 ** np.ceil(np.log2(value)) for name, value in largest.items()}


def _rounded(value: float | np.floating) -> float:
    return float(f"{float(value):.6g}")


def _side_numbers(side: Side, index: int, methods: Sequence[str]) -> Numbers:
    example = side.examples[index]
    scales = _scales(example)
    scaled = {name: example.relevance[name] / scales[name] for name in methods}
    if not all(np.isfinite(values.astype(np.float16)).all() for values in scaled.values()):
        expected, got = "hold finite numbers", "others, which a page cannot show"
        raise InputError(None, expected, got, place=f"the relevance of text {index}")
    return Numbers(scaled, side.attention[index])
