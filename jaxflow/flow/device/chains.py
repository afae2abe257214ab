"""Lower bounds by residual chains: flow along paths that change position at most three times.

Every position has a strong arc to itself below. A path stays at the query u, jumps to some k, stays there, jumps to the
token v and stays; or jumps from u to v. All k are filled at once, greedily: leaving u as high as can be or entering v
as low as can be, since that takes least of the two chains that all paths share, u's and v's.

What is left of a capacity is rounded down, relative to what is left, and sums are exact to a few roundings (`Sum`):
so the flow is feasible in exact arithmetic, and where it fills a cut it comes within 1e-6 of it in single precision.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow.flow.device.amounts import Sum, down, less, nearly, parts, plus, up
from jaxflow.flow.device.cut import HIGHEST
from jaxflow.flow.device.minsum import unit_roundoff

Arcs = Float[Array, "layer token token"]
PairValues = Float[Array, " pair"]
AtPosition = Float[Array, "pair token"]
Chain = Float[Array, "layer pair"]


class _Pairs(NamedTuple):
    """The capacities and the pairs, a block of them at a time.

    Attributes:
        straight: capacity of each layer's arc from the query to the token.
        same: where the query is the token.
    """

    capacity: Arcs
    layer: Int[Array, " pair"]
    query: Int[Array, " pair"]
    token: Int[Array, " pair"]
    straight: Chain
    same: Bool[Array, " pair"]


class _State(NamedTuple):
    """What is left of the capacities, and the flow so far.

    Attributes:
        from_query: of the query's chain, by layer counted from the input.
        into_token: of the token's chain.
        leaving: of the arcs from the query's chain to each position; `drop` counts layers down from the source.
        entering: of the arcs from each position to the token's chain.
        through: of each other position's chain, one number for all its layers.
        flow: the value so far.
    """

    from_query: Chain
    into_token: Chain
    leaving: Float[Array, "drop pair token"]
    entering: Float[Array, "layer pair token"]
    through: AtPosition
    flow: Sum


def chain_flows(
    capacity: Arcs, layer: Int[Array, " pair"], query: Int[Array, " pair"], token: Int[Array, " pair"]
) -> PairValues:
    """Value of a feasible flow of each pair, rounded down.

    Args:
        capacity: weights of the arcs, rows summing to 1 at most.
        layer: the sources' layers, counted from 1.
        query: the sources' positions.
        token: the sinks.

    Returns:
        Values, which have no derivative. Cost: `highest^2 / 2` steps of pair * token and ten products of pair * token^2
        for each layer below `highest`, the pairs' highest source; in memory of pair * layer * token numbers.
    """
    # Steps that no source of the block has a path for would move nothing, and are left out.
    depth, tokens, highest = *capacity.shape[:2], jnp.max(layer)
    capacity = jax.lax.stop_gradient(capacity)
    pairs = _Pairs(capacity, layer, query, token, capacity[:, query, token], query == token)
    state, other = _untouched(pairs), ~pairs.same
    # What leaves at the very top and what enters at the very bottom is all needed where the source's row or the sink's
    # column is the bottleneck. So these two arcs go first: filled later, they might find the chains used up.
    state = _straight(pairs, state, layer, other)
    state = _straight(pairs, state, jnp.ones_like(layer), other & (layer > 1))
    # Paths of two jumps that take of at most one of the two shared chains; then paths of three jumps, which bring what
    # is left at the top together with what is wanted at the bottom; then paths of two jumps that take of both chains.
    near, far = _two_jumps(depth)
    middle = _middle_jumps(depth)
    by_two, by_three = partial(_by_two, pairs), partial(_by_three, pairs)
    state = _in_turn(by_two, state, near, (0, _below(highest, map(sum, near))))
    # The highest layers in the middle come first.
    start = len(middle) - _below(highest, (layer for _, layer, _ in middle))
    state, _ = _in_turn(by_three, (state, jnp.zeros_like(state.through)), middle, (start, len(middle)))
    state = _in_turn(by_two, state, far, (0, _below(highest, map(sum, far))))
    # Straight arcs at the layers between take of both chains, as these last paths of two jumps do, so they come late.
    state = jax.lax.fori_loop(
        2, highest, lambda at, s: _straight(pairs, s, jnp.full_like(layer, at), other & (at < layer)), state
    )
    # A query that is the token gets last what its chain still holds: paths that leave it come back to it.
    state = _straight(pairs, state, layer, pairs.same)
    return down(state.flow, tokens + len(near) + len(far) + len(middle) + depth)


def _untouched(pairs: _Pairs) -> _State:
    """All capacities, and no flow yet."""
    capacity, layer, query, token, *_ = pairs
    depth, tokens = capacity.shape[:2]
    level = jnp.arange(1, depth + 1, dtype=jnp.int32)[:, None]
    position = jnp.arange(tokens, dtype=jnp.int32)
    # Jumps lead to and from positions other than the pair's own two; arcs between those two are `_straight`'s.
    between = (position != query[:, None]) & (position != token[:, None])
    jumps = jnp.where(between, capacity[:, query, :], 0)  # layer pair token
    chain = jnp.diagonal(capacity, axis1=-2, axis2=-1)
    inner = (level[:, None] > 1) & (level[:, None] < layer[:, None])
    nothing = jnp.zeros(layer.shape, capacity.dtype)
    return _State(
        from_query=jnp.where(level <= layer, chain[:, query], jnp.inf),
        into_token=chain[:, token],
        # By distance from the source, so that pairs of several layers go through the same steps together.
        leaving=jumps[jnp.maximum(layer - level, 0), jnp.arange(layer.shape[0], dtype=jnp.int32)],
        entering=jnp.where(between, jnp.swapaxes(capacity, -1, -2)[:, token, :], 0),
        # One number for the whole of a chain, though paths may pass different parts of it: this gives some flow away
        # for a factor `layer` in memory.
        through=jnp.min(jnp.where(inner, chain[:, None, :], jnp.inf), axis=0),
        flow=Sum(nothing, nothing),
    )


def _straight(pairs: _Pairs, state: _State, leaves: Int[Array, " pair"], valid: Array) -> _State:
    """From the query's chain to the token's by one arc out of layer `leaves`, where `valid`."""
    same = pairs.same
    level = jnp.arange(1, pairs.capacity.shape[0] + 1, dtype=jnp.int32)[:, None]
    # By comparison, as reading by index is slow on accelerators.
    arcs = jnp.where(same, state.from_query, pairs.straight)
    arc = jnp.sum(jnp.where(level == leaves, arcs, 0), axis=0)
    # Feasible: no more than the arc holds, nor than is left of the chain above it and of the chain below it.
    amount = jnp.where(valid, jnp.minimum(arc, _spare(state, leaves, leaves)), 0)
    taken = _taken(state, leaves, leaves, amount, same)
    # The arc itself is the chain's where the query is the token.
    own = (level == leaves) & same
    taken = taken._replace(from_query=jnp.where(own, less(state.from_query, amount), taken.from_query))
    taken = taken._replace(into_token=jnp.where(same, taken.from_query, taken.into_token))
    return taken._replace(flow=plus(state.flow, parts(amount)))


def _by_two(pairs: _Pairs, state: _State, jump: Int[Array, " 2"]) -> _State:
    """Jump from the query's chain to every other position's, stay, and jump to the token's chain."""
    capacity, layer, same = pairs.capacity, pairs.layer, pairs.same
    tokens, unit = capacity.shape[1], unit_roundoff(capacity.dtype)
    drop, enters = jump
    leaves, leaving = layer - drop, state.leaving[drop]
    # A path by position k carries at most the least of its two jumps and of k's chain.
    amounts = jnp.minimum(jnp.minimum(leaving, state.entering[enters - 1]), state.through)
    amounts = jnp.where((enters < leaves)[:, None], amounts, 0)
    wanted = Sum(*(jnp.sum(part, axis=-1) for part in parts(amounts)))
    # All paths share the two chains. Where these hold less than all want, all get the same share of it.
    most, spare = up(wanted, tokens), _spare(state, leaves, enters)
    fits = most <= spare
    ratio = jnp.where(fits, 1, spare / jnp.where(fits, 1, most) * (1 - 3 * unit))
    amounts = amounts * ratio[:, None]
    scaled = parts(nearly(wanted, tokens) * ratio * (1 - 4 * unit))
    sent = Sum(*(jnp.where(fits, whole, share) for whole, share in zip(wanted, scaled, strict=True)))
    taken = _taken(state, leaves, enters, jnp.minimum(most, spare), same)
    return taken._replace(
        leaving=state.leaving.at[drop].set(less(leaving, amounts)),
        entering=state.entering.at[enters - 1].set(less(state.entering[enters - 1], amounts)),
        through=less(state.through, amounts),
        flow=plus(state.flow, sent),
    )


def _by_three(pairs: _Pairs, carry: tuple[_State, AtPosition], jump: Int[Array, " 3"]) -> tuple[_State, AtPosition]:
    """Jump from the query's chain to h's, from there to k's, and from there to the token's, for all h and k at once."""
    capacity, layer, same = pairs.capacity, pairs.layer, pairs.same
    tokens, unit = capacity.shape[1], unit_roundoff(capacity.dtype)
    (state, unused), (drop, middle, enters) = carry, jump
    # Of a node's arcs in the middle a share is used each time, of all of them the same: `unused[h]` is what is left.
    # A middle layer's first triple leaves the query's chain at the top.
    unused = jnp.where(drop == 0, jnp.ones_like(unused), unused)
    leaves, leaving, entering = layer - drop, state.leaving[drop], state.entering[enters - 1]
    valid = (enters < middle) & (middle < leaves)
    # A position may be h of one path and k of another: each gets half of what its chain can take.
    have = jnp.where(valid[:, None], jnp.minimum(leaving, state.through / 2), 0)
    take = jnp.where(valid[:, None], jnp.minimum(entering, state.through / 2), 0)
    arcs = jnp.where(jnp.eye(tokens, dtype=bool), 0, capacity[middle - 1])
    give, get = _transport(arcs, have, unused, take, _spare(state, leaves, enters))
    # The arc from h to k carries `arcs[h, k] * give[h] * get[k]`: what h sends, and what k gets.
    out, into = give * _times(get, arcs.T), get * _times(give, arcs)
    # Capacities lose as much more, and the flow counts as much less, as products may have been rounded.
    slack = _slack(tokens) * unit
    moved = Sum(*(jnp.sum(part, axis=-1) for part in parts(out)))
    most, sent = up(moved, tokens) * (1 + slack), down(moved, tokens) * (1 - slack)
    taken = _taken(state, leaves, enters, most, same)
    out, into = out * (1 + slack), into * (1 + slack)
    state = taken._replace(
        leaving=state.leaving.at[drop].set(less(leaving, out)),
        entering=state.entering.at[enters - 1].set(less(entering, into)),
        through=less(less(state.through, out), into),
        flow=plus(state.flow, parts(sent)),
    )
    return state, less(unused, give)


def _in_turn(step: Callable[[Any, Array], Any], carry: Any, jumps: list[Any], ends: tuple[Any, Any]) -> Any:
    """What is carried, after a step for each of the jumps between `ends`, one after the other."""
    if not jumps:
        return carry
    levels = jnp.asarray(jumps, dtype=jnp.int32)
    return jax.lax.fori_loop(*ends, lambda index, carry: step(carry, levels[index]), carry)


def _below(highest: Int[Array, ""], layers: Iterable[int]) -> Int[Array, ""]:
    """How many of the layers are below the highest."""
    return jnp.sum(np.fromiter(layers, np.int32) < highest, dtype=jnp.int32)


def _two_jumps(depth: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs of jumps: how far below the source the first is, and the layer that the second leaves.

    Those that take of one of the two shared chains at most, and the others; the nearest to both ends first. A source
    has paths by those alone whose sum is below its layer.
    """
    # A high jump out of the query's chain (a small drop) and a low one into the token's leave the chains to others.
    jumps = sorted(
        ((drop, enters) for drop in range(depth - 1) for enters in range(1, depth - drop)),
        key=lambda jump: (sum(jump), jump),
    )
    near = [jump for jump in jumps if jump[0] == 0 or jump[1] == 1]
    return near, [jump for jump in jumps if jump not in near]


def _middle_jumps(depth: int) -> list[tuple[int, int, int]]:
    """Triples of jumps, with the layer that one in the middle leaves.

    What is left at the top goes on to any token's jump, and what is wanted at the bottom comes from any of the query's.
    """
    jumps = [(drop, middle, enters) for middle in range(depth - 1, 1, -1) for drop, enters in ((0, middle - 1), (2, 1))]
    return [jump for jump in jumps if jump[0] + jump[1] < depth]


def _transport(
    arcs: Float[Array, "token token"], have: AtPosition, unused: AtPosition, take: AtPosition, spare: PairValues
) -> tuple[AtPosition, AtPosition]:
    """Shares `give[h]` and `get[k]` such that amounts `arcs[h, k] * give[h] * get[k]` are had, taken and spared.

    No node gives more than the share of its arcs that is unused.
    """
    less = 1 - _slack(arcs.shape[0]) * unit_roundoff(arcs.dtype)
    # One round of alternate scaling (as Sinkhorn's): first what the receivers can take if all give all, then what the
    # givers have for that, then the receivers again, for what they are now given. Each step only lowers shares, so what
    # held before still holds.
    get = jnp.minimum(_over(take, jnp.sum(arcs, axis=0)), 1)
    give = jnp.minimum(_over(have, _times(get, arcs.T)) * less, unused)
    get = get * jnp.minimum(_over(take, get * _times(give, arcs)) * less, 1)
    wanted = parts(give * _times(get, arcs.T))
    sent = up(Sum(*(jnp.sum(part, axis=-1) for part in wanted)), arcs.shape[0])
    # All of it passes the two shared chains.
    return give * (jnp.minimum(_over(spare, sent), 1) * less * less)[:, None], get


def _times(one: AtPosition, arcs: Float[Array, "token token"]) -> AtPosition:
    """The product `one @ arcs`, in blocks whose sums are then added, so that few roundings follow one another."""
    # A sum of n terms in blocks of sqrt(n) takes 2 sqrt(n) roundings in a row instead of n.
    block = _block(arcs.shape[0])
    fill = -arcs.shape[0] % block
    ones = jnp.pad(one, ((0, 0), (0, fill))).reshape(one.shape[0], -1, block)
    blocks = jnp.pad(arcs, ((0, fill), (0, 0))).reshape(-1, block, arcs.shape[1])
    return jnp.sum(jnp.einsum("pgh,ghk->gpk", ones, blocks, precision=HIGHEST), axis=0)


def _block(tokens: int) -> int:
    return math.isqrt(tokens - 1) + 1


def _slack(tokens: int) -> int:
    """Roundings of `_times`, and some."""
    return 2 * _block(tokens) + 8


def _over(wanted: Array, held: Array) -> Array:
    return wanted / jnp.where(held > 0, held, 1)


def _spare(state: _State, leaves: Array, enters: Array) -> PairValues:
    """What the query's chain above `leaves` and the token's chain below `enters` can still take."""
    level = jnp.arange(1, state.from_query.shape[0] + 1, dtype=jnp.int32)[:, None]
    above = jnp.min(jnp.where(level > leaves, state.from_query, jnp.inf), axis=0)
    below = jnp.min(jnp.where(level < enters, state.into_token, jnp.inf), axis=0)
    return jnp.minimum(above, below)


def _taken(state: _State, leaves: Array, enters: Array, amount: PairValues, same: Array) -> _State:
    """The chains with that much less; where the query is the token, the two are one."""
    level = jnp.arange(1, state.from_query.shape[0] + 1, dtype=jnp.int32)[:, None]
    above, below = level > leaves, level < enters
    return state._replace(
        from_query=jnp.where(above | (below & same), less(state.from_query, amount), state.from_query),
        into_token=jnp.where(below | (above & same), less(state.into_token, amount), state.into_token),
    )
