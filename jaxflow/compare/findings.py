"""The main findings of a comparison, in lines of text."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from jaxflow._units import in_units
from jaxflow.compare.paths import ARC_KINDS, STRONGER
from jaxflow.compare.result import ChangeSummary, WordChange
from jaxflow.heads.names import head_name

SIGNIFICANT = 0.05
NONE = "none of the words that are in {} texts or more"
LEGEND = (
    "* stands out from chance after correction (p < 0.05); [low, high] is a 95 % interval;",
    "(n) is the number of texts that have the word; relevance is the second model's less the first's;",
    f"an arc is stronger in a model where it has at least {STRONGER} times the other model's weight",
)


def findings(summary: ChangeSummary, most: int = 5) -> list[str]:
    """What changed most between two models: layers, heads, words, predictions.

    A star marks what stands out from chance after correction: a layer or head that changed more or less than the
    others, a word that gained or lost. The lines end with what their signs mean.

    Args:
        summary: of a comparison.
        most: heads and words that are named.
    """
    said = partial(in_units, images=of_images(summary))
    lines = [f"{said(f'{summary.texts} texts')}; distances are Jensen-Shannon, from 0 to 1, with 95 % intervals"]
    lines += ["", "layers", *_layers(summary)]
    if most:
        lines += ["", "heads that changed most", *_heads(summary, most)]
    # layer and head, in their order
    moved = np.argwhere(summary.head.moved).tolist() if most else []
    if moved:
        named = ", ".join(
            f"{head_of(summary, layer, head)} -> H{summary.head.matching[layer, head] + 1}"
            for layer, head in moved[:most]
        )
        rest = f" and {len(moved) - most} more" if len(moved) > most else ""
        lines += [f"heads that attend more like another head of the second model: {named}{rest}"]
    alike, first, second = (summary.arcs[kind] for kind in ARC_KINDS)
    counts = f"{alike:.1f} alike in both models, {first:.1f} stronger in the first, {second:.1f} stronger in the second"
    lines += ["", f"{said('strong arcs of a text')}: {counts}"]
    for method in dict.fromkeys(word.method for word in summary.words):
        if most:
            least = summary.settings["least"]
            # All of them, as those that stand out may lie behind others.
            lines += [
                "",
                f"{said('words by')} {method}",
                *_words("gained", summary.gained(method, len(summary.words)), most, said(NONE).format(least)),
            ]
            lines += _words("lost", summary.lost(method, len(summary.words)), most, said(NONE).format(least))
            lines += _saturated(summary, method)
    return [*lines, *_predictions(summary), "", *map(said, LEGEND)]


def _layers(summary: ChangeSummary) -> Iterator[str]:
    heads = summary.layer.heads
    for place in range(len(summary.layers)):
        star = _star(summary.layer.adjusted_p[place])
        between = f"[{heads.low[place]:.3f}, {heads.high[place]:.3f}]"
        yield f"  {layer_of(summary, place):>7}  {heads.mean[place]:.3f} {between}{star}"


def _heads(summary: ChangeSummary, most: int) -> Iterator[str]:
    distance = summary.head.jensen_shannon
    # Over all layers: places in the flattened `layer head`.
    order = np.argsort(-distance.mean, axis=None, kind="stable")[:most]
    for place, head in zip(*np.unravel_index(order, distance.mean.shape), strict=True):
        at = int(place), int(head)
        star, between = _star(summary.head.adjusted_p[at]), f"[{distance.low[at]:.3f}, {distance.high[at]:.3f}]"
        yield f"  {head_of(summary, *at):>7}  {distance.mean[at]:.3f} {between}{star}"


def _words(verb: str, words: Sequence[WordChange], most: int, none: str) -> list[str]:
    """Words that stand out from chance, the largest changes first; that there are none is said."""
    tested = [word for word in words if any(letter.isalnum() for letter in word.word)]
    significant = [word for word in tested if word.adjusted_p < SIGNIFICANT][:most]
    if significant:
        return [f"  {verb}: {', '.join(f'{word.word} {word.mean:+.4f} * ({word.texts})' for word in significant)}"]
    if not tested:
        return [f"  {verb}: {none}"]
    top = tested[0]
    return [f"  {verb}: none stands out from chance; most {top.word} {top.mean:+.4f} ({top.texts})"]


def _saturated(summary: ChangeSummary, method: str) -> list[str]:
    """How much of a flow's numbers at the last layer are no more than trivial cuts, where any are."""
    shares = summary.saturated.get(method, (0.0, 0.0))
    if not any(shares):
        return []
    first, second = (f"{100 * share:.0f} %" for share in shares)
    where = f"{first} of tokens in the first model, {second} in the second"
    return [f"  saturated at the last layer: {where}; there changes say nothing"]


def _predictions(summary: ChangeSummary) -> Iterator[str]:
    if not summary.confusion:
        return
    same = sum(count for (first, second), count in summary.confusion.items() if first == second)
    yield ""
    yield f"same prediction: {100 * same / summary.texts:.1f} %"
    # The most frequent changes of prediction first.
    for (first, second), count in sorted(summary.confusion.items(), key=lambda each: -each[1]):
        if first != second:
            yield f"  {first} -> {second}: {count}"


def of_images(summary: ChangeSummary) -> bool:
    """Whether what was compared were images; summaries that do not say so are of texts."""
    return bool(summary.settings.get("images"))


def head_of(summary: ChangeSummary, place: int, head: int) -> str:
    """A head in one word, by the places of its layer and of itself."""
    return head_name(layer_of(summary, place), head)


def layer_of(summary: ChangeSummary, place: int) -> str:
    """A layer's number, or both of them where layers of other depth were compared: "3/6"."""
    first, second = summary.layers[place]
    return str(first) if first == second else f"{first}/{second}"


def _star(p: float) -> str:
    return " *" if p < SIGNIFICANT else ""
