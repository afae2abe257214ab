"""The statements of docs/saturation.md on random graphs, against networkx and linear programs.

Capacities are whole multiples of 1/64, so that float32, float64 and networkx agree to the last digit and ties are ties.
"""

from itertools import chain, combinations, product
from typing import Any

import networkx as nx
import numpy as np
import pytest
from scipy.optimize import linprog

import jaxflow as jf

UNIT = 64


def stochastic(rng, layers, tokens, own=0.5):
    """Rows that sum to 1: so much own, the rest in random whole parts."""
    parts = int(UNIT * (1 - own))
    chances = rng.dirichlet(np.full(tokens, rng.choice([0.5, 2.0, 20.0])), (layers, tokens))
    return rng.multinomial(parts, chances) / UNIT + own * np.eye(tokens)


def any_size(rng, layers, tokens):
    """Capacities of any size, many of them 0."""
    return rng.integers(0, 40, (layers, tokens, tokens)) * (rng.random((layers, tokens, tokens)) < 0.7) / UNIT


def most(capacity, sources, sinks):
    """Maximum flow of all nodes `sources` of the top together to all nodes `sinks` of the bottom, by networkx."""
    graph = nx.DiGraph()
    graph.add_nodes_from("st")
    graph.add_edges_from(("s", (len(capacity), int(i))) for i in sources)
    graph.add_edges_from(((0, int(i)), "t") for i in sinks)
    for layer, i, k in np.argwhere(capacity):
        _ = graph.add_edge((int(layer) + 1, int(i)), (int(layer), int(k)), capacity=float(capacity[layer, i, k]))
    return float(nx.maximum_flow_value(graph, "s", "t"))


def sets(tokens):
    """All subsets but the empty one."""
    return chain.from_iterable(combinations(range(tokens), size) for size in range(1, tokens + 1))


def solved(capacity):
    """Flows of the last layer and where they are saturated, by jaxflow."""
    found: Any = jf.attention_flow(jf.capacity_graph(capacity), layers=len(capacity), method="exact")
    assert found.certified.all()
    return found.value[0], found.saturated[0]


@pytest.mark.parametrize("make", [stochastic, any_size])
def test_theorem_1_says_exactly_which_cut_is_minimal(make):
    rng, tokens, kinds = np.random.default_rng(2), 3, set()
    for layers in (2, 2, 2, 3, 3, 4, 4, 5):
        capacity = make(rng, layers, tokens)
        value, saturated = solved(capacity)
        # Once for all pairs: what queries send to each set of layer 1, and what each set below the top sends.
        supply = {(q, s): most(capacity[1:], [q], s) for q in range(tokens) for s in sets(tokens)}
        arrival = {(t, j): most(capacity[:-1], t, [j]) for t in sets(tokens) for j in range(tokens)}
        for q, j in product(range(tokens), repeat=2):
            own, column, flow = capacity[-1, q], capacity[0, :, j], most(capacity, [q], [j])
            above = [(column[list(s)].sum(), supply[q, s]) for s in sets(tokens)]
            below = [(own[list(t)].sum(), arrival[t, j]) for t in sets(tokens)]
            for total, pairs in ((column.sum(), above), (own.sum(), below)):
                assert flow == min([total, *(total - needed + given for needed, given in pairs)])
            by_column, by_own = (all(given >= needed for needed, given in pairs) for pairs in (above, below))
            assert (by_column, by_own) == (flow == column.sum(), flow == own.sum())
            # `saturated` leaves out flows of 0, where there is no path.
            assert saturated[q, j] == (by_column or by_own) or flow == 0
            assert value[q, j] == pytest.approx(flow, abs=1e-9)
            kinds.add((by_column, by_own))
            if layers == 2:
                assert by_column == (column <= own).all()
                assert by_own == (own <= column).all()
    assert {(True, False), (False, True), (False, False)} <= kinds


def supply_meets_demand(capacity, query, token, m):
    """Theorem 2's condition at layer m, and whether its first half holds."""
    demand, fits = capacity[0, :, token], True
    for layer in range(1, m):
        columns = capacity[layer].sum(0)
        fits = fits and bool((demand <= columns + 1e-12).all())
        demand = capacity[layer] @ np.divide(demand, columns, out=np.zeros_like(demand), where=columns > 0)
    rollout = np.eye(capacity.shape[-1])[query]
    for layer in range(len(capacity) - 1, m - 1, -1):
        rollout = rollout @ capacity[layer]
    return fits and bool((demand <= rollout + 1e-12).all()), fits


def test_theorem_2_the_column_is_minimal_where_supply_meets_demand():
    rng = np.random.default_rng(5)
    held, first, saturated_pairs = 0, 0, 0
    for layers, own in product((2, 3, 4, 6), (0.0, 0.5)):
        for _ in range(5):
            capacity = stochastic(rng, layers, 6, own)
            value, _ = solved(capacity)
            for q, j in product(range(6), repeat=2):
                column = capacity[0, :, j].sum()
                meets = [supply_meets_demand(capacity, q, j, m)[0] for m in range(1, layers)]
                if any(meets):
                    assert value[q, j] == pytest.approx(column, abs=1e-9)
                held, first = held + any(meets), first + meets[0]
                saturated_pairs += value[q, j] >= column - 1e-9
    # The condition is no empty one, a middle layer adds to it, and it is not necessary.
    assert 0 < first < held < saturated_pairs


def test_theorem_3_depth_leaves_nothing_between_the_ends():
    rng, deep = np.random.default_rng(7), 0
    for tokens, layers, own in product((2, 3, 6), (2, 3, 5, 9), (0.0, 0.5)):
        capacity = 0.5 * stochastic(rng, layers, tokens, own) + 0.5 * ((1 - own) / tokens + own * np.eye(tokens))
        # In float32, as the graph holds it.
        capacity = np.asarray(capacity, np.float32).astype(np.float64)
        value, _ = solved(capacity)
        least = capacity[1:].min() * ((layers - 2) * (tokens - 1) + 1)
        for j in range(tokens):
            column = capacity[0, :, j].sum()
            all_send = most(capacity[:-1], range(tokens), [j])
            assert (value[:, j] >= min(1, all_send, least) - 1e-6).all()
            assert (value[:, j] <= min(1, column) + 1e-6).all()
            if supply_meets_demand(capacity, 0, j, layers - 1)[1]:
                assert all_send == pytest.approx(column, abs=1e-6)
                if least >= 1:
                    deep += 1
                    np.testing.assert_allclose(value[:, j], min(1, column), atol=1e-6)
    assert deep


def test_the_least_cost_of_sides_that_are_neither_empty_nor_full():
    for tokens, layers in product((2, 3, 5), (2, 3, 4, 5)):
        sides = product(range(1, tokens), repeat=layers - 1)
        cost = min(sum(p * (tokens - below) for p, below in zip((1, *each), each, strict=False)) for each in sides)
        assert cost == (layers - 2) * (tokens - 1) + 1


@pytest.mark.parametrize("make", [stochastic, any_size])
def test_theorem_4_one_layer_bounds_the_next(make):
    rng, kinds = np.random.default_rng(8), set()
    for layers, tokens in product((2, 3, 4), (2, 4)):
        for _ in range(2):
            capacity = make(rng, layers, tokens)
            value, saturated = solved(capacity)
            for sink in range(tokens):
                below = np.array([most(capacity[:-1], [k], [sink]) for k in range(tokens)])
                enters = capacity[0, :, sink].sum()
                for query, own in enumerate(capacity[-1]):
                    least = min(t + own[below > t].sum() for t in (0.0, *below))
                    assert least <= value[query, sink] <= np.minimum(own, below).sum()
                    end = min(own.sum(), enters)
                    if own[below == enters].sum() >= end:
                        assert saturated[query, sink]
                    kinds.add((least == value[query, sink], bool(saturated[query, sink])))
    # Saturated or not, the lower bound meets the flow of some pairs and not of others.
    assert kinds == set(product((True, False), (True, False)))


def test_uniform_attention_with_half_its_own_is_saturated_from_layer_5_on():
    for tokens in (3, 8, 20):
        graph = jf.attention_graph(np.full((5, 1, tokens, tokens), 1 / tokens))
        found: Any = jf.attention_flow(graph, layers=[2, 5], method="exact")
        # At layer 2 that is so of a position's own token alone, whose two ends have the same arcs.
        np.testing.assert_array_equal(found.saturated[0], np.eye(tokens, dtype=bool))
        assert found.saturated[1].all()


def test_no_own_share_lifts_saturation():
    attention = stochastic(np.random.default_rng(3), 12, 6, own=0.0)[:, None]
    columns = attention[0, 0].sum(0)
    spread = np.inf
    for share in (0.25, 0.5, 0.75):
        found: Any = jf.attention_flow(jf.attention_graph(attention, residual=share), layers=12, method="exact")
        assert found.saturated.all()
        # One row for all queries, ranked by raw attention's columns; all that take in 1 or more tie at 1.
        np.testing.assert_allclose(
            found.value[0], np.minimum(1, share + (1 - share) * columns) * np.ones((6, 1)), atol=1e-6
        )
        spread, before = np.ptp(found.value[0, 0]), spread
        assert spread < before
    assert 0 < (columns >= 1).sum() < 6


def growing_sides(capacity, query, token):
    """Theorem 5's least cut, over all families of sides that grow downward; capacities without own arcs."""
    layers, tokens = capacity.shape[:2]
    others = [i for i in range(tokens) if i not in (query, token)]
    best = np.inf
    # Each other position enters the side at some layer from L - 1 down to 0, the last of which costs nothing more.
    for enters in product(range(layers), repeat=len(others)):
        top = dict(zip(others, enters, strict=True)) | {query: layers, token: -1}
        inside = np.array([[top[i] >= layer for i in range(tokens)] for layer in range(layers + 1)])
        cost = sum(capacity[k][np.ix_(inside[k + 1], ~inside[k])].sum() for k in range(layers))
        best = min(best, cost)
    return best


def test_theorem_5_a_wide_own_stream_makes_chains_the_ends():
    rng, tokens, kinds = np.random.default_rng(11), 5, set()
    for layers, sparse in product((2, 3, 4), (0.4, 0.9)):
        weights = rng.integers(0, 40, (layers, tokens, tokens)) * (rng.random((layers, tokens, tokens)) < sparse) / UNIT
        weights *= 1 - np.eye(tokens)
        value, saturated = solved(weights + weights.sum() * np.eye(tokens))
        for q, j in product(range(tokens), repeat=2):
            if q == j:
                continue
            leaving = weights[0, q, j] + weights[1:, q].sum()
            entering = weights[-1, q, j] + weights[:-1, :, j].sum()
            assert value[q, j] == pytest.approx(growing_sides(weights, q, j), abs=1e-9)
            assert value[q, j] <= min(leaving, entering) + 1e-9
            assert not saturated[q, j]
            kinds.add((value[q, j] >= leaving - 1e-9, value[q, j] >= entering - 1e-9))
    assert {(True, False), (False, True), (False, False)} <= kinds


def largest_difference(capacity, query, first, second):
    """The most that `first`'s share exceeds `second`'s by, of all optimal joint flows, by linear programs."""
    layers, tokens = capacity.shape[:2]
    conserved = np.zeros((layers - 1, tokens, layers, tokens, tokens))
    for layer, node in product(range(1, layers), range(tokens)):
        conserved[layer - 1, node, layer, :, node] = 1
        conserved[layer - 1, node, layer - 1, node, :] = -1
    conserved = conserved.reshape(-1, capacity.size)
    bounds = np.stack([np.zeros(capacity.size), capacity.ravel()], 1)
    # Flow that starts elsewhere at the top is none of the query's.
    bounds[np.arange(capacity.size).reshape(capacity.shape)[-1, np.arange(tokens) != query].ravel(), 1] = 0
    sent, gap = np.zeros(capacity.shape), np.zeros(capacity.shape)
    sent[0] = 1
    gap[0, :, first], gap[0, :, second] = 1, -1
    zeros = np.zeros(len(conserved))
    value = -linprog(-sent.ravel(), A_eq=conserved, b_eq=zeros, bounds=bounds).fun
    best = linprog(-gap.ravel(), A_eq=np.vstack([conserved, sent.ravel()]), b_eq=[*zeros, value], bounds=bounds)
    return -best.fun


@pytest.mark.slow
def test_theorem_6_the_order_of_two_tokens_is_the_graphs_where_their_intervals_do_not_overlap():
    rng, certain, open_pairs = np.random.default_rng(13), 0, 0
    for make, layers in product((stochastic, any_size), (2, 3)):
        capacity = make(rng, layers, 4)
        # Wide upper layers bind little, so that some shares are certain.
        capacity[1:] *= 4 if make is any_size else 1
        found = jf.joint_flow(jf.capacity_graph(capacity), queries=0, layers=layers)
        low, high = found.low[0, 0], found.high[0, 0]
        for i, j in product(range(4), repeat=2):
            if i != j:
                assert largest_difference(capacity, 0, j, i) == pytest.approx(high[j] - low[i], abs=1e-7)
                certain, open_pairs = certain + (high[j] <= low[i]), open_pairs + (high[j] > low[i])
    assert certain
    assert open_pairs
