"""Other people's maximum-flow solvers on the graph of layers, and a clock."""

import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Solve = Callable[[int, int], float]
# networkx's edmonds_karp is what the paper's authors used; it takes seconds a pair.
SLOW = ("networkx edmonds_karp", "networkx preflow_push")


def ortools(mixing: np.ndarray) -> Solve:
    """OR-Tools' SimpleMaxFlow, capacities times 2^40."""
    max_flow = importlib.import_module("ortools.graph.python.max_flow")
    solver = max_flow.SimpleMaxFlow()
    tail, head, capacity = arcs(mixing)
    _ = solver.add_arcs_with_capacity(tail, head, np.floor(capacity * 2.0**40).astype(np.int64))
    top = len(mixing) * mixing.shape[1]

    def solve(source: int, sink: int) -> float:
        _ = solver.solve(top + source, sink)
        return solver.optimal_flow() * 2.0**-40

    return solve


def scipy(mixing: np.ndarray) -> Solve:
    """SciPy's maximum_flow (Dinic), capacities times 2^28."""
    sparse = importlib.import_module("scipy.sparse")
    csgraph = importlib.import_module("scipy.sparse.csgraph")
    tail, head, capacity = arcs(mixing)
    nodes = (len(mixing) + 1) * mixing.shape[1]
    matrix = sparse.csr_matrix((np.floor(capacity * 2.0**28).astype(np.int32), (tail, head)), shape=(nodes, nodes))
    top = len(mixing) * mixing.shape[1]
    return lambda source, sink: csgraph.maximum_flow(matrix, top + source, sink).flow_value * 2.0**-28


def igraph(mixing: np.ndarray) -> Solve:
    """Igraph's push-relabel, on floats."""
    library = importlib.import_module("igraph")
    tail, head, capacity = arcs(mixing)
    graph = library.Graph(
        n=(len(mixing) + 1) * mixing.shape[1], edges=np.stack([tail, head], 1).tolist(), directed=True
    )
    values, top = capacity.tolist(), len(mixing) * mixing.shape[1]
    return lambda source, sink: graph.maxflow_value(top + source, sink, capacity=values)


def networkx(algorithm: str) -> Callable[[np.ndarray], Solve]:
    """One of networkx's algorithms, on floats."""

    def build(mixing: np.ndarray) -> Solve:
        library = importlib.import_module("networkx")
        tail, head, capacity = arcs(mixing)
        graph = library.DiGraph()
        graph.add_nodes_from(range((len(mixing) + 1) * mixing.shape[1]))
        graph.add_weighted_edges_from(zip(tail.tolist(), head.tolist(), capacity.tolist(), strict=True), "capacity")
        top, how = len(mixing) * mixing.shape[1], getattr(library.algorithms.flow, algorithm)
        return lambda source, sink: library.maximum_flow_value(graph, top + source, sink, flow_func=how)

    return build


PEERS = {
    "ortools": ortools,
    "scipy": scipy,
    "igraph": igraph,
    "networkx preflow_push": networkx("preflow_push"),
    "networkx edmonds_karp": networkx("edmonds_karp"),
}


def arcs(mixing: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tail, head and capacity of every arc; position i after layer l is node l * token + i."""
    below, i, j = np.nonzero(mixing)
    return (below + 1) * mixing.shape[1] + i, below * mixing.shape[1] + j, mixing[below, i, j]


def installed() -> dict[str, Callable[[np.ndarray], Solve]]:
    found = {}
    for name, build in PEERS.items():
        package = name.split()[0]
        if importlib.util.find_spec(package) is None:
            print(f"{package} is not installed: left out (pip install {package})")
        else:
            found[name] = build
    return found


def timed(call: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> tuple[float, Any]:
    """Seconds that a call takes: of the processor, which other programs disturb least, as all solvers take one core."""
    begin = clock()
    result = call()
    return clock() - begin, result
