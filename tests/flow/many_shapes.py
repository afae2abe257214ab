"""Calls one function on graphs of 500 different shapes, and prints what it took: run by test_programs.py alone."""

import gc
import itertools
import sys
from pathlib import Path

import jax
import numpy as np

import jaxflow as jf

# Leading axes of one or two examples, up to seven of them: shapes of their own to JAX, though few sizes to fill up to.
BATCHES = [axes for rank in range(8) for axes in itertools.product((1, 2), repeat=rank) if np.prod(axes) <= 2]
LENGTHS = range(1, 17)


def attention(shape):
    weights = np.random.default_rng(0).random(shape).astype(np.float32)
    return weights / weights.sum(-1, keepdims=True)


def graphs(count):
    """Attention of 3 layers, each array of a shape of its own."""
    shapes = [(batch, tokens) for batch in BATCHES for tokens in LENGTHS]
    for batch, tokens in shapes[:count]:
        yield attention((*batch, 3, 2, tokens, tokens))


def cuts(graph):
    solved = jf.attention_flow(graph, 0, 3, "exact", cuts=True)
    np.testing.assert_allclose(jf.cut_capacity(graph, solved.cut), solved.value, atol=1e-5)


def graph_and_rollout(weights):
    graph = jf.attention_graph(weights)
    _ = jf.raw_attention(graph), jf.attention_rollout(graph), jf.head_rollout(graph, weights, 2)


WAYS = {
    "rollout": graph_and_rollout,
    "cuts": lambda weights: cuts(jf.attention_graph(weights)),
    **{
        method: lambda weights, method=method: jf.attention_flow(jf.attention_graph(weights), 0, 3, method)
        for method in ("exact", "auto", "bounds", "relaxed", "smooth")
    },
}


def measure():
    gc.collect()
    maps = Path("/proc/self/maps").read_bytes().count(b"\n")
    return maps, int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20


def main(name, count):
    jax.config.update("jax_platforms", "cpu")
    for done, weights in enumerate(graphs(count), 1):
        WAYS[name](weights)
        # The first hundred shapes need all the programs that there are.
        if done in (100, count):
            _ = sys.stdout.write(f"{done} {' '.join(map(str, measure()))}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
