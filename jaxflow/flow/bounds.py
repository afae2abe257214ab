"""Bounds of attention flow in one pass: from above by composition and by cuts, from below by flows that are built.

Everything here is pure JAX: it compiles, batches, differentiates and shards, with no call back to the host. Node
layer 0 is the input; `between(a, b)` speaks of flow from nodes of layer b down to nodes of layer a.
"""

import functools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxflow._typing import Mixing, Queries, Relevance
from jaxflow.flow.cut import HIGHEST, refined_bound
from jaxflow.flow.minsum import min_sum_down, min_sum_up, unit_roundoff
from jaxflow.flow.solution import FlowSolution

# Weights below this are nothing (from below) or this (from above): so that no rounding error of theirs is lost to
# underflow, which compensated sums rely on.
SMALLEST = 2.0**-100

Rows = Float[Array, "*batch query token"]
Square = Float[Array, "*batch token token"]
Intervals = dict[int, Float[Array, "*batch interval token token"]]


def flow_bounds(mixing: Mixing, queries: Queries, layers: tuple[int, ...], tol: float) -> FlowSolution:
    """Bound the flow from the queries at the given layers to every input token, from both sides, in one pass.

    Exact at layers 1 and 2. The upper bound's gradient is a supergradient of the flow wherever the bounds meet: both
    the composed bound and a cut's capacity are concave in the weights and lie above the flow.

    Args:
        mixing: `*batch layer token token`, rows summing to at most 1.
        queries: positions of the sources.
        layers: layers of the sources, counted from 1.
        tol: how near the bounds must be to count as met.

    Returns:
        Bounds rounded outward, so that they bracket the flow of the given weights exactly. Cost: at most
        layer^3 / 6 min-sum products of token^3, and 4 * layer * query * token^3 for the cuts; memory of
        layer^2 * token^2.
    """
    above = jnp.where(mixing > 0, jnp.maximum(mixing, jnp.asarray(SMALLEST, mixing.dtype)), jnp.zeros_like(mixing))
    below = jnp.where(mixing >= SMALLEST, mixing, jnp.zeros_like(mixing))
    intervals = _composed(above, max(layers) - 1)
    met_below = _flows_into_sinks(below, max(layers) - 1)
    lower, upper = [], []
    for layer in layers:
        rows = _composed_rows(above, intervals, queries, layer)
        bound = rows[0]
        if layer > 2:
            bound = jnp.minimum(bound, _cut_bound(above, rows, intervals, queries, layer))
        upper.append(bound)
        lower.append(_built_flow(below, met_below, queries, layer))
    return _solution(jnp.stack(lower, axis=-3), jnp.stack(upper, axis=-3), tol)


def _solution(lower: Relevance, upper: Relevance, tol: float) -> FlowSolution:
    lower = jnp.minimum(lower, upper)
    certified = upper - lower <= tol
    # The middle is nearest where the two meet. Its derivative is the upper bound's everywhere: the concave one.
    best = jnp.where(certified, (lower + upper) / 2, upper)
    value = upper + jax.lax.stop_gradient(best - upper)
    return FlowSolution(value=value, lower=lower, upper=upper, certified=certified)


def _layer(mixing: Mixing, layer: int) -> Square:
    """Weights of the arcs from layer `layer` to the one below it."""
    return mixing[..., layer - 1, :, :]


def _rows(matrix: Square, queries: Queries) -> Rows:
    return jnp.take_along_axis(matrix, queries[..., None], axis=-2)


def _composed(mixing: Mixing, top: int) -> Intervals:
    """Upper bounds between all pairs of layers up to `top`: entry [d][..., a, :, :] is between(a, a + d).

    A flow from layer b to layer a passes layer m, so it is split by its nodes there, and each share is bounded above
    and below m by itself: between(a, b)[u, v] <= sum_k min(between(m, b)[u, k], between(a, m)[k, v]) for every m. The
    least over all m is taken, which is no single cut.
    """
    tables = {1: mixing[..., :top, :, :]}
    for length in range(2, top + 1):
        count = top - length + 1
        tables[length] = _least(
            min_sum_up(tables[length - low][..., low : low + count, :, :], tables[low][..., :count, :, :])
            for low in range(1, length)
        )
    return tables


def _composed_rows(mixing: Mixing, intervals: Intervals, queries: Queries, layer: int) -> dict[int, Rows]:
    """Upper bounds from the queries at one layer down to every layer m below: entry [m], rows of between(m, layer)."""
    rows = {layer - 1: _rows(_layer(mixing, layer), queries)}
    for m in range(layer - 2, -1, -1):
        rows[m] = _least(min_sum_up(rows[s], intervals[s - m][..., m, :, :]) for s in range(m + 1, layer))
    return rows


def _least(bounds: Iterable[Array]) -> Array:
    return functools.reduce(jnp.minimum, bounds)


def _cut_bound(mixing: Mixing, rows: dict[int, Rows], intervals: Intervals, queries: Queries, layer: int) -> Rows:
    """Upper bounds from cuts, started where more can come from the source than can go on to the sink."""
    tokens = mixing.shape[-1]

    def of_example(
        mixing: Float[Array, "layer token token"],
        rows: dict[int, Float[Array, "query token"]],
        onward: dict[int, Float[Array, "token token"]],
        queries: Int[Array, " query"],
    ) -> Float[Array, "query token"]:
        def of_query(query_and_rows: tuple[Array, dict[int, Array]]) -> Float[Array, " token"]:
            query, row = query_and_rows
            sides = [~jnp.eye(tokens, dtype=bool)]
            sides += [row[m][None, :] > onward[m].T for m in range(1, layer)]
            sides += [jnp.broadcast_to(jnp.arange(tokens) == query, (tokens, tokens))]
            return refined_bound(mixing, jnp.stack(sides, axis=-2))

        # One query at a time, so that memory is that of one: layer * token^2.
        return jax.lax.map(of_query, (queries, rows))

    for _ in mixing.shape[:-3]:
        of_example = jax.vmap(of_example)
    onward = {m: intervals[m][..., 0, :, :] for m in range(1, layer)}
    return of_example(mixing[..., :layer, :, :], rows, onward, queries)


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


def _built_flow(mixing: Mixing, into_sinks: dict[int, Square], queries: Queries, layer: int) -> Rows:
    """Value of a feasible flow for every pair.

    In proportion to the weights from the source down to some layer m, and as `_flows_into_sinks` below it, each node
    of m passing on the smaller of the two amounts; the best m is taken.
    """
    arriving = _rows(_layer(mixing, layer), queries)
    if layer == 1:
        return arriving
    best = min_sum_down(arriving, into_sinks[layer - 1])
    for m in range(layer - 2, 0, -1):
        arriving = jnp.einsum("...qk,...kj->...qj", arriving, _layer(mixing, m + 1), precision=HIGHEST)
        best = jnp.maximum(best, min_sum_down(arriving, into_sinks[m]))
    if layer == 2:
        return best
    # Each layer passed adds at most 2 * token + 4 roundings to what an arc is taken to carry; a flow that much
    # smaller fits.
    slack = layer * (2 * mixing.shape[-1] + 4) * unit_roundoff(mixing.dtype)
    return best * (1 - min(slack, 1.0))
