"""Bounds of attention flow in one pass: from above by composition and by cuts, from below by flows that are built.

Everything here is pure JAX: it compiles, batches, differentiates and shards, with no call back to the host. Node
layer 0 is the input; a bound with the key (a, b) is of flow from nodes of layer b down to nodes of layer a.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxflow._typing import AtLayers, Mixing, Queries, Square
from jaxflow.flow.cut import HIGHEST, refined_bound
from jaxflow.flow.minsum import min_sum_down, min_sum_up, unit_roundoff
from jaxflow.flow.solution import FlowSolution

# Weights below this are nothing (from below) or this (from above): so that no rounding error of theirs is lost to
# underflow, which compensated sums rely on.
SMALLEST = 2.0**-100

Rows = Float[Array, "*batch query token"]
Between = tuple[int, int]


@dataclass(frozen=True)
class Bounds:
    """`flow_bounds` as a solver: one pass, cheap."""

    def __call__(self, mixing: Mixing, queries: Queries, layers: tuple[int, ...], tol: float | Array) -> FlowSolution:
        """Bounds of every pair."""
        return flow_bounds(mixing, queries, layers, tol)


def flow_bounds(mixing: Mixing, queries: Queries, layers: tuple[int, ...], tol: float | Array) -> FlowSolution:
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
        layer^3 / 6 min-sum products of token^3, and 4 * layer * query * token^3 for the cuts. All
        products of one length are made at once, an example of 12 layers and 512 tokens with all queries taking 1.75 GB
        by the compiler's count; in single precision the lower bound's allowance for rounding, about
        2 * layer * token * 6e-8 of the value, mostly keeps it from meeting at `tol=1e-6` above layer 2.
    """
    above = jnp.where(mixing > 0, jnp.maximum(mixing, jnp.asarray(SMALLEST, mixing.dtype)), jnp.zeros_like(mixing))
    below = jnp.where(mixing >= SMALLEST, mixing, jnp.zeros_like(mixing))
    bounds = _composed(above, max(layers) - 1)
    rows = _composed_rows(above, bounds, queries, sorted(set(layers)))
    upper = jnp.stack([rows[0, layer] for layer in layers], axis=-3)
    if max(layers) > 2:
        upper = jnp.minimum(upper, _cut_bounds(above, bounds, rows, queries, layers))
    return solution(_built_flows(below, queries, layers), upper, tol)


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


def _composed(mixing: Mixing, top: int) -> dict[Between, Square]:
    """Upper bounds between all pairs of layers up to `top`.

    A flow from layer b to layer a passes layer m, so it is split by its nodes there, and each share is bounded above
    and below m by itself: `U(a, b)[u, v] <= sum_k min(U(m, b)[u, k], U(a, m)[k, v])` for every m. The least over all
    m is taken, which is no single cut.
    """
    bounds = {(layer - 1, layer): _layer(mixing, layer) for layer in range(1, top + 1)}
    for length in range(2, top + 1):
        splits = {
            (a, a + length): [(bounds[m, a + length], bounds[a, m]) for m in range(a + 1, a + length)]
            for a in range(top - length + 1)
        }
        bounds |= _products(splits, min_sum_up, jnp.min)
    return bounds


def _composed_rows(
    mixing: Mixing, bounds: dict[Between, Square], queries: Queries, layers: list[int]
) -> dict[Between, Rows]:
    """The same from the queries alone at each of the layers, down to every layer below."""
    rows = {(layer - 1, layer): _rows(_layer(mixing, layer), queries) for layer in layers}
    for length in range(2, max(layers) + 1):
        splits = {
            (b - length, b): [(rows[m, b], bounds[b - length, m]) for m in range(b - length + 1, b)]
            for b in layers
            if b >= length
        }
        rows |= _products(splits, min_sum_up, jnp.min)
    return rows


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


def _cut_bounds(
    mixing: Mixing,
    bounds: dict[Between, Square],
    rows: dict[Between, Rows],
    queries: Queries,
    layers: tuple[int, ...],
) -> AtLayers:
    """Upper bounds from cuts, started where more can come from the source than can go on to the sink."""
    top, tokens = max(layers), mixing.shape[-1]
    # Layers that a source's own cut doesn't have are filled up with zeros: nothing comes, nothing goes on.
    nothing = jnp.zeros_like(rows[0, layers[0]])
    coming = jnp.stack(
        [jnp.stack([rows.get((m, layer), nothing) for m in range(1, top)], axis=-2) for layer in layers], axis=-4
    )
    onward = jnp.stack([jnp.swapaxes(bounds[0, m], -1, -2) for m in range(1, top)], axis=-2)

    def of_example(
        mixing: Float[Array, "layer token token"],
        coming: Float[Array, "source_layer query inner token"],
        onward: Float[Array, "token inner token"],
        queries: Int[Array, " query"],
    ) -> Float[Array, "source_layer query token"]:
        def of_source(source: tuple[Array, Array, Array]) -> Float[Array, " token"]:
            layer, query, arriving = source
            own = jnp.broadcast_to(jnp.arange(tokens, dtype=jnp.int32) == query, (tokens, 1, tokens))
            inner = (arriving > onward) & (jnp.arange(1, top, dtype=jnp.int32) < layer)[:, None]
            inner = jnp.where((jnp.arange(1, top, dtype=jnp.int32) == layer)[:, None], own, inner)
            last = own & (layer == top)
            side = jnp.concatenate([~jnp.eye(tokens, dtype=bool)[:, None, :], inner, last], axis=-2)
            return refined_bound(mixing, side, layer)

        # One source at a time, so that memory is that of one: layer * token^2.
        shape = (len(layers), queries.shape[0])
        sources = (
            jnp.broadcast_to(jnp.asarray(layers, dtype=jnp.int32)[:, None], shape).reshape(-1),
            jnp.broadcast_to(queries, shape).reshape(-1),
            coming.reshape(-1, *coming.shape[2:]),
        )
        return jax.lax.map(of_source, sources).reshape(*shape, tokens)

    for _ in mixing.shape[:-3]:
        of_example = jax.vmap(of_example)
    return of_example(mixing[..., :top, :, :], coming, onward, queries)


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
