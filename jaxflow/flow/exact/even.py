"""The most even split of a maximum flow over the input tokens: the one whose shares have the least sum of squares."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from jaxflow.flow.exact.sinks import SinkFlow, columns_of

# Below this part of the value a set of tokens does not hold back more than its part: what flows round to.
_TIED = 1e-12


class Even(NamedTuple):
    """Shares, and the duality gap of half their sum of squares, both for a flow of value 1."""

    share: Float64[np.ndarray, " token"]
    gap: float


def even_split(capacity: Float64[np.ndarray, "layer token token"], query: int, flow: SinkFlow, value: float) -> Even:
    """The shares of a maximum flow with the least sum of squares.

    The shares that maximum flows can have are the bases of a polymatroid: with g(S) the maximum flow into the tokens
    S, shares s are possible if and only if s(S) <= g(S) for every S and s(all) = g(all) (Megiddo 1974). The base of
    the least squares is unique. Where every token may have the same share, it is that one; else some set S is full,
    s(S) = g(S), and splits the problem in two: the tokens of S have less, the others more (Fujishige 1980).

    Args:
        capacity: of the arcs, lowest layer first.
        query: position of the source.
        flow: of these capacities.
        value: the maximum flow into all tokens.

    Returns:
        Shares of `value`. A gap of g says that they are within `sqrt(g) * value` of the exact ones, all together.
    """
    tokens = capacity.shape[-1]
    # One more layer below: a token is a node there that may take no more than its share.
    capped = SinkFlow(np.concatenate([np.zeros((1, tokens, tokens)), capacity]))

    def into(sets: Bool[np.ndarray, "flow token"]) -> np.ndarray:
        return flow.values(query, columns_of(capacity[0], sets))

    share = np.zeros(tokens)
    # Tokens that the query reaches; the others have no share.
    reached = into(np.eye(tokens, dtype=bool)) > 0
    # Pairs of full sets, the smaller one within the larger, with their flows.
    waiting = [(np.zeros(tokens, bool), reached, 0.0, value)]
    while waiting:
        inner, outer, least, most = waiting.pop()
        between = outer & ~inner
        if not between.any():
            continue
        each = (most - least) / between.sum()
        # The least capacity of a cut is the least of g(S) + each * |outer less S| over sets S between the two.
        limits = np.where(inner, 2 * value, np.where(between, each, 0.0))
        (held,), (side,) = capped.with_cuts(query, limits[None])
        full = inner | (between & ~side[1])
        if held >= most - _TIED * value or (full == inner).all() or (full == outer).all():
            share[between] = each
            continue
        (middle,) = into(full[None])
        waiting += [(inner, full, least, middle), (full, outer, middle, most)]
    return Even(share, _gap(query, share, value, capped, into))


def _gap(
    query: int, share: np.ndarray, value: float, capped: SinkFlow, into: Callable[[np.ndarray], np.ndarray]
) -> float:
    """The duality gap of the sum of squares, by flows of its own, and what no flow carries of the shares."""
    # Over all bases b, `sum of share * b` is least by the greedy one, which fills tokens of small shares first.
    levels = np.unique(share[share > 0])
    if not len(levels):
        return 0.0
    filled = into(share[None] <= levels[:, None])
    least = float(levels @ np.diff(filled, prepend=0.0))
    (carried,) = capped.values(query, share[None])
    squares = float(share @ share)
    return (max(0.0, squares - least) / value + max(0.0, float(share.sum()) - carried)) / value
