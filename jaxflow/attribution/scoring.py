"""Scores of a batch by all methods: some are there after the forward pass, others are begun on the graph it left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxflow._checks import InputError
from jaxflow._typing import Queries
from jaxflow.attribution.methods import Beginning, GraphMethod, Method, Scores, mixing_of, storage_of
from jaxflow.attribution.streams import relevance_read
from jaxflow.flow.worker import Worker
from jaxflow.graph.graph import AttentionGraph
from jaxflow.mixing import Mixing
from jaxflow.running import Arrays


def begin_all(
    methods: Sequence[Method],
    results: Mapping[Any, Arrays],
    layers: tuple[int, ...],
    mixing: Mixing,
    worker: Worker,
    *,
    queries: Callable[[AttentionGraph], Queries],
    by_graph: Callable[[Method], bool],
) -> dict[str, Callable[[], Scores]]:
    """Begin the methods on a batch; by their names, in order, functions that wait for their scores.

    Args:
        methods: of relevance.
        results: the readers' outputs, among them those of `graph_readers` for methods that take a graph.
        layers: of the relevance, counted from 1.
        mixing: the question's, for methods that carry none.
        worker: for the CPU's share.
        queries: gives the positions to explain in each row of a graph.
        by_graph: whether a method takes the graph; the relevance of all others is in the results.

    Raises:
        InputError: a method of the user's own gives something else than scores.
    """
    # Relevance of the other methods is there already, on the device; waiting for it copies it to the host.
    read = relevance_read([method for method in methods if not by_graph(method)], results, mixing)
    waiting: dict[str, Callable[[], Scores]] = {
        method.name: partial(stored, method, _checked(method, Scores(relevance), (None, len(layers), None, None)))
        for method, relevance in read
    }
    for method in methods:
        if by_graph(method):
            assert isinstance(method, GraphMethod)
            graph = results["graph", mixing_of(method, mixing)]
            waiting[method.name] = begin_scores(method, graph, queries(graph), layers, worker)
    return {method.name: waiting[method.name] for method in methods}


def begin_scores(
    method: GraphMethod, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...], worker: Worker
) -> Callable[[], Scores]:
    """Begin any method that takes the graph; the result waits for its scores."""
    shape = (*graph.batch_shape, len(layers), queries.shape[-1], graph.num_tokens)
    if isinstance(method, Beginning):
        finish = method.begin(graph, queries, layers, worker)
        return lambda: stored(method, _checked(method, finish(), shape))
    # JAX computes in the background until `stored` asks for the values.
    scores = _checked(method, method(graph, queries, layers), shape)
    return lambda: stored(method, scores)


def stored(method: Method, scores: Scores) -> Scores:
    """Scores with relevance on the host, in the method's storage type."""
    return replace(scores, relevance=np.asarray(scores.relevance, storage_of(method)))


def _checked(method: Method, scores: Any, shape: tuple[int | None, ...]) -> Scores:
    """What a method gave, where it is scores of the shape; None stands for any size.

    A method that says the same of every layer may give one layer, which then stands at each.
    """
    if not isinstance(scores, Scores):
        got = f"{type(scores).__name__} from {method.name!r}"
        raise InputError("methods", "return jaxflow.attribution.Scores", got, "return Scores(relevance)")
    given, layers = jnp.shape(scores.relevance), shape[-3]
    if len(given) == len(shape) and given[-3] == 1 and layers not in (None, 1):
        given = (*given[:-3], layers, *given[-2:])
        # Doubles of the host stay doubles.
        broadcast = np.broadcast_to if isinstance(scores.relevance, np.ndarray) else jnp.broadcast_to
        scores = replace(scores, relevance=broadcast(scores.relevance, given))
    if len(given) != len(shape) or any(wanted not in (None, size) for wanted, size in zip(shape, given, strict=True)):
        expected = "give relevance (row, layer, query, token)"
        expected += "" if None in shape else f", here of shape {shape}"
        raise InputError("methods", expected, f"shape {given} from {method.name!r} at {layers} layers")
    return scores
