"""Maximum flow by other people's code, to compare with."""

import math

import networkx as nx
import numpy as np
from ortools.graph.python import max_flow as ortools_flow


class OrTools:
    """OR-Tools' push-relabel on integers, for the sources of one layer; the graph is built once.

    Capacities are scaled by the smallest power of two that keeps the largest sum of a node's capacities below 2^62:
    with a fixed factor tiny capacities would vanish.
    """

    def __init__(self, mixing: np.ndarray, layer: int) -> None:
        self.tokens = mixing.shape[-1]
        kept = mixing[:layer]
        largest = max(kept.sum(1).max(), kept.sum(2).max())
        self.shift = 61 - math.frexp(largest)[1] if largest > 0 else 0
        below, tail, head = np.nonzero(kept)
        scaled = np.floor(np.ldexp(kept[below, tail, head], self.shift)).astype(np.int64)
        self.solver = ortools_flow.SimpleMaxFlow()
        self.solver.add_arcs_with_capacity((below + 1) * self.tokens + tail, below * self.tokens + head, scaled)
        self.layer = layer

    def __call__(self, source: int, sink: int) -> float:
        nodes = self.solver.num_nodes()
        top = self.layer * self.tokens + source
        if top >= nodes:
            return 0.0
        status = self.solver.solve(top, sink)
        assert status == ortools_flow.SimpleMaxFlow.OPTIMAL
        return math.ldexp(self.solver.optimal_flow(), -self.shift)


def networkx_flow(mixing: np.ndarray, layer: int, source: int, sink: int) -> float:
    """The flow by networkx's preflow_push, on floats."""
    graph = nx.DiGraph()
    graph.add_nodes_from([(layer, source), (0, sink)])
    for below in range(layer):
        for i, j in np.argwhere(mixing[below]):
            graph.add_edge((below + 1, int(i)), (below, int(j)), capacity=float(mixing[below, i, j]))
    return float(nx.maximum_flow_value(graph, (layer, source), (0, sink)))


def all_pairs(mixing: np.ndarray, layer: int) -> np.ndarray:
    """OR-Tools' flow of every pair of one source layer, `query token`."""
    oracle, tokens = OrTools(mixing, layer), mixing.shape[-1]
    return np.array([[oracle(u, v) for v in range(tokens)] for u in range(tokens)])
