"""Of one text's graph: which cuts are minimal, how much ties, and what part of joint flow's ranking is certain.

docs/saturation.md has the theorems, and what the cuts are.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

import jaxflow as jf
from jaxflow.evaluation import Spearman, rank_agreement
from jaxflow.statistics.ranks import tied_tokens

# Flows are exact to 1e-9 of the graph's scale, and capacities are float32: what is within 1e-6 of a cut is at it.
AT_CUT, TIES = 1e-6, 1e-9
# Kinds of minimum cuts; a pair counts for the first one that fits.
KINDS = ("own arcs", "first column", "query's chain", "token's chain", "neither")

Capacities = Float[np.ndarray, "layer query=token key=token"]


def cut_kinds(
    capacity: Capacities, flow: Float[np.ndarray, "query token"], queries: Sequence[int]
) -> dict[str, Bool[np.ndarray, "query token"]]:
    """Which of the simple cuts is minimal for each pair that has a flow, from the last of the layers."""
    others = capacity * (1 - np.eye(capacity.shape[-1]))
    leaving = others[0, queries] + others[1:, queries].sum((0, -1))[:, None]
    entering = others[-1, queries] + others[:-1].sum((0, 1))
    # A position's own stream leads from its chain to itself: chains are cuts of two different positions only.
    own = np.array(queries)[:, None] == np.arange(capacity.shape[-1])
    cuts = {
        "own arcs": capacity[-1, queries].sum(-1)[:, None],
        "first column": capacity[0].sum(0)[None],
        "query's chain": np.where(own, np.inf, leaving),
        "token's chain": np.where(own, np.inf, entering),
    }
    left, kinds = flow > 0, {}
    for name, value in cuts.items():
        kinds[name] = left & (flow >= value * (1 - AT_CUT))
        left = left & ~kinds[name]
    return kinds | {"neither": left}


def saturation(capacity: Capacities, layer: int, queries: Sequence[int]) -> dict[str, float]:
    """Shares of pairs by kind of cut, of tokens that tie, and how alike rows are to each other and to column sums.

    Where a row has no ranking, as all its tokens tie, it is left out of the rank correlations.
    """
    capacity = capacity[:layer]
    graph = jf.capacity_graph(capacity)
    found = jf.attention_flow(graph, queries=queries, layers=layer, method="exact")
    flow = np.asarray(found.value)[0]
    kinds = cut_kinds(capacity, flow, queries)
    pairs = max(1, int((flow > 0).sum()))
    # Relative to each row's largest, so that sizes do not matter.
    rows = flow / np.maximum(flow.max(-1, keepdims=True), np.finfo(float).tiny)
    chains = (capacity * (1 - np.eye(capacity.shape[-1])))[:-1].sum((0, 1))
    chains = chains + (capacity * (1 - np.eye(capacity.shape[-1])))[-1, queries]
    others = np.array(queries)[:, None] != np.arange(capacity.shape[-1])
    return {
        **{name: kinds[name].sum() / pairs for name in KINDS},
        "saturated": (kinds["own arcs"] | kinds["first column"]).sum() / pairs,
        "tied tokens": tied_tokens(rows, np.ones(rows.shape, bool), TIES)[0].mean(),
        "spearman with layer 1's column sums": _alike(rows, capacity[0].sum(0)),
        "spearman with the first query's row": _alike(rows[1:], rows[0]) if len(rows) > 1 else np.nan,
        "spearman with chains' sums, others": _alike(rows, chains, others),
        "certified": float(np.asarray(found.certified).mean()),
    }


def _alike(rows: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None) -> float:
    reference = np.broadcast_to(reference, rows.shape)
    reference = reference / np.maximum(reference.max(-1, keepdims=True), np.finfo(float).tiny)
    return float(rank_agreement(rows, reference, mask, Spearman(tol=TIES)).mean())


def joint_certainty(capacity: Capacities, layer: int, query: int) -> dict[str, float]:
    """How wide the intervals of joint flow's shares are, and how many pairs all optimal flows order alike.

    `certain` is all of a ranking that is the graph's (Theorem 6); `alike` are pairs that every optimal flow gives the
    same, shares of 0 among them, and count for it.
    """
    found = jf.joint_flow(jf.capacity_graph(capacity[:layer]), query, layer, split="least-squares", tol=1e-6)
    value = float(found.value.ravel()[0])
    low, high = found.low.reshape(-1) / value, found.high.reshape(-1) / value
    above = high[None, :] <= low[:, None] + AT_CUT
    certain = (above | above.T)[np.triu_indices(len(low), 1)]
    return {"width": float((high - low).mean()), "certain": float(certain.mean())}
