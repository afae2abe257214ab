"""A static figure of an image: its patches shaded over the picture that the model saw."""

import numpy as np
from jaxtyping import Float

from jaxflow._checks import InputError, shown
from jaxflow._typing import Figure
from jaxflow._words import readable
from jaxflow.attribution import Example
from jaxflow.pages.pictures import AGAINST, COVER, FOR, patch_values, shares

# What a patch without relevance is, at the end of the scale beside it: the picture in grey.
GREY = 0.62
# Steps of a scale.
STEPS = 256


def draw_patches(example: Example, query: int, layer: int | None) -> Figure:
    """A figure of the image, and of each method over it.

    Args:
        example: of an image.
        query: the number of the position among those that were asked for.
        layer: counted from 1; None for the deepest that was asked for.

    Raises:
        InputError: the layer was not asked for.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.figure import Figure

    if layer is not None and layer not in example.layers:
        raise InputError("layer", f"be among those that were asked for, {shown(list(example.layers))}", shown(layer))
    place = len(example.layers) - 1 if layer is None else example.layers.index(layer)
    assert example.picture is not None
    pixels = example.picture.pixels()
    height, width = pixels.shape[:2]
    grey = np.repeat(pixels.mean(axis=-1, keepdims=True) / 255, 3, axis=-1)
    count = 1 + len(example.relevance)
    figure = Figure(figsize=(3.4 * count, 3.6 * height / width + 0.6), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    for panel in panels:
        panel.set_xticks([])
        panel.set_yticks([])
    _ = panels[0].imshow(pixels)
    _ = panels[0].set_title("the image")
    for panel, (name, values) in zip(panels[1:], example.relevance.items(), strict=True):
        row = np.asarray(values)[place, query]
        top, patches = shares(example, row)
        _ = panel.imshow(covered(grey, patches))
        _ = panel.set_title(name)
        low = -top if (row < 0).any() else 0.0
        scale = covered(np.full((1, STEPS, 3), GREY), np.linspace(low / top, 1, STEPS)[None])[0]
        drawn = ScalarMappable(Normalize(low, top), ListedColormap(scale))
        _ = figure.colorbar(drawn, ax=panel, shrink=0.85)
        saturated = example.saturation.get(name)
        if saturated is not None:
            rows, columns = np.nonzero(patch_values(example, saturated[place, query]))
            down, across = height / patches.shape[0], width / patches.shape[1]
            _ = panel.plot((columns + 0.5) * across - 0.5, (rows + 0.5) * down - 0.5, "x", color="white", markersize=3)
    token = readable(example.tokens[int(example.queries[query])])
    said = f"what each patch contributed to {token}, layer {example.layers[place]}"
    _ = figure.supxlabel(f"{said}; crosses: saturated" if any(map(np.any, example.saturation.values())) else said)
    return figure


def covered(
    under: Float[np.ndarray, "height width 3"], patches: Float[np.ndarray, "rows columns"]
) -> Float[np.ndarray, "height width 3"]:
    """Colours from 0 to 1 with patches over them: the larger a patch's share, the more it covers."""
    height, width = under.shape[:2]
    # Each pixel lies in the patch that its own middle lies in.
    down = (np.arange(height) * patches.shape[0]) // height
    across = (np.arange(width) * patches.shape[1]) // width
    share = patches[down][:, across, None]
    colour = np.where(share < 0, np.array(AGAINST), np.array(FOR)) / 255
    alpha = COVER * np.minimum(1, np.abs(share))
    return (1 - alpha) * under + alpha * colour
