"""The relaxation: a flow and a cut that close in on each other, for many pairs at once, on any device.

A preflow sends as much out of the source as its arcs hold, and passes on what arrives at each node, a whole layer at a
time: down to nodes that are nearer to the sink in the residual graph, in proportion to the room of the arcs, and what
finds no room back up (Goldberg & Tarjan 1988, with all nodes of a layer pushed at once and all labels found anew each
round). What has reached the sink at any time is a flow, and the nodes that cannot reach it are the source side of a
cut; when nothing more can move, the two are equal. Pure JAX: a block of pairs stops when its last one is done, or at
the work allowed.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxflow._typing import AtLayers, Capacity, Queries
from jaxflow.flow.device.blocks import block_size, listed_pairs
from jaxflow.flow.device.bounds import flow_bounds, scaled_bounds
from jaxflow.flow.device.cut import refined_bound
from jaxflow.flow.device.feasible import Arcs, Nodes, balanced, flow_value, own_arcs
from jaxflow.flow.device.minsum import unit_roundoff
from jaxflow.flow.scaling import scaled, shifted, solution
from jaxflow.flow.solution import FlowSolution

# Rounds that push no more than can be passed on all the way; they cost two passes and bring the bulk of the flow.
OPENING_ROUNDS = 2
# Sweeps that find the labels, round by round. Two see paths that turn up and down again once, each two more one turn
# more: most rounds need few, and a pair that is stuck waits for a round of many. Only after that one is it known that
# nothing more can move.
SWEEPS = (4, 6, 4, 10)
# Sweeps for the last labels, which are the cut, and sweeps that improve it, of two passes each.
LAST_SWEEPS, CUT_SWEEPS = 8, 4
# With those that make the preflow a flow.
CLOSING_PASSES = LAST_SWEEPS + 2 * CUT_SWEEPS + 2
# What may still move when a pair is done, in roundings of what has arrived.
SETTLED = 8
UNREACHED = 1e6

Examples = Float[Array, "example layer token token"]
Listed = tuple[Int[Array, " pair"], Int[Array, " pair"], Int[Array, " pair"], Int[Array, " pair"]]
PairValues = Float[Array, " pair"]


@dataclass(frozen=True)
class Relaxed:
    """The relaxation as a solver.

    Attributes:
        passes: the most work a pair, in passes over the capacities (one pass reads each once). Most pairs are done
            before: of real attention with up to 176 tokens in a third of the default, on average.
    """

    passes: int = 300

    def __call__(
        self, capacity: Capacity, queries: Queries, layers: tuple[int, ...], tol: float | Array
    ) -> FlowSolution:
        """Bounds of every pair: those of `flow_bounds` or what the preflow and its cut give, whichever is tighter."""
        if max(layers) <= 2:
            return flow_bounds(capacity, queries, layers, tol)  # exact already
        # The cheap bounds first, as in many pairs one of them is the tighter one. Then the search, pair by pair:
        # `solve` is of one example, and batch axes are mapped over it.
        weights = scaled(capacity[..., : max(layers), :, :])
        least, most = scaled_bounds(weights, queries, layers)
        solve = partial(_of_example, layers=layers, rounds=rounds_within(self.passes))
        for _ in capacity.shape[:-3]:
            solve = jax.vmap(solve)
        lower, upper = solve(weights.below, weights.above, queries)
        return solution(weights, jnp.maximum(least, lower), jnp.minimum(most, upper), tol)

    def of_pairs(self, capacities: Examples, pairs: Listed) -> tuple[PairValues, PairValues]:
        """Lower and upper bounds of the listed pairs alone, by the preflow and its cut.

        Args:
            capacities: capacities, `example layer token token`; at least three layers.
            pairs: the example, layer (counted from 1), query and token of each.
        """
        return bounds_of_pairs(capacities, pairs, rounds_within(self.passes))[:2]


class _State(NamedTuple):
    """A preflow on its way: flow on arcs, excess waiting at nodes, and the nodes' distances from the sink."""

    flow: Arcs
    excess: Nodes
    label: Nodes


def bounds_of_pairs(
    capacities: Examples, pairs: Listed, rounds: int | Int[Array, ""]
) -> tuple[PairValues, PairValues, Int[Array, " pair"]]:
    """Bounds of the listed pairs (example, layer, query, token) after at most that many rounds of pushing.

    Returns:
        Lower bounds, upper bounds, and the passes over the capacities that each pair took.
    """
    weights = scaled(capacities)

    # One pair's arrays are `layer token token` and `node_layer token`. `map` with a batch size maps a block of pairs
    # over these at once, and takes one block after the other; a block goes on until its slowest pair is done.
    def of_one(pair: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array]:
        lower, upper, taken = _of_pair(weights.below[pair[0]], weights.above[pair[0]], *pair[1:], rounds=rounds)
        return lower, upper, _passes(taken)

    lower, upper, taken = jax.lax.map(of_one, pairs, batch_size=block_size(capacities.shape, pairs[0].shape[0]))
    exponent = weights.exponent.reshape(-1)[pairs[0]]
    return shifted(lower, exponent, False), shifted(upper, exponent, True), taken


def rounds_within(passes: int) -> int:
    """How many rounds fit into that many passes; at least one."""
    left, rounds = passes - 2 * OPENING_ROUNDS - CLOSING_PASSES, 0
    while left >= SWEEPS[rounds % len(SWEEPS)]:
        left -= SWEEPS[rounds % len(SWEEPS)]
        rounds += 1
    return max(rounds, 1)


def _passes(rounds: Int[Array, ""]) -> Int[Array, ""]:
    """The passes that so many rounds take, with all that comes before and after them."""
    upto = jnp.cumsum(jnp.asarray([0, *SWEEPS], dtype=jnp.int32))
    turns, rest = jnp.divmod(rounds, len(SWEEPS))
    return 2 * OPENING_ROUNDS + CLOSING_PASSES + turns * upto[-1] + upto[rest]


def _of_example(
    below: Arcs, above: Arcs, queries: Int[Array, " query"], *, layers: tuple[int, ...], rounds: int
) -> tuple[AtLayers, AtLayers]:
    """Lower and upper bounds of one example's pairs, a block of pairs at a time so that memory stays bounded."""
    tokens = below.shape[-1]
    shape = (len(layers), queries.shape[0], tokens)
    pairs = listed_pairs(layers, queries, tokens)

    def of_pair(pair: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        return _of_pair(below, above, *pair, rounds=rounds)[:2]

    block = block_size(below.shape, shape[0] * shape[1] * shape[2])
    lower, upper = jax.lax.map(of_pair, pairs, batch_size=block)
    return lower.reshape(shape), upper.reshape(shape)


def _of_pair(
    below: Arcs,
    above: Arcs,
    layer: Int[Array, ""],
    query: Int[Array, ""],
    token: Int[Array, ""],
    *,
    rounds: int | Int[Array, ""],
) -> tuple[Float[Array, ""], Float[Array, ""], Int[Array, ""]]:
    """Lower and upper bound of one pair of scaled weights, and how many rounds it took."""
    # The flow is one of capacities rounded down, the cut is valued at capacities rounded up, and both are rounded
    # outward: they hold whatever rounding did to the search in between. Of the search no derivative is taken; the
    # bounds have those of `flow_value` (none) and of the cut's capacity.
    flow, side, taken = preflow(jax.lax.stop_gradient(below), layer, query, token, rounds=rounds)
    return flow_value(flow, layer), refined_bound(above, side, layer, CUT_SWEEPS), taken


def preflow(
    capacities: Arcs,
    layer: Int[Array, ""],
    query: Int[Array, ""],
    token: Int[Array, ""],
    *,
    rounds: int | Int[Array, ""],
) -> tuple[Arcs, Bool[Array, "node_layer token"], Int[Array, ""]]:
    """A flow of one pair, and the source side of a cut.

    Args:
        capacities: capacities, the sum of a row at most 1.
        layer: the source's layer, counted from 1.
        query: the source's position.
        token: the sink.
        rounds: of pushing at most, each with as many sweeps for labels as `SWEEPS` says in turn.

    Returns:
        Flow on each arc, within the capacities and in balance at the nodes but for rounding; which nodes are on the
        source's side; how many rounds there were. Cost: the rounds' sweeps, in passes.
    """
    capacity = own_arcs(capacities, layer, query, token)
    depth, tokens = capacities.shape[:2]
    # All arcs out of the source are full, and what they carry waits at their lower ends.
    state = _State(
        flow=jnp.where(
            (jnp.arange(depth, dtype=jnp.int32) == layer - 1)[:, None, None], capacity, jnp.zeros_like(capacity)
        ),
        excess=jnp.where(
            (jnp.arange(depth + 1, dtype=jnp.int32) == layer - 1)[:, None],
            capacity[layer - 1, query],
            jnp.zeros((), capacities.dtype),
        ),
        label=jnp.full((depth + 1, tokens), UNREACHED, capacities.dtype),
    )
    # Labels are distances from the sink; `UNREACHED` plus any number of layers is a number still in single precision.
    sink = jnp.full((tokens,), UNREACHED, capacities.dtype).at[token].set(0)
    # Phase 1: push down what can be passed on. Phase 2, below: label, return and push until nothing moves. Phase 3:
    # the labels say which nodes can still reach the sink; the others are the source's side of the cut.
    state = jax.lax.fori_loop(0, OPENING_ROUNDS, lambda _, s: _open(capacity, s), state)

    def is_open(carry: tuple[Array, _State]) -> Array:
        index, state = carry
        # Excess of nodes that cannot reach the sink stays where it is: it only has to go back to the source.
        can_reach = jnp.where(state.label[1:depth] < UNREACHED, state.excess[1:depth], 0)
        moving = can_reach.sum() > SETTLED * unit_roundoff(capacities.dtype) * state.excess[0, token]
        # Labels of few sweeps may miss a way, so only after the round of the most sweeps (index 0 again) is `moving`
        # believed.
        return (index < rounds) & (moving | (index % len(SWEEPS) != 0) | (index == 0))

    def one_round(carry: tuple[Array, _State]) -> tuple[Array, _State]:
        index, state = carry
        sweeps = jnp.asarray(SWEEPS, dtype=jnp.int32)[index % len(SWEEPS)]
        return index + 1, _round(capacity, sink, layer, state, sweeps)

    taken, state = jax.lax.while_loop(is_open, one_round, (jnp.zeros((), jnp.int32), state))
    state = _labelled(capacity, sink, layer, state, LAST_SWEEPS)
    source = (jnp.arange(depth + 1, dtype=jnp.int32) == layer)[:, None] & (jnp.arange(tokens, dtype=jnp.int32) == query)
    side = (state.label >= UNREACHED) & (jnp.arange(depth + 1, dtype=jnp.int32) <= layer)[:, None]
    # Above the source's layer nothing counts, and of its own layer only the source is on its side.
    side = jnp.where((jnp.arange(depth + 1, dtype=jnp.int32) == layer)[:, None], source, side)
    # What waits at nodes is taken out of the arcs that brought it: a preflow becomes a flow of the same value.
    flow = balanced(jnp.clip(state.flow, 0, capacity), layer)
    return flow, side.at[0].set(jnp.arange(tokens, dtype=jnp.int32) != token), taken


def _shared(
    room: Float[Array, "token token"], amount: Float[Array, " token"], axis: int
) -> Float[Array, "token token"]:
    """Amounts shared out over arcs in proportion to their room, no more than they hold."""
    # Room that is rounding is none: shares of it would be noise, and below 1e-38 sums would lose it.
    room = jnp.where(room > 1e-12, room, jnp.zeros_like(room))
    total = room.sum(axis)
    share = jnp.minimum(amount / jnp.where(total > 0, total, jnp.ones_like(total)), 1)
    return room * jnp.expand_dims(share, axis)


def _pushed_down(state: _State, level: Array | int, room: Float[Array, "token token"]) -> _State:
    moved = _shared(room, state.excess[level], 1)
    excess = state.excess.at[level].add(-moved.sum(1)).at[level - 1].add(moved.sum(0))
    return state._replace(flow=state.flow.at[level - 1].add(moved), excess=excess)


def _open(capacity: Arcs, state: _State) -> _State:
    """Push down what can be passed on: each node takes no more than its arcs and the nodes below will take."""
    depth, tokens = capacity.shape[:2]
    # The sink takes all that comes; the input's other nodes have no arcs. `able[l, i]` bounds what (l, i) can pass on
    # all the way: the sum over its arcs of min(room, what the lower node can pass on beyond its own excess). It is
    # found from the sink up, and then flow is pushed from the source down.
    able = jnp.full((depth + 1, tokens), jnp.inf, capacity.dtype)

    def room_of(able: Nodes, state: _State, level: Array | int) -> Float[Array, "token token"]:
        spare = jnp.where(level > 1, jnp.maximum(able[level - 1] - state.excess[level - 1], 0), jnp.inf)
        return jnp.minimum(capacity[level - 1] - state.flow[level - 1], spare[None, :])

    able = jax.lax.fori_loop(1, depth, lambda i, a: a.at[i].set(room_of(a, state, i).sum(1)), able)
    return jax.lax.fori_loop(1, depth, lambda i, s: _pushed_down(s, depth - i, room_of(able, s, depth - i)), state)


def _round(capacity: Arcs, sink: Array, layer: Array, state: _State, sweeps: Int[Array, ""]) -> _State:
    """Return upwards what found no room, label all nodes anew, and push down along the labels."""
    depth = capacity.shape[0]

    def return_up(level: Array | int, state: _State) -> _State:
        # What an arc brought goes back up where its upper node is nearer to the sink, by another way.
        nearer = state.label[level + 1][:, None] < state.label[level][None, :]
        moved = _shared(jnp.where(nearer, state.flow[level], jnp.zeros_like(state.flow[level])), state.excess[level], 0)
        excess = state.excess.at[level].add(-moved.sum(0)).at[level + 1].add(moved.sum(1))
        return state._replace(flow=state.flow.at[level].add(-moved), excess=excess)

    state = jax.lax.fori_loop(1, depth - 1, return_up, state)
    state = _labelled(capacity, sink, layer, state, sweeps - 1)

    def label_and_push(index: Array | int, state: _State) -> _State:
        level = depth - index
        # Only to nodes that are nearer: no flow goes round in circles. The label of this layer is brought up to date
        # just before it pushes, in the sweep that has to come anyway: one pass saved a round.
        label = _relabelled(capacity, layer, state, level)
        nearer = label[level - 1][None, :] < label[level][:, None]
        room = capacity[level - 1] - state.flow[level - 1]
        return _pushed_down(state._replace(label=label), level, jnp.where(nearer, room, jnp.zeros_like(room)))

    # The last sweep for labels goes down, and takes the flow along.
    return jax.lax.fori_loop(1, depth, label_and_push, state)


def _labelled(capacity: Arcs, sink: Array, layer: Array, state: _State, sweeps: Array | int) -> _State:
    """Distances from the sink in the residual graph, by sweeps up and down the layers."""
    depth = capacity.shape[0]
    state = state._replace(label=jnp.full_like(state.label, UNREACHED).at[0].set(sink))

    def relabel(step: Array | int, state: _State) -> _State:
        # Up from the sink in even sweeps, down in odd ones: each turn of a path, up or down, takes one sweep more.
        sweep, index = jnp.divmod(step, depth - 1)
        level = jnp.where(sweep % 2 == 0, index + 1, depth - 1 - index)
        return state._replace(label=_relabelled(capacity, layer, state, level))

    return jax.lax.fori_loop(0, sweeps * (depth - 1), relabel, state)


def _relabelled(capacity: Arcs, layer: Array, state: _State, level: Array | int) -> Nodes:
    """Labels with those of one layer brought up to date with the layers beside it."""
    tiny = 4 * unit_roundoff(capacity.dtype)
    label = state.label
    # The residual graph: down along arcs with room, up along arcs with flow; 1 further than the nearest of those nodes.
    open_down = capacity[level - 1] - state.flow[level - 1] > tiny
    open_up = state.flow[level] > tiny
    down = jnp.where(open_down, label[level - 1][None, :], UNREACHED).min(1)
    up = jnp.where(open_up, label[level + 1][:, None], UNREACHED).min(0)
    nearest = jnp.minimum(jnp.minimum(down, up) + 1, label[level])
    return label.at[level].set(jnp.where(level < layer, nearest, label[level]))
