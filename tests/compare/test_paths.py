"""Widest paths and influence: against all paths of a small graph, one by one, and against rollout."""

import itertools

import jax.numpy as jnp
import numpy as np

import jaxflow as jf
from jaxflow.compare import influence, path_widths, total_influence
from jaxflow.compare.paths import ARC_KINDS, strong_arcs, stronger_in
from tests.statistics.test_distances import attention


def all_widths(fused, query):
    """By trying every path: at each layer either stay or go along an arc."""
    layers, tokens, _ = fused.shape
    widths = np.zeros((layers + 1, tokens))
    for length in range(layers + 1):
        for way in itertools.product(range(tokens), repeat=length):
            nodes = (query, *way)
            width = 1.0
            for step, (above, below) in enumerate(itertools.pairwise(nodes)):
                arc = fused[layers - 1 - step, above, below]
                width = min(width, max(arc, 1.0) if above == below else arc)
            state = layers - length
            widths[state, nodes[-1]] = max(widths[state, nodes[-1]], width)
    return widths


def test_widths_are_those_of_the_widest_of_all_paths():
    rng = np.random.default_rng(0)
    for _ in range(10):
        fused = attention(rng, (3, 5, 5), 2)
        queries = np.array([0, 3])
        found = path_widths(jnp.asarray(fused), jnp.asarray(queries))
        assert found.shape == (4, 2, 5)
        for place, query in enumerate(queries):
            np.testing.assert_allclose(found[:, place], all_widths(fused, query), rtol=1e-6)


def test_a_batch_gives_what_each_gives_and_padding_stays_without_a_path():
    rng = np.random.default_rng(1)
    mask = np.arange(6) < np.array([[6], [4]])
    weights = attention(rng, (2, 3, 4, 6, 6), 2, mask[:, None, None, None, :])
    graph = jf.attention_graph(weights, mask=mask)
    queries = jnp.zeros((2, 1), int)
    found = path_widths(jf.raw_attention(graph), queries)
    alone = path_widths(jf.raw_attention(graph)[1, :, :4, :4], queries[1])
    np.testing.assert_array_equal(found[1, ..., :4], alone)
    assert not np.asarray(found[1, ..., 4:]).any()


def test_influence_without_decay_is_rollout_and_with_decay_fades_by_the_layer():
    rng = np.random.default_rng(2)
    graph = jf.attention_graph(attention(rng, (4, 2, 7, 7), 2), residual=0.4)
    queries = jnp.asarray([0, 5])
    whole = np.asarray(influence(graph.capacity, queries, jnp.float32(1)))
    for layer in range(4):
        np.testing.assert_allclose(whole[layer], jf.attention_rollout(graph, start=layer)[-1, [0, 5]], atol=1e-6)
    faded = np.asarray(influence(graph.capacity, queries, jnp.float32(0.5)))
    np.testing.assert_allclose(faded, whole * 0.5 ** (4 - np.arange(5))[:, None, None], atol=1e-6)
    total = total_influence(faded)
    np.testing.assert_allclose(total.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(total, faded[:4].sum(axis=0) / faded[:4].sum(axis=(0, 2))[:, None], atol=1e-6)


def test_arcs_are_told_apart_and_only_those_that_lead_to_the_query_are_on_a_path():
    rng = np.random.default_rng(3)
    one, two = (attention(rng, (3, 6, 6), 3) for _ in range(2))
    threshold = 0.25
    reach = [np.asarray(path_widths(jnp.asarray(each), jnp.asarray([0])))[1:, 0] for each in (one, two)]
    arcs = strong_arcs(one, two, threshold, (reach[0], reach[1]))
    seen = set()
    for layer, query, key, first, second, kind, on_a, on_b in zip(
        arcs.layer, arcs.query, arcs.key, arcs.weight_a, arcs.weight_b, arcs.kind, arcs.path_a, arcs.path_b, strict=True
    ):
        seen.add((int(layer), int(query), int(key)))
        assert (first, second) == (one[layer, query, key], two[layer, query, key])
        assert kind == (1 if first / second >= 2 else 2 if second / first >= 2 else 0)
        for weights, weight, on in ((one, first, on_a), (two, second, on_b)):
            assert on == (weight >= threshold and led_to(weights, layer, query, threshold))
    strong = {tuple(map(int, place)) for place in np.argwhere((one >= threshold) | (two >= threshold))}
    assert seen == strong
    assert len({int(kind) for kind in arcs.kind}) == 3
    assert sum(arcs.count(kind) for kind in ("alike", "stronger_a", "stronger_b")) == len(arcs)


def test_a_threshold_between_two_weights_that_are_alike_makes_neither_model_special():
    one = np.array([[[0.5, 0.5, 0.0], [0.31, 0.29, 0.4], [0.9, 0.1, 0.0]]])
    two = np.array([[[0.5, 0.5, 0.0], [0.29, 0.31, 0.4], [0.4, 0.6, 0.0]]])
    reach = np.ones((1, 3))
    arcs = strong_arcs(one, two, 0.3, (reach, reach))
    kinds = {
        (int(query), int(key)): ARC_KINDS[kind]
        for query, key, kind in zip(arcs.query, arcs.key, arcs.kind, strict=True)
    }
    assert kinds == {
        **dict.fromkeys([(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)], "alike"),
        (2, 0): "stronger_a",
        (2, 1): "stronger_b",
    }
    # Nothing is twice nothing.
    assert stronger_in(np.zeros(2), np.array([0.0, 1e-9])).tolist() == [0, 2]


def led_to(weights, layer, position, threshold):
    """Whether strong arcs lead from position 0 at the top down to a position after a layer; by search."""
    reached = {0}
    for above in range(len(weights) - 1, layer, -1):
        reached |= {int(key) for query in reached for key in np.flatnonzero(weights[above, query] >= threshold)}
    return position in reached
