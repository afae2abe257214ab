"""A flow solver from outside the package: bounds by two trivial cuts and by the widest path."""

from dataclasses import dataclass

import jax.numpy as jnp

from jaxflow.flow.solution import FlowSolution


@dataclass(frozen=True)
class WidestPath:
    """At least what one path carries, at most what leaves the query and what enters the token in the first layer."""

    def __call__(self, capacity, queries, layers, tol):
        """Bounds of the flows from the queries at the layers to every token."""
        widest, states = capacity[..., 0, :, :], []
        for layer in range(max(layers)):
            if layer:
                # The widest way down to a token is the best of the ways over each position below.
                arcs = capacity[..., layer, :, :, None]
                widest = jnp.max(jnp.minimum(arcs, widest[..., None, :, :]), axis=-2)
            states.append(jnp.take_along_axis(widest, queries[..., :, None], axis=-2))
        lower = jnp.stack([states[layer - 1] for layer in layers], axis=-3)
        leaving = jnp.take_along_axis(capacity.sum(-1), queries[..., None, :], axis=-1)
        leaving = jnp.stack([leaving[..., layer - 1, :] for layer in layers], axis=-2)
        upper = jnp.minimum(leaving[..., None], capacity[..., 0, :, :].sum(-2)[..., None, None, :])
        # Sums are rounded: outward, by more than a float32 sum of this length may be off.
        upper = upper * (1 + 1e-5)
        # Below the second layer a flow is one arc, so that the path is all of it.
        first = (jnp.asarray(layers) == 1)[:, None, None]
        upper = jnp.where(first, lower, upper)
        return FlowSolution(value=upper, lower=lower, upper=upper, certified=upper - lower <= tol)
