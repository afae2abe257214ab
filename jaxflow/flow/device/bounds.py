"""Bounds of attention flow in one pass: from above by composition and by cuts, from below by flows that are built.

Everything here is pure JAX: it compiles, batches, differentiates and shards, with no call back to the host.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array

from jaxflow._typing import AtLayers, Capacity, Queries
from jaxflow.flow.device.anneal import cut_bounds
from jaxflow.flow.device.blocks import map_pairs
from jaxflow.flow.device.chains import chain_flows
from jaxflow.flow.device.composed import composed_bounds
from jaxflow.flow.device.cut import end_cuts
from jaxflow.flow.device.proportional import proportional_flows
from jaxflow.flow.scaling import Scaled, scaled, solution
from jaxflow.flow.solution import FlowSolution


@dataclass(frozen=True)
class Bounds:
    """`flow_bounds` as a solver: one pass, cheap.

    Attributes:
        sweeps: of the annealing that finds cuts; more find better ones, 0 leaves them out.
    """

    sweeps: int = 5

    def __call__(
        self, capacity: Capacity, queries: Queries, layers: tuple[int, ...], tol: float | Array
    ) -> FlowSolution:
        """Bounds of every pair."""
        return flow_bounds(capacity, queries, layers, tol, sweeps=self.sweeps)


def flow_bounds(
    capacity: Capacity, queries: Queries, layers: tuple[int, ...], tol: float | Array, *, sweeps: int = 5
) -> FlowSolution:
    """Bound the flow from the queries at the given layers to every input token, from both sides, in one pass.

    Exact at layers 1 and 2. The upper bound's gradient is a supergradient of the flow wherever the bounds meet: both
    the composed bound and a cut's capacity are concave in the weights and lie above the flow. Lower bounds by chains
    have no derivative.

    Args:
        capacity: `*batch layer token token`, weights of any size, the largest and the smallest that there are included.
            An example with weights that are negative or not finite has bounds of NaN, and none is certified.
        queries: positions of the sources.
        layers: layers of the sources, counted from 1.
        tol: how near the bounds must be to count as met.
        sweeps: of the annealing that finds cuts.

    Returns:
        Bounds rounded outward, so that they bracket the flow of the given weights exactly. Lower bounds count on
        nothing below 2^-100 of an example's largest row. Cost, for each query and
        source layer: layer products of token^2 for composition, 2 * sweeps * layer * token^3 for the cuts, and about
        as much for the chains' flows; once, layer products of token^3. Pairs and queries are taken in blocks: beyond
        arguments and result, memory is at most 8 times the capacities' and 64 bytes for each of `block_numbers()` (0.3
        GB on an accelerator), or for layer * token numbers an example where that is more.
    """
    weights = scaled(capacity[..., : max(layers), :, :])
    return solution(weights, *scaled_bounds(weights, queries, layers, sweeps), tol)


def scaled_bounds(
    weights: Scaled, queries: Queries, layers: tuple[int, ...], sweeps: int = 5
) -> tuple[AtLayers, AtLayers]:
    """Lower and upper bounds of scaled weights, as `flow_bounds` makes them."""
    # Capacities rounded up for what must lie above the flow, rounded down for what must lie below it.
    above, below = weights.above, weights.below
    # From above: flows split at a layer, what leaves the source, what enters the sink. From below: flows in proportion
    # to the weights. These are exact at layers 1 and 2.
    upper = jnp.minimum(composed_bounds(above, queries, layers), end_cuts(above, queries, layers))
    # A flow of smaller capacities is one of the true capacities too, so its value is a lower bound.
    lower = proportional_flows(below, queries, layers)
    deep = [index for index, layer in enumerate(layers) if layer > 2]
    if deep:
        # Deeper, annealed cuts are often tighter from above, and residual chains from below.
        chosen, at = [layers[index] for index in deep], jnp.asarray(deep, dtype=jnp.int32)
        lower = lower.at[..., at, :, :].max(map_pairs(chain_flows, below, queries, chosen))
        # Every cut's capacity is an upper bound, so the least of all bounds found is one; likewise the largest lower
        # bound.
        upper = upper.at[..., at, :, :].min(cut_bounds(above, queries, chosen, sweeps))
    return lower, upper
