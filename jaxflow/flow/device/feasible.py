"""Flows that respect capacities and nodes: how one is made of what only nearly does, and what it surely carries."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxflow.flow.device.minsum import unit_roundoff

Arcs = Float[Array, "layer token token"]
Nodes = Float[Array, "node_layer token"]

# Beside a flow of so much of an example's largest row, what its sums lose to underflow is less than one rounding:
# 2^-126 an operation in single precision, of fewer than 2^20 operations.
LEAST_FLOW = 2.0**-80


def own_arcs(capacity: Arcs, layer: Array, query: Array, token: Array) -> Arcs:
    """Capacities of the arcs that lie between the source and the sink."""
    depth, tokens = capacity.shape[:2]
    level, position = jnp.arange(1, depth + 1, dtype=jnp.int32)[:, None, None], jnp.arange(tokens, dtype=jnp.int32)
    from_source = (level < layer) | ((level == layer) & (position[:, None] == query))
    into_sink = (level > 1) | (position[None, :] == token)
    return jnp.where(from_source & into_sink, capacity, jnp.zeros_like(capacity))


def balanced(flow: Arcs, layer: Array) -> Arcs:
    """The flow within a preflow: going down no node gives more than it gets, then none gets more than it gives."""
    depth = flow.shape[0]

    def ratio(level: Array | int, wanted: Array, held: Array) -> Array:
        too_much = (held > wanted) & (level < layer)
        return jnp.where(too_much, wanted / jnp.where(held > 0, held, jnp.ones_like(held)), jnp.ones_like(held))

    def give_less(index: Array | int, flow: Arcs) -> Arcs:
        # Down the layers: a node that gives more than it gets has all its arcs out scaled to what it gets. The layer
        # below gets less by that, and its turn comes next.
        level = depth - index
        return flow.at[level - 1].multiply(ratio(level, flow[level].sum(0), flow[level - 1].sum(1))[:, None])

    def get_less(level: Array | int, flow: Arcs) -> Arcs:
        # Up the layers: a node that gets more than it gives has all its arcs in scaled to what it gives. Scaling only
        # lowers arcs, so that the capacities hold throughout.
        return flow.at[level].multiply(ratio(level, flow[level - 1].sum(1), flow[level].sum(0))[None, :])

    flow = jax.lax.fori_loop(1, depth, give_less, flow)
    return jax.lax.fori_loop(1, depth, get_less, flow)


def flow_value(flow: Arcs, layer: Array) -> Float[Array, ""]:
    """The least that a flow within its capacities carries from source to sink, its nodes out of balance as they are.

    The flow is a sum of paths that begin at the source or at nodes that give more than they get, and end at the sink
    or at nodes that get more than they give. So at most what the latter keep does not come from the source to the
    sink. For flows that leave a source of at most 1. Sums are taken in two parts: of multiples of twice the unit
    roundoff, which are exact, and of the rest, in which alone there is rounding.
    """
    depth, tokens = flow.shape[:2]
    unit = 2 * unit_roundoff(flow.dtype)
    coarse = jnp.floor(flow / unit) * unit
    fine = flow - coarse
    inner = (jnp.arange(1, depth, dtype=jnp.int32) < layer)[:, None]
    # What each node between gets less what it gives: the differences of multiples are exact, and `unsure` bounds the
    # rounding of the rest. The flow's value is at least `sent - sum over nodes of max(kept, 0)`.
    kept = (coarse[1:].sum(-2) - coarse[:-1].sum(-1)) + (fine[1:].sum(-2) - fine[:-1].sum(-1))
    unsure = (tokens + 4) * unit * (fine[1:].sum(-2) + fine[:-1].sum(-1))
    kept = jnp.where(inner, jnp.maximum(kept * (1 + 2 * unit) + unsure, kept + unsure), 0)
    lost = jnp.maximum(kept, 0).sum() * (1 + (depth + 1) * (tokens + 8) * unit)
    # What leaves the source, the sum of the rest rounded down.
    source = jnp.arange(depth, dtype=jnp.int32) == layer - 1
    sent, rest = (jnp.where(source[:, None, None], part, 0).sum() for part in (coarse, fine))
    rest = rest * (1 - min((tokens + 8) * unit, 1.0))
    value = (sent + rest - lost) * (1 - 3 * unit)
    return jnp.where(value >= LEAST_FLOW, value, jnp.zeros_like(value))


def rounding(depth: int, dtype: np.dtype) -> float:
    """Share of a flow's value that is lost to rounding, about: what each layer's nodes are out of balance by."""
    return 2 * depth * unit_roundoff(dtype)
