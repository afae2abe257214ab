"""Bounds of attention flow in one pass: from above by composition and by cuts, from below by flows that are built.

Everything here is pure JAX: it compiles, batches, differentiates and shards, with no call back to the host.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxflow._typing import AtLayers, Mixing, Queries, Square
from jaxflow.flow.anneal import cut_bounds
from jaxflow.flow.composed import composed_bounds
from jaxflow.flow.cut import HIGHEST
from jaxflow.flow.minsum import min_sum_down, power_of_two, unit_roundoff
from jaxflow.flow.solution import FlowSolution

# Weights below this are nothing (from below) or this (from above): so that no rounding error of theirs is lost to
# underflow, which compensated sums rely on.
SMALLEST = 2.0**-100

Rows = Float[Array, "*batch query token"]
Between = tuple[int, int]


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
        Bounds rounded outward, so that they bracket the flow of the given weights exactly.
    """
    scale = power_of_two(mixing)
    scaled = mixing / scale
    above = jnp.where(_is_positive(mixing), jnp.maximum(scaled, jnp.asarray(SMALLEST, mixing.dtype)), 0)
    below = jnp.where(scaled >= SMALLEST, scaled, jnp.zeros_like(scaled))
    upper = composed_bounds(above, queries, layers)
    deep = [index for index, layer in enumerate(layers) if layer > 2]
    if deep and sweeps:
        cuts = cut_bounds(above[..., : max(layers), :, :], queries, [layers[index] for index in deep], sweeps)
        upper = upper.at[..., jnp.asarray(deep, dtype=jnp.int32), :, :].min(cuts)
    # No bound above 0 may vanish in scaling back.
    tiny = jnp.where(upper > 0, jnp.finfo(upper.dtype).tiny, jnp.zeros_like(upper))
    return solution(_built_flows(below, queries, layers) * scale, jnp.maximum(upper * scale, tiny), tol)


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


def _layer(mixing: Mixing, layer: int) -> Square:
    """Weights of the arcs from layer `layer` to the one below it."""
    return mixing[..., layer - 1, :, :]


def _rows(matrix: Square, queries: Queries) -> Rows:
    return jnp.take_along_axis(matrix, queries[..., None], axis=-2)


def _products(
    splits: dict[Between, list[tuple[Array, Array]]],
    product: Callable[[Array, Array], Array],
    best: Callable[..., Array],
) -> dict[Between, Array]:
    """The best over the products of each list of pairs; all lists of one length, so that all are one product."""
    pairs = [pair for listed in splits.values() for pair in listed]
    products = product(jnp.stack([left for left, _ in pairs]), jnp.stack([right for _, right in pairs]))
    bests = best(products.reshape(len(splits), -1, *products.shape[1:]), axis=1)
    return {key: bests[index] for index, key in enumerate(splits)}


def _built_flows(mixing: Mixing, queries: Queries, layers: tuple[int, ...]) -> AtLayers:
    """Value of a feasible flow for every pair.

    In proportion to the weights from the source down to some layer m, and as `_flows_into_sinks` below it, each node
    of m passing on the smaller of the two amounts; the best m is taken.
    """
    into_sinks = _flows_into_sinks(mixing, max(layers) - 1)
    built = []
    for layer in layers:
        arriving = {layer - 1: _rows(_layer(mixing, layer), queries)}
        for m in range(layer - 2, 0, -1):
            arriving[m] = jnp.einsum("...qk,...kj->...qj", arriving[m + 1], _layer(mixing, m + 1), precision=HIGHEST)
        if layer == 1:
            built.append(arriving[0])
            continue
        met = {(0, layer): [(arriving[m], into_sinks[m]) for m in range(1, layer)]}
        best = _products(met, min_sum_down, jnp.max)[0, layer]
        # Each layer passed adds at most 2 * token + 4 roundings to what an arc is taken to carry; a flow that much
        # smaller fits. At layer 2 the weights themselves are met.
        slack = layer * (2 * mixing.shape[-1] + 4) * unit_roundoff(mixing.dtype) if layer > 2 else 0.0
        built.append(best * (1 - min(slack, 1.0)))
    return jnp.stack(built, axis=-3)


def _flows_into_sinks(mixing: Mixing, top: int) -> dict[int, Square]:
    """Amounts that each node of layer m can send to each input token, all by one flow: entry [m], node by token.

    What a node can send on, it asks of the nodes above in proportion to their arcs into it, never more than they hold:
    from m to m + 1 the arcs carry `C[h, i] * min(1, y[i] / (what all arcs into i hold))`.
    """
    amounts = {1: _layer(mixing, 1)}
    for m in range(1, top):
        arcs = _layer(mixing, m + 1)
        held = jnp.sum(arcs, axis=-2)[..., :, None]
        share = jnp.minimum(amounts[m] / jnp.where(held > 0, held, jnp.ones_like(held)), 1)
        amounts[m + 1] = jnp.einsum("...hi,...iv->...hv", arcs, share, precision=HIGHEST)
    return amounts
