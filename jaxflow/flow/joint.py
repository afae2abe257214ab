"""Joint flow: the most that can flow from a position to all input tokens at once, and how it is split among them."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from jaxflow import _checks
from jaxflow._checks import InputError, not_forked
from jaxflow._pytree import pytree
from jaxflow._typing import AnyArray, Given, Integers, Queries, Settled
from jaxflow.flow.device.relaxed import Relaxed
from jaxflow.flow.exact.centre import Centre, analytic_centre
from jaxflow.flow.exact.even import even_split
from jaxflow.flow.exact.sinks import SinkFlow, without_each
from jaxflow.flow.exact.solver import check_problem
from jaxflow.flow.solve import as_layers, as_queries, attention_flow
from jaxflow.graph.graph import AttentionGraph, check_graph

SPLITS = ("analytic", "least-squares")


@pytree
class JointSolution:
    """Maximum flows from positions to all input tokens at once.

    NumPy arrays in float64; 0 for queries that are padding, and for tokens that are.

    Attributes:
        value: the maximum flow, `*batch layer query`.
        share: how much of it goes to each token by the split that was asked for, `*batch layer query token`; sums to
            the value. Unique, though maximum flows are not.
        low: the least that any maximum flow gives the token, attained by some.
        high: the most that any gives it, attained by some: the token's own maximum flow, of `attention_flow`. Where
            `low` and `high` are far apart, the ranking of the tokens is the split's choice and not the graph's.
        gap: duality gap of the split's own problem, `*batch layer query`, a number without a unit, which bounds how
            far the shares are from the exact split's. Analytic: no arc's flow is further off than `1.6 sqrt(gap)`
            times its distance to the nearer of 0 and its capacity. Least squares: all shares together are within
            `sqrt(gap) * value`.
        cut: the source's side of a minimum cut, `*batch layer query node_layer node`, for `cut_capacity`, whose
            gradient is the value's; None unless it was asked for.

    Under a transformation the value is a JAX array, an upper bound that is exact but where the relaxation does not
    close; `gap` is how far above the flow it may lie, in parts of itself, and `share`, `low` and `high` are None.
    """

    value: Float[Any, "*batch layer query"]
    share: Settled[AnyArray | None]
    low: Settled[AnyArray | None]
    high: Settled[AnyArray | None]
    gap: Float[Any, "*batch layer query"]
    cut: PyTree = None


def joint_flow(
    graph: Given[AttentionGraph],
    queries: str | Integers | None = None,
    layers: Integers | None = None,
    split: str = "analytic",
    *,
    tol: Given[float] = 1e-9,
    cuts: Given[bool] = False,
) -> JointSolution:
    """Maximum flow from positions after a layer to all input tokens together, and each token's share of it.

    `attention_flow` asks for each token alone how much could come from it; here tokens share the arcs on the way. How
    much flows in all is unique, but not how it is split: `low` and `high` say what is certain of each token's share,
    and a split says which of the flows is taken.

    Args:
        graph: the layered graph.
        queries: positions of the sources, as in `attention_flow`.
        layers: layers of the sources, counted from 1: None for all, an int, or a sequence.
        split: `"analytic"` is the analytic centre of all maximum flows: the one with the largest sum of log(flow) +
            log(capacity - flow) over the arcs that may differ, where a log-barrier method ends. `"least-squares"` is
            the one whose shares have the least sum of squares: the most even split that the graph allows.
        tol: duality gap up to which the split is solved.
        cuts: return minimum cuts as well.

    Returns:
        Values, shares, their intervals and gaps. Under jit, vmap or grad the value alone, in pure JAX.

    Raises:
        InputError: as from `attention_flow`, and for an unknown split.

    Cost of a query at a layer, on the CPU: two maximum flows a token, and for the analytic centre some ten to sixty
    steps of layer * token^3.
    """
    not_forked()
    graph = check_graph(graph)
    _checks.one_of("split", split, SPLITS)
    check_gap(tol)
    cuts = _checks.as_flag("cuts", cuts)
    chosen_layers, chosen_queries = as_layers(layers, graph.num_layers), as_queries(queries, graph)
    if not _checks.is_traced(graph, chosen_queries):
        return solve_joint(*on_host(graph, chosen_queries), chosen_layers, split, float(tol), cuts=cuts)
    if cuts:
        way_out = "solve outside for the cut and differentiate cut_capacity"
        raise InputError("cuts", "be False under jit, vmap or grad", "True", way_out)
    return _joint_on_device(jax.tree.map(jnp.asarray, graph), queries, chosen_layers)


def check_gap(tol: Any) -> None:
    """Refuse a duality gap that is none.

    Raises:
        InputError: it is no number, or below 0.
    """
    number = isinstance(tol, float | int | np.floating | np.integer) and not isinstance(tol, bool)
    if not number or not 0 <= tol < float("inf"):
        raise InputError("tol", "be a number, 0 or more", _checks.shown(tol))


def _joint_on_device(graph: AttentionGraph, queries: Any, layers: tuple[int, ...]) -> JointSolution:
    bounds = attention_flow(super_sink(graph), queries, layers, Relaxed())
    value, lower = bounds.upper[..., 0], bounds.lower[..., 0]
    # Without a derivative: a bound on an error has none.
    apart = (value - lower) / jnp.where(value > 0, value, jnp.ones_like(value))
    return JointSolution(value=value, share=None, low=None, high=None, gap=apart)


def super_sink(graph: AttentionGraph) -> AttentionGraph:
    """The graph with all input tokens made one: the first layer's capacities, summed, lead to token 0."""
    totals = jnp.sum(graph.weights[..., 0, :, :], axis=-1) + graph.own[..., 0, :]
    first = jnp.zeros_like(graph.weights[..., 0, :, :]).at[..., 0].set(totals)
    return replace(
        graph,
        weights=graph.weights.at[..., 0, :, :].set(first),
        own=graph.own.at[..., 0, :].set(0),
        # Token 0 stands for all of them, though it may be padding itself.
        mask=graph.mask.at[..., 0].set(True),
    )


def on_host(graph: AttentionGraph, queries: Queries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Capacities in float64, the mask, and the queries."""
    return np.asarray(graph.capacity, np.float64), np.asarray(graph.mask), np.asarray(queries)


def solve_joint(
    capacity: np.ndarray,
    mask: np.ndarray,
    queries: np.ndarray,
    layers: tuple[int, ...],
    split: str,
    tol: float,
    *,
    cuts: bool = False,
    progress: Callable[[], Any] | None = None,
) -> JointSolution:
    """`joint_flow` of arrays on the host; `progress` is called now and then on the calling thread."""
    batch, depth, tokens = capacity.shape[:-3], capacity.shape[-3], capacity.shape[-1]
    shape = (*batch, len(layers), queries.shape[-1])
    flat = capacity.reshape(-1, *capacity.shape[-3:]), mask.reshape(-1, tokens), queries.reshape(-1, shape[-1])
    check_problem(flat[0], flat[2], layers)
    rows = (len(flat[0]), len(layers), shape[-1])
    value, gap = np.zeros(rows), np.zeros(rows)
    share, low, high = (np.zeros((*rows, tokens)) for _ in range(3))
    cut = np.zeros((*rows, depth + 1, tokens), bool) if cuts else None

    # An example and a layer is a thread's at once: they share the solver's workspace.
    def solve(task: tuple[int, int]) -> None:
        example, place = task
        real = np.flatnonzero(flat[1][example])
        graph = LayerGraph(flat[0][example, : layers[place]][:, real[:, None], real])
        for number, query in enumerate(flat[2][example]):
            at, source = (example, place, number), np.flatnonzero(real == query)
            # A query that is padding has no flow.
            if not len(source):
                continue
            value[at], found, gap[at], side = graph.joint(int(source[0]), split, tol, cuts=cuts)
            share[at][real], low[at][real], high[at][real] = found
            if cut is not None:
                cut[at][: len(side), real] = side

    for _ in _in_threads(solve, [(example, place) for example in range(rows[0]) for place in range(rows[1])]):
        if progress is not None:
            progress()
    full = (*shape, tokens)
    return JointSolution(
        value=value.reshape(shape),
        share=share.reshape(full),
        low=low.reshape(full),
        high=high.reshape(full),
        gap=gap.reshape(shape),
        cut=None if cut is None else cut.reshape(*shape, depth + 1, tokens),
    )


class _Joint(NamedTuple):
    """One query's: value, (share, low, high), gap and cut."""

    value: float
    shares: tuple[np.ndarray, np.ndarray, np.ndarray]
    gap: float
    cut: np.ndarray


class LayerGraph:
    """The layers below one source layer of one example."""

    def __init__(self, capacity: np.ndarray) -> None:
        self.capacity = capacity
        self.flow = SinkFlow(capacity)
        # Columns of a sink: what each node of layer 1 can send to all tokens, to all but one, and to one.
        self.all = capacity[0].sum(1)
        self.columns = np.concatenate([self.all[None], without_each(capacity[0]), capacity[0].T])

    def joint(self, query: int, split: str, tol: float, *, cuts: bool) -> _Joint:
        """Value, shares and certificate of one query."""
        tokens = self.capacity.shape[-1]
        # g(S), the maximum flow into the tokens S, is submodular, and the shares of maximum flows are the bases of its
        # polymatroid (Megiddo 1974). Over these a token's share is at most g({v}), by filling v first, and at least
        # g(all) - g(all but v), by filling it last; both are attained.
        value, *flows = self.flow.values(query, self.columns).tolist()
        high = np.minimum(flows[tokens:], value)
        low = np.clip(value - np.array(flows[:tokens]), 0, high)
        side = self.flow.with_cuts(query, self.all[None])[1][0] if cuts else np.zeros((0, tokens), bool)
        if value <= 0:
            return _Joint(0.0, (np.zeros(tokens), low, high), 0.0, side)
        if split == "least-squares":
            share, gap = even_split(self.capacity, query, self.flow, value)
        else:
            centre = self.centre(query, tol)
            share, gap = centre.flow[0].sum(0), centre.gap
        # Rounding of sums may put a share some units of the last place beyond its interval.
        return _Joint(value, (np.clip(share, low, high), low, high), gap, side)

    def centre(self, query: int, tol: float) -> Centre:
        """The analytic centre of the query's maximum flows."""
        above, sent = self.flow.arcs(query, self.all)
        # Any way to hand on what layer 1's nodes have does for a start: in proportion to their arcs.
        parts = np.divide(sent, self.all, out=np.zeros_like(sent), where=self.all > 0)
        flow = np.concatenate([(self.capacity[0] * parts[:, None])[None], above])
        return analytic_centre(self.capacity, flow, query, tol)


T = TypeVar("T")


def _in_threads(solve: Callable[[T], None], tasks: list[T]) -> Iterator[None]:
    """Do tasks by as many threads as there are cores, in any order; an interrupt drops those not begun."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if min(cores, len(tasks)) <= 1:
        yield from map(solve, tasks)
        return
    with ThreadPoolExecutor(min(cores, len(tasks)), thread_name_prefix="jaxflow") as pool:
        try:
            yield from pool.map(solve, tasks)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
