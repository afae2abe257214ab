"""The receptive-field correction: a method's relevance beside what it would be if attention were even."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np

from jaxflow._checks import InputError, shown
from jaxflow._typing import Queries, Settled
from jaxflow.attribution.methods import GraphMethod, Scores, own_mixing
from jaxflow.graph.graph import AttentionGraph
from jaxflow.mixing import Mixing

# Behind a method's name.
CORRECTED = "-corrected"


@dataclass(frozen=True)
class Corrected:
    """A method's relevance divided by the same method's on even attention: above 1 is more than the position allows.

    In a decoder the first tokens are seen by all positions, and paths lead to them from everywhere, whatever the
    attention says. Here every row of the weights is spread evenly over the positions that a decoder's row may see (the
    real ones up to its own), its sum and its own stream kept; on that graph the method says what position alone gives.
    The correction is ours: Abnar & Zuidema (2020) only name the need. 0 where even attention gives 0. Values of
    different positions are ratios, and no longer shares of one whole.

    Cost: the graph is kept, and the method runs twice. A flow is certified where both flows are, and saturated where
    the numerator is.

    Attributes:
        method: that takes a graph: `Raw`, `Rollout`, `Flow`, `JointFlow`, `WidestPath`, or one of your own.
        name: its column; without one of your own it says the method, as in `rollout-corrected`.
    """

    method: Settled[str | GraphMethod]
    name: str = ""

    storage = "float64"

    def __post_init__(self) -> None:
        if isinstance(self.method, type) or not isinstance(self.method, GraphMethod):
            got = shown(self.method)
            raise InputError("method", "take a graph, as jaxflow.attribution.Rollout() does", got, "pass its value")
        object.__setattr__(self, "name", self.name or f"{self.method.name}{CORRECTED}")

    @property
    def mixing(self) -> Mixing | None:
        """The mixing that the method carries."""
        return own_mixing(self.method)

    def __call__(self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> Scores:
        """The ratio of the method's relevance on the graph and on the even one."""
        scores = self.method(graph, queries, layers)
        even = self.method(even_graph(graph), queries, layers)
        above, below = (np.asarray(each.relevance, np.float64) for each in (scores, even))
        ratio = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
        certified = None if scores.certified is None else np.asarray(scores.certified) & np.asarray(even.certified)
        return replace(scores, relevance=ratio, certified=certified)


def even_graph(graph: AttentionGraph) -> AttentionGraph:
    """The graph with each row of weights spread evenly over the real positions up to its own; own streams are kept."""
    mask = graph.mask
    tokens = mask.shape[-1]
    seen = jnp.tril(jnp.ones((tokens, tokens), bool)) & mask[..., :, None] & mask[..., None, :]
    seen = seen.astype(graph.weights.dtype)
    shares = seen / jnp.maximum(jnp.sum(seen, axis=-1, keepdims=True), 1)
    total = jnp.sum(graph.weights, axis=-1, keepdims=True)
    return replace(graph, weights=total * shares[..., None, :, :])
