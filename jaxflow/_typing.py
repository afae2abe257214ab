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
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import numpy as np
from jaxtyping import Array, Bool, Float, Int

T = TypeVar("T")

Attention: TypeAlias = Float[Array, "*batch layer head token token"]
Capacity: TypeAlias = Float[Array, "*batch layer token token"]
Square: TypeAlias = Float[Array, "*batch token token"]
Relevance: TypeAlias = Float[Array, "*batch layer query token"]
# Relevance at chosen layers, those of the sources.
AtLayers: TypeAlias = Float[Array, "*batch source_layer query token"]
TokenMask: TypeAlias = Bool[Array, "*batch token"]
Queries: TypeAlias = Int[Array, "*batch query"]

# On the host or on a device.
AnyArray: TypeAlias = np.ndarray | Array

# What callers hand in: `Given[int]` is an int to editors, type checkers and the documentation. Where the program runs
# anything may come in, and the functions themselves refuse what does not fit, in one line. `Settled[str | Mixing]` is a
# field of a frozen value that takes these and is settled in one form when the value is made: which, no type can say.
if TYPE_CHECKING:
    import PIL.Image
    from jax.typing import DTypeLike
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike
    from pandas import DataFrame
    from torch import Tensor as TorchTensor
    from torch.nn import Module as TorchModule
    from typing_extensions import TypeAliasType

    Given: TypeAlias = Annotated[T, "checked by the function"]
    Settled = TypeAliasType("Settled", Any, type_params=(T,))
    # Texts, or of a model of images files, folders, pictures or arrays: several, or one.
    Inputs: TypeAlias = str | os.PathLike[str] | Iterable[object] | PIL.Image.Image
    # A second text for each input.
    Pairs: TypeAlias = str | Iterable[object] | None
    # Attention of all layers: one array, one a layer, or what a model of transformers returned.
    Attentions: TypeAlias = ArrayLike | Sequence[Any] | Mapping[str, Any]
    # Tokens of each example, or of a single one.
    Tokens: TypeAlias = Sequence[str] | Sequence[Sequence[str]]
    # One number or several: layers, positions.
    Integers: TypeAlias = int | Sequence[int] | Sequence[Sequence[int]] | ArrayLike
else:

    class Given:
        """Anything, with the type that the documentation shows."""

        def __class_getitem__(cls, kind: object) -> object:
            return Annotated[Any, kind]

    Settled = Given
    ArrayLike, DTypeLike, Inputs, Pairs, Attentions, Tokens, Integers = (
        Given[name] for name in ("ArrayLike", "DTypeLike", "Inputs", "Pairs", "Attentions", "Tokens", "Integers")
    )
    # Classes that are too dear to import for a name.
    Axes, DataFrame, Figure = (Given[name] for name in ("Axes", "DataFrame", "Figure"))
    TorchTensor, TorchModule = (Given[name] for name in ("torch.Tensor", "torch.nn.Module"))
