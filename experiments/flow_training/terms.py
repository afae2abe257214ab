"""Terms of the loss: how much of what a functional of the graph sends to the classifier comes from one token."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

import jaxflow as jf
from jaxflow.flow.device.smooth import Smooth
from jaxflow.models import Module, TokenBatch

Rows = Float[Array, "row token"]
# Shares are mixed with this much of 1, so that a token that gets nothing does not end the training.
LEAST = 1e-3
TINY = 1e-12


@dataclass(frozen=True)
class Term:
    """Relevance of tokens to the classifier's position at the last layer, which a loss can be made of.

    Attributes:
        mixing: what the capacities are; those of gradients are of the label's logit less the other one's.
        read: rows of the graph.
        rows: of a batch, the first ones that the term is made of; None for all.
    """

    mixing: Any
    read: Callable[[jf.AttentionGraph], Rows]
    rows: int | None = None


def _rollout(graph: jf.AttentionGraph) -> Rows:
    return jf.attention_rollout(graph)[:, -1, 0]


def _widest(graph: jf.AttentionGraph) -> Rows:
    return jf.widest_path(graph, 0, graph.num_layers)[:, 0, 0]


def _flow(method: Any) -> Callable[[jf.AttentionGraph], Rows]:
    return lambda graph: jf.attention_flow(graph, 0, graph.num_layers, method=method).value[:, 0, 0]


_BY_CLASS = jf.mixing.AttentionGradient()
TERMS = {
    "attention": Term("attention", lambda graph: graph.weights[:, -1, 0]),
    "rollout": Term("attention", _rollout),
    "widest path": Term("attention", _widest),
    "flow": Term("attention", _flow("bounds")),
    "class column sums": Term(_BY_CLASS, lambda graph: graph.weights.sum((1, 2))),
    "class flow": Term(_BY_CLASS, _flow("bounds")),
    "class rollout": Term(jf.mixing.AttentionGradient(own=0.5), _rollout),
    # Newton's method for every pair costs dozens of times the model's step: on an eighth of a batch of 32.
    "class flow, smooth": Term(_BY_CLASS, _flow(Smooth(temperature=0.2, steps=10)), rows=4),
}


def term_loss(
    term: Term,
    module: Module,
    batch: TokenBatch,
    words: Bool[Array, "row token"],
    labels: Int[Array, " row"],
    places: Int[Array, " row"],
) -> tuple[Float[Array, ""], Float[Array, "row label"]]:
    """The mean of `-log` of the share of the words' relevance that one place has, and the head's numbers."""
    graph, logits = jf.trainable_graph(module, batch, term.mixing, lambda numbers: label_margin(numbers, labels))
    relevance = jnp.where(words, term.read(graph), 0)
    at = jnp.take_along_axis(relevance, places[:, None], axis=-1)[:, 0]
    share = at / (relevance.sum(-1) + TINY)
    return -jnp.log((1 - LEAST) * share + LEAST).mean(), logits


def label_margin(logits: Float[Array, "row label"], labels: Int[Array, " row"]) -> Float[Array, " row"]:
    """The label's logit less the other one's."""
    of_label = jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
    return 2 * of_label - logits.sum(-1)
