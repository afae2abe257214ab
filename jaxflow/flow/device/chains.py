"""Lower bounds by residual chains: flow along paths that change position at most three times.

Every position has a strong arc to itself below. A path stays at the query u, jumps to some k, stays there, jumps to the
token v and stays; or jumps from u to v. All k are filled at once, greedily: leaving u as high as can be or entering v
as low as can be, since that takes least of the two chains that all paths share, u's and v's.

What is left of a capacity is rounded down, relative to what is left, and sums are exact to a few roundings (`_Sum`):
so the flow is feasible in exact arithmetic, and where it fills a cut it comes within 1e-6 of it in single precision.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxflow.flow.device.cut import HIGHEST
from jaxflow.flow.device.minsum import unit_roundoff

Arcs = Float[Array, "layer token token"]
PairValues = Float[Array, " pair"]
AtPosition = Float[Array, "pair token"]
Chain = Float[Array, "layer pair"]


class _Sum(NamedTuple):
    """A sum of amounts below 1: multiples of 2^-23, which add up exactly, and the rest."""

    coarse: Array
    rest: Array


class _Pairs(NamedTuple):
    """The capacities and the pairs, a block of them at a time; `same` where the query is the token."""

    capacity: Arcs
    layer: Int[Array, " pair"]
    query: Int[Array, " pair"]
    token: Int[Array, " pair"]
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
    flow: _Sum


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
        Values. Cost: layer^2 / 2 steps of pair * token, in memory of pair * layer * token numbers.
    """
    depth, tokens = capacity.shape[:2]
    pairs = _Pairs(capacity, layer, query, token, query == token)
    state, other = _untouched(pairs), ~pairs.same
    # What leaves at the very top and what enters at the very bottom is all needed where the source's row or the sink's
    # column is the bottleneck. So these two arcs go first: filled later, they might find the chains used up.
    state = _straight(pairs, state, layer, other)
    state = _straight(pairs, state, jnp.ones_like(layer), other & (layer > 1))
    # Paths of two jumps that take of at most one of the two shared chains; then paths of three jumps, which bring what
    # is left at the top together with what is wanted at the bottom; then paths of two jumps that take of both chains.
    near, far = _two_jumps(depth)
    middle = _middle_jumps(depth)
    state = _scanned(partial(_by_two, pairs), state, near)
    if middle:
        state = _through_middle(pairs, state, middle)
    state = _scanned(partial(_by_two, pairs), state, far)
    # Straight arcs at the layers between take of both chains, as these last paths of two jumps do, so they come late.
    state = jax.lax.fori_loop(
        2, depth, lambda at, s: _straight(pairs, s, jnp.full_like(layer, at), other & (at < layer)), state
    )
    # A query that is the token gets last what its chain still holds: paths that leave it come back to it.
    state = _straight(pairs, state, layer, pairs.same)
    return _down(state.flow, tokens + len(near) + len(far) + len(middle) + depth)


def _untouched(pairs: _Pairs) -> _State:
    """All capacities, and no flow yet."""
    capacity, layer, query, token, _ = pairs
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
        flow=_Sum(nothing, nothing),
    )


def _straight(pairs: _Pairs, state: _State, leaves: Int[Array, " pair"], valid: Array) -> _State:
    """From the query's chain to the token's by one arc out of layer `leaves`, where `valid`."""
    capacity, _, query, token, same = pairs
    level = jnp.arange(1, capacity.shape[0] + 1, dtype=jnp.int32)[:, None]
    arc = jnp.where(same, _at(state.from_query, leaves), capacity[leaves - 1, query, token])
    # Feasible: no more than the arc holds, nor than is left of the chain above it and of the chain below it.
    amount = jnp.where(valid, jnp.minimum(arc, _spare(state, leaves, leaves)), 0)
    taken = _taken(state, leaves, leaves, amount, same)
    # The arc itself is the chain's where the query is the token.
    own = (level == leaves) & same
    taken = taken._replace(from_query=jnp.where(own, _less(state.from_query, amount), taken.from_query))
    taken = taken._replace(into_token=jnp.where(same, taken.from_query, taken.into_token))
    return taken._replace(flow=_plus(state.flow, _parts(amount)))


def _by_two(pairs: _Pairs, state: _State, jump: tuple[Array, Array]) -> tuple[_State, None]:
    """Jump from the query's chain to every other position's, stay, and jump to the token's chain."""
    capacity, layer, _, _, same = pairs
    tokens, unit = capacity.shape[1], unit_roundoff(capacity.dtype)
    drop, enters = jump
    leaves, leaving = layer - drop, state.leaving[drop]
    # A path by position k carries at most the least of its two jumps and of k's chain.
    amounts = jnp.minimum(jnp.minimum(leaving, state.entering[enters - 1]), state.through)
    amounts = jnp.where((enters < leaves)[:, None], amounts, 0)
    wanted = _Sum(*(jnp.sum(part, axis=-1) for part in _parts(amounts)))
    # All paths share the two chains. Where these hold less than all want, all get the same share of it.
    most, spare = _up(wanted, tokens), _spare(state, leaves, enters)
    fits = most <= spare
    ratio = jnp.where(fits, 1, spare / jnp.where(fits, 1, most) * (1 - 3 * unit))
    amounts = amounts * ratio[:, None]
    scaled = _parts(_nearly(wanted, tokens) * ratio * (1 - 4 * unit))
    sent = _Sum(*(jnp.where(fits, whole, less) for whole, less in zip(wanted, scaled, strict=True)))
    taken = _taken(state, leaves, enters, jnp.minimum(most, spare), same)
    return taken._replace(
        leaving=state.leaving.at[drop].set(_less(leaving, amounts)),
        entering=state.entering.at[enters - 1].set(_less(state.entering[enters - 1], amounts)),
        through=_less(state.through, amounts),
        flow=_plus(state.flow, sent),
    ), None


def _through_middle(pairs: _Pairs, state: _State, middle: list[tuple[int, int, int]]) -> _State:
    """Paths of three jumps, by each triple of layers in turn."""
    jumps = jnp.asarray(middle, dtype=jnp.int32)
    # Where the middle layer changes, all of its arcs are unused again.
    first = jumps[:, 1] != jnp.concatenate([jnp.zeros_like(jumps[:1, 1]), jumps[:-1, 1]])
    carry = state, jnp.zeros_like(state.through)
    (state, _), _ = jax.lax.scan(partial(_by_three, pairs), carry, (jumps[:, 0], jumps[:, 1], jumps[:, 2], first))
    return state


def _by_three(
    pairs: _Pairs, carry: tuple[_State, AtPosition], jump: tuple[Array, ...]
) -> tuple[tuple[_State, AtPosition], None]:
    """Jump from the query's chain to h's, from there to k's, and from there to the token's, for all h and k at once."""
    capacity, layer, _, _, same = pairs
    tokens, unit = capacity.shape[1], unit_roundoff(capacity.dtype)
    (state, unused), (drop, middle, enters, first) = carry, jump
    # Of a node's arcs in the middle a share is used each time, of all of them the same: `unused[h]` is what is left.
    unused = jnp.where(first, jnp.ones_like(unused), unused)
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
    parts = _Sum(*(jnp.sum(part, axis=-1) for part in _parts(out)))
    most, sent = _up(parts, tokens) * (1 + slack), _down(parts, tokens) * (1 - slack)
    taken = _taken(state, leaves, enters, most, same)
    out, into = out * (1 + slack), into * (1 + slack)
    state = taken._replace(
        leaving=state.leaving.at[drop].set(_less(leaving, out)),
        entering=state.entering.at[enters - 1].set(_less(entering, into)),
        through=_less(_less(state.through, out), into),
        flow=_plus(state.flow, _parts(sent)),
    )
    return (state, _less(unused, give)), None


def _scanned(step: Callable[..., tuple[_State, None]], state: _State, jumps: list[tuple[int, int]]) -> _State:
    if not jumps:
        return state
    levels = jnp.asarray(jumps, dtype=jnp.int32)
    return jax.lax.scan(step, state, (levels[:, 0], levels[:, 1]))[0]


def _two_jumps(depth: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs of jumps: how far below the source the first is, and the layer that the second leaves.

    Those that take of one of the two shared chains at most, and the others; the nearest to both ends first.
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
    return [(drop, middle, enters) for middle in range(depth - 1, 1, -1) for drop, enters in ((0, middle - 1), (2, 1))]


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
    wanted = _parts(give * _times(get, arcs.T))
    sent = _up(_Sum(*(jnp.sum(part, axis=-1) for part in wanted)), arcs.shape[0])
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


def _at(chain: Chain, levels: Int[Array, " pair"]) -> PairValues:
    return jnp.take_along_axis(chain, levels[None] - 1, axis=0)[0]


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
        from_query=jnp.where(above | (below & same), _less(state.from_query, amount), state.from_query),
        into_token=jnp.where(below | (above & same), _less(state.into_token, amount), state.into_token),
    )


def _less(capacity: Array, amount: Array) -> Array:
    """What is left of a capacity, rounded down."""
    left = jnp.maximum(capacity - amount, 0)
    # Dekker's fast two-sum: the difference is `left + error` exactly, so it is too much only where that is negative.
    error = (capacity - left) - amount
    return jnp.where(error < 0, left * (1 - 2 * unit_roundoff(capacity.dtype)), left)


def _parts(amounts: Array) -> _Sum:
    grid = 2 * unit_roundoff(amounts.dtype)
    coarse = jnp.floor(amounts / grid) * grid
    return _Sum(coarse, amounts - coarse)


def _plus(one: _Sum, other: _Sum) -> _Sum:
    return _Sum(one.coarse + other.coarse, one.rest + other.rest)


def _up(total: _Sum, terms: int) -> Array:
    """A sum of that many terms, rounded up."""
    unit = unit_roundoff(total.coarse.dtype)
    return (total.coarse + total.rest * (1 + 2 * (terms + 2) * unit)) * (1 + 2 * unit)


def _down(total: _Sum, terms: int) -> Array:
    """A sum of that many terms, rounded down."""
    return _nearly(total, terms) * (1 - 2 * unit_roundoff(total.coarse.dtype))


def _nearly(total: _Sum, terms: int) -> Array:
    """A sum of that many terms, at most one rounding above it."""
    return total.coarse + total.rest * max(1 - 2 * (terms + 2) * unit_roundoff(total.coarse.dtype), 0)
