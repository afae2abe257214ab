"""A maximum flow taken apart into paths, the strongest first."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float64, Int64

from jaxflow import _checks
from jaxflow._checks import InputError, is_traced, not_forked
from jaxflow._typing import Given
from jaxflow.flow.exact.solver import arc_flow
from jaxflow.flow.joint import LayerGraph
from jaxflow.graph.graph import AttentionGraph, check_graph

# Paths end where less than this part of the flow is left: what sums of it round to.
_ROUNDING = 1e-12
TAKE_ONE = "take the first by `jax.tree.map(lambda part: part[0], graph)`"


@dataclass(frozen=True)
class FlowPath:
    """One path of a flow.

    Attributes:
        positions: the nodes on its way, from the query at its layer down to the token of the input: one position a
            node layer.
        amount: what flows along it.
    """

    positions: tuple[int, ...]
    amount: float

    @property
    def token(self) -> int:
        """The token of the input where it ends."""
        return self.positions[-1]


def flow_paths(
    graph: Given[AttentionGraph],
    query: Given[int],
    token: Given[int | None] = None,
    layer: Given[int | None] = None,
    *,
    most: Given[int | None] = None,
) -> tuple[FlowPath, ...]:
    """Take a maximum flow apart into paths, each the widest that is left of it.

    Args:
        graph: the layered graph of one example.
        query: position of the source.
        token: where the flow goes; None for the joint flow to all tokens, by its analytic centre.
        layer: of the source, counted from 1; None for the last.
        most: number of paths after which to stop; None for all of them, which sum to the flow's value.

    Returns:
        Paths by falling amount; none where nothing flows, and from or to padding.

    Raises:
        InputError: the graph is a batch or traced, or the position or layer is not there.

    A pair's maximum flow is not unique in its arcs; these are the paths of the one that the exact solver builds, which
    prefers own streams. The joint flow's analytic centre is unique, but uses every arc that can carry anything, so that
    it has about as many paths as the graph has arcs: ask for the first. Cost of a path: layer * token^2.
    """
    not_forked()
    graph = check_graph(graph)
    if is_traced(graph):
        raise InputError("graph", "be in hand", "a traced graph", "call this outside jit, vmap and grad")
    if graph.batch_shape:
        expected = "be one example, without batch axes"
        raise InputError("graph", expected, f"batch shape {graph.batch_shape}", TAKE_ONE)
    tokens, depth = graph.num_tokens, graph.num_layers
    source = _one("query", query, 0, tokens - 1)
    sink = None if token is None else _one("token", token, 0, tokens - 1)
    top = depth if layer is None else _one("layer", layer, 1, depth)
    if most is not None and (isinstance(most, bool) or not isinstance(most, int | np.integer) or most < 1):
        raise InputError("most", "be None or a number, 1 or more", _checks.shown(most))
    capacity = np.asarray(jax.device_get(graph.capacity), np.float64)[:top]
    flow = arc_flow(capacity, top, source, sink) if sink is not None else LayerGraph(capacity).centre(source, 1e-9).flow
    paths = _widest_first(flow, source)
    return tuple(path for _, path in zip(range(most), paths, strict=False)) if most is not None else tuple(paths)


def _one(name: str, value: Any, least: int, most: int) -> int:
    """One whole number within a range."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(name, "be an int", _checks.shown(value))
    if not least <= value <= most:
        raise InputError(name, f"be from {least} to {most}", str(value))
    return int(value)


def _widest_first(flow: Float64[np.ndarray, "layer token token"], query: int) -> Iterator[FlowPath]:
    """Take the widest path off the flow until nothing is left. Each empties an arc, so they end."""
    left = flow.copy()
    value = left[-1, query].sum()
    while True:
        positions, amount = _widest(left, query)
        if amount <= _ROUNDING * value or amount == 0:
            return
        for below, (i, j) in enumerate(zip(positions[1:], positions, strict=False)):
            arc = left[below, i, j]
            left[below, i, j] = 0.0 if arc <= amount else arc - amount
        yield FlowPath(tuple(positions[::-1].tolist()), float(amount))


def _widest(
    flow: Float64[np.ndarray, "layer token token"], query: int
) -> tuple[Int64[np.ndarray, " node_layer"], float]:
    """The widest path from (top layer, query) to any token: its nodes from the input up, and its width."""
    # From the source down: how much can come to each node by one path, and from which node above.
    width, origins = np.zeros(flow.shape[-1]), []
    width[query] = np.inf
    for arcs in flow[::-1]:
        through = np.minimum(width[:, None], arcs)
        origins.append(through.argmax(0))
        width = through.max(0)
    positions = [int(width.argmax())]
    for origin in origins[::-1]:
        positions.append(int(origin[positions[-1]]))
    return np.array(positions), float(width.max())
