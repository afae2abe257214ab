"""Static figures, for papers and notebooks."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from textwrap import TextWrapper

import numpy as np

from jaxflow._checks import InputError, as_flag, missing_extra, shown
from jaxflow._typing import ArrayLike, Figure, Given
from jaxflow._words import readable
from jaxflow.attribution import Attribution, Example
from jaxflow.flow.solution import FlowSolution
from jaxflow.graph.arrays import is_small_float, read_array
from jaxflow.graph.graph import AttentionGraph
from jaxflow.pages.carried import apart_words
from jaxflow.pages.image_figure import draw_patches

# Even in lightness and told apart by colour-blind readers.
COLOURS = "cividis"
# Of relevance with a sign: white is 0, purple speaks for the explained number, orange against it.
OPPOSED = "PuOr"


# Inches: of a figure whose methods stand side by side, of one where they stand below one another, and of a token.
BESIDE, WIDEST, TOKEN = 13.0, 16.0, 0.3
# Between names of tokens; where there is less, only some are written.
NAME = 0.14
# Of a letter of the caption, on average.
LETTER = 0.085


def plot_relevance(
    example: Given[Example | ArrayLike],
    query: Given[int | None] = None,
    tokens: Given[Sequence[str] | None] = None,
    *,
    layer: int | None = None,
    layers: Sequence[int] | None = None,
    methods: Sequence[str] | None = None,
    special: Given[bool] = True,
) -> Figure:
    """Draw what each token contributed to one position, layer by layer, a panel a method.

    Panels stand side by side, those of long texts below one another, so that a figure is at most 16 inches wide; where
    tokens are narrower than their names, only some names are written.

    Each row is one layer, the deepest on top. Colours go from 0 to the method's largest value of the text's own tokens
    (the position itself and special tokens, which nearly always hold the most, may go beyond the scale); relevance with
    a sign has a second hue. Crosses mark saturated flows, which tell no tokens apart.

    An image's patches are shaded over the picture that the model saw, in grey: a panel a method, of one layer; there
    colours go up to the largest value of any patch.

    Args:
        example: one text's attribution; or relevance alone, an array `layer query token` such as
            `attention_rollout(graph)[0]`, or `query token`, of which each row is one position.
        query: the position, among those that were asked for; None for the first of them. Of an array the row of its
            query axis; of an array `query token` None draws all rows.
        tokens: names of an array's tokens; None numbers them. An example has its own.
        layer: of an image, counted from 1; None for the deepest that was asked for.
        layers: of a text those to draw, counted from 1; None for all that were asked for.
        methods: those to draw, by name and in this order; None for all of an attribution.
        special: whether special tokens such as [CLS] are drawn.

    Returns:
        A `matplotlib.figure.Figure`, to show or to save; drawing it opens no window.

    Raises:
        InputError: matplotlib is not installed, relevance to that position was not asked for, or the array is no
            relevance of one text.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("matplotlib", "plots", "a figure") from None
    special = as_flag("special", special)
    if isinstance(example, Example) and example.picture is not None:
        return draw_patches(example, _row_of(example, query, tokens), layer)
    if layer is not None:
        raise InputError("layer", "be left out but for an image: each row is a layer", shown(layer), "pass `layers`")
    if isinstance(example, Example):
        example = _chosen(example, layers, methods)
    elif (layers, methods, special) != (None, None, True):
        name = "layers" if layers is not None else "methods" if methods is not None else "special"
        raise InputError(name, "be left out but for an attribution", None, "choose of the array what to draw")
    drawing = _of_example(example, query, tokens) if isinstance(example, Example) else _of_array(example, query, tokens)
    if isinstance(example, Example) and not special:
        drawing = _without(drawing, np.array(example.source) >= 0)
    maps, count, rows = drawing.maps, len(drawing.tokens), len(drawing.rows)
    panel_width = max(3.2, TOKEN * count)
    if len(maps) * panel_width <= BESIDE:
        grid, width, height = (1, len(maps)), len(maps) * panel_width, 1.5 + 0.3 * rows
    else:
        # The names of tokens stand once, under the last panel.
        grid, width = (len(maps), 1), min(WIDEST, max(6.4, panel_width + 1.5))
        height = 1.5 + len(maps) * (0.3 * rows + 0.4)
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(*grid, sharex=True, sharey=True, squeeze=False).ravel()
    step = max(1, int(np.ceil(NAME * count * grid[1] / width)))
    for panel, (name, values) in zip(panels, maps.items(), strict=True):
        # A text of special tokens alone, or of zeros, has no scale of its own.
        top = float(np.abs(values[drawing.scaling]).max(initial=0.0)) or 1.0
        signed = values.min() < 0
        low, colours = (-top, OPPOSED) if signed else (0.0, COLOURS)
        drawn = panel.imshow(values, origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=top)
        _ = panel.set_title(name)
        if name in drawing.saturated:
            # White under black, so that crosses are seen on every colour.
            places = np.nonzero(drawing.saturated[name])[::-1]
            _ = panel.scatter(*places, marker="x", s=26, color="white", linewidths=2.4)
            _ = panel.scatter(*places, marker="x", s=20, color="black", linewidths=0.8)
        panel.set_xticks(range(0, count, step), printable(drawing.tokens)[::step], rotation=90)
        panel.set_yticks(range(rows), printable(drawing.rows))
        _ = figure.colorbar(drawn, ax=panel, extend=_beyond(values, low, top))
    for panel in panels[:: grid[1]]:
        _ = panel.set_ylabel(drawing.row_kind)
    _ = figure.supxlabel(in_lines(drawing.caption, width))
    return figure


def in_lines(caption: str, width: float) -> str:
    """A caption in lines that a figure of so many inches has room for."""
    # Names of methods have hyphens, and stay whole.
    fill = TextWrapper(max(20, int(width / LETTER)), break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(fill.fill, caption.split("\n")))


def _beyond(values: np.ndarray, low: float, top: float) -> str:
    """The ends of the colour bar that values lie beyond, as matplotlib calls them."""
    over, under = values.max() > top, values.min() < low
    return "both" if over and under else "max" if over else "min" if under else "neither"


@dataclass(frozen=True)
class _Drawing:
    """What a figure shows: maps `row token` by name, and which of their entries set the scale of colours.

    `saturated` says by name where flows are saturated, of maps that have any such place.
    """

    maps: dict[str, np.ndarray]
    rows: tuple[str, ...]
    row_kind: str
    tokens: tuple[str, ...]
    scaling: np.ndarray
    caption: str
    saturated: dict[str, np.ndarray] = field(default_factory=dict)


def _chosen(example: Example, layers: Sequence[int] | None, methods: Sequence[str] | None) -> Example:
    """An attribution with some of its layers and methods."""
    asked = list(example.layers if layers is None else layers)
    for number in asked:
        if number not in example.layers:
            raise InputError("layers", f"be among those that were asked for, {list(example.layers)}", shown(number))
    names = list(example.relevance if methods is None else [methods] if isinstance(methods, str) else methods)
    for name in names:
        if name not in example.relevance:
            listed = ", ".join(example.relevance)
            raise InputError("methods", f"be among those that were asked for, {listed}", shown(name))
    for name, chosen in (("layers", asked), ("methods", names)):
        if not chosen:
            raise InputError(name, "name at least one", "none")
    places = [example.layers.index(number) for number in asked]
    return replace(
        example,
        layers=tuple(asked),
        relevance={name: example.relevance[name][places] for name in names},
        saturation={name: values[places] for name, values in example.saturation.items() if name in names},
        certified=None,
    )


def _without(drawing: _Drawing, kept: np.ndarray) -> _Drawing:
    """A drawing of some of its tokens."""
    if not kept.any():
        raise InputError("special", "be True for a text of special tokens alone", "False")
    return replace(
        drawing,
        maps={name: values[:, kept] for name, values in drawing.maps.items()},
        tokens=tuple(np.array(drawing.tokens, object)[kept]),
        scaling=drawing.scaling[:, kept],
        saturated={name: values[:, kept] for name, values in drawing.saturated.items() if values[:, kept].any()},
    )


def _row_of(example: Example, query: Given[int | None], tokens: Given[Sequence[str] | None]) -> int:
    """The number of a position among those that were asked for."""
    if tokens is not None:
        raise InputError("tokens", "be left out where `example` is an attribution", None, "it has its own tokens")
    asked = example.queries.tolist()
    if query is not None and query not in asked:
        expected = f"be among the positions that were asked for, {shown(asked)}"
        raise InputError("query", expected, shown(query))
    return 0 if query is None else asked.index(query)


def _of_example(example: Example, query: Given[int | None], tokens: Given[Sequence[str] | None]) -> _Drawing:
    asked, row = example.queries.tolist(), _row_of(example, query, tokens)
    # The words of the text but the position itself set the scale.
    scaling = np.array([source >= 0 and token != asked[row] for token, source in enumerate(example.source)])
    saturated = {name: values[:, row] for name, values in example.saturation.items() if values[:, row].any()}
    caption = _caption(asked[row], example.tokens)
    if saturated:
        # Of the last layer, which most readers look at, also how many.
        lines = apart_words(example.saturation, example.relevance, -1, row, scaling)
        about = ["crosses: saturated flows, which tell no tokens apart"]
        last = example.layer_names.get(example.layers[-1], f"layer {example.layers[-1]}")
        about += [f"{last}: {line}" for line in lines]
        caption = "\n".join([caption, *about])
    return _Drawing(
        maps={name: np.asarray(values)[:, row] for name, values in example.relevance.items()},
        rows=tuple(example.layer_names.get(layer, str(layer)) for layer in example.layers),
        row_kind="layer",
        tokens=example.tokens,
        scaling=np.broadcast_to(scaling, (len(example.layers), len(example.tokens))),
        caption=caption,
        saturated=saturated,
    )


def _of_array(relevance: ArrayLike, query: Given[int | None], tokens: Given[Sequence[str] | None]) -> _Drawing:
    """The drawing of an array `layer query token` or `query token`, whose queries are positions 0, 1, ..."""
    values = _as_relevance(relevance)
    queries, count = values.shape[-2:]
    names = tuple(map(str, range(count)) if tokens is None else tokens if isinstance(tokens, list | tuple) else ())
    if len(names) != count or not all(isinstance(name, str) for name in names):
        raise InputError("tokens", f"be a list of {count} strings, one a token", shown(tokens))
    if query is not None and (
        not isinstance(query, int | np.integer) or isinstance(query, bool) or not 0 <= query < queries
    ):
        raise InputError("query", f"be a row of the array's query axis, from 0 to {queries - 1}", shown(query))
    position, token = np.arange(queries)[:, None], np.arange(count)
    if values.ndim == 2:
        rows = np.arange(queries) if query is None else np.array([query])
        # With as many queries as tokens these are the positions themselves.
        labels = tuple(f"{row} {names[row]}" if queries == count and tokens is not None else str(row) for row in rows)
        # Where queries may be any positions, nothing is known to be the position itself.
        others = (position != token)[rows] if queries == count else np.ones((len(rows), count), bool)
        caption = "what each token contributed to each position"
        return _Drawing({"relevance": values[rows]}, labels, "position", names, others, caption)
    row = 0 if query is None else int(query)
    others = token != row if queries == count else np.ones(count, bool)
    return _Drawing(
        maps={"relevance": values[:, row]},
        rows=tuple(str(layer + 1) for layer in range(len(values))),
        row_kind="layer",
        tokens=names,
        scaling=np.broadcast_to(others, values[:, row].shape),
        caption=_caption(row, names) if queries == count else f"what each token contributed to query {row}",
    )


def _as_relevance(relevance: ArrayLike) -> np.ndarray:
    """Relevance of one text as an array, checked."""
    expected = "be one text's attribution, or an array (layer, query, token) or (query, token)"
    if isinstance(relevance, Attribution):
        raise InputError("example", expected, f"an attribution of {len(relevance)} texts", "pass one, result[0]")
    if isinstance(relevance, FlowSolution):
        raise InputError("example", expected, "a FlowSolution", "pass its values, flow.value")
    if isinstance(relevance, AttentionGraph):
        raise InputError("example", expected, "a graph", "pass a method's array, such as attention_rollout(graph)")
    try:
        values = np.asarray(read_array("example", relevance))
    except InputError:
        raise InputError("example", expected, shown(relevance)) from None
    if values.ndim not in (2, 3) or values.size == 0:
        way_out = "pick one text of a batch, relevance[0]" if values.ndim > 3 else None
        raise InputError("example", expected, f"shape {values.shape}", way_out)
    if values.dtype.kind not in "iuf" and not is_small_float(values.dtype):
        raise InputError("example", "hold real numbers", str(values.dtype))
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        raise InputError("example", "hold finite numbers", shown(float(values[~finite][0])))
    return values


def _caption(position: int, tokens: tuple[str, ...]) -> str:
    return f"what each token contributed to position {position}, {printable(tokens)[position]}"


def printable(tokens: tuple[str, ...]) -> list[str]:
    """Tokens as labels: nothing in them is a formula, and what cannot be seen is written out."""
    read = map(readable, tokens)
    shown = ["".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in token) for token in read]
    return [token.replace("$", r"\$") for token in shown]
