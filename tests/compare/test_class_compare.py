"""Two classifiers compared by what a class rests on, against direct loops."""

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.compare import class_attention
from tests.compare.models import LAYERS, TEXTS, model, second_words, tuned

pytestmark = pytest.mark.usefixtures("few_sizes")

CLASS = jf.mixing.AttentionGradient(own=0.3)


@pytest.fixture(scope="module")
def pair():
    first = model()
    return first, tuned(first)


@pytest.fixture(scope="module")
def compared(pair):
    return jf.compare_models(*pair, TEXTS, mixing=CLASS, target="good", queries=[0, 2])


def by_loop(encoder, text, label, residual):
    """Normalised class weights and rollout of one text, position by position and layer by layer."""
    found = class_attention(encoder, [text], target=label)
    tokens = int(found.mask[0].sum())
    weights = found.weights[0, :, :tokens, :tokens].astype(np.float64)
    fused, rolled, carried = [], [], np.eye(tokens)
    for layer in weights:
        rows = np.zeros_like(layer)
        for position, row in enumerate(layer):
            total = row.sum()
            rows[position] = row / total if total > 0 else np.eye(tokens)[position]
        fused.append(rows)
        carried = (residual * np.eye(tokens) + (1 - residual) * rows) @ carried
        rolled.append(carried)
    return np.array(fused), np.array(rolled)


def test_relevance_is_that_of_the_class_by_a_loop(pair, compared):
    for encoder, name in zip(pair, "ab", strict=True):
        for text, found in zip(TEXTS, compared.texts, strict=True):
            side = getattr(found, name)
            fused, rolled = by_loop(encoder, text, "good", 0.3)
            np.testing.assert_allclose(side.attention, fused, atol=2e-5)
            np.testing.assert_allclose(side.relevance["raw"], fused[:, [0, 2]], atol=2e-5)
            np.testing.assert_allclose(side.relevance["rollout"], rolled[:, [0, 2]], atol=2e-5)
            graph = jf.attention_graph(fused[:, None].astype(np.float32), residual=0.3)
            flows = jf.attention_flow(graph, queries=[0, 2], method="exact").value
            np.testing.assert_allclose(side.relevance["flow"], flows, atol=2e-5)


def test_strong_arcs_are_those_of_the_class_and_heads_are_compared_as_they_are(pair, compared):
    plain = jf.compare_models(*pair, TEXTS, queries=[0, 2], mixing=jf.mixing.Attention(residual=0.3))
    differs = 0
    for text, found, other in zip(TEXTS, compared.texts, plain.texts, strict=True):
        np.testing.assert_array_equal(found.jensen_shannon, other.jensen_shannon)
        fused = [by_loop(encoder, text, "good", 0.3)[0] for encoder in pair]
        first, second = fused
        strong = np.maximum(first, second) >= 0.1
        assert found.arcs.count("alike") == (strong & (first < 2 * second) & (second < 2 * first)).sum()
        assert found.arcs.count("stronger_a") == (strong & (first >= 2 * second)).sum()
        differs += not np.allclose(found.change["rollout"], other.change["rollout"], atol=1e-3)
    assert differs == len(TEXTS)


def test_the_predicted_class_is_each_models_own(pair):
    found = jf.compare_models(*pair, TEXTS, methods="rollout", mixing=jf.mixing.AttentionGradient(own=0.5))
    for encoder, name in zip(pair, "ab", strict=True):
        for text, one in zip(TEXTS, found.texts, strict=True):
            side = getattr(one, name)
            assert side.prediction == encoder.labels[class_attention(encoder, [text]).classes[0]]
            _, rolled = by_loop(encoder, text, side.prediction, 0.5)
            np.testing.assert_allclose(side.relevance["rollout"], rolled[:, [0]], atol=2e-5)


def test_a_model_against_itself_changes_nothing(pair):
    found = jf.compare_models(pair[0], pair[0], TEXTS[:3], mixing="attention-gradient", target=0)
    assert not any(values.any() for text in found.texts for values in text.change.values())
    assert all(text.arcs.count("alike") == len(text.arcs) for text in found.texts)


@pytest.mark.slow
def test_words_sum_what_goes_to_their_tokens(pair):
    other = model(seed=4, words=second_words())
    found = jf.compare_models(
        pair[0], other, [TEXTS[2]], methods="rollout", mixing=jf.mixing.AttentionGradient(own=0.5), target="bad"
    ).texts[0]
    for encoder, side, groups in (
        (pair[0], found.a, np.array(found.units.first)),
        (other, found.b, np.array(found.units.second)),
    ):
        _, rolled = by_loop(encoder, TEXTS[2], "bad", 0.5)
        expected = [[layer[0, groups == unit].sum() for unit in range(len(found.units))] for layer in rolled]
        np.testing.assert_allclose(side.relevance["rollout"][:, 0], expected, atol=2e-5)
        assert len(expected) == LAYERS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mixing": "attention-gradient", "target": "fine"}, "`target` must be 'predicted'"),
        ({"mixing": "attention-gradient", "target": 2}, "an index below 2"),
        ({"mixing": "attention-gradient", "target": ["good"]}, "`target` must be None, 'predicted', a class"),
        ({"target": "good"}, "`target` must be left out, got 'good' with the mixing 'attention'"),
        ({"mixing": "classes"}, "`mixing` must be one of"),
    ],
)
def test_what_names_no_class_is_refused(pair, options, said):
    with pytest.raises(InputError, match=said):
        _ = jf.compare_models(*pair, TEXTS, **options)


def test_models_without_classes_are_refused(pair):
    with pytest.raises(InputError, match="must have a head that classifies texts"):
        _ = jf.compare_models(pair[0], model(head="bare"), TEXTS, mixing="attention-gradient")
