"""Results of images: the picture that the model saw, and the row of a mean that its head reads."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from jaxflow.attribution.result import Example
from jaxflow.inputs.images import Picture, as_picture
from jaxflow.models import Encoding
from jaxflow.models.images import ImageEncoding, Pooled


def picture_of(encoding: Encoding) -> Picture | None:
    """The picture of an image's tokens; None for a text's."""
    return as_picture(encoding.seen, encoding.grid) if isinstance(encoding, ImageEncoding) else None


def in_the_mean(example: Example, pooled: Pooled) -> Example:
    """The example with the one row that the head reads, the mean of those of its positions.

    The mean stands behind the tokens as a position of its own, to which no input belongs: its column is 0. Of flows it
    is the mean of the maximum flows into each position, proven where all of these are.
    """
    shares = pooled.shares[example.queries]
    tokens = len(example.tokens)

    def mean(values: np.ndarray) -> np.ndarray:
        # Letters: l layer, q query, t token.
        row = np.einsum("q,lqt->lt", shares, values.astype(np.float64)).astype(values.dtype)
        return np.pad(row[:, None], [(0, 0), (0, 0), (0, 1)])

    def all_of(values: np.ndarray, beside: bool) -> np.ndarray:
        return np.pad(values.all(axis=1, keepdims=True), [(0, 0), (0, 0), (0, 1)], constant_values=beside)

    saturation: Mapping[str, np.ndarray] = example.saturation
    return replace(
        example,
        tokens=(*example.tokens, pooled.name),
        offsets=(*example.offsets, (-1, -1)),
        source=(*example.source, -1),
        queries=np.array([tokens]),
        relevance={name: mean(values) for name, values in example.relevance.items()},
        certified=None if example.certified is None else all_of(example.certified, True),
        saturation={name: all_of(values, False) for name, values in saturation.items()},
    )
