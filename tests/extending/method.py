"""A relevance method from outside the package: the widest path from a position down to each token."""

from dataclasses import dataclass

import jax.numpy as jnp

from jaxflow.attribution import Scores


@dataclass(frozen=True)
class Widest:
    """The largest amount that one path alone can carry."""

    name: str = "widest"

    def __call__(self, graph, queries, layers):
        """Widths of the queries' paths at the layers."""
        capacity, states = graph.capacity, []
        widest = capacity[..., 0, :, :]
        for layer in range(max(layers)):
            if layer:
                arcs = capacity[..., layer, :, :, None]
                widest = jnp.max(jnp.minimum(arcs, widest[..., None, :, :]), axis=-2)
            states.append(jnp.take_along_axis(widest, queries[..., :, None], axis=-2))
        return Scores(jnp.stack([states[layer - 1] for layer in layers], axis=-3))
