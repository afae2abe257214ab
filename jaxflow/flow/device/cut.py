"""Cuts: their capacity, and how one is improved a layer at a time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._checks import InputError, is_traced, not_forked
from jaxflow._programs import Programs, bucket
from jaxflow._typing import AnyArray, AtLayers, Capacity, Given, Queries
from jaxflow.flow.device.minsum import power_of_two, unit_roundoff
from jaxflow.graph.graph import AttentionGraph, check_graph, filled_graph, graph_bucket, with_automatic_axes, with_own

SourceSide = Bool[Array, "*pair node_layer token"]
RealSide = Float[Array, "*pair node_layer token"]

HIGHEST = jax.lax.Precision.HIGHEST


def cut_capacity(graph: Given[AttentionGraph], cut: Given[AnyArray]) -> Float[Array, "*batch_and_pair"]:
    """Capacity of cuts: the sum of the capacities that lead from the source side to the other side.

    Linear in the capacities. As the maximum flow is the least capacity of all cuts, the gradient of a minimum cut's
    capacity is the flow's (where the minimum cut is unique; at ties, one supergradient of several). So exact flow is
    differentiated without leaving JAX: solve for the cuts on the host, then take `cut_capacity` inside whatever is
    compiled. A cut stays a cut when the weights change, so its capacity stays an upper bound of the flow.

    Attention scores are trained to raise a flow, with a fresh cut every sixth step, so (`method="smooth"` of
    `attention_flow` needs no cuts, and has one gradient at ties):

    ```python
    @jax.jit
    def step(scores, state, cut):
        def loss(scores):
            return -jf.cut_capacity(jf.attention_graph(jax.nn.softmax(scores)), cut)

        updates, state = optimiser.update(jax.grad(loss)(scores), state)
        return optax.apply_updates(scores, updates), state


    optimiser = optax.adam(0.1)
    state = optimiser.init(scores)  # layer head query key
    for count in range(24):
        if count % 6 == 0:
            graph = jf.attention_graph(jax.nn.softmax(scores))
            flow = jf.attention_flow(graph, queries=1, layers=3, method="exact", cuts=True)
            cut = flow.cut[0, 0, 3]  # of the flow from token 3 to position 1
        scores, state = step(scores, state, cut)
    ```

    Args:
        graph: the layered graph, an `AttentionGraph`, whose batch axes must lead the cut's.
        cut: source sides, `*batch *pair node_layer node` with node layer 0 the input, as `FlowSolution.cut` has it.

    Returns:
        `*batch *pair`. Cost: pairs * layer * token^2.

    Raises:
        InputError: if the cut does not fit the graph, or the graph is none, or one made by hand that is not sound.
    """
    not_forked()
    graph = check_graph(graph)
    shape = jnp.shape(cut)
    batch, nodes = graph.batch_shape, (graph.num_layers + 1, graph.num_tokens)
    if len(shape) < len(batch) + 2 or shape[: len(batch)] != batch or shape[-2:] != nodes:
        way_out = "pass the cut that attention_flow returned for a graph of this shape"
        raise InputError("cut", f"have shape {(*batch, '...', *nodes)}", str(shape), way_out)
    room = None if is_traced(graph, cut) else graph_bucket(graph)
    if room is None:
        return _capacity(*with_automatic_axes((graph, jnp.asarray(cut))))
    # All axes of pairs become one.
    pairs = shape[len(batch) : -2]
    side = np.asarray(cut).reshape(*batch, -1, *nodes)
    count = side.shape[-3]
    room = dataclasses.replace(room, sizes={**room.sizes, "pair": (count, bucket(count))})
    return room.cut(_capacity(filled_graph(graph, room), room.fill(side, "pair node_layer token")), "pair", pairs)


@Programs
def _capacity(graph: AttentionGraph, side: Array) -> Float[Array, "*batch_and_pair"]:
    """Capacities of many cuts; a side may be true or false, or any share of 1."""
    side = side.astype(graph.weights.dtype)

    def of_example(capacity: Float[Array, "layer token token"], one: RealSide) -> Float[Array, "*pair"]:
        # An arc counts where its upper node is on the source's side and its lower node is not.
        return jnp.sum(one[..., 1:, :] * _out_of(capacity, 1 - one[..., :-1, :]), axis=(-2, -1))

    for _ in graph.batch_shape:
        of_example = jax.vmap(of_example)
    return of_example(with_own(graph.weights, graph.own), side)


def _out_of(
    capacity: Float[Array, "layer token token"], other: Float[Array, "*pair layer token"]
) -> Float[Array, "*pair layer token"]:
    """Capacity of each node's arcs into the other side of the layer below."""
    return jnp.einsum("lij,...lj->...li", capacity, other, precision=HIGHEST)


def refined_bound(
    capacity: Float[Array, "layer token token"], side: SourceSide, source_layer: Int[Array, ""], sweeps: int = 2
) -> Float[Array, "*pair"]:
    """Upper bounds from cuts that are improved a layer at a time, up through the layers and down again.

    Nodes of one layer are not adjacent, so with the layers beside it fixed, the best side of every node has a closed
    form: the source side, where what it lets out is less than what it lets in. No step increases a cut.

    Args:
        capacity: weights of the layers.
        side: source sides to start from; the input's, and those of the source's layer and above, are kept.
        source_layer: the layer of the pairs' source.
        sweeps: how often to go through the inner layers.

    Returns:
        `*pair`, rounded outward: never below the flow. Cost: 2 * sweeps * pairs * layer * token^2.
    """
    inner = range(1, capacity.shape[0])
    order = [layer for sweep in range(sweeps) for layer in (inner if sweep % 2 == 0 else reversed(inner))]

    def improve(side: SourceSide, layer: Int[Array, ""]) -> tuple[SourceSide, None]:
        def at(index: Array) -> Array:
            return jax.lax.dynamic_index_in_dim(side, index, axis=-2, keepdims=False)

        # With its neighbours fixed, node i adds `lets_out` to the cut on the source's side and `lets_in` on the sink's;
        # the nodes of a layer share no arc, so each may choose alone, and the sum can only fall.
        lets_out = jnp.einsum(
            "ij,...j->...i", capacity[layer - 1], (~at(layer - 1)).astype(capacity.dtype), precision=HIGHEST
        )
        lets_in = jnp.einsum("ki,...k->...i", capacity[layer], at(layer + 1).astype(capacity.dtype), precision=HIGHEST)
        best = jnp.where(layer < source_layer, lets_out < lets_in, at(layer))
        return jax.lax.dynamic_update_index_in_dim(side, best, layer, axis=-2), None

    side, _ = jax.lax.scan(improve, side, jnp.asarray(order, dtype=jnp.int32))
    return capacity_up(capacity, side)


def end_cuts(capacity: Capacity, queries: Queries, layers: tuple[int, ...]) -> AtLayers:
    """The smaller of what leaves the source and what enters the sink, rounded outward. Cost: layer * token^2."""
    # The two cuts that separate one end alone: flow <= sum_j C_l[u, j], and flow <= sum_i C_1[i, v]. On deep, diffuse
    # attention one of them is the minimum cut of most pairs.
    unit, tokens = 2 * unit_roundoff(capacity.dtype), capacity.shape[-1]

    def total(axis: int) -> Float[Array, "*batch layer token"]:
        # In two parts, as in `capacity_up`; a column's sum may be larger than any row's.
        grid = unit * power_of_two(capacity if axis == -1 else jnp.swapaxes(capacity, -1, -2))
        coarse = jnp.floor(capacity / grid) * grid
        rest = jnp.sum(capacity - coarse, axis=axis) * (1 + (tokens + 8) * unit)
        return (jnp.sum(coarse, axis=axis) + rest) * (1 + unit)

    leaving, entering = total(-1)[..., [layer - 1 for layer in layers], :], total(-2)[..., 0, :]
    sources = jnp.take_along_axis(leaving, queries[..., None, :], axis=-1)
    return jnp.minimum(sources[..., :, None], entering[..., None, None, :])


def capacity_up(capacity: Float[Array, "layer token token"], side: SourceSide) -> Float[Array, "*pair"]:
    """Capacity of cuts, rounded outward; none below 2^-100 of the largest row's.

    Weights are cut in two: a multiple of 2^-23 of the power of two above every row's sum, and the rest. Sums of
    multiples are exact up to two of those powers, and a cut of more is no use: the source's row is a smaller one.
    Only sums of the rest are rounded.
    """
    unit = 2 * unit_roundoff(capacity.dtype)
    grid = unit * power_of_two(capacity)
    coarse = jnp.floor(capacity / grid) * grid
    other, own = (~side[..., :-1, :]).astype(capacity.dtype), side[..., 1:, :].astype(capacity.dtype)
    exact, rest = (jnp.sum(own * _out_of(part, other), axis=(-2, -1)) for part in (coarse, capacity - coarse))
    # One roundoff an addition in a row, in a column and across layers, and some more; then the next number above.
    return (exact + rest * (1 + (2 * capacity.shape[-1] + capacity.shape[0] + 8) * unit)) * (1 + unit)
