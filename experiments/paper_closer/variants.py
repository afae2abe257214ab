"""Graphs, scores and ranks that could have been the paper's, and the agreement of every combination."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import networkx as nx
import numpy as np
from jaxtyping import Bool, Float

import jaxflow as jf
from jaxflow.evaluation import (
    Spearman,
    TokenInputs,
    mean_interval,
    occlusion_scores,
    padded,
    rank_agreement,
    token_inputs,
)
from jaxflow.models import TextEncoder

# Flows are exact to 1e-9.
TIES = 1e-9
# Own share of each position. "Twice" adds the residual connection two times before rows are scaled to sum to 1; without
# that scaling every capacity is twice as large, and so is every flow: ranks are those of "once".
RESIDUALS = {
    "residual once": jf.mixing.Attention(),
    "no residual": jf.mixing.Attention(residual=0.0),
    "residual twice": jf.mixing.Attention(residual=2 / 3),
    "measured residual": jf.mixing.AttentionMeasured(),
}
RANKS = {
    "dense ranks, their formula": Spearman(protocol="paper", tol=TIES),
    "dense ranks, no tolerance": Spearman(protocol="paper"),
    "average ranks": Spearman(tol=TIES),
}
BLANKS = {"<unk>": "<unk>", "<mask>": "<mask>", "<pad>": "<pad>"}
# What is taken as the paper's own; every change is measured against it.
BASE: tuple[str, ...] = ("residual once", "as the paper", "dense ranks, their formula", "<unk>")

COLUMNS = "layer 1's column sums, at most 1"

Rows = Float[np.ndarray, "text layer token"]


def protocols(
    inputs: TokenInputs, all_blanked: np.ndarray
) -> dict[str, tuple[np.ndarray, Bool[np.ndarray, "text token"]]]:
    """By name, the scores of each position and the positions that take part."""
    first = np.arange(inputs.mask.shape[1])[None] == 0
    last = np.arange(inputs.mask.shape[1])[None] == inputs.mask.sum(-1, keepdims=True) - 1
    return {
        "as the paper": (np.where(last, 0, all_blanked), inputs.mask),
        "every position blanked": (all_blanked, inputs.mask),
        "<s> and </s> count 0": (np.where(first | last, 0, all_blanked), inputs.mask),
        "without <s>": (all_blanked, inputs.mask & ~first),
        "words": (all_blanked, inputs.positions("words")),
    }


def rows_of(model: TextEncoder, texts: Sequence[str]) -> tuple[dict[str, Rows], np.ndarray]:
    """The first position's rows by method and residual, and each text's attention, its heads averaged."""
    graphs = {name: jf.build_graph(model, list(texts), mixing) for name, mixing in RESIDUALS.items()}
    rows: dict[str, Rows] = {"raw": np.asarray(jf.raw_attention(graphs[BASE[0]]))[:, :, 0]}
    for name, graph in graphs.items():
        rows[f"flow, {name}"] = np.asarray(jf.attention_flow(graph, queries=0, method="exact").value)[:, :, 0]
        rows[f"rollout, {name}"] = np.asarray(jf.attention_rollout(graph))[:, :, 0]
    plain = np.asarray(graphs[BASE[0]].capacity, np.float64)
    # What the theorem says that deep flow is.
    rows[COLUMNS] = np.minimum(1, plain[:, 0].sum(1))[:, None]
    return rows, np.asarray(graphs["no residual"].capacity, np.float64)


def agreements(model: TextEncoder, texts: Sequence[str], gold: Sequence[int]) -> dict[str, np.ndarray]:
    """By method, protocol, ranks and blank, joined by " | ": the agreement of each text at each layer, `text layer`.

    Two classes: the fall of the right class's probability is that of the predicted one's but for the sign, so that
    which of the two is meant changes nothing. Where all tokens tie, average ranks have no correlation: 0 then.
    """
    inputs = token_inputs(model, list(texts))
    rows, _ = rows_of(model, texts)
    found = {}
    for blank, token in BLANKS.items():
        scores = occlusion_scores(model, inputs, target=list(gold), blank=token, positions=inputs.mask).values
        for (name, values), (protocol, (against, mask)), (ranks, measure) in product(
            rows.items(), protocols(inputs, scores).items(), RANKS.items()
        ):
            agreement = rank_agreement(values, against[:, None], mask[:, None], measure).value
            found[" | ".join((name, protocol, ranks, blank))] = np.nan_to_num(agreement)
    return found


def paper_flow(capacity: Float[np.ndarray, "layer token token"], layer: int) -> Float[np.ndarray, " token"]:
    """Flow from the first position as the authors compute it: networkx's Edmonds-Karp on floats, divided by its sum."""
    tokens = capacity.shape[-1]
    graph = nx.DiGraph()
    for below, i, j in np.argwhere(capacity):
        _ = graph.add_edge(
            int(below + 1) * tokens + int(i), int(below) * tokens + int(j), capacity=float(capacity[below, i, j])
        )
    flow = nx.algorithms.flow.edmonds_karp
    values = [nx.maximum_flow_value(graph, layer * tokens, j, flow_func=flow) for j in range(tokens)]
    return np.array(values) / sum(values)


def float_ties(
    model: TextEncoder, texts: Sequence[str], gold: Sequence[int], layers: Sequence[int], report: Callable[[str], None]
) -> dict[str, Any]:
    """The authors' floats against exact flow with ties as ties, on the same texts: what rounding alone brings."""
    inputs = token_inputs(model, list(texts))
    rows, attention = rows_of(model, texts)
    exact = rows["flow, residual once"]
    theirs = []
    for number, (each, length) in enumerate(zip(attention, inputs.mask.sum(-1), strict=True)):
        # Attention is float32, and what follows is float64, as theirs: sums of float32 capacities alone are exact in
        # float64 and bring no noise, but rows divided by their sum are not.
        capacity = each[:, :length, :length] + np.eye(length)
        capacity /= capacity.sum(-1, keepdims=True)
        theirs.append(np.stack([paper_flow(capacity, layer) for layer in layers]))
        if number % 10 == 9:
            report(f"networkx: {number + 1} of {len(texts)} texts")
    noisy, _ = padded(theirs)
    scores = occlusion_scores(model, inputs, target=list(gold), positions=inputs.mask).values
    table = {}
    for protocol, (against, mask) in protocols(inputs, scores).items():
        for ranks, tolerance in (("dense", 0.0), ("average", 0.0)):
            measure = Spearman(protocol="paper" if ranks == "dense" else "standard", tol=tolerance)
            tied = RANKS["dense ranks, their formula" if ranks == "dense" else "average ranks"]
            for place, layer in enumerate(layers):
                one = np.nan_to_num(rank_agreement(noisy[:, place], against, mask, measure).value)
                two = np.nan_to_num(rank_agreement(exact[:, layer - 1], against, mask, tied).value)
                table[f"{protocol}, {ranks} ranks, layer {layer}"] = {
                    "floats": interval(one),
                    "exact, ties tied": interval(two),
                    "floats above": interval(one - two),
                }
    return {"texts": len(texts), "table": table}


def interval(values: np.ndarray, resamples: int = 1999) -> list[float]:
    """Mean and 95 % bootstrap interval."""
    found = mean_interval(values, resamples=resamples)
    return [float(found.mean), float(found.low), float(found.high)]
