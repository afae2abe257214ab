"""The page of what changed between two models over all texts: tables with intervals and tests, no script."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

import numpy as np

from jaxflow._units import in_units
from jaxflow.compare.findings import SIGNIFICANT, head_of, layer_of, of_images
from jaxflow.compare.paths import ARC_KINDS, STRONGER
from jaxflow.compare.result import ChangeSummary
from jaxflow.pages import comparison_tables as tables
from jaxflow.pages.comparison_tables import distance_words, name_html, section
from jaxflow.pages.page import asset, page_of_parts, source_hash, write_html


@dataclass(frozen=True)
class Compared:
    """What a comparison was of.

    Attributes:
        first: the first model's name.
        second: the second's.
        texts: where the texts came from, in words; None where that is not known.
        mixing: what the capacities were made of, in words; None where that is not known.
        explorer: file beside this page in which the first texts can be looked at; None without one.
    """

    first: str = "the first model"
    second: str = "the second model"
    texts: str | None = None
    mixing: str | None = None
    explorer: str | None = None


def write_comparison_page(summary: ChangeSummary, path: Path, of: Compared | None = None) -> Path:
    """Write the page of what changed over all texts.

    Args:
        summary: of `compare_models`, or of a comparison's folder while it is written.
        path: of the page; an ordinary file there is replaced in one step, and keeps its mode.
        of: what was compared.

    Returns:
        The path.

    Raises:
        InputError: the file cannot be written.
    """
    return write_html(render_comparison(summary, of or Compared()), path)


def render_comparison(summary: ChangeSummary, of: Compared) -> str:
    """The page as HTML. Nothing in it runs or is loaded, and names and words are nowhere markup."""
    look = asset("shared.css") + asset("comparison.css")
    models = of.first, of.second
    named = _said(summary, of)
    said = partial(in_units, images=of_images(summary))
    parts = [
        _heading(summary, of),
        section("layers", "Layers", LAYERS, tables.layer_rows(summary)),
        section("heads", "Heads", HEADS.format(few=tables.FIRST), tables.head_rows(summary)),
        section("arcs", "Strong arcs", said(ARCS).format(**named), tables.arc_rows(summary, models)),
        f'<div class="columns">{"".join(tables.word_sections(summary))}</div>',
        *tables.prediction_sections(summary, models),
        said(asset("comparison.html")).format(**named),
    ]
    return page_of_parts(
        "shell.html",
        policy=f"default-src 'none'; style-src {source_hash(look)}; base-uri 'none'; form-action 'none'",
        title="jaxflow: what changed between two models",
        style=look,
        body="\n".join(parts),
    )


LAYERS = "How far the two models' attention is apart in each layer, mean over its heads."
HEADS = "The fuller its shade, the more a head changed. Below, the {few} that changed most."
ARCS = "Mean number in a text of arcs that carry at least {threshold:g} of a position's attention in either model."


def _said(summary: ChangeSummary, of: Compared) -> dict[str, object]:
    """What sentences of the page name."""
    return {
        "threshold": summary.settings["threshold"],
        "least": summary.settings["least"],
        "correction": escape(str(summary.settings["correction"])),
        "stronger": STRONGER,
        "significant": SIGNIFICANT,
        "first": name_html(of.first),
        "second": name_html(of.second),
    }


def _heading(summary: ChangeSummary, of: Compared) -> str:
    said = partial(in_units, images=of_images(summary))
    texts = said(f"{summary.texts} text{'s' * (summary.texts != 1)}")
    about = [texts if of.texts is None else f"{texts} of {name_html(of.texts)}"]
    about += [] if of.mixing is None else [f"mixing: {escape(of.mixing)}"]
    names = f'<span class="a">{name_html(of.first)}</span> and <span class="b">{name_html(of.second)}</span>'
    look = said("Look at the first texts in the explorer")
    link = f'<p><a href="{escape(of.explorer)}">{look}</a></p>' if of.explorer else ""
    found = "".join(f"<li>{line}</li>" for line in _most(summary))
    return (
        f"<header><h1>jaxflow <span>{names}</span></h1><p>{' · '.join(about)}</p></header>\n"
        f'<section id="most"><h2>What changed most</h2><ul>{found}</ul>{link}</section>'
    )


def _most(summary: ChangeSummary) -> Iterator[str]:
    """The first finding of each kind, in a sentence."""
    said = partial(in_units, images=of_images(summary))
    heads, distance = summary.layer.heads, summary.head.jensen_shannon
    place = int(np.argmax(heads.mean))
    yield f"Layer {layer_of(summary, place)} changed most: {distance_words(heads, (place,))}."
    layer, head = map(int, np.unravel_index(int(np.argmax(distance.mean)), distance.mean.shape))
    yield f"Of the heads, {head_of(summary, layer, head)} did: {distance_words(distance, (layer, head))}."
    alike, first, second = (summary.arcs[kind] for kind in ARC_KINDS)
    counts = f"{alike:.1f} are alike in both models, {first:.1f} stronger in the first, {second:.1f} in the second"
    yield f"{said('Of the strong arcs of a text')} {counts}."
    for method in dict.fromkeys(word.method for word in summary.words):
        known = [word for word in tables.tested(summary, method) if word.adjusted_p < SIGNIFICANT]
        named = ", ".join(f"“{name_html(word.word)}” {word.mean:+.4f}" for word in known[:3])
        yield f"By {name_html(method)}, {said('words that stand out from chance')}: {named or 'none'}."
    if summary.confusion:
        yield f"The models predict the same for {tables.same_share(summary)} {said('of the texts')}."
