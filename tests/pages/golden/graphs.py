"""Makes graphs.json, what the pages' JavaScript is held against: attention, and what the library makes of it.

usage, from the repository's root: python -m tests.pages.golden.graphs
"""

import base64
import json
from pathlib import Path

import numpy as np

import jaxflow as jf
from jaxflow.compare import entropy
from jaxflow.pages.numbers import Grain, Numbers, as_levels
from tests.problems import softmax_attention

FILE = Path(__file__).with_suffix(".json")
RESIDUAL = 0.5
# As a page keeps numbers where there is room for all of them, and where there is least.
FINE, COARSE = Grain(10, 255), Grain(5, 31)


def cases():
    """Attention `layer head query key` by name: random, sharp, causal, all alike, one way through, nothing moves."""
    one_way = np.tile(np.eye(4), (3, 1, 1, 1))
    one_way[1, 0] = [[0.25, 0.75, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    return {
        "random": softmax_attention(1, (3, 2, 6, 6), 1.0),
        "sharp": softmax_attention(2, (4, 3, 5, 5), 6.0),
        "causal": softmax_attention(3, (3, 2, 6, 6), 2.0, causal=True),
        "uniform": np.full((2, 2, 4, 4), 0.25),
        "one way": one_way,
        "identity": np.tile(np.eye(3), (2, 2, 1, 1)),
        "one layer": softmax_attention(4, (1, 1, 5, 5), 2.0),
    }


def made(attention, residual):
    graph = jf.attention_graph(attention.astype(np.float32), residual=residual)
    flow = jf.attention_flow(graph, method="exact")
    rollout = [jf.attention_rollout(graph, start=start) for start in range(len(attention))]
    whole = np.asarray(rollout[0])
    numbers = Numbers({"rollout": whole}, attention)
    kept = (as_levels(attention, FINE.steps) / 255.0) ** 2
    return {
        "residual": residual,
        "attention": listed(jf.raw_attention(graph)),
        # From each start the last layer's, `start query token`.
        "rollout": listed([rows[-1] for rows in rollout]),
        "flow": listed(flow.value[-1]),
        # As the page keeps them: rollout in half precision, then a byte a weight; and what they then stand for.
        "packed": packed(numbers.codes(FINE, ())),
        "some": packed(Numbers({"rollout": whole[:, :2]}, attention).codes(FINE, ())),
        "coarse": packed(numbers.codes(COARSE, ())),
        "fused": packed(numbers.codes(COARSE, ("rollout",))),
        "halves": listed(whole.astype("<f2")),
        "heads": listed(kept),
        "entropy": listed(np.mean(entropy(kept), axis=-1)),
    }


def packed(codes):
    return base64.b64encode(codes).decode()


def listed(values):
    return np.asarray(values, np.float64).tolist()


def graphs():
    return {name: made(attention, RESIDUAL) for name, attention in cases().items()} | {
        "no residual": made(softmax_attention(5, (3, 2, 5, 5), 2.0), 0.0)
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(graphs(), indent=None, separators=(",", ":")) + "\n")
