"""The tables of what changed between two models, as HTML: names and words are nowhere markup."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from html import escape

import numpy as np

from jaxflow._units import in_units
from jaxflow.compare.findings import SIGNIFICANT, head_of, layer_of, of_images
from jaxflow.compare.paths import ARC_KINDS
from jaxflow.compare.result import ChangeSummary, WordChange
from jaxflow.heads.patterns import PATTERNS
from jaxflow.pages.terminal import shortened
from jaxflow.statistics.intervals import Interval

# Rows that are shown before a reader asks for the rest.
FIRST = 12
WORDS = 50
# What a head does more or less, in the words of the page.
PATTERN_WORDS = dict(
    zip(
        PATTERNS,
        ("the previous word", "the word itself", "the next word", "the first token", "other special tokens", "entropy"),
        strict=True,
    )
)
WORDS_ABOUT = (
    "What each word gained or lost, the second model less the first, at the last layer, of those that are in {least} "
    "texts or more."
)


def section(name: str, title: str, about: str, content: Iterable[str]) -> str:
    """A part of the page under a title, with a line on what it is."""
    inside = "\n".join(content)
    return f'<section id="{name}"><h2>{title}</h2>\n<p class="about">{about}</p>\n{inside}\n</section>'


def name_html(text: str) -> str:
    """A name or word, as text that its neighbours' direction of writing does not touch."""
    return f"<bdi>{escape(shortened(text))}</bdi>"


def tested(summary: ChangeSummary, method: str) -> list[WordChange]:
    """Words of letters or digits that were tested, the largest changes first."""
    words = [word for word in summary.words if word.method == method and not np.isnan(word.adjusted_p)]
    return [word for word in words if any(letter.isalnum() for letter in word.word)]


def same_share(summary: ChangeSummary) -> str:
    """The share of the texts for which the models predict the same."""
    same = sum(count for (first, second), count in summary.confusion.items() if first == second)
    return f"{100 * same / summary.texts:.1f} %"


def distance_words(of: Interval, at: tuple[int, ...]) -> str:
    """A distance with its interval, in words."""
    return f"a distance of {of.mean[at]:.3f} {_between(of, at)}"


def _between(of: Interval, at: tuple[int, ...]) -> str:
    return f"[{of.low[at]:.3f}, {of.high[at]:.3f}]"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose rows are named by their first cell."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>' for first, *rest in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def layer_rows(summary: ChangeSummary) -> Iterator[str]:
    """How far each layer changed, a row a layer."""
    heads, fused = summary.layer.heads, summary.layer.jensen_shannon
    top = float(heads.high.max(initial=0)) or 1.0
    yield _table(
        ("layer", "distance", "95 % interval", "", "fused", "p"),
        (
            (
                layer_of(summary, place),
                f"{heads.mean[place]:.3f}",
                _between(heads, (place,)),
                _bar(heads, (place,), top),
                f"{fused.mean[place]:.3f}",
                _chance(summary.layer.adjusted_p[place]),
            )
            for place in range(len(summary.layers))
        ),
    )


def head_rows(summary: ChangeSummary) -> Iterator[str]:
    """All heads at one look, then a row a head, the largest changes first."""
    distance = summary.head.jensen_shannon
    yield _grid(summary)
    order = np.argsort(-distance.mean, axis=None, kind="stable")
    places = [
        (int(layer), int(head)) for layer, head in zip(*np.unravel_index(order, distance.mean.shape), strict=True)
    ]
    columns = ("head", "distance", "95 % interval", "", "p", "answers to", "attends more or less to")
    rows = [_head_row(summary, at, float(distance.high.max()) or 1.0) for at in places]
    yield _table(columns, rows[:FIRST])
    if rows[FIRST:]:
        rest = _table(columns, rows[FIRST:])
        yield f"<details><summary>The other {len(rows) - FIRST}</summary>{rest}</details>"


def _head_row(summary: ChangeSummary, at: tuple[int, int], top: float) -> tuple[str, ...]:
    _, head = at
    distance, other = summary.head.jensen_shannon, int(summary.head.matching[at])
    return (
        head_of(summary, *at),
        f"{distance.mean[at]:.3f}",
        _between(distance, at),
        _bar(distance, at, top),
        _chance(summary.head.adjusted_p[at]),
        "itself" if other == head else f"H{other + 1}",
        _pattern(summary, at),
    )


def _pattern(summary: ChangeSummary, at: tuple[int, int]) -> str:
    """What a head does more or less: of what stands out from chance the largest change but entropy's, in bits."""
    change, chance = summary.head.pattern_change.mean[at], summary.head.pattern_adjusted_p[at]
    known = [place for place, p in enumerate(chance) if p < SIGNIFICANT and PATTERNS[place] != "entropy"]
    if not known:
        return ""
    place = max(known, key=lambda each: abs(change[each]))
    before, after = (each[at][place] for each in (summary.head.patterns_a, summary.head.patterns_b))
    name = in_units(PATTERN_WORDS[PATTERNS[place]], images=of_images(summary))
    return f"{name} {before:.2f} to {after:.2f}"


def _grid(summary: ChangeSummary) -> str:
    """All heads at one look, a row a layer, the last above; a shade says how far a head changed."""
    mean = summary.head.jensen_shannon.mean
    layers, heads = mean.shape
    top, size = float(mean.max()) or 1.0, 22
    cells = [
        f'<rect x="{40 + size * head}" y="{size * (layers - 1 - layer)}" width="{size - 1}" height="{size - 1}" '
        f'fill-opacity="{max(0.0, float(mean[layer, head])) / top:.3f}"><title>{head_of(summary, layer, head)}: '
        f"{mean[layer, head]:.3f}</title></rect>"
        for layer in range(layers)
        for head in range(heads)
    ]
    names = [
        f'<text x="34" y="{size * (layers - 1 - layer) + 15}" text-anchor="end">{layer_of(summary, layer)}</text>'
        for layer in range(layers)
    ]
    names += [
        f'<text x="{40 + size * head + size // 2}" y="{size * layers + 13}" text-anchor="middle">{head + 1}</text>'
        for head in range(heads)
    ]
    width, height = 40 + size * heads, size * layers + 18
    about = f'role="img" aria-label="How far each head changed, from 0 to {top:.3f}"'
    return (
        f'<div class="wide"><svg class="grid" width="{width}" height="{height}" viewBox="0 0 {width} {height}" {about}>'
        f"{''.join(cells + names)}</svg></div>"
    )


def _bar(of: Interval, at: tuple[int, ...], top: float) -> str:
    """A mean as a bar and its interval as a line, up to the largest of all."""
    mean, low, high = (116 * float(each[at]) / top for each in (of.mean, of.low, of.high))
    return (
        '<svg class="bar" width="120" height="12" viewBox="0 0 120 12" aria-hidden="true">'
        f'<rect x="0" y="2" width="{mean:.1f}" height="8"/><path d="M{low:.1f},6H{high:.1f}"/></svg>'
    )


def arc_rows(summary: ChangeSummary, models: tuple[str, str]) -> Iterator[str]:
    """How many strong arcs a text has, by the model in which they are stronger."""
    alike, first, second = (summary.arcs[kind] for kind in ARC_KINDS)
    total = alike + first + second
    names = ("alike in both", *(f"stronger in {name_html(model)}" for model in models))
    yield _table(
        ("arcs", in_units("in a text", images=of_images(summary)), "share"),
        (
            (name, f"{count:.1f}", f"{100 * count / total:.0f} %" if total else "")
            for name, count in zip(names, (alike, first, second), strict=True)
        ),
    )


def word_sections(summary: ChangeSummary) -> Iterator[str]:
    """For each method the words that changed most."""
    said = partial(in_units, images=of_images(summary))
    columns = (said("word"), said("texts"), "change", "95 % interval", "p")
    for method in dict.fromkeys(word.method for word in summary.words):
        shown = tested(summary, method)[:WORDS]
        rows = [
            (
                name_html(word.word),
                str(word.texts),
                f"{word.mean:+.4f}",
                f"[{word.low:+.4f}, {word.high:+.4f}]",
                _chance(word.adjusted_p),
            )
            for word in shown
        ]
        content = [_table(columns, rows[:FIRST]) if rows else "<p>None is in as many.</p>"]
        if rows[FIRST:]:
            rest = _table(columns, rows[FIRST:])
            content.append(f"<details><summary>The next {len(rows) - FIRST}</summary>{rest}</details>")
        saturated = summary.saturated.get(method, (0.0, 0.0))
        if any(saturated):
            shares = " and ".join(f"{100 * share:.0f} %" for share in saturated)
            content.append(
                f'<p class="about">Saturated at the last layer: {shares} of the tokens in the first and second model. '
                "There the flow is no more than a trivial cut, and its changes say nothing.</p>"
            )
        about = said(WORDS_ABOUT).format(least=summary.settings["least"])
        yield section(f"words-{escape(method)}", f"{said('Words by')} {name_html(method)}", about, content)


def prediction_sections(summary: ChangeSummary, models: tuple[str, str]) -> Iterator[str]:
    """How often the models predicted what; nothing where they have no classes."""
    if not summary.confusion:
        return
    rows = (
        (name_html(first), name_html(second), str(count))
        for (first, second), count in sorted(summary.confusion.items(), key=lambda each: -each[1])
    )
    said = partial(in_units, images=of_images(summary))
    columns = (*map(name_html, models), said("texts"))
    about = f"What each model predicts; the same for {same_share(summary)} {said('of the texts')}."
    yield section("predictions", "Predictions", about, [_table(columns, rows)])


def _chance(p: float) -> str:
    """A corrected p-value, with a star where the change stands out from chance."""
    if np.isnan(p):
        return ""
    return f"{'&lt; .001' if p < 0.001 else f'{p:.3f}'}{' *' if p < SIGNIFICANT else ''}"
