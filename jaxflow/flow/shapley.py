"""Shapley values of the input tokens in the game of flow: what a set of them is worth is the flow into it."""

from math import comb
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64

from jaxflow import _checks
from jaxflow._checks import InputError, is_traced, not_forked
from jaxflow._pytree import pytree
from jaxflow._typing import Given, Integers
from jaxflow.flow.exact.sinks import SinkFlow, columns_of
from jaxflow.flow.exact.solver import check_problem
from jaxflow.flow.joint import on_host
from jaxflow.flow.solve import as_layers, as_queries
from jaxflow.graph.graph import AttentionGraph, check_graph

# Tokens up to which all sets are solved, unless it is said otherwise: 4,096 flows a query.
EXACT_TOKENS = 12
# No more than a million sets, which fit into memory.
EXACT_MOST = 20
# Most orders of the tokens in a block, fewest blocks, and how sure the error bars are.
_BLOCK, _BLOCKS, _CONFIDENCE = 64, 8, 0.99


@pytree
class ShapleySolution:
    """Shapley values of input tokens, NumPy arrays in float64; 0 for padding.

    Attributes:
        value: maximum flow into all tokens together, `*batch layer query`.
        share: each token's Shapley value, `*batch layer query token`; sums to `value`.
        error: half the width of the shares' error bars: all shares of a query lie within theirs at once with a
            confidence of 99 %. 0 where shares are exact.
    """

    value: Float[np.ndarray, "*batch layer query"]
    share: Float[np.ndarray, "*batch layer query token"]
    error: Float[np.ndarray, "*batch layer query token"]


def flow_shapley(
    graph: Given[AttentionGraph],
    queries: str | Integers | None = None,
    layers: Integers | None = None,
    *,
    exact: int = EXACT_TOKENS,
    samples: int = 256,
    seed: int = 0,
) -> ShapleySolution:
    """Shapley values of the game whose players are the input tokens and whose worth is the flow into a set of them.

    The worth `g(S)` of a set is the maximum flow from the query into the tokens of S together. It is submodular: tokens
    share the arcs on the way, and a token is worth the less the more others there are. Its Shapley value is what it
    adds on average, over all orders in which the tokens may come. (With a flow held fixed the game is additive, and
    any split of it is its own Shapley value; Ethayarajh & Jurafsky 2021 say no more.)

    Args:
        graph: the layered graph.
        queries: positions of the sources, as in `attention_flow`.
        layers: of the sources, counted from 1: None for all, an int, or a sequence.
        exact: tokens that a query reaches up to which all sets of them are solved; at most 20.
        samples: where there are more, random orders to look at, at least, in eight blocks or more. A block is one order
            turned through itself, so that each token comes first once, second once, and so on (up to 64 tokens; of
            more, in 64 places evenly apart): what a token adds depends on its place most of all.
        seed: of the orders.

    Raises:
        InputError: as from `attention_flow`; what is traced, as this is solved on the host.

    Cost of a query at a layer: 2^token maximum flows, or at most samples * token of them.
    """
    not_forked()
    graph = check_graph(graph)
    chosen_layers, chosen_queries = as_layers(layers, graph.num_layers), as_queries(queries, graph)
    if is_traced(graph, chosen_queries):
        raise InputError("graph", "be in hand", "a traced graph", "call this outside jit, vmap and grad")
    for name, number, least in (("exact", exact, 0), ("samples", samples, 1), ("seed", seed, 0)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise InputError(name, f"be an integer, {least} or more", _checks.shown(number))
    if exact > EXACT_MOST:
        way_out = "let orders be sampled where there are more tokens"
        raise InputError("exact", f"be at most {EXACT_MOST}, as all sets of the tokens are solved", str(exact), way_out)
    capacity, mask, sources = on_host(graph, chosen_queries)
    shape = (*graph.batch_shape, len(chosen_layers), sources.shape[-1])
    flat, real, rows = (x.reshape(-1, *x.shape[len(graph.batch_shape) :]) for x in (capacity, mask, sources))
    check_problem(flat, rows, chosen_layers)
    value = np.zeros((len(flat), *shape[-2:]))
    share, error = (np.zeros((*value.shape, graph.num_tokens)) for _ in range(2))
    for example, place in np.ndindex(value.shape[:2]):
        below = flat[example, : chosen_layers[place]]
        flow = SinkFlow(below)
        for number, query in enumerate(rows[example]):
            if real[example, query]:
                game = _Game(flow, below[0], int(query))
                at = (example, place, number)
                value[at], share[at], error[at] = game.solved(exact, samples, np.random.default_rng(seed))
    full = (*shape, graph.num_tokens)
    return ShapleySolution(value=value.reshape(shape), share=share.reshape(full), error=error.reshape(full))


class _Values(NamedTuple):
    """One query's value, Shapley values and error bars."""

    value: float
    share: Float64[np.ndarray, " token"]
    error: Float64[np.ndarray, " token"]


class _Game:
    """The game of one query."""

    def __init__(self, flow: SinkFlow, first: Float64[np.ndarray, "token token"], query: int) -> None:
        self.flow, self.first, self.query = flow, first, query
        # Tokens that nothing flows into add nothing to any set: they are no players.
        alone = flow.values(query, np.ascontiguousarray(first.T))
        self.players = np.flatnonzero(alone > 0)

    def worth(self, sets: Bool[np.ndarray, "flow player"], most: float = np.inf) -> Float64[np.ndarray, " flow"]:
        """Flows into sets of players."""
        return self.flow.values(self.query, columns_of(self.first[:, self.players], sets), most)

    def solved(self, exact: int, samples: int, rng: np.random.Generator) -> _Values:
        """Values of all tokens."""
        share, error = np.zeros(self.first.shape[-1]), np.zeros(self.first.shape[-1])
        count = len(self.players)
        if not count:
            return _Values(0.0, share, error)
        if count <= exact:
            value, share[self.players] = self._exact()
        else:
            value, share[self.players], error[self.players] = self._sampled(samples, rng)
        return _Values(value, share, error)

    def _exact(self) -> tuple[float, np.ndarray]:
        count = len(self.players)
        # Set number s has player p where its bit p is 1.
        sets = np.arange(2**count)[:, None] >> np.arange(count) & 1 > 0
        worth = self.worth(sets)
        size = sets.sum(1)
        share = np.empty(count)
        for player in range(count):
            without = np.flatnonzero(~sets[:, player])
            # A set of s others comes before the player in s! (n - s - 1)! of the n! orders.
            weight = 1 / (count * np.array([comb(count - 1, s) for s in range(count)]))[size[without]]
            share[player] = weight @ (worth[without | 1 << player] - worth[without])
        return float(worth[-1]), share

    def _sampled(self, samples: int, rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
        from scipy.special import stdtrit

        count = len(self.players)
        turns = min(count, _BLOCK)
        blocks = max(-(-samples // turns), _BLOCKS)
        (value,) = self.worth(np.ones((1, count), bool)).tolist()
        added = np.zeros((blocks, count))
        for block in range(blocks):
            order = rng.permutation(count)
            for turn in range(turns):
                turned = np.roll(order, turn * count // turns)
                # Row k: the first k + 1 players. Once they carry all that can flow, none adds anything.
                sets = np.argsort(turned) <= np.arange(count)[:, None]
                worth = np.minimum(self.worth(sets, value * (1 - 1e-14)), value)
                worth[-1] = value
                added[block, turned] += np.diff(worth, prepend=0.0) / turns
        # Blocks are independent, orders within one are not. All bars at once, by Bonferroni. What a token adds may be
        # the same in all blocks but rare ones that none of these is: no variance counts as less than the mean one.
        spread = added.var(0, ddof=1)
        width = stdtrit(blocks - 1, 1 - (1 - _CONFIDENCE) / (2 * count))
        return value, added.mean(0), width * np.sqrt(np.maximum(spread, spread.mean()) / blocks)
