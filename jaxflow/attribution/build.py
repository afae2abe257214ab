"""From texts to a graph, to go on with in JAX."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxflow._checks import as_flag, not_forked
from jaxflow._typing import Given, Inputs, Pairs
from jaxflow.attribution.explaining import call_of, check_model, pair_numbers_of
from jaxflow.attribution.items import as_texts
from jaxflow.attribution.question import Question
from jaxflow.evaluation.token_target import Token
from jaxflow.graph.graph import AttentionGraph
from jaxflow.mixing import Mixing
from jaxflow.models import Model, TokenBatch, as_model
from jaxflow.running import Arrays, Call, EngineOptions, check_faults, run_calls
from jaxflow.running.readers import Faults, KeptGraph


def build_graph(
    model: Model,
    texts: Inputs,
    mixing: str | Mixing = "attention",
    target: str | int | Sequence[str | int] | Token | None = None,
    *,
    pairs: Pairs = None,
    max_length: int | None = None,
    truncate: Given[bool] = False,
) -> AttentionGraph:
    """Build the layered graph of texts by any mixing: one padded batch, for rollout, flow and code of your own.

    Args:
        model: from `load_model`, or any other `jaxflow.models.Model`.
        texts: a sequence of texts, or one.
        mixing: what the capacities are made of, by name or value, as in a `Question`.
        target: the class that is explained, for mixings that need gradients; None is the predicted one.
        pairs: a second text for each, for models that read two.
        max_length: most tokens a text may have, special ones included.
        truncate: cut longer texts rather than refuse them.

    Returns:
        The graph, `text layer token token`, padded to the longest text. Cost: a forward pass (and a backward pass for
        gradients) over each text; memory: text * layer * token^2 numbers.

    Raises:
        InputError: a text cannot be read, or the mixing does not go with the model.
    """
    not_forked()
    model = as_model("model", model)
    question = Question(mixing=mixing, target=target)
    check_model(question, model)
    truncate = as_flag("truncate", truncate)
    firsts, seconds = as_texts(texts, pairs)
    encodings = model.tokenize(firsts, seconds, max_length=max_length, truncate=truncate)

    def make(numbers: list[int], batch: TokenBatch, length: int) -> Call:
        return call_of(question, model, {"faults": Faults(), "graph": KeptGraph()}, {}, batch)

    def check(items: list[Any], outputs: Arrays) -> None:
        check_faults(items, outputs[0], question.mixing)

    options = EngineOptions(pair_numbers=max(model.layers, pair_numbers_of(question, model)))
    graphs = [graph for _, graph in run_calls(model, encodings, make, check=check, options=options)]
    longest = max(map(len, encodings))
    # Batches were padded each to its own length; here all texts get the same one.
    parts = [(graph.weights, graph.own, graph.mask) for graph in graphs]
    weights, own, mask = (
        jnp.asarray(np.stack([_of_length(np.asarray(part), longest, axes) for part in column]))
        for column, axes in zip(zip(*parts, strict=True), (2, 1, 1), strict=True)
    )
    return AttentionGraph(weights=weights, own=own, mask=mask)


def _of_length(part: np.ndarray, length: int, axes: int) -> np.ndarray:
    """An array whose last axes are tokens with its padding cut, or filled up with zeros, to a length."""
    missing = max(0, length - part.shape[-1])
    padded = np.pad(part, [(0, 0)] * (part.ndim - axes) + [(0, missing)] * axes)
    return padded[(..., *[slice(length)] * axes)]
