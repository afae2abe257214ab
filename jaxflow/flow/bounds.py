"""Bounds of attention flow in one pass: from above by composition and by cuts, from below by flows that are built.

Everything here is pure JAX: it compiles, batches, differentiates and shards, with no call back to the host.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxflow._typing import AtLayers, Mixing, Queries
from jaxflow.flow.anneal import cut_bounds
from jaxflow.flow.blocks import map_pairs
from jaxflow.flow.chains import chain_flows
from jaxflow.flow.composed import composed_bounds
from jaxflow.flow.cut import end_cuts
from jaxflow.flow.minsum import power_of_two
from jaxflow.flow.proportional import proportional_flows
from jaxflow.flow.solution import FlowSolution

# Weights below this are nothing (from below) or this (from above): so that no rounding error of theirs is lost to
# underflow, which compensated sums rely on.
SMALLEST = 2.0**-100


@dataclass(frozen=True)
class Bounds:
    """`flow_bounds` as a solver: one pass, cheap.

    Attributes:
        sweeps: of the annealing that finds cuts; more find better ones, 0 leaves them out.
    """

    sweeps: int = 5

    def __call__(self, mixing: Mixing, queries: Queries, layers: tuple[int, ...], tol: float | Array) -> FlowSolution:
        """Bounds of every pair."""
        return flow_bounds(mixing, queries, layers, tol, sweeps=self.sweeps)


def flow_bounds(
    mixing: Mixing, queries: Queries, layers: tuple[int, ...], tol: float | Array, *, sweeps: int = 5
) -> FlowSolution:
    """Bound the flow from the queries at the given layers to every input token, from both sides, in one pass.

    Exact at layers 1 and 2. The upper bound's gradient is a supergradient of the flow wherever the bounds meet: both
    the composed bound and a cut's capacity are concave in the weights and lie above the flow.

    Args:
        mixing: `*batch layer token token`, weights of any scale.
        queries: positions of the sources.
        layers: layers of the sources, counted from 1.
        tol: how near the bounds must be to count as met.
        sweeps: of the annealing that finds cuts.

    Returns:
        Bounds rounded outward, so that they bracket the flow of the given weights exactly. Cost, for each query and
        source layer: layer products of token^2 for composition, 2 * sweeps * layer * token^3 for the cuts, and about
        as much for the chains' flows; once, layer products of token^3. Pairs and queries are taken in blocks: beyond
        arguments and result, memory is at most 8 times the mixing's and 64 bytes for each of `BLOCK_NUMBERS` (0.3 GB),
        or for layer * token numbers an example where that is more.
    """
    scale = power_of_two(mixing)
    scaled = mixing / scale
    least = jnp.maximum(jnp.asarray(jnp.finfo(mixing.dtype).tiny, mixing.dtype) / scale, SMALLEST)
    above = jnp.where(_is_positive(mixing), jnp.maximum(scaled, least), 0)
    below = jnp.where(scaled >= SMALLEST, scaled, jnp.zeros_like(scaled))
    upper = jnp.minimum(composed_bounds(above, queries, layers), end_cuts(above, queries, layers))
    lower = proportional_flows(below, queries, layers)
    deep = [index for index, layer in enumerate(layers) if layer > 2]
    if deep:
        above, below = above[..., : max(layers), :, :], below[..., : max(layers), :, :]
        chosen, at = [layers[index] for index in deep], jnp.asarray(deep, dtype=jnp.int32)
        lower = lower.at[..., at, :, :].max(map_pairs(chain_flows, below, queries, chosen))
        upper = upper.at[..., at, :, :].min(cut_bounds(above, queries, chosen, sweeps))
    # No bound above 0 may vanish in scaling back.
    tiny = jnp.where(upper > 0, jnp.finfo(upper.dtype).tiny, jnp.zeros_like(upper))
    return solution(lower * scale, jnp.maximum(upper * scale, tiny), tol)


def _is_positive(values: Mixing) -> Array:
    # Processors that flush the smallest numbers to 0 still tell their bits apart.
    return jax.lax.bitcast_convert_type(values, jnp.int64 if values.dtype == jnp.float64 else jnp.int32) > 0


def solution(lower: AtLayers, upper: AtLayers, tol: float | Array) -> FlowSolution:
    """What bounds say: certified where they meet, and the best value between them."""
    # Bounds that cross are wrong, whatever their distance: the weights were not what was assumed of them.
    certified = (upper - lower <= tol) & (lower <= upper)
    lower = jnp.minimum(lower, upper)
    # The middle is nearest where the two meet. Its derivative is the upper bound's everywhere: the concave one.
    best = jnp.where(certified, (lower + upper) / 2, upper)
    value = upper + jax.lax.stop_gradient(best - upper)
    return FlowSolution(value=value, lower=lower, upper=upper, certified=certified)
