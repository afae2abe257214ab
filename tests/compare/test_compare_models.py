"""Two models on the same texts: against the same steps by hand, one text at a time."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Question
from jaxflow.compare import PATTERNS, influence, path_widths
from jaxflow.compare.plan import make_plan
from tests.compare.models import HEADS, LAYERS, TEXTS, attention_of, model, reordered, second_words, tuned

pytestmark = pytest.mark.usefixtures("few_sizes")

MIXING = jf.mixing.Attention(residual=0.4)


@pytest.fixture(scope="module")
def encoder():
    return model()


@pytest.fixture(scope="module")
def other(encoder):
    return tuned(encoder)


@pytest.fixture(scope="module")
def result(encoder, other):
    return jf.compare_models(
        encoder, other, TEXTS, queries=[0, 2], mixing=MIXING, threshold=0.3, batch_size=8, keep_heads=True, least=2
    )


def by_hand(encoder, text, pair=None):
    """Attention of one text."""
    return attention_of(encoder, text, pair)[1]


def test_distances_are_scipys_averaged_over_rows(result, encoder, other):
    assert len(result) == len(TEXTS)
    for text, compared in zip(TEXTS, result, strict=True):
        one, two = (by_hand(each, text).astype(np.float64) for each in (encoder, other))
        assert compared.text == text
        assert compared.jensen_shannon.shape == (LAYERS, HEADS)
        expected = jensenshannon(one, two, base=2, axis=-1).mean(axis=-1)
        np.testing.assert_allclose(compared.jensen_shannon, expected, atol=2e-6)
        np.testing.assert_allclose(compared.total_variation, np.abs(one - two).sum(-1).mean(-1) / 2, atol=2e-6)
        fused = one.mean(axis=1), two.mean(axis=1)
        np.testing.assert_allclose(
            compared.layer_jensen_shannon, jensenshannon(*fused, base=2, axis=-1).mean(axis=-1), atol=2e-6
        )
        np.testing.assert_allclose(compared.a.heads, one, atol=2e-6)
        np.testing.assert_allclose(compared.b.attention, fused[1], atol=2e-6)
        assert compared.distance == pytest.approx(expected.mean(), abs=1e-5)
    every = np.mean([text.jensen_shannon for text in result], axis=0)
    np.testing.assert_allclose(result.summary.head.jensen_shannon.mean, every, atol=1e-6)
    np.testing.assert_allclose(result.summary.layer.heads.mean, every.mean(axis=-1), atol=1e-6)


def test_relevance_is_attributes_and_its_change_the_difference(result, encoder, other):
    for side, model_ in (("a", encoder), ("b", other)):
        # Where no methods are named, `attribute` adds the class's to a comparison's.
        expected = jf.attribute(model_, TEXTS, methods=jf.Question().methods, queries=[0, 2], mixing=MIXING)
        for compared, example in zip(result, expected, strict=True):
            own = getattr(compared, side)
            assert own.tokens == example.tokens
            assert own.prediction == example.prediction
            for name, values in example.relevance.items():
                np.testing.assert_allclose(own.relevance[name], values, atol=2e-6)
    for compared in result:
        for name, values in compared.change.items():
            np.testing.assert_array_equal(values, compared.b.relevance[name] - compared.a.relevance[name])
            assert compared.a.certified == 1


def test_paths_and_influence_are_those_of_the_graph(result, encoder, other):
    kinds = set()
    for compared in result:
        graphs = [jf.attention_graph(by_hand(each, compared.text), residual=0.4) for each in (encoder, other)]
        queries = jnp.asarray([0, 2])
        for side, graph in zip((compared.a, compared.b), graphs, strict=True):
            np.testing.assert_allclose(side.widths, path_widths(jf.raw_attention(graph), queries), atol=2e-6)
            expected = influence(graph.capacity, queries, jnp.float32(0.8))
            np.testing.assert_allclose(side.influence, expected, atol=2e-6)
        least = jnp.minimum(jf.raw_attention(graphs[0]), jf.raw_attention(graphs[1]))
        np.testing.assert_allclose(compared.shared_widths, path_widths(least, queries), atol=2e-6)
        assert (compared.shared_widths <= np.minimum(compared.a.widths, compared.b.widths)).all()
        kinds.update(compared.path_kinds(0.3))
        for unit, kind in enumerate(compared.path_kinds(0.3)):
            reached = [unit in down(np.asarray(jf.raw_attention(graph)), 0.3) for graph in graphs]
            assert (kind != "") == any(reached)
            first, second = (float(side.widths[0, 0, unit]) for side in (compared.a, compared.b))
            assert (kind == "stronger_a") == (reached[0] and first >= 2 * second)
            assert (kind == "stronger_b") == (reached[1] and second >= 2 * first)
            shared = unit in down(np.asarray(least), max(first, second) / 2 + 1e-6)
            assert (kind == "shared") == (shared and any(reached) and not kind.startswith("stronger"))
        strong = {
            (int(a), int(b), int(c))
            for a, b, c in zip(compared.arcs.layer, compared.arcs.query, compared.arcs.key, strict=True)
        }
        expected = np.maximum(*(np.asarray(jf.raw_attention(graph)) for graph in graphs))
        assert strong == {tuple(map(int, place)) for place in np.argwhere(expected >= 0.3)}
    assert len(kinds) >= 3


def down(fused, threshold):
    """Positions of the input that strong arcs lead to from position 0 at the top; by search."""
    reached = {0}
    for layer in reversed(fused):
        reached |= {int(key) for query in reached for key in np.flatnonzero(layer[query] >= threshold)}
    return reached


def test_a_models_patterns_are_counted_by_hand(result, encoder):
    for compared in result:
        weights = by_hand(encoder, compared.text)
        tokens = weights.shape[-1]
        largest = 1 + weights[..., 1:-1].argmax(axis=-1)
        for name, away in (("previous", -1), ("own", 0), ("next", 1)):
            rows = [q for q in range(1, tokens - 1) if 1 <= q + away < tokens - 1]
            found = compared.a.patterns[..., PATTERNS.index(name)]
            if not rows:
                assert np.isnan(found).all()
                continue
            expected = np.mean([largest[..., q] == q + away for q in rows], axis=0)
            np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_allclose(
            compared.a.patterns[..., PATTERNS.index("leading")], weights[..., 0].mean(-1), atol=1e-6
        )
        np.testing.assert_allclose(
            compared.a.patterns[..., PATTERNS.index("separators")], weights[..., -1].mean(-1), atol=1e-6
        )


def test_words_gain_what_their_pieces_gain(result):
    name = "rollout"
    gained = {}
    for compared in result:
        change = compared.change[name][-1, 0]
        found = {}
        for unit, word in enumerate(compared.word):
            if word >= 0:
                found.setdefault(word, 0)
                found[word] += change[unit]
        own = {}
        for word, value in found.items():
            own.setdefault(compared.words[word].casefold(), []).append(value)
        for word, values in own.items():
            gained.setdefault(word, []).append(np.mean(values))
    summary = {word.word: word for word in result.summary.words if word.method == name}
    assert set(summary) == set(gained)
    assert {"the", "unbelievable", "don't", "?"} <= set(gained)
    for word, values in gained.items():
        assert summary[word].texts == len(values)
        assert summary[word].mean == pytest.approx(np.mean(values), abs=1e-6)
        assert np.isnan(summary[word].p) == (len(values) < 2)
    most = result.summary.gained(name)
    assert most == sorted(most, key=lambda word: -word.mean)
    assert all(word.mean > 0 for word in most)
    assert all(word.mean < 0 for word in result.summary.lost(name))


def test_predictions_of_both_are_counted(result):
    counted = {}
    for compared in result:
        both = compared.a.prediction, compared.b.prediction
        counted[both] = counted.get(both, 0) + 1
    assert result.summary.confusion == counted


def test_a_model_against_itself_has_not_changed_at_all(encoder):
    found = jf.compare_models(encoder, model(), TEXTS, queries=[0, 2], batch_size=8, least=2)
    for compared in found:
        assert not compared.jensen_shannon.any()
        assert not compared.total_variation.any()
        assert not compared.layer_jensen_shannon.any()
        assert all(not values.any() for values in compared.change.values())
        assert len(compared.arcs)
        assert compared.arcs.count("alike") == len(compared.arcs)
        np.testing.assert_array_equal(compared.shared_widths, compared.a.widths)
    summary = found.summary
    assert not summary.head.jensen_shannon.mean.any()
    assert not summary.head.jensen_shannon.high.any()
    assert not summary.head.pattern_change.mean.any()
    assert (summary.head.p == 1).all()
    assert not summary.head.moved.any()
    np.testing.assert_allclose(np.diagonal(summary.head.correlation, axis1=1, axis2=2), 1, atol=1e-9)
    np.testing.assert_allclose(np.diagonal(summary.head.cka, axis1=1, axis2=2), 1, atol=1e-5)
    assert all(word.mean == 0 for word in summary.words)
    assert not summary.gained("flow")


def test_reordered_heads_are_found_again(encoder):
    rng = np.random.default_rng(0)
    orders = np.stack([rng.permutation(HEADS) for _ in range(LAYERS)])
    found = jf.compare_models(
        encoder, reordered(encoder, orders), TEXTS, methods="rollout", queries=[0, 2], batch_size=8
    ).summary
    assert (orders != np.arange(HEADS)).any(axis=1).all()
    # Head h of the second model is head orders[h] of the first: the matching is the way back.
    np.testing.assert_array_equal(found.head.matching, np.argsort(orders, axis=1))
    assert found.head.jensen_shannon.mean.max() > 0.05
    np.testing.assert_allclose(found.layer.jensen_shannon.mean, 0, atol=1e-3)
    for layer in range(LAYERS):
        np.testing.assert_allclose(found.head.cka[layer, np.arange(HEADS), found.head.matching[layer]], 1, atol=1e-4)


def test_batches_and_windows_change_nothing(encoder, other, monkeypatch):
    from jaxflow.compare import run

    whole = jf.compare_models(encoder, other, TEXTS, queries=[0, 2], batch_size=8)
    monkeypatch.setattr(run, "WINDOW", 4)
    parts = jf.compare_models(encoder, other, TEXTS, queries=[0, 2], batch_size=2)
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one.jensen_shannon, two.jensen_shannon, atol=1e-5)
        for name in one.change:
            np.testing.assert_allclose(one.change[name], two.change[name], atol=1e-5)
    np.testing.assert_allclose(whole.summary.head.correlation, parts.summary.head.correlation, atol=1e-5)
    np.testing.assert_allclose(whole.summary.head.cka, parts.summary.head.cka, atol=1e-4)


@pytest.mark.slow
def test_models_of_different_depth_need_pairs_of_layers(encoder):
    deep = model(seed=2, layers=5)
    with pytest.raises(InputError, match=r"must be pairs of layers, as the models have 3 and 5"):
        jf.compare_models(encoder, deep, TEXTS)
    options = {"methods": ["rollout", "raw"], "queries": [0, 2], "batch_size": 8}
    found = jf.compare_models(encoder, deep, TEXTS, layers=[(1, 2), (3, 5)], **options)
    for text, compared in zip(TEXTS, found, strict=True):
        one, two = by_hand(encoder, text), by_hand(deep, text)
        for place, (first, second) in enumerate(((1, 2), (3, 5))):
            expected = jensenshannon(one[first - 1], two[second - 1], base=2, axis=-1).mean(axis=-1)
            np.testing.assert_allclose(compared.jensen_shannon[place], expected, atol=5e-6)
        expected = np.asarray(jf.attention_rollout(jf.attention_graph(two)))[[1, 4]][:, [0, 2]]
        np.testing.assert_allclose(compared.b.relevance["rollout"], expected, atol=5e-6)
        assert compared.shared_widths is None
        assert compared.b.widths.shape[0] == 6


@pytest.mark.slow
def test_models_with_other_tokenizers_are_compared_word_by_word(encoder):
    words = model(seed=1, words=second_words())
    found = jf.compare_models(encoder, words, TEXTS, queries=[0, 2], batch_size=8)
    cut_otherwise = 0
    for text, compared in zip(TEXTS, found, strict=True):
        cut_otherwise += compared.a.tokens != compared.b.tokens
        sides = ((encoder, compared.a, compared.units.first), (words, compared.b, compared.units.second))
        pooled = [by_words(by_hand(each, text), groups) for each, _, groups in sides]
        expected = jensenshannon(*pooled, base=2, axis=-1).mean(axis=-1)
        np.testing.assert_allclose(compared.jensen_shannon, expected, atol=5e-6)
        for each, side, groups in sides:
            graph = jf.attention_graph(by_hand(each, text))
            for name, whole in (
                ("rollout", jf.attention_rollout(graph)),
                ("flow", jf.attention_flow(graph, method="exact").value),
            ):
                own = by_words(np.asarray(whole), groups)[:, [0, 2]]
                np.testing.assert_allclose(side.relevance[name], own, atol=5e-6)
    assert cut_otherwise >= 3
    with pytest.raises(InputError, match=r"`units` must be 'words' or 'auto', got 'tokens'"):
        jf.compare_models(encoder, words, TEXTS, units="tokens")


def by_words(weights, groups):
    """Columns of a word's tokens summed, rows averaged; by a loop."""
    units = max(groups) + 1
    pooled = np.zeros((*weights.shape[:-2], units, units))
    for row in range(units):
        members = [token for token, group in enumerate(groups) if group == row]
        for token in members:
            for key, column in enumerate(groups):
                pooled[..., row, column] += weights[..., token, key].astype(np.float64) / len(members)
    return pooled


def test_pairs_of_texts_go_through_both(encoder, other):
    pairs = ["to the table is", "keys on the table"] * 3
    found = jf.compare_models(encoder, other, ["the key", "is"] * 3, pairs=pairs, queries=[0, 2], batch_size=8)
    expected = jensenshannon(
        by_hand(encoder, "the key", "to the table is"), by_hand(other, "the key", "to the table is"), base=2, axis=-1
    )
    np.testing.assert_allclose(found[0].jensen_shannon, expected.mean(axis=-1), atol=5e-6)
    assert found[0].words == ("the", "key", "to", "the", "table", "is")
    assert found[1].pair == "keys on the table"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 0}, "`threshold` must be a number above 0"),
        ({"decay": 1.5}, "`decay`"),
        ({"units": "letters"}, "`units`"),
        ({"queries": 40}, "text 0: `queries` must be positions of tokens, from 0 to .*, got 40"),
        ({"queries": "all"}, "`queries`"),
        ({"layers": [4]}, "`layers` must be from 1 to 3"),
        ({"layers": [(1, 2, 3)]}, "pairs of ints"),
        ({"methods": "gradient"}, "`methods`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"least": 0}, "`least`"),
        ({"correction": "bonferroni"}, "`correction`"),
        ({"max_length": 4}, r"`texts\[0\]` must have at most 4 tokens"),
    ],
)
def test_errors_name_what_was_wrong(encoder, options, said):
    with pytest.raises(InputError, match=said):
        jf.compare_models(encoder, encoder, TEXTS, **options)


def test_models_that_cannot_be_compared_are_refused(encoder):
    with pytest.raises(InputError, match="`model_b` must have as many heads a layer as `model_a`, 4, got 2"):
        jf.compare_models(encoder, model(heads=2), TEXTS)
    with pytest.raises(InputError, match="`model_b` must be a model, got 'minilm'"):
        make_plan(encoder, "minilm", Question())
    with pytest.raises(InputError, match="at least one text"):
        jf.compare_models(encoder, encoder, [])
    broken = tuned(encoder, size=np.nan)
    with pytest.raises(InputError, match="the attention of text 1 must be finite"):
        jf.compare_models(encoder, broken, TEXTS, batch_size=8)
