"""The axis vocabulary of every signature.

Axes are named, never lettered:

- ``*batch``: any number of leading batch axes, none included
- ``layer``: the encoder's layers, first to last
- ``head``: attention heads of one layer
- ``query`` / ``key``: positions that attend / that are attended to
- ``token``: input tokens, over which relevance is shared out
- ``node``: the nodes of one layer of the flow graph, one a position

``query=token`` says that every position is a query, so that the last two axes are equal.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from jaxtyping import Array, Bool, Float, Int

Attention: TypeAlias = Float[Array, "*batch layer head token token"]
Capacity: TypeAlias = Float[Array, "*batch layer token token"]
Square: TypeAlias = Float[Array, "*batch token token"]
Relevance: TypeAlias = Float[Array, "*batch layer query token"]
# Relevance at chosen layers, those of the sources.
AtLayers: TypeAlias = Float[Array, "*batch source_layer query token"]
TokenMask: TypeAlias = Bool[Array, "*batch token"]
Queries: TypeAlias = Int[Array, "*batch query"]

# What callers hand in, for editors and type checkers. Where the program runs anything may come in: the functions
# themselves refuse what does not fit, in one line.
if TYPE_CHECKING:
    import PIL.Image
    from numpy.typing import ArrayLike

    # Texts, or of a model of images files, folders, pictures or arrays: several, or one.
    Inputs: TypeAlias = str | os.PathLike[str] | Iterable[Any] | PIL.Image.Image
    # A second text for each input.
    Pairs: TypeAlias = str | Iterable[Any] | None
    # Attention of all layers: one array, one a layer, or what a model of transformers returned.
    Attentions: TypeAlias = ArrayLike | Sequence[Any] | Mapping[str, Any]
    # Tokens of each example, or of a single one.
    Tokens: TypeAlias = Sequence[str] | Sequence[Sequence[str]]
    # One number or several: layers, positions.
    Integers: TypeAlias = int | Sequence[int] | Sequence[Sequence[int]] | ArrayLike
else:
    ArrayLike = Inputs = Pairs = Attentions = Tokens = Integers = Any
