"""Methods as values: each says how much each token contributed, given the graph."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxflow import _checks
from jaxflow._checks import InputError
from jaxflow._typing import AtLayers, Queries
from jaxflow.flow.solve import METHODS as FLOW_METHODS
from jaxflow.flow.solve import attention_flow
from jaxflow.graph import AttentionGraph
from jaxflow.rollout import attention_rollout, raw_attention


@runtime_checkable
class Method(Protocol):
    """A way of saying how much each token contributed, given the graph; write one and hand it to `attribute`."""

    @property
    def name(self) -> str:
        """What its relevance is called in the result."""
        ...

    def __call__(self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> "Scores":
        """Relevance to the queries at the layers, of a batch of examples."""
        ...


@dataclass(frozen=True)
class Scores:
    """What a method gives: relevance `batch layer query token`, and where it is proven (for methods that prove)."""

    relevance: Any
    certified: Any = None


@dataclass(frozen=True)
class Raw:
    """Raw attention: a layer's own weights."""

    name: str = "raw"

    def __call__(self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> Scores:
        """Rows of `raw_attention`."""
        return Scores(_raw_rows(graph, queries, layers))


@dataclass(frozen=True)
class Rollout:
    """Attention rollout: the share that came from each token over all paths."""

    name: str = "rollout"

    def __call__(self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> Scores:
        """Rows of `attention_rollout`."""
        return Scores(_rollout_rows(graph, queries, layers))


@dataclass(frozen=True)
class Flow:
    """Attention flow: the maximum flow from each token, by one of `attention_flow`'s methods."""

    method: str = "auto"
    tol: float | int | np.floating = 1e-6
    name: str = "flow"

    def __call__(self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> Scores:
        """Values of `attention_flow`, and which of them are certified."""
        flow = attention_flow(graph, queries=queries, layers=layers, method=self.method, tol=self.tol)
        return Scores(flow.value, flow.certified)


def as_methods(methods: Any, flow: str, tol: float | int | np.floating) -> tuple[Method, ...]:
    """Methods out of names and values, with `flow` and `tol` for the one that is named "flow"."""
    _checks.one_of("flow", flow, FLOW_METHODS)
    named: dict[str, Method] = {"raw": Raw(), "rollout": Rollout(), "flow": Flow(flow, tol)}
    given: list[Any] = [methods]
    if isinstance(methods, Iterable) and not isinstance(methods, str | Method):
        given = list(methods)
    if not given:
        raise InputError(f"`methods` must name at least one of {', '.join(named)}")
    chosen: list[Method] = []
    for method in given:
        if isinstance(method, Method):
            chosen.append(method)
        else:
            _checks.one_of("methods", method, tuple(named))
            chosen.append(named[method])
    names = [method.name for method in chosen]
    if len(set(names)) < len(names):
        raise InputError(f"`methods` must have different names, got {', '.join(names)}; set their `name`")
    return tuple(chosen)


@partial(jax.jit, static_argnames="layers")
def _raw_rows(graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> AtLayers:
    return _rows(raw_attention(graph), queries, layers)


@partial(jax.jit, static_argnames="layers")
def _rollout_rows(graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> AtLayers:
    return _rows(attention_rollout(graph), queries, layers)


def _rows(relevance: Float[Array, "*batch layer token token"], queries: Queries, layers: Sequence[int]) -> AtLayers:
    chosen = relevance[..., jnp.asarray(layers) - 1, :, :]
    return jnp.take_along_axis(chosen, queries[..., None, :, None], axis=-2)
