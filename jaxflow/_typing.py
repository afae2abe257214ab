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

from typing import TypeAlias

from jaxtyping import Array, Bool, Float, Int

Attention: TypeAlias = Float[Array, "*batch layer head token token"]
Capacity: TypeAlias = Float[Array, "*batch layer token token"]
Square: TypeAlias = Float[Array, "*batch token token"]
Relevance: TypeAlias = Float[Array, "*batch layer query token"]
# Relevance at chosen layers, those of the sources.
AtLayers: TypeAlias = Float[Array, "*batch source_layer query token"]
TokenMask: TypeAlias = Bool[Array, "*batch token"]
Queries: TypeAlias = Int[Array, "*batch query"]
