"""What a result looks like where it is printed: what it is of, and no arrays."""

import jax
import numpy as np

import jaxflow as jf


def attribution(texts):
    scores = np.random.default_rng(0).random((texts, 3, 2, 40, 40))
    tokens = [[f"word{place}" for place in range(40)]] * texts
    return jf.attribute_attention(scores / scores.sum(-1, keepdims=True), tokens, methods=("raw", "rollout"))


def test_results_are_printed_in_a_line(tmp_path):
    result = attribution(50)
    printed = repr(result)
    assert printed.startswith("Attribution(50 examples, the first: Example(")
    assert "40 tokens, 1 position explained, 3 layers, raw, rollout" in printed
    assert len(printed) < 400
    assert "array" not in printed
    result.save(tmp_path / "kept")
    stored = repr(jf.open_sweep(tmp_path / "kept"))
    assert stored.endswith("50 examples in 1 shard)")
    assert len(stored) < 300


def test_a_result_of_one_text_shows_it():
    assert repr(attribution(1)).startswith("Attribution(1 example: Example('word0")


def test_graphs_and_flows_say_their_shapes():
    graph = jf.attention_graph(np.full((2, 3, 4, 4), 0.25))
    assert repr(graph) == "AttentionGraph(weights=float32[2,4,4], own=float32[2,4], mask=bool[4])"
    flow = jf.attention_flow(graph, queries=0)
    assert repr(flow).startswith("FlowSolution(value=float")
    assert "[2,1,4]" in repr(flow)
    assert "cut=None" in repr(flow)
    # Under a transformation there are no numbers to print.
    printed = []
    _ = jax.jit(lambda graph: (printed.append(repr(graph)), graph.capacity)[1])(graph)
    assert printed == [repr(graph)]
    # Numbers that are no arrays stay.
    assert repr(jf.mixing.Attention(residual=0.25)).startswith("Attention(heads='mean', residual=0.25")


def test_texts_of_numpy_are_texts():
    result = jf.attribute(jf.load_model("verb-number"), np.array(["The keys"]), methods="raw")
    assert type(result[0].text) is str
    assert repr(result[0]).startswith("Example('The keys'")
